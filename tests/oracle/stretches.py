"""Maximal-scoring stretches as Ruzzo and Tompa define them, by looking at every stretch."""

from __future__ import annotations


def literal_stretches(values: list[float]) -> list[tuple[int, int]]:
    """Take the best stretch, then the best of what is left of it and right of it, and so on.

    That is their first definition (section 2); of equals the shortest, then the first.
    """
    n = len(values)
    stretches = [(i, j) for i in range(n) for j in range(i + 1, n + 1)]
    best = max(((sum(values[i:j]), i - j, -i) for i, j in stretches), default=(0.0, 0, 0))
    if best[0] <= 0:
        return []
    start = -best[2]
    end = start - best[1]
    right = [(a + end, b + end) for a, b in literal_stretches(values[end:])]
    return [*literal_stretches(values[:start]), (start, end), *right]
