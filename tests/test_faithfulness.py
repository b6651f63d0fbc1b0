"""The arithmetic of faithfulness: correlations, intervals, orders and curves, by their laws."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqlift import faithfulness
from seqlift.faithfulness import (
    FRACTIONS,
    Estimate,
    area,
    by_region,
    correlation,
    estimate,
    gain,
    median,
    pooled,
    progress,
    ranks,
    ratio,
    replaced,
    replacement_order,
    spearman_brown,
)

SMALL = st.integers(-3, 3).map(float)


def groups(n_regions=40, slope=0.5, seed=0):
    """Return two quantities that go together, in regions of different sizes."""
    generator = np.random.default_rng(seed)
    one = [generator.normal(size=5 + i % 7) for i in range(n_regions)]
    other = [slope * x + generator.normal(size=len(x)) for x in one]
    return one, other


# --- correlations ---------------------------------------------------------------------------------


@given(arrays(float, st.integers(1, 30), elements=SMALL))
def test_equal_values_share_a_rank(values):
    np.testing.assert_array_equal(ranks(values), scipy.stats.rankdata(values))


@pytest.mark.parametrize("ranked", [False, True])
def test_a_pooled_correlation_is_that_of_all_values(ranked):
    one, other = groups()
    whole = (scipy.stats.spearmanr if ranked else scipy.stats.pearsonr)(
        np.concatenate(one), np.concatenate(other)
    )
    found = pooled(one, other, ranked=ranked)
    assert found.value == pytest.approx(whole.statistic, abs=1e-12)
    assert found.low < found.value < found.high
    assert (found.n_regions, found.n) == (40, sum(map(len, one)))


@pytest.mark.parametrize("ranked", [False, True])
def test_the_correlation_of_regions_is_the_median_of_their_own(ranked):
    one, other = groups()
    function = scipy.stats.spearmanr if ranked else scipy.stats.pearsonr
    own = [function(x, y).statistic for x, y in zip(one, other, strict=True)]
    assert by_region(one, other, ranked=ranked).value == pytest.approx(np.median(own), abs=1e-12)


@pytest.mark.parametrize("ranked", [False, True])
@pytest.mark.parametrize("slope", [3.0, -0.01])
def test_values_on_a_line_correlate_wholly(ranked, slope):
    one, _ = groups()
    other = [slope * x + 7 for x in one]
    for found in (pooled(one, other, ranked=ranked), by_region(one, other, ranked=ranked)):
        assert found[:3] == pytest.approx([np.sign(slope)] * 3, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
@pytest.mark.parametrize("ranked", [False, True])
def test_what_does_not_vary_correlates_with_nothing(value, ranked):
    one, other = groups()
    constant = [np.full(len(x), value) for x in one]
    assert np.isnan(correlation(one[0], constant[0], ranked=ranked))
    assert np.isnan(pooled(one, constant, ranked=ranked).value)
    found = by_region(constant, other, ranked=ranked)
    assert np.isnan(found.value)
    assert found.n_regions == 0


def test_regions_without_positions_have_no_correlation():
    nothing = [np.zeros(0)] * 3
    assert np.isnan(pooled(nothing, nothing).value)
    assert np.isnan(by_region(nothing, nothing).value)


# --- intervals ------------------------------------------------------------------------------------


def test_an_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(10, 2, size=200)
    found = ratio(values, np.ones(200))
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_an_interval_covers_the_truth_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(faithfulness, "N_DRAWS", 200)
    generator = np.random.default_rng(2)
    samples = generator.exponential(size=(200, 40))
    found = [ratio(sample, np.ones(40), seed=i) for i, sample in enumerate(samples)]
    covered = np.mean([e.low <= 1 <= e.high for e in found])
    assert 0.86 < covered < 0.99


def test_values_of_one_region_are_not_taken_for_independent():
    """Copies of a region's values add nothing, so the interval stays as wide."""
    one, other = groups()
    twice = pooled([np.tile(x, 9) for x in one], [np.tile(y, 9) for y in other])
    assert twice[:3] == pytest.approx(pooled(one, other)[:3], abs=1e-12)


def test_one_region_has_no_interval():
    found = median(np.array([0.5]))
    assert (found.value, found.n_regions) == (0.5, 1)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_no_region_has_no_value():
    assert np.isnan(median(np.array([np.nan, np.nan])).value)
    assert np.isnan(ratio(np.zeros(3), np.zeros(3)).value)


def test_the_same_seed_draws_the_same_regions():
    values = np.random.default_rng(3).normal(size=30)
    assert median(values, seed=1) == median(values, seed=1)
    assert median(values, seed=1) != median(values, seed=2)
    # Statistics of one sample are about the same draws.
    drawn = []
    for _ in range(2):
        seen = []
        estimate(lambda times, seen=seen: float(seen.append(times.tolist()) or 0), 30, seed=5)
        drawn.append(seen)
    assert drawn[0] == drawn[1]


def test_regions_are_drawn_as_many_as_there_are():
    seen = []
    estimate(lambda times: float(seen.append(times) or 0), 12)
    assert {int(times.sum()) for times in seen} == {12}
    assert np.mean(seen[1:], axis=0) == pytest.approx(np.ones(12), abs=0.2)


