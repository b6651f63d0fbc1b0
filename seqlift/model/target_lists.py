"""How several targets are written in one word: lists, ranges, means and sums. Text alone.

``0,3,7`` is a list and ``0..4`` a range, both ends included; ``logits.0..4`` and
``logits.0..2,other.5`` name outputs. As a target they stand for one target each; behind ``mean:``
or ``sum:`` for one number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from seqlift.errors import UsageError

__all__ = ["COMBINED", "columns_of", "expand", "split_combined"]

COMBINED = {"mean": "mean of", "sum": "sum of"}
RANGE = re.compile(r"(?P<output>.*\.)??(?P<first>\d{1,18})\.\.(?P<last>\d{1,18})")
MOST = 100_000


def expand(targets: Iterable[int | str]) -> tuple[str, ...]:
    """Write out lists and ranges as one target each.

    Parameters
    ----------
    targets : iterable of int or str

    Returns
    -------
    tuple of str

    Raises
    ------
    UsageError
        If a range goes backwards, or a target is named twice.

    Examples
    --------
    >>> expand(["0..2", "a.1,b", "mean:0..2"])
    ('0', '1', '2', 'a.1', 'b', 'mean:0..2')
    """
    found = [word for target in targets for word in _expand_one(str(target))]
    twice = [word for word, n in Counter(found).items() if n > 1]
    if twice:
        raise UsageError(f"target {_show(twice[0])} is named twice; leave one out")
    return tuple(found)


def _expand_one(target: str) -> Iterable[str]:
    combined, _ = split_combined(target)
    return [target] if combined else columns_of(target)


def split_combined(target: str) -> tuple[str, str]:
    """Split ``mean:`` or ``sum:`` off a target; the first part is empty where there is none."""
    word, colon, rest = target.partition(":")
    return (word, rest) if colon and word in COMBINED else ("", target)


def columns_of(text: str) -> Iterator[str]:
    """Write out a list with its ranges, such as ``logits.0..2,other.5``, one by one.

    Raises
    ------
    UsageError
        If a range goes backwards, or all ranges together have more than 100,000 numbers.
    """
    n_found = 0
    for word in text.split(","):
        match = RANGE.fullmatch(word)
        if match is None:
            yield word
            continue
        first, last = int(match["first"]), int(match["last"])
        if not first <= last < first + MOST:
            raise UsageError(
                f"the range {_show(word)} of targets has {max(0, last - first + 1):,} numbers; "
                f"expected FIRST..LAST, both included, with 1 to {MOST:,}"
            )
        n_found += last - first + 1
        if n_found > MOST:
            raise UsageError(
                f"the ranges up to {_show(word)} have {n_found:,} targets; expected at most "
                f"{MOST:,}"
            )
        yield from (f"{match['output'] or ''}{n}" for n in range(first, last + 1))


def _show(word: str) -> str:
    return word if word.isprintable() else repr(word)
