"""P-values that are uniform under the null, and q-values that keep their promise."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest

from seqlift.errors import InputError
from seqlift.seqlet_null import Tally, measure_null
from seqlift.stretches import SIGNS, find_stretches


def background(n, length=300, seed=0):
    """Tracks with stretches that come in all sizes, as those of shuffles do."""
    rng = np.random.default_rng(seed)
    tracks = rng.normal(size=(n, length))
    bumps = rng.exponential(1.5, (n, length)) * rng.choice(
        [-1, 0, 1], (n, length), p=[0.01, 0.98, 0.01]
    )
    return tracks * 0.3 + np.apply_along_axis(np.convolve, 1, bumps, np.ones(8), "same")


def best_p_values(tracks, null, sign):
    found = find_stretches(tracks, null.drift, sign)
    best = np.zeros(len(tracks))
    np.maximum.at(best, found.track, found.score)
    return null.p_values[null.ranks(best, sign)]


@pytest.mark.parametrize("sign", SIGNS)
def test_p_values_of_shuffles_are_uniform_against_other_shuffles(sign):
    null = measure_null(background(20_000, seed=1))  # so that its own noise is small
    p_values = best_p_values(background(3000, seed=2), null, sign)
    # Where a track has no stretch its p-value is 1, so below that alone it can be uniform.
    below = p_values[p_values < 1]
    assert len(below) > 1500
    assert kstest(below, "uniform", args=(0, below.max())).pvalue > 0.01
    for level in (0.001, 0.01, 0.1):
        assert (p_values <= level).mean() <= level + 4 * np.sqrt(level / len(p_values))


def test_a_p_value_is_the_share_of_shuffles_that_do_as_well_and_the_region_itself():
    null = measure_null(background(50))
    for sign in SIGNS:
        for score in (0.5, 3.0, 20.0, 1e9, float(null.best[sign][-1])):
            rank = int(null.ranks(np.array([score]), sign)[0])
            assert rank == sum(best >= score for best in null.best[sign])
            assert null.p_values[rank] == (rank + 1) / 51


def test_q_values_are_those_of_benjamini_and_hochberg():
    null = measure_null(background(400, seed=1))
    tracks = background(60, seed=3)
    tracks[:25, 100:112] += 12
    tracks[:10, 200:212] -= 12
    tally = Tally(null)
    for rows in (slice(0, 7), slice(7, 60)):  # as they come
        for sign in SIGNS:
            found = find_stretches(tracks[rows], null.drift, sign)
            tally.add(found, len(tracks[rows]), sign)
    for sign, n_planted in ((1, 25), (-1, 10)):
        p_values = best_p_values(tracks, null, sign)
        ranks = np.round(p_values * 401 - 1).astype(int)
        expected = false_discovery_control(p_values, method="bh")
        np.testing.assert_allclose(tally.q_values()[sign][ranks], expected)
        assert (expected <= 0.05).sum() >= n_planted - 5


def test_false_discoveries_are_as_few_as_was_asked_for():
    """Half of the regions hold something; over many draws, the false share is under the rate."""
    false = called = 0
    for seed in range(40):
        null, tracks = (
            measure_null(background(300, seed=2 * seed)),
            background(40, seed=2 * seed + 1),
        )
        tracks[:20, 150:160] += 15
        tally, found = Tally(null), {s: find_stretches(tracks, null.drift, s) for s in SIGNS}
        for sign in SIGNS:
            tally.add(found[sign], 40, sign)
        q_values = tally.q_values()
        for sign in SIGNS:
            is_called = q_values[sign][null.ranks(found[sign].score, sign)] <= 0.1
            at = found[sign]
            true = (sign == 1) & (at.track < 20) & (at.start < 160) & (at.end > 150)
            called += is_called.sum()
            false += (is_called & ~true).sum()
    assert called > 600
    assert 0 < false <= 0.1 * called


def test_a_null_without_a_score_is_refused():
    with pytest.raises(InputError, match="found no scored base in the null"):
        measure_null(np.full((3, 10), np.nan))
