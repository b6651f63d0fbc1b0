"""Fi-NeMo on the demo's scores: it reads every layout alike, and calls CTCF in the peaks."""

import csv

import numpy as np
import pyBigWig
import pytest

from seqlift.output.reader import ScoresFile
from tests.readers import commands
from tests.readers.commands import DATA, read_with

pytestmark = commands.pytestmark

PEAKS = DATA / "ctcf.chr20.narrowPeak"
COMMANDS = {
    "chrombpnet-h5": ("-c", "ctcf.h5"),
    "bpnet-h5": ("-c", "bpnet.h5"),
    "modisco-fmt": ("-s", "ctcf.ohe.npz", "-a", "ctcf.shap.npz"),
}


@pytest.fixture(scope="module")
def summits(demo):
    """The demo's peaks, with the summit that -1 in column 10 stands for."""
    rows = [line.split("\t") for line in PEAKS.read_text().splitlines()]
    lines = ["\t".join([*row[:9], str((int(row[2]) - int(row[1])) // 2)]) for row in rows]
    (demo / "summits.narrowPeak").write_text("\n".join(lines) + "\n")
    return demo / "summits.narrowPeak"


@pytest.mark.parametrize("layout", COMMANDS)
def test_its_own_extraction_makes_what_export_writes(demo, summits, tmp_path, layout):
    made = tmp_path / "regions.npz"
    command = f"extract-regions-{layout}"
    read_with(demo, "finemo", command, *COMMANDS[layout], "-p", summits, "-w", 200, "-o", made)
    with np.load(made) as expected, np.load(demo / "finemo.npz") as found:
        assert set(found) == set(expected)
        for name in expected:
            if name != "start":  # 32 bits there, 64 here
                assert found[name].dtype == expected[name].dtype, name
            np.testing.assert_array_equal(found[name], expected[name])


def test_it_takes_no_summit_for_one_at_minus_one(demo, tmp_path):
    """Which is why `export` takes the coordinates from the scores file."""
    made = tmp_path / "regions.npz"
    command = "extract-regions-chrombpnet-h5"
    read_with(demo, "finemo", command, "-c", "ctcf.h5", "-p", PEAKS, "-w", 200, "-o", made)
    with np.load(made) as misplaced, np.load(demo / "finemo.npz") as found:
        assert set(found["start"] - misplaced["start"]) == {101}


def test_hits_are_called_where_the_track_has_them(demo, patterns, tmp_path):
    read_with(demo, "finemo", "call-hits", "-r", "finemo.npz", "-m", patterns, "-o", tmp_path)
    with (tmp_path / "hits.tsv").open() as file:
        hits = list(csv.DictReader(file, delimiter="\t"))
    with ScoresFile(demo / "ctcf.h5") as scores:
        windows = {region.name: region for region in scores.regions()}
    assert len({hit["peak_name"] for hit in hits}) >= 20
    with pyBigWig.open(str(demo / "ctcf.bw")) as track:
        for hit in hits:
            chrom, start, end = hit["chr"], int(hit["start"]), int(hit["end"])
            window = windows[hit["peak_name"]]
            assert chrom == window.chrom
            assert window.start <= start < end <= window.end
            # What it calls the importance of a hit is the sum of |score| over the hit's bases.
            importance = np.abs(track.values(chrom, start, end, numpy=True)).sum()
            assert float(hit["hit_importance"]) == pytest.approx(importance, rel=2e-3)
