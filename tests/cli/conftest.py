"""The tiny genome and models, written once; a folder of copies; one finished run."""

import os
import shutil
from pathlib import Path

import pytest

from tests.tiny import (
    N_REFERENCES,
    REGIONS,
    Pooled,
    Tiny,
    export,
    make_contigs,
    remembered_captures,
    run_cli,
    seeded,
    write_fasta,
)


@pytest.fixture(scope="session")
def contigs():
    return make_contigs()


@pytest.fixture(scope="session")
def originals(tmp_path_factory, contigs):
    """A folder with model.pt2, genome.fa with its index, and peaks.bed."""
    folder = tmp_path_factory.mktemp("tiny")
    export(seeded(Tiny), folder / "model.pt2")
    write_fasta(contigs, folder / "genome.fa")
    (folder / "peaks.bed").write_text(REGIONS)
    (folder / "genome.fa.fai").write_text(_index(folder / "genome.fa"))
    return folder


def _index(fasta: Path) -> str:
    """Write a .fai by hand, from the text."""
    lines, offset = [], 0
    for record in fasta.read_text().split(">")[1:]:
        name, *rows = record.splitlines()
        offset += len(name) + 2
        lines.append(f"{name}\t{sum(map(len, rows))}\t{offset}\t50\t51\n")
        offset += sum(len(row) + 1 for row in rows)
    return "".join(lines)


@pytest.fixture
def folder(tmp_path, monkeypatch, originals):
    """A folder to work in, the current one, with copies of the originals."""
    for path in originals.iterdir():
        shutil.copy2(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def pooled(tmp_path_factory):
    """A program of any number of positions, with the outputs counts.0, counts.1 and bound."""
    import torch

    return export(
        seeded(Pooled),
        tmp_path_factory.mktemp("pooled") / "pooled.pt2",
        dims=({0: torch.export.Dim("batch"), 2: torch.export.Dim("length", min=10)},),
    )


@pytest.fixture(scope="session")
def scored(tmp_path_factory, originals):
    """The folder of one run on all regions, two targets, and what the command said."""
    place = tmp_path_factory.mktemp("scored")
    before = Path.cwd()
    os.chdir(originals)
    try:
        run = run_cli(
            "score", "-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-o", place / "out",
            "--target", 0, "--target", 2, "-n", N_REFERENCES, "--logos", 2, "-d", "cpu",
        )  # fmt: skip
    finally:
        os.chdir(before)
    assert run.status == 0, run.stderr
    return place, run


@pytest.fixture(scope="session", autouse=True)
def remember_captures():
    """Capture each program once."""
    with remembered_captures():
        yield
