from functools import partial

import numpy as np
import pytest

from seqlift.errors import SequenceError, UsageError
from seqlift.sequence.onehot import encode, encode_many
from seqlift.sequence.references import (
    DEFAULT_SCHEME,
    SCHEMES,
    find_scheme,
    find_unshufflable,
    klet_of,
    make_references,
    require_references,
)
from seqlift.sequence.shuffle import dinucleotide_shuffle, klet_shuffle, mononucleotide_shuffle

SEQUENCES = encode_many(["ACGTTGCATGACNNGT", "NGATTACAGATTACAN", "AAAAAAAAAAAAAAAA"])
every_scheme = pytest.mark.parametrize("scheme", [*SCHEMES, "3-let-shuffle"])


def message(error, function, *args, **kwargs):
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@every_scheme
def test_shape_is_region_reference_base_position(scheme):
    references = make_references(SEQUENCES, scheme, 6, seed=0)
    n_references = 6 if find_scheme(scheme).is_random else 1
    assert references.shape == (3, n_references, 4, 16)
    assert references.dtype == (np.float32 if scheme == "flat" else np.uint8)


@every_scheme
def test_references_are_zero_where_the_sequence_is(scheme):
    references = make_references(SEQUENCES, scheme, 6, seed=0)
    is_n = ~SEQUENCES.any(axis=1)
    assert is_n.sum() == 4
    assert not (references.any(axis=2) & is_n[:, None]).any()


@every_scheme
def test_no_regions_have_no_references(scheme):
    assert make_references(SEQUENCES[:0], scheme, 2, seed=0).shape[::2] == (0, 4)


@pytest.mark.parametrize(
    ("scheme", "make"),
    [
        ("dinucleotide-shuffle", dinucleotide_shuffle),
        ("mononucleotide-shuffle", mononucleotide_shuffle),
        ("1-let-shuffle", mononucleotide_shuffle),
        ("2-let-shuffle", dinucleotide_shuffle),
        ("3-let-shuffle", partial(klet_shuffle, k=3)),
        ("11-let-shuffle", partial(klet_shuffle, k=11)),
    ],
)
def test_shuffles_are_those_of_their_functions(scheme, make):
    references = make_references(SEQUENCES, scheme, 4, seed=9)
    np.testing.assert_array_equal(references, make(SEQUENCES, 4, seed=9))
    if klet_of(scheme) < 3:  # longer words leave these sequences no choice
        assert (references != make_references(SEQUENCES, scheme, 4, seed=10)).any()


def test_the_default_is_twenty_dinucleotide_shuffles():
    assert DEFAULT_SCHEME == "dinucleotide-shuffle"
    np.testing.assert_array_equal(
        make_references(SEQUENCES, seed=1), dinucleotide_shuffle(SEQUENCES, 20, seed=1)
    )


@pytest.mark.parametrize("scheme", [*SCHEMES, "3-let-shuffle"])
def test_threads_do_not_show(scheme):
    np.testing.assert_array_equal(
        make_references(SEQUENCES, scheme, 7, seed=1, n_threads=2),
        make_references(SEQUENCES, scheme, 7, seed=1),
    )


def test_flat_is_the_background_at_every_known_base():
    background = (0.3, 0.2, 0.2, 0.3)
    references = make_references(encode_many(["ANT"]), "flat", 20, seed=0, background=background)
    column = np.array(background, dtype=np.float32)
    np.testing.assert_array_equal(references[0, 0, :, 0], column)
    np.testing.assert_array_equal(references[0, 0, :, 1], 0)
    np.testing.assert_array_equal(references[0, 0, :, 2], column)


def test_zeros_are_zeros():
    assert not make_references(SEQUENCES, "zeros", 20, seed=0).any()


@pytest.mark.parametrize(
    ("scheme", "found"),
    [
        ("dinucleotide-shuffle", [True, True, False, True]),
        ("mononucleotide-shuffle", [True, False, False, True]),
        ("1-let-shuffle", [True, False, False, True]),
        ("3-let-shuffle", [True, True, False, True]),
        ("flat", [False] * 4),
        ("zeros", [False] * 4),
    ],
)
def test_sequences_without_another_reference_are_found(scheme, found):
    sequences = encode_many(["AAAANAAA", "ACACACAC", "ACCACAAC", "NNNNNNNN"])
    assert find_unshufflable(sequences, scheme).tolist() == found
    if find_scheme(scheme).is_random:
        references = make_references(sequences, scheme, 30, seed=0)
        is_same = (references == sequences[:, None]).all(axis=(1, 2, 3))
        assert is_same.tolist() == found


