"""Scores files with made-up numbers, and what a page holds read back without our own code."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np

from seqlift.genome.regions import Region
from seqlift.output.hdf5 import ScoredBatch, ScoresWriter

DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def write_scores(path, regions, *, n_references=3, seed=0, one_hot=None, **attributes) -> Path:
    """Write random scores of some windows of one length; an N here and there."""
    rng = np.random.default_rng(seed)
    n, length = len(regions), regions[0].end - regions[0].start
    if one_hot is None:
        bases = np.random.default_rng(5).integers(0, 5, (n, length))
        one_hot = np.eye(5, 4, dtype=np.uint8)[bases].transpose(0, 2, 1)
        for i, region in enumerate(regions):  # no base lies left of a contig
            one_hot[i, :, : max(0, -region.start)] = 0
    hypothetical = rng.normal(size=(n, 4, length)).astype(np.float32)
    attributes = {"target": "0", "method": "deeplift", "model": "some/model.pt2", **attributes}
    with ScoresWriter(path, length, n_references, attributes=attributes) as writer:
        writer.append(
            ScoredBatch(
                regions=regions,
                one_hot=np.ascontiguousarray(one_hot),
                hypothetical=hypothetical,
                scores=hypothetical * one_hot,
                delta=rng.normal(size=(n, n_references)).astype(np.float32),
                completeness_error=1e-6 * rng.random((n, n_references)).astype(np.float32),
                prediction=rng.normal(size=n).astype(np.float32),
                prediction_reference=rng.normal(size=(n, n_references)).astype(np.float32),
                standard_error=rng.random((n, length)).astype(np.float32),
                n_references=np.full(n, n_references),
            )
        )
    return path


def windows(n, length=40, chrom="chr1", step=100, start=1000):
    """Regions beside each other."""
    return [
        Region(chrom, start + i * step, start + i * step + length, f"peak_{i}", "+", None, i + 1)
        for i in range(n)
    ]


def data_of(path) -> dict:
    """Read the data of a page."""
    (text,) = DATA.findall(Path(path).read_text(encoding="utf-8"))
    return json.loads(text)


def values_of(data, file, quantity, chrom, size):
    """Lay the values of a track along a contig: float, NaN where there is none."""
    track = data["files"][file]["tracks"][quantity]
    steps = np.frombuffer(base64.b64decode(track["values"]), "<i2")
    whole = np.full(size, np.nan)
    offset = 0
    for (contig, start, end), scale in zip(data["stretches"], track["scales"], strict=True):
        part = steps[offset : offset + end - start]
        offset += end - start
        if data["contigs"][contig][0] == chrom:
            whole[start:end] = np.where(part == -32768, np.nan, part * scale)[: size - start]
    assert offset == len(steps)
    return whole
