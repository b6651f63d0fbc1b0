import itertools
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from seqlift.errors import SequenceError, UsageError
from seqlift.sequence import jobs, shuffle
from seqlift.sequence.onehot import decode, encode, encode_many
from seqlift.sequence.shuffle import (
    count_dinucleotides,
    dinucleotide_shuffle,
    is_unshufflable,
    klet_shuffle,
    mononucleotide_shuffle,
)
from tests.oracle.shuffle import (
    all_shuffles,
    count_labelled_walks,
    klet_counts,
    pair_counts,
    shuffle_keeping_last_edges,
)


def three_let_shuffle(sequence, n_references, *, seed, n_threads=1):
    return klet_shuffle(sequence, n_references, k=3, seed=seed, n_threads=n_threads)


SHUFFLES = [dinucleotide_shuffle, mononucleotide_shuffle, three_let_shuffle]
every_shuffle = pytest.mark.parametrize("make", SHUFFLES, ids=lambda make: make.__name__)
DNA = st.text("ACGT", max_size=40) | st.text("ACGTN", max_size=40) | st.text("AN", max_size=9)
sixty_examples = settings(max_examples=60)


def spell(references):
    return [decode(reference) for reference in references]


def random_dna(length, seed=0, letters="ACGT"):
    return "".join(Random(seed).choices(letters, k=length))


def p_of_uniform(drawn, possible):
    counts = Counter(drawn)
    assert set(counts) <= set(possible)
    return chisquare([counts[sequence] for sequence in possible]).pvalue


# Walks that return to their start, self-loops, absent bases, each base as the final one.
SMALL = {
    "ACCCACGATGATG": 27,
    "ACGTACGTTGCA": None,
    "GGATTACAGG": None,
    "TTAGCATTC": None,
    "ATTAATAT": None,
    "CACCACC": None,
    "ACGATACCAGT": None,
}


@pytest.mark.parametrize("sequence", SMALL)
def test_shuffles_are_uniform_over_all_there_are(sequence):
    possible = list(all_shuffles(sequence))
    assert len(set(possible)) == len(possible) > 1
    assert SMALL[sequence] in (None, len(possible))
    drawn = spell(dinucleotide_shuffle(encode(sequence), 300 * len(possible), seed=1))
    assert set(drawn) == set(possible)
    assert p_of_uniform(drawn, possible) > 0.001


# Several trees, vertices without a choice between those with one, edges from a vertex to itself,
# walks that return to their start.
SMALL_KLETS = {
    (3, "ACACCAACACA"),
    (3, "CCAAACCACACAAC"),
    (3, "GGAGCCAAAGAGGGCCCG"),
    (3, "AACCGGATACCCATCAGAGCGTTC"),
    (4, "CCACACCCACAACAACACCA"),
    (4, "GAGCAGAACAGCAGAGAAGGAAGCGA"),
    (5, "ACACACAAAACACAAACCCCAACAAA"),
}


@pytest.mark.parametrize(("k", "sequence"), sorted(SMALL_KLETS))
def test_klet_shuffles_are_uniform_over_all_there_are(k, sequence):
    possible = list(all_shuffles(sequence, k))
    assert len(set(possible)) == len(possible) > 1
    drawn = spell(klet_shuffle(encode(sequence), 300 * len(possible), k=k, seed=1))
    assert set(drawn) == set(possible)
    assert p_of_uniform(drawn, possible) > 0.001


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("sequence", ["ACCAACACA", "GTTGTTTGTT", "CACACCC", "AGAACAG"])
def test_the_list_of_shuffles_is_complete(sequence, k):
    """By trying every sequence there is of these letters."""
    letters = sorted(set(sequence))
    every = map("".join, itertools.product(letters, repeat=len(sequence)))
    ends = (sequence[: k - 1], sequence[1 - k :])
    wanted = [
        other
        for other in every
        if (other[: k - 1], other[1 - k :]) == ends
        and klet_counts(other, k) == klet_counts(sequence, k)
    ]
    assert sorted(all_shuffles(sequence, k)) == wanted