def test_find_unshufflable_gives_a_bool_for_each_of_no_regions():
    assert find_unshufflable(SEQUENCES[:0]).shape == (0,)
    assert find_unshufflable(SEQUENCES[:0]).dtype == bool


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dinucleotide", "did you mean 'dinucleotide-shuffle'?"),
        ("x", "choose one of them"),
        ("K-let-shuffle", "write a number for K, such as 3-let-shuffle"),
        ("3let-shuffle", "write a number for K, such as 3-let-shuffle"),
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        find_scheme,
        lambda name: make_references(SEQUENCES, name, 2, seed=0),
        lambda name: find_unshufflable(SEQUENCES, name),
    ],
    ids=["find_scheme", "make_references", "find_unshufflable"],
)
def test_an_unknown_scheme_lists_the_known_ones(function, name, hint):
    assert message(UsageError, function, name) == (
        f"found reference scheme {name!r}; expected one of dinucleotide-shuffle, "
        f"mononucleotide-shuffle, flat, zeros, K-let-shuffle: {hint}"
    )


@pytest.mark.parametrize(
    ("name", "k"),
    [
        ("mononucleotide-shuffle", 1),
        ("2-let-shuffle", 2),
        ("120-let-shuffle", 120),
        ("03-let-shuffle", None),
        ("-3-let-shuffle", None),
        ("flat", None),
        ("3-let-shuffle.fa", None),
    ],
)
def test_names_of_shuffles(name, k):
    assert klet_of(name) == k


def test_words_of_no_letters():
    assert message(UsageError, klet_of, "0-let-shuffle") == (
        "found reference scheme '0-let-shuffle'; expected a k of at least 1"
    )


@every_scheme
def test_fewer_than_one_reference_is_an_error(scheme):
    found = message(UsageError, make_references, SEQUENCES, scheme, 0, seed=0)
    assert found == "found 0 references; expected at least 1: ask for 20 or so"


def test_a_background_is_four_frequencies():
    found = message(
        UsageError, make_references, SEQUENCES, "flat", 1, seed=0, background=(0.5, 0.5)
    )
    assert found.startswith("found background (0.5, 0.5); expected four frequencies of A, C, G, T")


@every_scheme
def test_sequences_have_three_axes_and_are_one_hot(scheme):
    assert message(SequenceError, make_references, encode("ACG"), scheme, 1, seed=0) == (
        "found sequences of shape (4, 3); expected (region, 4, position): add the region axis to a "
        "single sequence with sequence[None]"
    )
    assert message(SequenceError, make_references, 3 * SEQUENCES, scheme, 1, seed=0).startswith(
        "found the value 3 at index (0, 0, 0); expected one-hot DNA"
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, bool])
def test_own_references_are_passed_through(dtype):
    own = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    checked = require_references(own, 2, 5)
    assert checked.dtype == dtype
    np.testing.assert_array_equal(checked, own)


def test_references_without_a_region_axis_are_shared():
    shared = np.random.default_rng(0).random((3, 4, 5))
    checked = require_references(shared, 7, 5)
    assert checked.shape == (7, 3, 4, 5)
    for references in checked:
        np.testing.assert_array_equal(references, shared)
    assert np.shares_memory(checked, shared)


@pytest.mark.parametrize(
    "shape", [(4, 5), (3, 4, 6), (3, 5, 4), (1, 3, 4, 5), (2, 3, 5, 4), (0, 4, 5), (2, 0, 4, 5), ()]
)
def test_references_that_do_not_fit_are_described(shape):
    assert message(SequenceError, require_references, np.zeros(shape), 2, 5) == (
        f"found references of shape {shape}; expected (2, n_references, 4, 5), or "
        "(n_references, 4, 5) for all sequences alike, n_references at least 1: reshape or "
        "transpose them"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_references_that_are_not_finite_are_described(value):
    own = np.zeros((2, 3, 4, 5), dtype=np.float32)
    own[1, 2, 0, 4] = value
    assert message(SequenceError, require_references, own, 2, 5) == (
        f"found {value} in the references at index (1, 2, 0, 4); expected finite numbers: replace "
        "it, by 0 where there is no base"
    )


def test_references_are_numbers():
    assert message(SequenceError, require_references, np.full((1, 1, 4, 2), "A"), 1, 2) == (
        "found references of dtype <U1; expected real numbers: convert them, for instance to "
        "float32"
    )
