"""The sample of the regions that a pilot scores, as a source of its own.

A window is drawn by its own coordinates and a seed: the sample is spread over the whole input, and
neither the order of the rows nor rows that stand there twice change it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from seqlift.genome.regions import format_region
from seqlift.windows import Item, Source

__all__ = ["Sample", "draw_sample"]


@dataclass
class Sample:
    """Some rows of a source, which can be asked for more than once."""

    source: Source
    rows: Sequence[Item]

    def __post_init__(self) -> None:
        self.contigs = self.source.contigs

    def items(self) -> Iterator[Item]:
        """Yield the rows."""
        return iter(self.rows)

    def letters(self, item: Item) -> str:
        """Return the sequence of a window."""
        return self.source.letters(item)

    def repeated(self, n: int) -> Sample:
        """Return so many rows: the same again and again."""
        return Sample(self.source, list(islice(cycle(self.rows), n)))


def draw_sample(source: Source, n: int, *, seed: int) -> Sample:
    """Draw different windows of a source, of those that are not dropped.

    Parameters
    ----------
    source : Source
    n : int
        How many, or as many as there are.
    seed : int
        Same seed and windows, same sample, in the same order.

    Returns
    -------
    sample : Sample
    """
    drawn: dict[int, Item] = {}
    largest: list[int] = []  # a heap of the numbers in `drawn`, negative
    for item in source.items():
        key = _number(item, seed)
        if item.status == "dropped" or key in drawn:
            continue
        # Those with the smallest numbers; a window that went before comes back no more.
        if len(drawn) < n or key < -largest[0]:
            drawn[key] = item
            heapq.heappush(largest, -key)
        if len(drawn) > n:
            del drawn[-heapq.heappop(largest)]
    return Sample(source, [drawn[key] for key in sorted(drawn)])


def _number(item: Item, seed: int) -> int:
    # Sequences of a FASTA may share a name.
    text = f"{seed}\t{format_region(item.window)}\t{item.letters}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=12).digest(), "big")
