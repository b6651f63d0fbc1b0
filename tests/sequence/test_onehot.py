import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlift.errors import SequenceError
from seqlift.sequence.onehot import (
    decode,
    encode,
    encode_many,
    from_indices,
    is_one_hot,
    require_one_hot,
    reverse_complement,
    to_indices,
)

DNA = st.text("ACGTN", max_size=60)
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
EXPECTED = (
    "; expected one-hot DNA of shape (…, 4, position), bases A C G T, with one 1 in a column, "
    "or none for N: make it with seqlift.sequence.onehot.encode"
)


def message(function, *args):
    with pytest.raises(SequenceError) as caught:
        function(*args)
    return str(caught.value)


def test_bases_are_rows_in_the_order_a_c_g_t():
    one_hot = encode("ACGTN")
    assert one_hot.dtype == np.uint8
    assert one_hot.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]


@given(DNA)
def test_decode_undoes_encode(sequence):
    one_hot = encode(sequence)
    assert one_hot.shape == (4, len(sequence))
    assert is_one_hot(one_hot)
    assert decode(one_hot) == sequence


@given(DNA)
def test_case_does_not_matter(sequence):
    np.testing.assert_array_equal(encode(sequence.lower()), encode(sequence))


@pytest.mark.parametrize("letter", "RYSWKMBDHVN")
def test_ambiguous_letters_are_columns_of_zeros(letter):
    assert decode(encode(f"A{letter}{letter.lower()}C")) == "ANNC"


def test_rna_is_read_as_dna():
    assert decode(encode("ACGUu")) == "ACGTT"


@pytest.mark.parametrize("character", ["-", "*", "X", " ", "\n", "1", "?", "é", "Ａ"])
def test_other_characters_are_named_with_their_position(character):
    assert message(encode, f"ACG{character}T-") == (
        f"found {character!r} at position 3 (counting from 0) of the sequence; expected A, C, G, T "
        "or an IUPAC code: write N where the base is not known"
    )


@given(st.lists(st.text("ACGTN", min_size=7, max_size=7), max_size=5))
def test_many_are_each_encoded_alone(sequences):
    many = encode_many(sequences)
    assert many.dtype == np.uint8
    assert many.shape == ((len(sequences), 4, 7) if sequences else (0, 4, 0))
    for one_hot, sequence in zip(many, sequences, strict=True):
        np.testing.assert_array_equal(one_hot, encode(sequence))


@pytest.mark.parametrize(
    ("sequences", "odd"), [(["ACG", "AC", "ACG"], 1), (["AC", "ACG", "TTT"], 0)]
)
def test_the_one_of_another_length_is_named(sequences, odd):
    assert message(encode_many, sequences) == (
        f"sequence {odd} (counting from 0) has 2 bases; expected 3 like the others: pad or cut it "
        "to that length"
    )


def test_a_wrong_character_among_many_is_named_with_its_sequence():
    assert message(encode_many, ["ACG", "A-G"]).startswith("found '-' at position 1 ")
    assert "of sequence 1;" in message(encode_many, ["ACG", "A-G"])


def test_decode_takes_one_sequence():
    assert message(decode, encode_many(["ACG"])) == (
        "found shape (1, 4, 3); expected a single sequence of shape (4, position): pass sequences "
        "one at a time"
    )


@given(st.lists(st.text("ACGTN", min_size=4, max_size=4), min_size=1, max_size=3))
def test_indices_and_one_hot_are_the_same_thing(sequences):
    one_hot = encode_many(sequences)
    indices = to_indices(one_hot)
    assert indices.tolist() == [["ACGTN".index(letter) for letter in s] for s in sequences]
    np.testing.assert_array_equal(from_indices(indices), one_hot)
    room = np.full((*one_hot.shape[:-1], one_hot.shape[-1] + 2), 7, dtype=np.uint8)
    from_indices(indices, out=room[..., 1:-1])
    np.testing.assert_array_equal(room[..., 1:-1], one_hot)
    assert (room[..., [0, -1]] == 7).all()


@given(DNA)
def test_reverse_complement_is_that_of_the_letters(sequence):
    reversed_ = reverse_complement(encode(sequence))
    assert decode(reversed_) == sequence[::-1].translate(COMPLEMENT)
    assert reversed_.flags.c_contiguous


def test_reverse_complement_keeps_leading_axes_apart():
    many = reverse_complement(encode_many(["AAC", "GNT"]))
    assert [decode(one_hot) for one_hot in many] == ["GTT", "ANC"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.float32, np.float64, bool])
def test_every_number_type_can_be_one_hot(dtype):
    one_hot = encode_many(["ACGTN", "NNNNN"]).astype(dtype)
    assert is_one_hot(one_hot)
    assert [decode(one) for one in one_hot] == ["ACGTN", "NNNNN"]


def with_value(value, *place, dtype=np.uint8):
    array = encode_many(["ACGT", "TTNA"]).astype(dtype)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((5, 4), np.uint8), "shape (5, 4)"),
        (np.zeros(4, np.uint8), "shape (4,)"),
        (np.zeros((4, 3), complex), "dtype complex128"),
        (np.full((4, 3), "A"), "dtype <U1"),
        (with_value(2, 1, 3, 0), "the value 2 at index (1, 3, 0)"),
        (with_value(255, 1, 3, 2), "the value 255 at index (1, 3, 2)"),
        # Beside a 1 it would make a sum of 0 in uint8.
        (with_value(255, 0, 1, 0), "the value 255 at index (0, 1, 0)"),
        (with_value(-1, 0, 1, 2, dtype=np.int8), "the value -1 at index (0, 1, 2)"),
        (with_value(0.5, 1, 0, 2, dtype=np.float32), "the value 0.5 at index (1, 0, 2)"),
        (with_value(np.nan, 0, 0, 0, dtype=np.float64), "the value nan at index (0, 0, 0)"),
        (with_value(1, 0, 1, 0), "2 bases set at once in the column at index (0, :, 0)"),
        (with_value(1, 1, slice(None), 3), "4 bases set at once in the column at index (1, :, 3)"),
    ],
)
def test_what_is_not_one_hot_is_described(array, found):
    assert not is_one_hot(array)
    assert message(require_one_hot, array) == f"found {found}{EXPECTED}"
    assert message(to_indices, array) == f"found {found}{EXPECTED}"