@pytest.mark.parametrize("sequence", [s for s, n in SMALL.items() if n is None])
def test_the_way_of_long_words_is_as_good_for_pairs(sequence, monkeypatch):
    monkeypatch.delitem(shuffle._SHORT, 2)
    possible = list(all_shuffles(sequence))
    drawn = spell(klet_shuffle(encode(sequence), 300 * len(possible), k=2, seed=1))
    assert set(drawn) == set(possible)
    assert p_of_uniform(drawn, possible) > 0.001
    assert drawn[:99] != spell(dinucleotide_shuffle(encode(sequence), 99, seed=1))


def test_short_words_are_the_other_shuffles():
    sequence = encode(random_dna(50, letters="ACGTN"))
    for k, make in ((1, mononucleotide_shuffle), (2, dinucleotide_shuffle)):
        found = klet_shuffle(sequence, 3, k=k, seed=8)
        np.testing.assert_array_equal(found, make(sequence, 3, seed=8))


def test_keeping_the_last_edges_fails_where_uniform_shuffles_pass():
    sequence = "ACCCACGATGATG"
    possible = list(all_shuffles(sequence))
    random = Random(1)
    drawn = [shuffle_keeping_last_edges(sequence, random) for _ in range(300 * len(possible))]
    assert len(set(drawn)) == 9
    assert p_of_uniform(drawn, possible) < 1e-100


@pytest.mark.parametrize("sequence", ["ACCACGAT", "AACAACA", "GTTTGAG"])
def test_uniform_over_edges_is_uniform_over_sequences(sequence):
    walks = count_labelled_walks(sequence)
    assert sorted(walks) == sorted(all_shuffles(sequence))
    assert len(set(walks.values())) == 1


def test_shuffles_are_uniform_over_seeds():
    sequence = "ACCCACGATGATG"
    one_hot = encode(sequence)
    drawn = [decode(dinucleotide_shuffle(one_hot, 1, seed=seed)[0]) for seed in range(1350)]
    assert p_of_uniform(drawn, list(all_shuffles(sequence))) > 0.001


def test_one_shuffle_tells_nothing_about_the_next():
    sequence = "ACAATAGA"
    drawn = spell(dinucleotide_shuffle(encode(sequence), 10_000, seed=3))
    pairs = list(itertools.product(all_shuffles(sequence), repeat=2))
    assert p_of_uniform(zip(drawn[::2], drawn[1::2], strict=True), pairs) > 0.001


def test_runs_between_ns_are_shuffled_apart_and_independently():
    left, right = "ACCAGCA", "TGTTCTG"
    possible = [f"N{a}NN{b}" for a in all_shuffles(left) for b in all_shuffles(right)]
    drawn = spell(dinucleotide_shuffle(encode(f"N{left}NN{right}"), 200 * len(possible), seed=4))
    assert set(drawn) == set(possible)
    assert p_of_uniform(drawn, possible) > 0.001


def test_equal_runs_are_not_shuffled_alike():
    run = random_dna(60)
    first, second = spell(dinucleotide_shuffle(encode(f"{run}N{run}"), 1, seed=0))[0].split("N")
    assert first != second


def test_letters_are_permuted_uniformly_across_n():
    letters = ["".join(order) for order in set(itertools.permutations("AACGT"))]
    possible = [f"{order[:2]}N{order[2:]}N" for order in letters]
    drawn = spell(mononucleotide_shuffle(encode("AANCGTN"), 200 * len(possible), seed=5))
    assert p_of_uniform(drawn, possible) > 0.001


@sixty_examples
@given(DNA, st.integers())
def test_ends_pairs_and_ns_are_kept(sequence, seed):
    for shuffled in spell(dinucleotide_shuffle(encode(sequence), 3, seed=seed)):
        assert len(shuffled) == len(sequence)
        runs = zip(shuffled.split("N"), sequence.split("N"), strict=True)
        for run, original in runs:
            assert (run[:1], run[-1:]) == (original[:1], original[-1:])
            assert pair_counts(run) == pair_counts(original)


