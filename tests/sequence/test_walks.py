from itertools import chain
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlift import native
from seqlift.sequence import walks
from seqlift.sequence.eulerian import END
from seqlift.sequence.onehot import encode, to_indices
from seqlift.sequence.shuffle import dinucleotide_shuffle, klet_shuffle
from seqlift.sequence.walks import walk, walk_bases

every_walk = pytest.mark.parametrize("follow", [walk, walk_bases], ids=lambda f: f.__name__)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        return walks._load.__wrapped__(compiles=True) or pytest.skip("needs a C compiler")


@pytest.fixture(params=["compiled", "numpy"])
def way(request, monkeypatch):
    library = request.getfixturevalue("library") if request.param == "compiled" else None
    monkeypatch.setattr(walks, "_load", lambda *, compiles: library)


def indices(sequence):
    return to_indices(encode(sequence))


def spell(bases):
    return ["".join("ACGT."[base] for base in row) for row in bases.T]


def first_edges(*sequences):
    return np.array([np.cumsum([0, *(s.count(base) for base in "ACGT")]) for s in sequences])


@pytest.mark.usefixtures("way")
@every_walk
def test_each_base_is_left_by_its_edges_in_order(follow):
    # A leaves to C, then T; C to A; T to the end.
    successors = np.array([[1, 3, 0, END]], dtype=np.uint8)
    assert spell(follow(successors, first_edges("ACAT"), indices("A"))) == ["ACAT"]


@pytest.mark.usefixtures("way")
@every_walk
def test_walks_of_different_lengths_go_side_by_side(follow):
    successors = np.array([[1, 3, 0, END], [2, END, END, END]], dtype=np.uint8)
    edges = first_edges("ACAT", "GG")
    walked = follow(successors, edges, indices("AG"))
    assert spell(walked)[0] == "ACAT"
    assert spell(walked[:2])[1] == "GG"


@pytest.mark.usefixtures("way")
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


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("letters", ["ACGT", "T"])
@pytest.mark.parametrize("length", [2**16 - 1, 2**16])
def test_long_runs_are_followed_to_the_end(letters, length):
    """A pointer that shares a word counts up to 2**16 - 1."""
    sequence = ["ACGT".index(letter) for letter in Random(0).choices(letters, k=length)]
    assert walk_bases(*in_given_order(sequence))[:, 0].tolist() == sequence


def test_runs_too_long_for_a_word_are_followed_as_any(monkeypatch):
    sequence = [0, 1, 0, 0, 3, 2, 1]
    monkeypatch.setattr(walks, "_LONGEST", len(sequence) - 1)
    monkeypatch.setattr(walks, "_walk_in_numpy", lambda *_: "as any")
    assert walks._walk_bases_in_numpy(*in_given_order(sequence)) == "as any"


def side_by_side(sequences, dtype):
    """What `walk` takes for walks that come, each in the order of its edges, as they are here."""
    n_vertices = 1 + max(chain(*sequences))
    successors = np.zeros((len(sequences), max(map(len, sequences))), dtype=dtype)
    edges = np.zeros((len(sequences), n_vertices), dtype=np.intp)
    for row, sequence in enumerate(sequences):
        order = np.argsort(sequence[:-1], kind="stable")
        successors[row, : len(order)] = np.array(sequence[1:], dtype=dtype)[order]
        counts = np.bincount(sequence[:-1], minlength=n_vertices)
        edges[row, 1:] = counts.cumsum()[:-1]
    return successors, edges, np.array([sequence[0] for sequence in sequences], dtype=dtype)


by_dtype = pytest.mark.parametrize("dtype", walks._FUNCTIONS, ids=str)
WALKS = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, n - 1), min_size=1, max_size=40), min_size=1)
)


@by_dtype
@given(sequences=WALKS)
def test_numpy_spells_any_walk(dtype, sequences):
    found = walks._walk_in_numpy(*side_by_side(sequences, dtype))
    assert found.dtype == dtype
    for row, sequence in enumerate(sequences):
        assert found[: len(sequence), row].tolist() == sequence


@by_dtype
@given(sequences=WALKS)
def test_the_compiled_walk_spells_any_walk(library, dtype, sequences):
    found = walks._walk_compiled(library, *side_by_side(sequences, dtype))
    assert found.dtype == dtype
    for row, sequence in enumerate(sequences):
        assert found[: len(sequence), row].tolist() == sequence


@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 64])
@pytest.mark.parametrize("length", [0, 1, 2, 300])
def test_the_compiled_walk_takes_any_number_of_rows(library, n_rows, length):
    """Also of arrays whose numbers do not stand side by side."""
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 4, (n_rows, length), dtype=np.uint8)
    given = [in_given_order(row.tolist()) for row in bases if length]
    successors = np.full((n_rows, 2 * length), END, dtype=np.uint8)[:, ::2]
    edges = np.zeros((5, n_rows), dtype=np.intp).T
    for row, (successors_of_row, edges_of_row, _) in enumerate(given):
        successors[row], edges[row] = successors_of_row, edges_of_row
    starts = np.repeat(bases[:, :1].reshape(-1) if length else np.zeros(n_rows, np.uint8), 2)[::2]
    found = walks._walk_compiled(library, successors, edges, starts)
    np.testing.assert_array_equal(found, bases.T)


@pytest.mark.parametrize("letters", ["ACGT", "ACGTN", "AN"])
@pytest.mark.parametrize("length", [1, 2, 3, 50, 1000])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_shuffles_are_the_same_compiled_or_not(library, monkeypatch, letters, length, n_threads):
    text = "".join(Random(length).choices(letters, k=3 * length))
    sequences = np.stack([encode(text[i : i + length]) for i in range(0, len(text), length)])
    found = []
    for one in (library, None):
        monkeypatch.setattr(walks, "_load", lambda *, compiles, one=one: one)
        found.append(
            [
                dinucleotide_shuffle(sequences, 7, seed=3, n_threads=n_threads),
                *(klet_shuffle(sequences, 7, k=k, seed=3, n_threads=n_threads) for k in (3, 6)),
            ]
        )
    for compiled, by_numpy in zip(*found, strict=True):
        np.testing.assert_array_equal(compiled, by_numpy)


def test_walks_are_compiled_only_for_many_steps(monkeypatch):
    asked = []
    monkeypatch.setattr(native, "load", lambda *_, compiles: asked.append(compiles))
    monkeypatch.setattr(walks, "_load", walks.cache(walks._load.__wrapped__))
    monkeypatch.setattr(walks, "_steps", 0)
    monkeypatch.setattr(walks, "_WORTH_COMPILING", 12)
    for _ in range(4):  # of 4 steps
        assert spell(walk_bases(*in_given_order([0, 1, 0, 3]))) == ["ACAT"]
        asked.append("walked")
    assert asked == [False, "walked", "walked", True, "walked", "walked"]


def test_a_library_that_hides_its_functions_is_none(library, tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nexec cc -fvisibility=hidden "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert walks._load.__wrapped__(compiles=True) is None
