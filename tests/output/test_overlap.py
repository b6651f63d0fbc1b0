"""Each policy against the same thing said one base at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlift.errors import InputError, OutputError
from seqlift.output import overlap
from seqlift.output.overlap import POLICIES, Window, resolve


def value_at(base, windows, policy):
    """The value of one base, by looking at every window; None where no window has one."""
    candidates = []
    for window in windows:
        offset = base - window.start
        if 0 <= offset < len(window.values) and not np.isnan(window.values[offset]):
            candidates.append((float(window.values[offset]), abs(base - window.centre)))
    if not candidates:
        return None
    if policy == "mean":
        return np.float32(sum(value for value, _ in candidates) / len(candidates))
    if policy == "nearest":
        return np.float32(min(candidates, key=lambda candidate: candidate[1])[0])
    return np.float32(max(candidates, key=lambda candidate: abs(candidate[0]))[0])


def brute_force(windows, policy):
    bases = {base for w in windows for base in range(w.start, w.start + len(w.values))}
    values = {base: value_at(base, windows, policy) for base in sorted(bases)}
    return {base: value for base, value in values.items() if value is not None}


def per_base(runs):
    """Lay out runs base by base, holding that they ascend and never overlap."""
    found, end = {}, None
    for start, values in runs:
        assert len(values) > 0
        assert values.dtype == np.float32
        assert end is None or start >= end
        end = start + len(values)
        found |= dict(enumerate(values, start))
    return found


def window(start, values, centre=None):
    values = np.array(values, dtype=np.float32)
    return Window(start, values, start + len(values) // 2 if centre is None else centre)


@st.composite
def piles(draw):
    """Windows of any length about any centre, in order, dense enough to lie three deep."""
    starts = sorted(draw(st.lists(st.integers(-5, 40), max_size=8)))
    numbers = st.one_of(st.just(np.nan), st.floats(-4, 4, width=32))
    return [
        window(start, draw(st.lists(numbers, max_size=15)), start + draw(st.integers(-3, 18)))
        for start in starts
    ]


@pytest.mark.parametrize("policy", sorted(POLICIES))
@settings(max_examples=60)
@given(windows=piles())
def test_each_base_is_covered_once_with_the_value_of_a_literal_search(windows, policy):
    assert per_base(resolve(iter(windows), policy)) == brute_force(windows, policy)


@pytest.mark.parametrize("policy", sorted(POLICIES))
@settings(max_examples=40)
@given(windows=piles(), run_length=st.integers(1, 10))
def test_where_runs_are_cut_does_not_matter(windows, run_length, policy):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "_RUN_LENGTH", run_length)
        cut = per_base(resolve(windows, policy))
    assert cut == brute_force(windows, policy)


def test_nearest_changes_over_halfway_between_the_centres():
    windows = [window(0, [1] * 10, centre=5), window(4, [2] * 10, centre=9)]
    ((start, values),) = resolve(windows)
    # Base 7 is as far from 5 as from 9, so the earlier window has it.
    assert (start, values.tolist()) == (0, [1] * 8 + [2] * 6)


def test_three_windows_over_one_base():
    windows = [window(0, [1, 1, 1, 1]), window(1, [-5, -5, -5]), window(2, [4, 4, 4])]
    assert per_base(resolve(windows, "max-abs")) == {0: 1, 1: -5, 2: -5, 3: -5, 4: 4}
    assert per_base(resolve(windows, "mean")) == {0: 1, 1: -2, 2: 0, 3: 0, 4: 4}
    assert per_base(resolve(windows, "nearest")) == {0: 1, 1: 1, 2: 1, 3: 4, 4: 4}


@pytest.mark.parametrize("policy", ["nearest", "max-abs"])
def test_of_duplicates_the_first_wins(policy):
    assert per_base(resolve([window(3, [1, 2]), window(3, [-1, -2])], policy)) == {3: 1, 4: 2}


def test_a_window_inside_another():
    outer, inner = window(0, [1] * 9, centre=4), window(3, [7] * 3, centre=4)
    assert per_base(resolve([outer, inner], "max-abs"))[4] == 7
    assert per_base(resolve([outer, inner], "nearest"))[4] == 1


def test_what_has_no_value_leaves_a_gap_and_does_not_compete():
    windows = [window(0, [1, np.nan, np.nan], centre=1), window(1, [5, np.nan], centre=9)]
    assert per_base(resolve(windows)) == {0: 1, 1: 5}


def test_touching_windows_are_one_run():
    assert len(list(resolve([window(0, [1, 2]), window(1, [3, 4]), window(2, [5])]))) == 1


def test_no_more_is_held_than_the_windows_in_reach():
    """A run comes out before the window after next is asked for."""
    asked = []

    def tiled():
        for i in range(100):
            asked.append(i)
            yield window(i * 100, [1.0] * 50)

    for i, (start, _) in enumerate(resolve(tiled())):
        assert start == i * 100
        assert len(asked) <= i + 2


def test_windows_out_of_order_are_refused():
    with pytest.raises(OutputError, match="a window at 3 comes after one at 5"):
        list(resolve([window(5, [1]), window(3, [1])]))


def test_an_unknown_policy_is_refused_before_any_window_is_read():
    with pytest.raises(
        InputError, match="'median' is not an overlap policy; choose one of max-abs, mean, nearest"
    ):
        resolve(iter([]), "median")
