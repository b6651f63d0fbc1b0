"""Shuffles the slow way: every one listed, and the algorithm in common use."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random


def pair_counts(sequence: str) -> Counter[str]:
    return Counter(first + second for first, second in itertools.pairwise(sequence))


def klet_counts(sequence: str, k: int) -> Counter[str]:
    return Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))


def all_shuffles(sequence: str, k: int = 2) -> Iterator[str]:
    """Spell each distinct sequence with the same first k - 1 letters and the same k-lets, once.

    The last k - 1 letters are then the same as well.
    """
    left = klet_counts(sequence, k)

    def extend(spelled: str) -> Iterator[str]:
        if len(spelled) == len(sequence):
            yield spelled
            return
        for letter in sorted(set(sequence)):
            word = spelled[len(spelled) - k + 1 :] + letter
            if left[word]:
                left[word] -= 1
                yield from extend(spelled + letter)
                left[word] += 1

    yield from extend(sequence[: k - 1])


def count_labelled_walks(sequence: str) -> Counter[str]:
    """Walk over edges that are told apart; count how many walks spell each sequence."""
    edges = list(itertools.pairwise(sequence))
    spelled: Counter[str] = Counter()

    def extend(walk: str, unused: frozenset[int]) -> None:
        if not unused:
            spelled[walk] += 1
        for edge in unused:
            if edges[edge][0] == walk[-1]:
                extend(walk + edges[edge][1], unused - {edge})

    extend(sequence[0], frozenset(range(len(edges))))
    return spelled


def shuffle_keeping_last_edges(sequence: str, random: Random) -> str:
    """Shuffle as is commonly done: the last edge out of each letter stays the original one."""
    successors: dict[str, list[str]] = defaultdict(list)
    for first, second in itertools.pairwise(sequence):
        successors[first].append(second)
    for letters in successors.values():
        *others, last = letters
        random.shuffle(others)
        letters[:] = [*others, last]
    spelled = sequence[0]
    while successors[spelled[-1]]:
        spelled += successors[spelled[-1]].pop(0)
    return spelled