@sixty_examples
@given(DNA, st.integers())
def test_letters_and_ns_are_kept(sequence, seed):
    for shuffled in spell(mononucleotide_shuffle(encode(sequence), 3, seed=seed)):
        assert [letter == "N" for letter in shuffled] == [letter == "N" for letter in sequence]
        assert Counter(shuffled) == Counter(sequence)


@sixty_examples
@given(DNA | st.text("AC", max_size=40), st.integers(2, 9), st.integers())
def test_klets_of_every_run_are_kept(sequence, k, seed):
    for shuffled in spell(klet_shuffle(encode(sequence), 3, k=k, seed=seed)):
        runs = zip(shuffled.split("N"), sequence.split("N"), strict=True)
        for run, original in runs:
            assert len(run) == len(original)
            assert (run[: k - 1], run[1 - k :]) == (original[: k - 1], original[1 - k :])
            assert klet_counts(run, k) == klet_counts(original, k)


@pytest.mark.parametrize(("k", "likeness"), [(3, 0.35), (4, 0.4), (6, 0.6)])
def test_a_whole_window_keeps_its_klets_and_is_mixed(k, likeness):
    sequence = random_dna(2114)
    references = klet_shuffle(encode(sequence), 5, k=k, seed=0)
    for shuffled in spell(references):
        assert klet_counts(shuffled, k) == klet_counts(sequence, k)
    agreement = (references * encode(sequence)).sum(axis=(1, 2)) / 2114
    assert (agreement < likeness).all()  # 0.25 is chance


def test_klets_of_different_lengths_are_drawn_apart():
    """A sequence that has the same shuffles for both, so that the same draws would show."""
    sequence = encode("".join(random_dna(30, letters=pair) for pair in ("AC", "GT", "AC", "GT")))
    three, four = (klet_shuffle(sequence, 20, k=k, seed=0) for k in (3, 4))
    assert not (three == four).all(axis=(1, 2)).any()


def test_a_word_has_at_least_one_letter():
    for function in (lambda: klet_shuffle(encode("ACGT"), 1, k=0, seed=0),
                     lambda: is_unshufflable(encode("ACGT"), 0)):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            function()
        assert str(caught.value) == (
            "found words of 0 bases; expected k to be at least 1: 2 keeps pairs"
        )


def test_a_whole_window_keeps_its_pairs_and_is_well_mixed():
    sequence = encode(random_dna(2114))
    references = dinucleotide_shuffle(sequence, 20, seed=0)
    assert references.shape == (20, 4, 2114)
    assert references.dtype == np.uint8
    assert (count_dinucleotides(references) == count_dinucleotides(sequence)).all()
    agreement = (references * sequence).sum(axis=(1, 2)) / 2114
    assert (agreement < 0.35).all()  # 0.25 is chance


@pytest.mark.parametrize("length", [4095, 4096, 4097, 9000])
def test_long_runs_keep_their_pairs_and_are_well_mixed(length):
    sequence = encode(random_dna(length))
    references = dinucleotide_shuffle(sequence, 4, seed=0)
    assert (count_dinucleotides(references) == count_dinucleotides(sequence)).all()
    agreement = (references * sequence).sum(axis=(1, 2)) / length
    assert (agreement < 0.35).all()  # 0.25 is chance


@every_shuffle
@sixty_examples
@given(sequences=st.lists(st.text("ACGTN", min_size=23, max_size=23), min_size=1, max_size=5))
def test_a_sequence_does_not_see_its_neighbours(make, sequences):
    together = make(encode_many(sequences), 3, seed=7)
    assert together.shape == (len(sequences), 3, 4, 23)
    reverse = make(encode_many(sequences[::-1]), 3, seed=7)[::-1]
    alone = np.stack([make(encode(sequence), 3, seed=7) for sequence in sequences])
    np.testing.assert_array_equal(reverse, together)
    np.testing.assert_array_equal(alone, together)