# --- halves ---------------------------------------------------------------------------------------


def test_halves_are_corrected_to_what_two_wholes_have():
    generator = np.random.default_rng(4)
    signal = generator.normal(size=20_000)
    noise = generator.normal(size=(8, 20_000))
    wholes = [signal + noise[:4].mean(0), signal + noise[4:].mean(0)]
    halves = [signal + noise[:2].mean(0), signal + noise[2:4].mean(0)]
    r = correlation(*halves)
    corrected = spearman_brown(Estimate(r, r, r, 1, 1))
    assert corrected.value == pytest.approx(correlation(*wholes), abs=0.01)
    assert corrected.value > r + 0.1


def test_equal_halves_stay_equal():
    assert spearman_brown(Estimate(1.0, 0.0, 1.0, 3, 3)) == Estimate(1.0, 0.0, 1.0, 3, 3)


# --- orders and replacements ----------------------------------------------------------------------


@given(
    arrays(float, 12, elements=SMALL), arrays(bool, 12, elements=st.booleans()), st.integers(0, 99)
)
def test_an_order_goes_down_the_scores_of_the_bases(track, is_base, seed):
    rank = replacement_order(track, is_base, seed)
    n = int(is_base.sum())
    assert sorted(rank[is_base].tolist()) == list(range(n))
    assert (rank[~is_base] == 12).all()
    ordered = track[np.argsort(rank, kind="stable")[:n]]
    assert (np.diff(ordered) <= 0).all()


def test_equal_scores_are_in_random_order():
    is_base = np.ones(50, dtype=bool)
    track = np.repeat([1.0, 0.0], 25)
    first = np.array([np.argmin(replacement_order(track, is_base, seed)) for seed in range(400)])
    counts = np.bincount(first, minlength=50)
    assert counts[25:].sum() == 0
    assert scipy.stats.chisquare(counts[:25]).pvalue > 1e-3


def sequences(length=41, n_unknown=3, seed=0):
    generator = np.random.default_rng(seed)
    one_hot, reference = np.eye(4, dtype=np.uint8)[generator.integers(0, 4, (2, length))].swapaxes(
        1, 2
    )
    unknown = generator.choice(length, n_unknown, replace=False)
    one_hot[:, unknown] = reference[:, unknown] = 0
    return one_hot, reference, generator.normal(size=length)


def test_replacing_goes_from_the_sequence_to_the_reference():
    one_hot, reference, track = sequences()
    is_base = one_hot.max(0) > 0
    found = replaced(one_hot, reference, replacement_order(track, is_base, 0))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], one_hot)
    np.testing.assert_array_equal(found[-1], reference)
    order = np.flatnonzero(is_base)[np.argsort(-track[is_base])]
    for fraction, sequence in zip(FRACTIONS, found, strict=True):
        taken = order[: round(fraction * len(order))]
        expected = one_hot.copy()
        expected[:, taken] = reference[:, taken]
        np.testing.assert_array_equal(sequence, expected)


def test_deletion_from_one_end_is_insertion_from_the_other():
    one_hot, reference, track = sequences(length=40, n_unknown=0)
    is_base = np.ones(40, dtype=bool)
    deleted = replaced(one_hot, reference, replacement_order(track, is_base, 0), FRACTIONS)
    inserted = replaced(reference, one_hot, replacement_order(-track, is_base, 0), 1 - FRACTIONS)
    np.testing.assert_array_equal(deleted, inserted)


# --- curves ---------------------------------------------------------------------------------------


def test_a_straight_way_has_half_the_area():
    assert area(FRACTIONS) == pytest.approx(0.5)
    assert area(np.ones(len(FRACTIONS))) == pytest.approx(1.0)
    assert FRACTIONS[0] == 0
    assert FRACTIONS[-1] == 1


def test_progress_is_a_fraction_of_the_way_in_either_direction():
    reference = np.array([1.0, 3.0])
    deletion = 10 + (reference[:, None] - 10) * FRACTIONS
    insertion = reference[:, None] + (10 - reference[:, None]) * FRACTIONS**2
    down = progress(10.0, reference, deletion, insertion)
    up = progress(-10.0, -reference, -deletion, -insertion)
    for found in (down, up):
        assert found.whole == 16
        np.testing.assert_allclose(found.deletion / found.whole, FRACTIONS)
        np.testing.assert_allclose(found.insertion / found.whole, FRACTIONS**2)


def test_a_region_that_is_its_reference_counts_for_nothing():
    flat = np.full((2, len(FRACTIONS)), 4.0)
    found = progress(4.0, np.full(2, 4.0), flat, flat)
    assert found.whole == 0
    assert not found.deletion.any()


def test_an_order_no_better_than_random_gains_nothing():
    generator = np.random.default_rng(6)
    random, whole = generator.random(30), 1 + generator.random(30)
    *_, none = gain(random, random, whole)
    assert none[:3] == (0, 0, 0)
    own, by_chance, some = gain(random + 0.25 * whole, random, whole)
    assert some[:3] == pytest.approx([0.25] * 3)
    assert own.value - by_chance.value == pytest.approx(some.value)
