"""Stretches are the maximal ones of their definition, whatever is beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlift import stretches
from seqlift.stretches import MAX_GAP, MIN_LENGTH, find_stretches
from tests.oracle.stretches import literal_stretches


def found_in(track, drift=1.0, sign=1):
    found = find_stretches(np.atleast_2d(track), drift, sign)
    return list(zip(found.start.tolist(), found.end.tolist(), strict=True))


def random_tracks(n, length, seed=0):
    return np.random.default_rng(seed).normal(size=(n, length)) ** 3


@given(st.lists(st.integers(-9, 9), max_size=14))
def test_stretches_are_those_of_the_definition(values):
    """Numbers of which no two sums are equal, so that there is one answer."""
    values = [v + 2.0 ** (-i - 2) for i, v in enumerate(values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "MIN_LENGTH", 1)
        patch.setattr(stretches, "MAX_GAP", 99)
        assert found_in([values], drift=0.0) == literal_stretches(values)


def test_a_score_is_the_sum_above_the_drift():
    tracks = random_tracks(20, 300)
    for sign in (1, -1):
        found = find_stretches(tracks, 0.7, sign)
        assert len(found.score) > 20
        for track, start, end, score in zip(*found, strict=True):
            part = sign * tracks[track, start:end]
            assert score == pytest.approx((part - 0.7).sum())
            assert score > 0
            assert part[0] > 0.7
            assert part[-1] > 0.7
            assert end - start >= MIN_LENGTH


def test_negative_stretches_are_the_positive_ones_of_the_other_sign():
    tracks = random_tracks(5, 200)
    assert found_in(tracks, sign=-1) == found_in(-tracks, sign=1) != []


def test_read_from_either_end_they_are_the_same():
    tracks = random_tracks(30, 250)
    forward = find_stretches(tracks, 1.0, 1)
    back = find_stretches(tracks[:, ::-1], 1.0, 1)
    one = sorted(zip(forward.track, forward.start, forward.end, strict=True))
    assert one == sorted(zip(back.track, 250 - back.end, 250 - back.start, strict=True)) != []


def test_those_of_a_track_depend_on_no_other():
    tracks = random_tracks(40, 100)
    whole = find_stretches(tracks, 1.0, 1)
    for i in range(40):
        alone, here = find_stretches(tracks[i : i + 1], 1.0, 1), whole.track == i
        for name in ("start", "end", "score"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name)[here])


def test_no_stretch_goes_on_from_one_track_to_the_next():
    tracks = np.zeros((2, 30))
    tracks[0, -3:] = tracks[1, :3] = 5
    assert found_in(tracks) == []
    tracks[0, -4:] = 5
    assert found_in(tracks) == [(26, 30)]


@pytest.mark.parametrize(("gap", "joined"), [(MAX_GAP, True), (MAX_GAP + 1, False)])
def test_a_long_gap_ends_a_stretch_however_much_follows(gap, joined):
    track = np.concatenate([np.full(5, 100.0), np.zeros(gap), np.full(5, 100.0)])
    end = len(track)
    assert found_in(track) == ([(0, end)] if joined else [(0, 5), (end - 5, end)])


def test_what_is_not_known_is_in_no_stretch():
    track = np.full(20, 9.0)
    track[[0, 8, 19]] = np.nan
    assert found_in(track) == [(1, 8), (9, 19)]


@pytest.mark.parametrize("tracks", [np.zeros((0, 9)), np.zeros((3, 9)), np.full((2, 9), np.nan)])
def test_there_may_be_none(tracks):
    found = find_stretches(tracks, 0.0, 1)
    assert [len(column) for column in found] == [0, 0, 0, 0]
