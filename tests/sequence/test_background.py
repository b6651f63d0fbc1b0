import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlift.errors import SequenceError, UsageError
from seqlift.sequence.background import (
    UNIFORM,
    count_bases,
    frequencies,
    parse_background,
    require_background,
)
from seqlift.sequence.onehot import encode_many

EXPECTED = "expected four frequencies of A, C, G, T that are not negative and have a sum of 1"


@pytest.mark.parametrize(
    ("text", "background"),
    [
        ("0.3,0.2,0.2,0.3", (0.3, 0.2, 0.2, 0.3)),
        (" .25, .25 ,.25,.25", UNIFORM),
        ("1,0,0,0", (1, 0, 0, 0)),
        ("0.333333,0.166667,0.166667,0.333333", (0.333333, 0.166667, 0.166667, 0.333333)),
    ],
)
def test_frequencies_as_people_type_them(text, background):
    assert parse_background(text) == background


@pytest.mark.parametrize("text", ["", "gc", "0.3;0.2;0.2;0.3", "0.3,0.2,0.2,x", "0,3 0,2 0,2 0,3"])
def test_what_are_no_numbers(text):
    with pytest.raises(UsageError) as caught:
        parse_background(text)
    assert str(caught.value) == f"found background {text!r}; {EXPECTED}, such as 0.3,0.2,0.2,0.3"


@pytest.mark.parametrize(
    ("background", "found"),
    [
        ((0.5, 0.5, 0.5, 0.5), "0.5, 0.5, 0.5, 0.5"),
        ((0.5, 0.5), "0.5, 0.5"),
        ((30, 20, 20, 30), "30, 20, 20, 30"),
        ((1.5, -0.5, 0, 0), "1.5, -0.5, 0, 0"),
        ((float("nan"), 0, 0, 1), "nan, 0, 0, 1"),
        ((float("inf"), 0, 0, 1), "inf, 0, 0, 1"),
    ],
)
def test_what_are_no_frequencies(background, found):
    with pytest.raises(UsageError) as caught:
        require_background(background)
    assert str(caught.value) == f"found background ({found}); {EXPECTED}: divide them by their sum"


@given(st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=6))
def test_bases_are_counted_without_n(sequences):
    counts = count_bases(encode_many(sequences))
    assert counts.tolist() == ["".join(sequences).count(base) for base in "ACGT"]
    if counts.sum():
        require_background(frequencies(counts))
        np.testing.assert_allclose(frequencies(counts), counts / counts.sum())


def test_no_bases_have_no_frequencies():
    with pytest.raises(SequenceError) as caught:
        frequencies(count_bases(encode_many(["NNN"])))
    assert str(caught.value) == (
        "found no known base (A, C, G or T) to count; give the frequencies themselves"
    )
