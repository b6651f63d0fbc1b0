from itertools import chain
from random import Random

import numpy as np
import pytest

from seqlift.sequence import walks
from seqlift.sequence.eulerian import END
from seqlift.sequence.onehot import encode, to_indices
from seqlift.sequence.walks import walk, walk_bases

every_walk = pytest.mark.parametrize("follow", [walk, walk_bases], ids=lambda f: f.__name__)


def indices(sequence):
    return to_indices(encode(sequence))


def spell(bases):
    return ["".join("ACGT."[base] for base in row) for row in bases.T]


def first_edges(*sequences):
    return np.array([np.cumsum([0, *(s.count(base) for base in "ACGT")]) for s in sequences])


@every_walk
def test_each_base_is_left_by_its_edges_in_order(follow):
    # A leaves to C, then T; C to A; T to the end.
    successors = np.array([[1, 3, 0, END]], dtype=np.uint8)
    assert spell(follow(successors, first_edges("ACAT"), indices("A"))) == ["ACAT"]


@every_walk
def test_walks_of_different_lengths_go_side_by_side(follow):
    successors = np.array([[1, 3, 0, END], [2, END, END, END]], dtype=np.uint8)
    edges = first_edges("ACAT", "GG")
    walked = follow(successors, edges, indices("AG"))
    assert spell(walked)[0] == "ACAT"
    assert spell(walked[:2])[1] == "GG"


@every_walk
def test_the_arguments_are_left_alone(follow):
    arguments = (np.array([[1, 3, 0, END]], np.uint8), first_edges("ACAT"), indices("A"))
    before = [argument.copy() for argument in arguments]
    follow(*arguments)
    for argument, copy in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, copy)


def in_given_order(sequence):
    """The edges as the sequence itself uses them, so that the walk spells it."""
    followers = [[] for _ in "ACGT"]
    for base, successor in zip(sequence, [*sequence[1:], END], strict=True):
        followers[base].append(successor)
    starts = np.cumsum([0, *(len(edges) for edges in followers)])
    successors = np.array([[*chain(*followers)]], dtype=np.uint8)
    return successors, starts[None], np.array(sequence[:1], dtype=np.uint8)


@pytest.mark.parametrize("letters", ["ACGT", "T"])
@pytest.mark.parametrize("length", [2**16 - 1, 2**16])
def test_long_runs_are_followed_to_the_end(letters, length):
    """A pointer that shares a word counts up to 2**16 - 1."""
    sequence = ["ACGT".index(letter) for letter in Random(0).choices(letters, k=length)]
    assert walk_bases(*in_given_order(sequence))[:, 0].tolist() == sequence


def test_runs_too_long_for_a_word_are_followed_as_any(monkeypatch):
    sequence = [0, 1, 0, 0, 3, 2, 1]
    monkeypatch.setattr(walks, "_LONGEST", len(sequence) - 1)
    monkeypatch.setattr(walks, "walk", lambda *_: "as any")
    assert walk_bases(*in_given_order(sequence)) == "as any"
