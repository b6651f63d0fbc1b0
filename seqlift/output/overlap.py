"""Overlapping windows to one value a base.

A genome browser wants one number at each base, and windows about neighbouring peaks overlap. Each
policy is a fold: windows come in order of their start, and each is laid over what the earlier ones
left. A base that no later window can reach is done, so memory is bounded by the longest window,
however many of them overlap.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError, OutputError

__all__ = ["POLICIES", "Window", "resolve"]

Floats = NDArray[np.float64]
Run = tuple[int, NDArray[np.float32]]

# Short runs cost a writer as much as long ones, so windows that touch are handed on together.
_RUN_LENGTH = 1 << 16


class Window(NamedTuple):
    """Values along one stretch of a chromosome.

    Parameters
    ----------
    start : int
        First base, 0-based.
    values : float, shape (position,)
        NaN where there is no value.
    centre : int
        Base that the window is about, 0-based; it need not lie inside.
    """

    start: int
    values: NDArray[np.floating]
    centre: int


def resolve(windows: Iterable[Window], policy: str = "nearest") -> Iterator[Run]:
    """Reduce overlapping windows of one chromosome to one value a base.

    Parameters
    ----------
    windows : iterable of Window
        In ascending order of start. Lengths may differ. At each base, only windows that have a
        value there compete.
    policy : {"nearest", "mean", "max-abs"}
        "nearest" takes the window whose centre is nearest to the base, "mean" the mean of all
        windows (in float64), "max-abs" the value that is largest without its sign. Between equals
        the earlier window wins.

    Yields
    ------
    start : int
        First base of a run, 0-based. Runs ascend and do not overlap.
    values : float32, shape (position,)
        The values of the run, none of them NaN.

    Raises
    ------
    InputError
        If there is no such policy.
    OutputError
        If the windows do not ascend.
    """
    if policy not in POLICIES:
        names = ", ".join(sorted(POLICIES))
        raise InputError(f"{policy!r} is not an overlap policy; choose one of {names}")
    return _sweep(windows, POLICIES[policy])


def _sweep(windows: Iterable[Window], policy: "_Policy") -> Iterator[Run]:
    front = _Front(policy)
    last_start = None
    for window in windows:
        if last_start is None:
            front.start = window.start
        elif window.start < last_start:
            raise OutputError(
                f"a window at {window.start} comes after one at {last_start}; sort them"
            )
        last_start = window.start
        # What ends before this window is done; so is the rest of a long pile of overlaps, now and
        # then.
        if window.start >= front.end or window.start - front.start >= _RUN_LENGTH:
            yield from front.pop(window.start)
        front.lay(window)
    yield from front.pop(front.end)


class _Front:
    """The bases that later windows may still reach."""

    def __init__(self, policy: "_Policy") -> None:
        self._policy = policy
        self.start = 0
        self._value: Floats = np.empty(0)
        self._weight: Floats = np.empty(0)

    @property
    def end(self) -> int:
        return self.start + len(self._value)

    def lay(self, window: Window) -> None:
        """Fold one window, which starts at or after the front, into the values so far."""
        first = window.start - self.start
        last = first + len(window.values)
        missing = max(0, last - len(self._value))
        self._value = np.concatenate([self._value, np.full(missing, np.nan)])
        self._weight = np.concatenate([self._weight, np.zeros(missing)])
        new = np.asarray(window.values, dtype=np.float64)
        bases = np.arange(window.start, window.start + len(new))
        distance = np.abs(bases - window.centre).astype(np.float64)
        self._policy.fold(self._value[first:last], self._weight[first:last], new, distance)

    def pop(self, stop: int) -> Iterator[Run]:
        """Hand out the runs before `stop`, and go on from there."""
        n_done = stop - self.start
        finished = self._policy.finish(self._value[:n_done], self._weight[:n_done])
        with np.errstate(over="ignore"):  # the writer refuses infinities, and can say where
            done = finished.astype(np.float32)
        first = self.start
        self._value = self._value[n_done:]
        self._weight = self._weight[n_done:]
        self.start = stop
        for begin, end in _runs(~np.isnan(done)):
            yield first + begin, done[begin:end]


def _runs(is_present: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(is_present, prepend=False, append=False))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


class _Policy(NamedTuple):
    """What becomes of a base that several windows have a value for.

    `fold` lays `new` over `value` in place; `weight` is its own to use, zeros at first. `finish`
    gives the result.
    """

    fold: Callable[[Floats, Floats, Floats, Floats], None]
    finish: Callable[[Floats, Floats], Floats]


def _fold_nearest(value: Floats, weight: Floats, new: Floats, distance: Floats) -> None:
    """Keep the window whose centre is nearest; `weight` is that distance."""
    wins = ~np.isnan(new) & (np.isnan(value) | (distance < weight))
    value[wins] = new[wins]
    weight[wins] = distance[wins]


def _fold_sum(value: Floats, weight: Floats, new: Floats, distance: Floats) -> None:
    """Keep the sum; `weight` is the number of windows in it."""
    present = ~np.isnan(new)
    value[present & np.isnan(value)] = 0.0
    value[present] += new[present]
    weight[present] += 1


def _fold_largest(value: Floats, weight: Floats, new: Floats, distance: Floats) -> None:
    """Keep the value that is largest without its sign."""
    wins = ~np.isnan(new) & (np.isnan(value) | (np.abs(new) > np.abs(value)))
    value[wins] = new[wins]


def _as_it_is(value: Floats, weight: Floats) -> Floats:
    return value


def _divided(value: Floats, weight: Floats) -> Floats:
    return value / np.maximum(weight, 1)


POLICIES: dict[str, _Policy] = {
    "nearest": _Policy(_fold_nearest, _as_it_is),
    "mean": _Policy(_fold_sum, _divided),
    "max-abs": _Policy(_fold_largest, _as_it_is),
}