@every_shuffle
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 37])
def test_more_references_begin_with_the_fewer(make, length):
    sequence = encode(random_dna(length))
    many = make(sequence, 20, seed=2)
    for fewer in (1, 2, 5, 19):
        np.testing.assert_array_equal(make(sequence, fewer, seed=2), many[:fewer])


@every_shuffle
@pytest.mark.parametrize(("rows", "words", "cells"), [(1, 1, 1), (7, 100, 2**25), (64, 500, 300)])
def test_how_the_work_is_cut_does_not_show(make, rows, words, cells, monkeypatch):
    sequences = encode_many([random_dna(50, seed, "ACGTACGTACGTN") for seed in range(6)])
    whole = make(sequences, 11, seed=0)
    monkeypatch.setattr(jobs, "_ROWS", rows)
    monkeypatch.setattr(jobs, "_WORDS", words)
    monkeypatch.setattr(jobs, "_WORDS_AMONG_THREADS", 2 * words)
    monkeypatch.setattr(jobs, "_CELLS", cells)
    for n_threads in (1, 2):
        found = make(sequences, 11, seed=0, n_threads=n_threads)
        np.testing.assert_array_equal(found, whole)


@every_shuffle
@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_do_not_show(make, n_threads):
    sequences = encode_many([random_dna(50, seed, "ACGTACGTACGTN") for seed in range(6)])
    whole = make(sequences, 11, seed=0)
    np.testing.assert_array_equal(make(sequences, 11, seed=0, n_threads=n_threads), whole)


@every_shuffle
def test_one_thread_is_the_callers_own(make, monkeypatch):
    monkeypatch.setattr(jobs, "ThreadPoolExecutor", None)
    assert make(encode("ACGTACGATT"), 3, seed=0, n_threads=1).shape == (3, 4, 10)


@every_shuffle
@pytest.mark.parametrize("n_threads", [0, -2])
def test_fewer_than_one_thread_is_an_error(make, n_threads):
    with pytest.raises(UsageError) as caught:
        make(encode("ACGT"), 1, seed=0, n_threads=n_threads)
    assert str(caught.value) == (
        f"found {n_threads} threads; expected at least 1: ask for 1 or more"
    )


@every_shuffle
def test_all_references_seeds_and_sequences_have_their_own_draws(make):
    sequence = random_dna(80)
    drawn = [
        shuffled
        for seed in (-1, 0, 1, 10**30)
        for shuffled in spell(make(encode(sequence), 5, seed=seed))
    ]
    assert len(set(drawn)) == len(drawn)
    # Relabelling the letters is another sequence: the same draws would only be relabelled.
    relabel = str.maketrans("ACGT", "CGTA")
    others = spell(make(encode(sequence.translate(relabel)), 5, seed=0))
    assert not {shuffled.translate(relabel) for shuffled in drawn} & set(others)


@every_shuffle
def test_case_ambiguity_codes_and_number_type_do_not_matter(make):
    plain = make(encode("ACGTNACCGTTAGN"), 4, seed=0)
    np.testing.assert_array_equal(make(encode("acgtrACCGttagy"), 4, seed=0), plain)
    np.testing.assert_array_equal(make(encode("ACGTNACCGTTAGN").astype(float), 4, seed=0), plain)


@every_shuffle
def test_leading_axes_are_kept(make):
    sequences = encode_many([random_dna(12, seed) for seed in range(6)])
    flat = make(sequences, 2, seed=0)
    np.testing.assert_array_equal(
        make(sequences.reshape(2, 3, 4, 12), 2, seed=0), flat.reshape(2, 3, 2, 4, 12)
    )


@every_shuffle
@pytest.mark.parametrize("shape", [(4, 0), (0, 4, 9), (2, 4, 0), (0, 4, 0)])
def test_nothing_shuffles_to_nothing(make, shape):
    references = make(np.zeros(shape, np.uint8), 3, seed=0)
    assert references.shape == (*shape[:-2], 3, *shape[-2:])


@every_shuffle
def test_the_input_is_left_alone(make):
    sequence = encode(random_dna(30))
    before = sequence.copy()
    sequence.flags.writeable = False
    make(sequence, 3, seed=0)
    np.testing.assert_array_equal(sequence, before)


