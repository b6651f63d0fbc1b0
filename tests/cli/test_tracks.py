"""`seqlift tracks`: the bigWig of a scores file, read by two readers."""

import bbi
import numpy as np
import pyBigWig
import pytest

from tests.oracle.track import literal_track
from tests.tiny import run_cli

SIZES = {"chr2": 600, "chr10": 130, "chr1": 500}
DATASETS = {"contribution": "projected_shap/seq", "standard-error": "quality/standard_error"}


def by_both(path):
    """All values of a bigWig as pyBigWig has them, after pybbi has been seen to have the same."""
    tracks = {}
    with pyBigWig.open(str(path)) as ours, bbi.open(str(path)) as theirs:
        assert ours.chroms() == dict(theirs.chromsizes) == SIZES
        for chrom, size in SIZES.items():
            tracks[chrom] = np.array(ours.values(chrom, 0, size))
            np.testing.assert_array_equal(
                tracks[chrom], theirs.fetch(chrom, 0, size, missing=np.nan)
            )
    return tracks


def make(scores, folder, *arguments):
    run = run_cli("tracks", scores, "-g", folder / "genome.fa", "-o", "track.bw", *arguments)
    assert (run.status, run.stdout) == (0, ""), run.stderr
    return run.stderr


@pytest.mark.parametrize("target", [0, 2])
def test_the_track_of_score_is_that_of_tracks(folder, scored, target):
    make(scored[0] / f"out.{target}.h5", folder)
    own = scored[0] / f"out.{target}.bw"
    assert (folder / "track.bw").read_bytes() == own.read_bytes()


@pytest.mark.parametrize("quantity", DATASETS)
@pytest.mark.parametrize("policy", ["nearest", "mean", "max-abs"])
def test_values_are_those_of_the_definition(folder, scored, quantity, policy):
    """Three-way overlaps, duplicates, Ns and windows past both ends are among the regions."""
    scores = scored[0] / "out.0.h5"
    said = make(scores, folder, "--quantity", quantity, "--overlap", policy)
    found = by_both(folder / "track.bw")
    n_bases = 0
    for chrom, size in SIZES.items():
        wanted = literal_track(scores, chrom, size, policy, DATASETS[quantity])
        np.testing.assert_array_equal(found[chrom], np.float32(wanted))
        n_bases += int(np.isfinite(wanted).sum())
    values = np.concatenate(list(found.values()))
    assert said == (
        f"seqlift: wrote track.bw: {n_bases:,} bases "
        f"from {np.nanmin(values):.4g} to {np.nanmax(values):.4g}\n"
    )


def test_bases_without_a_value_are_gaps(folder, scored):
    make(scored[0] / "out.0.h5", folder)
    track = by_both(folder / "track.bw")
    # A run of Ns, three IUPAC codes, and what no window covers; the ends have values.
    assert np.isnan(track["chr2"][205:217]).all()
    assert np.isnan(track["chr2"][318:321]).all()
    assert np.isnan(track["chr2"][100:190]).all()
    assert np.isfinite(track["chr2"][[204, 217, 317, 321, 599]]).all()
    assert np.isfinite(track["chr10"][[0, 129]]).all()


def test_policies_differ_where_windows_overlap(folder, scored):
    tracks = []
    for policy in ("nearest", "mean", "max-abs"):
        make(scored[0] / "out.0.h5", folder, "--overlap", policy, "--force")
        tracks.append(by_both(folder / "track.bw"))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (tracks[one]["chr1"][240:305] != tracks[other]["chr1"][240:305]).any()
        np.testing.assert_array_equal(tracks[one]["chr2"], tracks[other]["chr2"])


def _another_genome(folder):
    (folder / "other.fa").write_text(">chr2\n" + "ACGT" * 150 + "\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["none.h5", "-g", "genome.fa", "-o", "a.bw"],
            "none.h5 cannot be read: No such file or directory",
        ),
        (["SCORES", "-g", "none.fa", "-o", "a.bw"], "none.fa does not exist"),
        (["SCORES", "-g", "genome.fa", "-o", "peaks.bed"], "peaks.bed exists (use --force)"),
        (["SCORES", "-g", "genome.fa", "-o", "none/a.bw"], "none/ does not exist; make it first"),
        (
            ["SCORES", "-g", "other.fa", "-o", "a.bw"],
            "chr1:241-280 (line 1): 'chr1' is not among the 1 contigs of the track ('chr2', …); "
            "give the sizes of the genome that was scored",
        ),
    ],
)
def test_mistakes_leave_nothing(folder, scored, arguments, error):
    _another_genome(folder)
    before = sorted(folder.iterdir())
    scores = scored[0] / "out.0.h5"
    run = run_cli("tracks", *(scores if word == "SCORES" else word for word in arguments))
    assert run == (1, "", f"seqlift: error: {error}\n")
    made = {folder / "other.fa.fai"}  # an index is kept, as a service to the next run
    assert sorted(set(folder.iterdir()) - made) == before
