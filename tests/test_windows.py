"""Rows of input become batches: in order, and with mistakes named."""

import numpy as np
import pytest

from seqlift.batches import batches, read_batches
from seqlift.errors import RegionError, SequenceError
from seqlift.genome.fasta import Genome
from seqlift.schemes import open_schemes
from seqlift.sequence.onehot import decode, encode_many
from seqlift.sequence.references import make_references
from seqlift.windows import FastaSource, GenomeSource, count_items, is_read_once
from tests.tiny import LENGTH, REGIONS, cut, make_contigs, write_fasta


def made(*words):
    """Schemes that need neither genome nor files."""
    return open_schemes(words, None, LENGTH, 0, n_references=3, seed=0)


PLAN = made("dinucleotide-shuffle")


@pytest.fixture
def source(tmp_path):
    """Make a source on the tiny genome."""
    genome = Genome(write_fasta(make_contigs(), tmp_path / "genome.fa"))

    def make(text=REGIONS, edges="pad"):
        (tmp_path / "peaks.bed").write_text(text)
        return GenomeSource(genome, str(tmp_path / "peaks.bed"), LENGTH, edges)

    yield make
    genome.close()


def test_windows_have_the_letters_of_the_genome(source):
    contigs = make_contigs()
    regions = source()
    for item in regions.items():
        window = item.window
        assert window.end - window.start == LENGTH
        letters = cut(contigs, window.chrom, window.start, window.end)
        assert regions.letters(item) == letters.upper()


def test_rows_can_be_read_again(source):
    regions = source()
    assert list(regions.items()) == list(regions.items())
    assert count_items(regions)[:2] == (11, 11)
    assert count_items(source(edges="drop"))[:2] == (11, 8)


def test_nothing_left_is_an_error(source):
    with pytest.raises(RegionError, match="all 1 regions were dropped; nothing is left to score"):
        count_items(source("chr10\t0\t20\n", "drop"))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_batches_hold_every_row_once_and_in_order(source, monkeypatch, size):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", size)
    regions = source(edges="drop")
    found = list(batches(regions, LENGTH, PLAN))
    assert max(len(batch.items) for batch in found) <= size
    assert [item for batch in found for item in batch.items] == list(regions.items())
    for batch in found:
        assert len(batch.kept) == len(batch.one_hot) == len(batch.references[0])
        for item, one_hot in zip(batch.kept, batch.one_hot, strict=True):
            assert decode(one_hot) == regions.letters(item).translate(str.maketrans("RYK", "NNN"))


@pytest.mark.parametrize(("whole", "size"), [(1, 7), (3, 6), (4, 4), (7, 7), (50, 7)])
def test_batches_are_multiples_of_what_the_model_takes(source, monkeypatch, whole, size):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 7)
    first = next(read_batches(source(), LENGTH, PLAN, whole))
    assert len(first.items) == size


def test_a_region_has_the_same_references_in_any_batch(source, monkeypatch):
    whole = np.concatenate([b.references[0] for b in batches(source(), LENGTH, PLAN)])
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 2)
    lines = REGIONS.splitlines(keepends=True)
    backwards = np.concatenate(
        [b.references[0] for b in batches(source("".join(lines[::-1])), LENGTH, PLAN)]
    )
    np.testing.assert_array_equal(backwards[::-1], whole)
    for i, line in enumerate(lines):
        (alone,) = batches(source(line), LENGTH, PLAN)
        np.testing.assert_array_equal(alone.references[0][0], whole[i])


def test_batches_are_bounded_by_letters(source, monkeypatch):
    monkeypatch.setattr("seqlift.batches.LETTERS_AT_ONCE", 4 * LENGTH * 3 + 1)
    assert [len(b.items) for b in batches(source(), LENGTH, PLAN)] == [4, 4, 3]
    assert [len(b.items) for b in batches(source(), LENGTH, made("flat"))] == [11]
    both = made("dinucleotide-shuffle", "flat")
    assert [scheme.n_made for scheme in both] == [3, 1]
    assert [len(b.items) for b in batches(source(), LENGTH, both)] == [3, 3, 3, 2]


def test_every_scheme_has_its_references(source):
    words = ("flat", "3-let-shuffle", "zeros")
    (batch,) = batches(source(), LENGTH, made(*words))
    for word, references in zip(words, batch.references, strict=True):
        wanted = make_references(batch.one_hot, word, 3, seed=0)
        np.testing.assert_array_equal(references, wanted)
    assert [list(found).count(True) for found in batch.is_unshufflable] == [0, 1, 0]


def test_a_batch_without_windows_has_no_references(source):
    (batch,) = batches(source("chr10\t0\t20\n", "drop"), LENGTH, made("flat", "zeros"))
    assert batch.one_hot.shape == (0, 4, LENGTH)
    assert [references.shape for references in batch.references] == [(0, 1, 4, LENGTH)] * 2


def test_poly_a_is_found(source):
    (batch,) = batches(source(), LENGTH, PLAN)
    stuck = [
        item.region.name for item, s in zip(batch.kept, batch.is_unshufflable[0], strict=True) if s
    ]
    assert stuck == ["poly-A"]
    (batch,) = batches(source(), LENGTH, made("zeros"))
    assert not batch.is_unshufflable[0].any()


def test_a_bad_letter_names_its_window(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n" + "ACGT" * 15 + "\nACGT*CGT\n")
    (tmp_path / "peaks.bed").write_text("chr1\t0\t40\nchr1\t27\t67\n")
    with Genome(path) as genome:
        rows = GenomeSource(genome, str(tmp_path / "peaks.bed"), LENGTH, "pad")
        with pytest.raises(
            SequenceError, match=r"^chr1:28-67 \(line 2\): found '\*' at position 37"
        ):
            list(batches(rows, LENGTH, PLAN))


def test_sequences_of_a_fasta(tmp_path):
    sequences = {"a": "ACGTTGCATG" * 4, "b": "GGATTACA" * 5}
    rows = FastaSource(str(write_fasta(sequences, tmp_path / "s.fa")), LENGTH)
    assert rows.contigs is None
    (batch,) = batches(rows, LENGTH, PLAN)
    assert [item.region.name for item in batch.items] == ["a", "b"]
    one_hot = encode_many(list(sequences.values()))
    np.testing.assert_array_equal(batch.one_hot, one_hot)
    np.testing.assert_array_equal(
        batch.references[0], make_references(one_hot, "dinucleotide-shuffle", 3, seed=0)
    )


def test_what_can_be_read_only_once(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    assert is_read_once("-")
    assert is_read_once(str(tmp_path / "pipe"))
    assert is_read_once("/dev/null")
    assert not is_read_once(str(tmp_path / "file"))
    assert not is_read_once(str(tmp_path / "none"))
