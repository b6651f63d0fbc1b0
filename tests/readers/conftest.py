"""The demo's scores in every layout, and the motifs that modisco finds in them."""

import numpy as np
import pytest

from tests.readers.commands import DATA, MOTIFS, read_with
from tests.tiny import run_cli

EXPORTS = {"npz": "ctcf", "bpnet": "bpnet.h5", "finemo": "finemo.npz"}


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A folder with the scores of the demo's 23 CTCF peaks, and every export of them."""
    folder = tmp_path_factory.mktemp("demo")
    run_well(
        "score", "-m", DATA / "ctcf-p73.pt2", "-g", DATA / "chr20.fa.gz",
        "-r", DATA / "ctcf.chr20.narrowPeak", "-o", folder / "ctcf", "--target", 0, "-d", "cpu",
    )  # fmt: skip
    for layout, name in EXPORTS.items():
        run_well("export", folder / "ctcf.h5", "--format", layout, "-o", folder / name)
    return folder


def run_well(*arguments):
    run = run_cli(*arguments)
    assert run.status == 0, run.stderr


@pytest.fixture(scope="session")
def motif():
    """The CTCF motif MA0139.1, probabilities, shape (position, base)."""
    rows = [line.split() for line in (DATA / "MA0139.1.meme").read_text().splitlines()]
    first = next(i for i, row in enumerate(rows) if row and row[0] == "letter-probability") + 1
    matrix = np.array([row for row in rows[first:] if len(row) == 4], dtype=float)
    assert matrix.shape == (19, 4)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-3)
    return matrix


@pytest.fixture(scope="session")
def patterns(demo):
    """The motifs that modisco finds in the scores file as it is."""
    read_with(demo, "modisco", *MOTIFS, "-i", "ctcf.h5", "-o", "patterns.h5")
    return demo / "patterns.h5"
