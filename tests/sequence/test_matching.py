"""Windows are drawn that match in GC content, and always the same ones."""

import numpy as np
import pytest

from seqlift.errors import SequenceError, UsageError
from seqlift.sequence.matching import GC_STEP, WindowPool
from seqlift.sequence.onehot import decode, encode_many, to_indices

LENGTH = 200


def with_gc(n_gc, seed):
    rng = np.random.default_rng(seed)
    letters = [*rng.choice([*"CG"], n_gc), *rng.choice([*"AT"], LENGTH - n_gc)]
    return "".join(rng.permutation(letters))


def n_gc(letters):
    return sum(letters.count(base) for base in "GC")


# Five windows of each GC content from 0.3 to 0.7, all different.
WINDOWS = [with_gc(n, 5 * n + i) for n in range(60, 141) for i in range(5)]
POOL = WindowPool(to_indices(encode_many(WINDOWS)))


def draw(sequences, n, seed=0, pool=POOL):
    references = pool.draw(encode_many(sequences), n, seed=seed)
    assert references.shape == (len(sequences), n, 4, len(sequences[0]))
    assert references.dtype == np.uint8
    return [[decode(reference) for reference in each] for each in references]


@pytest.mark.parametrize("n", [60, 77, 100, 140])
def test_windows_match_in_gc_content(n):
    (found,) = draw([with_gc(n, 1)], 10)
    step = GC_STEP * LENGTH
    assert all(abs(n_gc(letters) - n) <= step for letters in found)
    assert set(found) <= set(WINDOWS)
    assert len(set(found)) == 10


def test_all_that_match_are_drawn_before_any_other():
    """At ± 0.01 there are 5 × 5 windows, at ± 0.02 another 4 × 5."""
    (found,) = draw([with_gc(100, 1)], 60)
    away = [abs(n_gc(letters) - 100) for letters in found]
    assert max(away[:25]) == 2
    assert {*away[25:45]} == {3, 4}
    assert {*away[45:]} == {5, 6}
    # Within a step nothing else counts than chance.
    assert away[:25] != sorted(away[:25])


def test_the_nearest_are_taken_where_none_match():
    (found,) = draw([with_gc(0, 1), with_gc(190, 1)][:1], 5)
    assert all(n_gc(letters) in (60, 61) for letters in found)
    (found,) = draw([with_gc(200, 1)], 5)
    assert all(n_gc(letters) in (139, 140) for letters in found)


def test_a_sequence_does_not_see_its_neighbours_nor_the_number():
    sequences = [with_gc(n, 2) for n in (70, 100, 120)]
    together = draw(sequences, 20)
    assert draw(sequences[::-1], 20)[::-1] == together
    for sequence, found in zip(sequences, together, strict=True):
        assert draw([sequence], 20) == [found]
        for fewer in (1, 7, 19):
            assert draw([sequence], fewer) == [found[:fewer]]


def test_seeds_and_sequences_have_their_own_draws():
    (zero,), (one,) = draw([with_gc(100, 2)], 5), draw([with_gc(100, 2)], 5, seed=1)
    (other,) = draw([with_gc(100, 3)], 5)
    assert len({*zero, *one, *other}) > 10


def test_the_order_within_a_step_is_uniform():
    from scipy.stats import chisquare

    drawn = [draw([with_gc(100, 2)], 1, seed=seed)[0][0] for seed in range(1000)]
    matching = [letters for letters in WINDOWS if abs(n_gc(letters) - 100) <= 2]
    assert chisquare([drawn.count(letters) for letters in matching]).pvalue > 0.001


def test_n_stays_and_does_not_count():
    sequence = "N" * 100 + with_gc(100, 4)[:100]
    wanted = n_gc(sequence) * 2
    (found,) = draw([sequence], 10)
    assert {letters[:100] for letters in found} == {"N" * 100}
    full = [next(w for w in WINDOWS if w[100:] == letters[100:]) for letters in found]
    assert all(abs(n_gc(letters) - wanted) <= 2 for letters in full)
    (found,) = draw(["N" * LENGTH], 3)
    assert set(found) == {"N" * LENGTH}


def test_no_sequences():
    assert POOL.draw(np.zeros((0, 4, LENGTH), np.uint8), 3, seed=0).shape == (0, 3, 4, LENGTH)


def test_more_than_there_are():
    with pytest.raises(SequenceError) as caught:
        draw([with_gc(100, 1)], 406)
    assert str(caught.value) == (
        "found 405 windows to draw references from; expected at least 406: ask for fewer references"
    )
    (found,) = draw([with_gc(100, 1)], 405)
    assert sorted(found) == sorted(WINDOWS)
    with pytest.raises(UsageError):
        draw([with_gc(100, 1)], 0)
