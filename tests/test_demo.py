"""The demo from end to end: the model's scores lie on the motif of the factor."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from matplotlib.image import imread

from seqlift.genome.fasta import Genome
from seqlift.output.hdf5 import ScoresFile
from tests.oracle.pwm import best_match, read_pwm
from tests.tiny import names

DATA = Path(__file__).parents[1] / "data"
WIDTH = 19  # of the motif MA0139.1
LEAST = 20  # of 23 peaks


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the demo as a user does; give its folder and what it printed."""
    place = tmp_path_factory.mktemp("demo") / "seqlift demo"
    done = subprocess.run(
        [sys.executable, "-m", "seqlift", "demo", place.name], cwd=place.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place, done


def test_every_command_is_printed_before_its_output(finished):
    _, done = finished
    lines = [line for line in done.stdout.splitlines() if line.startswith(("cd ", "seqlift "))]
    commands = importlib.import_module("seqlift.cli.demo").COMMANDS
    assert lines == ["cd 'seqlift demo'", *commands]


def test_what_the_demo_says_to_look_at_is_there(finished):
    place, done = finished
    said = done.stdout.split("Look at\n")[1]
    for name in ("ctcf.png", "ctcf.logo1.png", "ctcf.bw", "p73.bw", "ctcf.regions.tsv", "ctcf.h5"):
        assert name in said
    made = {
        f"{factor}{end}"
        for factor in ("ctcf", "p73")
        for end in (".bw", ".h5", ".json", ".regions.tsv", *(f".logo{k}.png" for k in (1, 2, 3)))
    }
    assert set(names(place)) == made | {"ctcf.png"} | set(names(DATA))
    assert imread(place / "ctcf.png").std() > 0


def test_ctcf_scores_lie_on_the_ctcf_motif(finished):
    """The best window of the track overlaps the best match at 20 of the 23 held-out peaks."""
    pwm = read_pwm(DATA / "MA0139.1.meme")
    assert len(pwm) == WIDTH
    hits = []
    with ScoresFile(finished[0] / "ctcf.h5") as scores, Genome(DATA / "chr20.fa.gz") as genome:
        assert scores.n_regions == 23
        assert scores.length == 200
        for region, track in zip(scores.regions(), scores.track(), strict=True):
            start, end, _, _ = best_match(genome.fetch(region.chrom, region.start, region.end), pwm)
            best = int(np.convolve(track, np.ones(WIDTH), "valid").argmax())
            hits.append(best < end and start < best + WIDTH)
    assert sum(hits) >= LEAST, f"{sum(hits)} of 23"


@pytest.mark.parametrize("factor", ["ctcf", "p73"])
def test_the_track_has_the_scores_where_the_peaks_are(finished, factor):
    place, _ = finished
    with ScoresFile(place / f"{factor}.h5") as scores:
        regions, tracks = scores.regions(), scores.track()
    with pyBigWig.open(str(place / f"{factor}.bw")) as bigwig:
        assert bigwig.chroms() == {"chr20": 63_025_520}
        for region, track in zip(regions, tracks, strict=True):
            others = [r for r in regions if r.start < region.end and region.start < r.end]
            if len(others) == 1:
                values = bigwig.values(region.chrom, region.start, region.end)
                np.testing.assert_array_equal(np.float32(values), track)


@pytest.mark.parametrize(("factor", "target"), [("ctcf", "0"), ("p73", "1")])
def test_scores_sum_to_delta(finished, factor, target):
    with ScoresFile(finished[0] / f"{factor}.h5") as scores:
        assert scores.attributes["target"] == target
        delta = scores.delta().mean(1)
        found = scores.scores().sum((1, 2), dtype=np.float64)
        np.testing.assert_allclose(found, delta, atol=1e-4 * np.abs(delta).max())
        # Peaks are above their shuffles: these are sites.
        assert (delta > 0).mean() > 0.8
