"""`seqlift export`: files for other tools. What the tools make of them is in tests/readers."""

import gzip
import os
import subprocess
import sys

import bbi
import h5py
import numpy as np
import pyBigWig
import pysam
import pytest

from seqlift.cli import options
from seqlift.output.formats.registry import FORMATS
from seqlift.output.overlap import POLICIES
from seqlift.output.reader import QUANTITIES
from tests.oracle.track import literal_track
from tests.tiny import names, run_cli

SIZES = {"chr2": 600, "chr10": 130, "chr1": 500}
DATASETS = {"contribution": "projected_shap/seq", "standard-error": "quality/standard_error"}


def export(scores, layout, output, *arguments):
    run = run_cli("export", scores, "--format", layout, "-o", output, *arguments)
    assert run.status == 0, run.stderr
    return run


def read_bedgraph(text):
    """Lay the lines of a bedGraph out on the contigs, NaN where there is none."""
    tracks = {chrom: np.full(size, np.nan, dtype=np.float32) for chrom, size in SIZES.items()}
    rows = [line.split("\t") for line in text.splitlines()]
    for chrom, start, end, value in rows:
        assert int(end) == int(start) + 1
        assert np.isnan(tracks[chrom][int(start)])
        tracks[chrom][int(start)] = np.float32(value)
    places = [(chrom.encode(), int(start)) for chrom, start, *_ in rows]
    assert places == sorted(places)
    return tracks


def test_the_choices_are_those_of_the_library():
    assert set(options.FORMATS) == set(FORMATS)
    assert set(options.OVERLAPS) == set(POLICIES)
    assert options.QUANTITIES == QUANTITIES


@pytest.mark.parametrize("target", [0, 2])
def test_a_bedgraph_has_the_values_of_the_bigwig(folder, scored, target):
    export(scored[0] / f"out.{target}.h5", "bedgraph", "a.bedGraph")
    tracks = read_bedgraph((folder / "a.bedGraph").read_text())
    path = str(scored[0] / f"out.{target}.bw")
    with pyBigWig.open(path) as ours, bbi.open(path) as theirs:
        for chrom, size in SIZES.items():
            values = ours.values(chrom, 0, size, numpy=True)
            np.testing.assert_array_equal(tracks[chrom], values, strict=True)
            values = theirs.fetch(chrom, 0, size, missing=np.nan)
            np.testing.assert_array_equal(tracks[chrom], values)


@pytest.mark.parametrize("quantity", DATASETS)
@pytest.mark.parametrize("policy", ["nearest", "mean", "max-abs"])
def test_a_bedgraph_has_the_values_of_the_definition(scored, quantity, policy):
    scores = scored[0] / "out.0.h5"
    run = export(scores, "bedgraph", "-", "--quantity", quantity, "--overlap", policy)
    assert run.stderr == ""
    for chrom, values in read_bedgraph(run.stdout).items():
        wanted = literal_track(scores, chrom, SIZES[chrom], policy, DATASETS[quantity])
        np.testing.assert_array_equal(values, np.float32(wanted))


def test_a_name_in_gz_is_compressed_so_that_tabix_finds_its_lines(folder, scored):
    scores = scored[0] / "out.0.h5"
    run = export(scores, "bedgraph", "a.bedGraph.gz")
    assert run == (0, "", "seqlift: wrote a.bedGraph.gz\n")
    text = gzip.decompress((folder / "a.bedGraph.gz").read_bytes()).decode()
    assert text == export(scores, "bedgraph", "-").stdout
    pysam.tabix_index("a.bedGraph.gz", preset="bed")
    with pysam.TabixFile("a.bedGraph.gz") as file:
        found = list(file.fetch("chr2", 215, 220))
    assert found == [line for line in text.splitlines() if line.startswith("chr2\t21")][-3:]


def test_the_pair_for_modisco(folder, scored):
    run = export(scored[0] / "out.2.h5", "npz", "ctcf")
    assert run == (0, "", "seqlift: wrote ctcf.ohe.npz\nseqlift: wrote ctcf.shap.npz\n")
    with (
        h5py.File(scored[0] / "out.2.h5") as file,
        np.load("ctcf.ohe.npz") as one_hot,
        np.load("ctcf.shap.npz") as hypothetical,
    ):
        projected = one_hot["arr_0"] * hypothetical["arr_0"]
        np.testing.assert_array_equal(projected, file["projected_shap/seq"][:], strict=True)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (
            ["none.h5", "--format", "npz", "-o", "a"],
            1,
            "none.h5 cannot be read: No such file or directory",
        ),
        (
            ["genome.fa", "--format", "npz", "-o", "a"],
            1,
            "genome.fa is not an HDF5 file; a scores file of seqlift was expected",
        ),
        (
            ["SCORES", "--format", "bpnet", "-o", "peaks.bed"],
            1,
            "peaks.bed exists (use --force)",
        ),
        (
            ["SCORES", "--format", "finemo", "-o", "none/a.npz"],
            1,
            "none/ does not exist; make it first",
        ),
        (
            ["SCORES", "--format", "bpnet", "-o", "SCORES", "--force"],
            1,
            "SCORES is the scores file itself; give another name",
        ),
        (
            ["SCORES", "--format", "finemo", "-o", "-"],
            2,
            "found -o - with --format finemo, which is no text; expected the name of a file",
        ),
        (
            ["SCORES", "--format", "npz", "-o", "a", "--overlap", "mean"],
            2,
            "found --overlap with --format npz, which holds whole windows; it goes with --format "
            "bedgraph",
        ),
        (
            ["SCORES", "--format", "bpnet", "-o", "a", "--quantity", "contribution"],
            2,
            "found --quantity with --format bpnet, which holds whole windows; it goes with "
            "--format bedgraph",
        ),
    ],
)
def test_mistakes_leave_nothing(folder, scored, arguments, status, error):
    (folder / "SCORES").symlink_to(scored[0] / "out.0.h5")
    before, size = names(folder), (folder / "SCORES").stat().st_size
    run = run_cli("export", *arguments)
    assert run == (status, "", f"seqlift: error: {error}\n")
    assert names(folder) == before
    assert (folder / "SCORES").stat().st_size == size


def test_a_track_without_a_value_is_no_bedgraph(folder, scored):
    """A scores file all of whose bases are N."""
    with h5py.File(scored[0] / "out.0.h5") as file, h5py.File("n.h5", "w") as copy:
        for name in file:
            file.copy(name, copy)
        copy.attrs.update(file.attrs)
        copy["raw/seq"][...] = 0
    before = names(folder)
    run = run_cli("export", "n.h5", "--format", "bedgraph", "-o", "a.bedGraph.gz")
    assert run.status == 1
    assert run.stderr == (
        "seqlift: error: n.h5 has no base with a value; a bedGraph would be empty\n"
    )
    assert names(folder) == before
    assert run_cli("export", "n.h5", "--format", "bedgraph", "-o", "-") == (0, "", "")


def piped(scores, stdout, *, preexec_fn=None):
    command = [sys.executable, "-m", "seqlift", "export", scores, "--format", "bedgraph", "-o", "-"]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn
    )


def test_a_reader_that_has_had_enough_is_no_error(scored):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = piped(scored[0] / "out.0.h5", writing)
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_output_that_cannot_be_written_is_one_line(scored):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        run = piped(scored[0] / "out.0.h5", full)
    assert run.returncode == 1
    assert run.stderr == (
        "seqlift: error: standard output cannot be written: No space left on device\n"
    )
