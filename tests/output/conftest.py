"""Scored windows to write, and disks that fill up."""

import resource

import numpy as np
import pytest

from seqlift.genome.regions import Region
from seqlift.output.hdf5 import ScoredBatch

LENGTH = 30
N_REFERENCES = 3


def scored_batch(regions, length=LENGTH, n_references=N_REFERENCES, seed=0, dtype=np.float32):
    """Random scores for some windows, with an N here and there."""
    rng = np.random.default_rng(seed)
    n = len(regions)
    one_hot = np.eye(5, 4, dtype=np.uint8)[rng.integers(0, 5, (n, length))].transpose(0, 2, 1)
    hypothetical = rng.normal(size=(n, 4, length)).astype(dtype)
    return ScoredBatch(
        regions=regions,
        one_hot=np.ascontiguousarray(one_hot),
        hypothetical=hypothetical,
        scores=hypothetical * one_hot,
        delta=rng.normal(size=(n, n_references)).astype(dtype),
        completeness_error=rng.random((n, n_references)).astype(dtype),
        prediction=rng.normal(size=n).astype(dtype),
        prediction_reference=rng.normal(size=(n, n_references)).astype(dtype),
        standard_error=rng.random((n, length)).astype(dtype),
        n_references=rng.integers(1, n_references + 1, n),
    )


def windows(n, length=LENGTH, chrom="chr1", step=11):
    return [
        Region(
            chrom,
            i * step,
            i * step + length,
            f"peak_{i}",
            "+-."[i % 3],
            None if i % 4 else 7,
            i + 1,
        )
        for i in range(n)
    ]


@pytest.fixture
def make_batch():
    return scored_batch


@pytest.fixture
def make_windows():
    return windows


@pytest.fixture
def full_disk():
    """A function after which no file grows past a number of bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
