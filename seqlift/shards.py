"""One run as several: shard i of N takes the i-th part of the rows, and `merge.py` joins them.

Shards are stretches of the input, so that joined in their order they are in its order.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from seqlift.errors import UsageError

__all__ = ["Shard"]


class Shard(NamedTuple):
    """One of several equal parts of the input.

    Attributes
    ----------
    number : int
        From 1.
    of : int
        How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `I/N`.

        Raises
        ------
        UsageError
            If it is not that, or I is not one of 1 to N.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise UsageError(f"found shard {text!r}; expected I/N such as 1/8, counting from 1")
        shard = cls(int(match[1]), int(match[2]))
        if not 1 <= shard.number <= shard.of:
            raise UsageError(
                f"found shard {text}; expected the first number to be from 1 to {shard.of}"
            )
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def rows(self, n_rows: int) -> range:
        """Return which rows of the input it takes, counting from 0.

        Shards are disjoint, cover everything, and differ by one row at the most.

        Examples
        --------
        >>> [list(Shard(i, 3).rows(8)) for i in (1, 2, 3)]
        [[0, 1], [2, 3, 4], [5, 6, 7]]
        """
        start, stop = (i * n_rows // self.of for i in (self.number - 1, self.number))
        return range(start, stop)