@every_shuffle
@pytest.mark.parametrize("n_references", [0, -3])
def test_fewer_than_one_reference_is_an_error(make, n_references):
    with pytest.raises(UsageError) as caught:
        make(encode("ACGT"), n_references, seed=0)
    assert str(caught.value) == (
        f"found {n_references} references; expected at least 1: ask for 20 or so"
    )


@every_shuffle
def test_only_one_hot_can_be_shuffled(make):
    with pytest.raises(SequenceError, match=r"^found the value 2 at index \(0, 0\); expected"):
        make(2 * encode("ACGT"), 1, seed=0)


@sixty_examples
@given(st.text("ACGTN", max_size=30))
def test_dinucleotides_are_counted(sequence):
    counts = count_dinucleotides(encode(sequence))
    pairs = pair_counts(sequence)
    assert counts.dtype.kind == "i"
    assert counts.tolist() == [[pairs[a + b] for b in "ACGT"] for a in "ACGT"]


def has_one_shuffle(sequence, k=2):
    return all(
        len(list(itertools.islice(all_shuffles(run, k), 2))) == 1
        for run in sequence.split("N")
        if run
    )


@pytest.mark.parametrize("k", [2, 3, 4])
def test_unshufflable_is_exact_on_all_short_sequences(k):
    short = [
        "".join(word)
        for letters, longest in (("ACGT", 5), ("AC", 9))
        for n in range(1, longest + 1)
        for word in itertools.product(letters, repeat=n)
    ]
    wrong = [s for s in short if is_unshufflable(encode(s), k) != has_one_shuffle(s, k)]
    assert wrong == []


@sixty_examples
@given(st.text("ACGT", max_size=12) | st.text("ACN", max_size=14) | st.text("GT", max_size=14))
def test_unshufflable_is_exact_on_longer_sequences(sequence):
    assert is_unshufflable(encode(sequence)) == has_one_shuffle(sequence)


@sixty_examples
@given(st.text("AC", min_size=10, max_size=24) | st.text("ACG", max_size=20), st.integers(3, 7))
def test_unshufflable_is_exact_for_klets(sequence, k):
    assert is_unshufflable(encode(sequence), k) == has_one_shuffle(sequence, k)


def test_one_letter_has_one_order():
    assert is_unshufflable(encode("AANA"), 1)
    assert is_unshufflable(encode("NN"), 1)
    assert not is_unshufflable(encode("AANC"), 1)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("sequence", ["A" * 2114, "AC" * 1000, "ACGGTCATT", "NNAANACGTNN", "AC"])
def test_a_sequence_without_another_klet_shuffle_is_its_own_reference(sequence, k):
    assert is_unshufflable(encode(sequence), k)
    assert set(spell(klet_shuffle(encode(sequence), 5, k=k, seed=0))) == {sequence}


@pytest.mark.parametrize("sequence", ["", "N", "A" * 2114, "AC" * 1000, "AACCGGTT", "NNAANACGTNN"])
def test_a_sequence_without_another_shuffle_is_its_own_reference(sequence):
    assert is_unshufflable(encode(sequence))
    assert set(spell(dinucleotide_shuffle(encode(sequence), 5, seed=0))) == {sequence}


def test_unshufflable_takes_one_sequence():
    with pytest.raises(SequenceError, match=r"^found shape \(1, 4, 2\); expected a single"):
        is_unshufflable(encode_many(["AC"]))


@pytest.mark.parametrize(("first", "n"), [(0, 0), (0, 1), (3, 7), (2, 4096)])
def test_words_are_those_of_the_stream(first, n):
    """Shuffles of a seed stay what they were: all 64 bits, and none left out."""
    found = jobs.Stream(key=5, first=first, n_references=2).words(n, draw=1)
    bits = np.random.PCG64DXSM(np.random.SeedSequence(5, spawn_key=(1,)))
    expected = bits.random_raw((first + 2) * n)[first * n :].reshape(2, n)
    np.testing.assert_array_equal(found, expected)
