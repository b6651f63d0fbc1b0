"""Schemes are what the user's words say, known before anything is read, and ready for batches."""

import numpy as np
import pytest

from seqlift.batches import batches
from seqlift.errors import SequenceError, UsageError
from seqlift.genome.fasta import Genome
from seqlift.schemes import label_of, open_schemes, require_schemes
from seqlift.sequence.onehot import decode, encode, encode_many
from seqlift.sequence.references import make_references
from seqlift.windows import FastaSource, GenomeSource
from tests.tiny import LENGTH, REGIONS, cut, make_contigs, write_fasta

SEQUENCES = encode_many(["ACGTTGCATGACNNGT" * 2, "NGATTACAGATTACAN" * 2])


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("dinucleotide-shuffle", "dinucleotide-shuffle"),
        ("2-let-shuffle", "2-let-shuffle"),
        ("12-let-shuffle", "12-let-shuffle"),
        ("genomic", "genomic"),
        ("closed.fa", "closed"),
        ("../refs/closed.chromatin.fasta.gz", "closed.chromatin"),
        ("refs/one-hot.v2.npy", "one-hot.v2"),
        ("refs/flat", "flat"),
        ("./flat", "flat"),
    ],
)
def test_labels(word, label):
    assert label_of(word) == label


def test_a_file_of_any_name_is_one_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed.sequences").write_text("")
    (tmp_path / "zeros").write_text("")
    assert label_of("closed.sequences") == "closed"
    require_schemes(["closed.sequences"], None, has_genome=False)
    # The name of a scheme stays one; ./zeros is the file.
    (scheme,) = open_schemes(["zeros"], None, LENGTH, 1, n_references=3, seed=0)
    assert scheme.n_made == 1


@pytest.mark.parametrize(
    "words",
    [
        ["flat"],
        ["flat", "zeros", "dinucleotide-shuffle", "3-let-shuffle", "4-let-shuffle", "genomic"],
        ["a.fa", "b.fa", "dir/c.npy"],
    ],
)
def test_schemes_that_go_together(words):
    require_schemes(words, None, has_genome=True)


def message(words, background=None, has_genome=True):
    with pytest.raises(UsageError) as caught:
        require_schemes(words, background, has_genome=has_genome)
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("flat", "flat"),
        ("2-let-shuffle", "dinucleotide-shuffle"),
        ("mononucleotide-shuffle", "1-let-shuffle"),
        ("a/closed.fa", "b/closed.npy"),
        ("flat", "./flat.fa"),
    ],
)
def test_the_same_twice(first, second):
    assert message([first, "zeros", second]) == (
        f"found --references {first} and --references {second}, which are the same or would have "
        "files of the same name; give each scheme once"
    )


@pytest.mark.parametrize(
    ("words", "background", "error"),
    [
        ([], None, "found no reference scheme; expected at least one"),
        (
            ["zeros", "3-let-shuffle"],
            "regions",
            "found --background with --references zeros, 3-let-shuffle; it is for flat alone: add "
            "--references flat",
        ),
        (["0-let-shuffle"], None, "found reference scheme '0-let-shuffle'; expected a k of at le"),
        (["genome"], None, "found reference scheme 'genome'; expected one of dinucleotide-shuffl"),
        (["flat"], "region", "found background 'region'; expected four frequencies of A, C, G, T"),
        (["flat"], "0.3,0.2", "found background (0.3, 0.2); expected four frequencies of A, C, G"),
        (["-"], None, "found reference scheme '-'; expected one of dinucleotide-shuffle, mono"),
    ],
)
def test_words_that_make_no_sense(words, background, error):
    assert message(words, background).startswith(error)


def test_a_mistyped_scheme_is_guessed():
    assert message(["genome"]).endswith(
        "K-let-shuffle, genomic, or a FASTA, .npy or .npz file: did you mean 'genomic'?"
    )


def test_genomic_needs_a_genome():
    assert message(["genomic"], has_genome=False) == (
        "found --references genomic without a genome; windows are taken from it outside the "
        "regions: give -g and -r in place of -f"
    )


# --- what they make -------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    (tmp_path / "peaks.bed").write_text(REGIONS)
    with Genome(write_fasta(make_contigs(), tmp_path / "genome.fa")) as genome:
        yield GenomeSource(genome, str(tmp_path / "peaks.bed"), LENGTH, "drop")


def opened(word, source=None, n_rows=2, length=32, **options):
    (scheme,) = open_schemes(
        [word], source, length, n_rows, **{"n_references": 5, "seed": 3, **options}
    )
    return scheme


@pytest.mark.parametrize("word", ["mononucleotide-shuffle", "4-let-shuffle", "flat", "zeros"])
def test_schemes_of_the_sequence_are_those_of_the_library(word):
    scheme = opened(word)
    found = scheme.make(SEQUENCES, [0, 1])
    np.testing.assert_array_equal(found, make_references(SEQUENCES, word, 5, seed=3))
    assert scheme.n_made == found.shape[1]
    background = {"background": [0.25] * 4} if word == "flat" else {}
    wanted = {"reference_scheme": word, "n_references": scheme.n_made, **background}
    assert scheme.attributes == wanted


def test_a_background_of_ones_own():
    scheme = opened("flat", background="0.3,0.2,0.2,0.3")
    found = scheme.make(SEQUENCES, [0, 1])
    np.testing.assert_allclose(found[0, 0, :, 0], [0.3, 0.2, 0.2, 0.3])
    assert not found[0, 0, :, 12:14].any()
    assert scheme.attributes["background"] == [0.3, 0.2, 0.2, 0.3]


def test_the_background_of_the_regions_is_that_of_their_windows(source, monkeypatch):
    monkeypatch.setattr("seqlift.schemes._ROWS_AT_ONCE", 2)
    contigs = make_contigs()
    windows = [item.window for item in source.items() if item.status == "scored"]
    assert 0 < len(windows) < len(list(source.items()))
    letters = "".join(cut(contigs, w.chrom, w.start, w.end) for w in windows).upper()
    counts = [letters.count(base) for base in "ACGT"]
    scheme = opened("flat", source, length=LENGTH, background="regions")
    wanted = np.array(counts) / sum(counts)
    np.testing.assert_allclose(scheme.attributes["background"], wanted)
    one_hot = encode("A" * LENGTH)[None]
    np.testing.assert_allclose(scheme.make(one_hot, [0])[0, 0, :, 0], wanted, rtol=1e-6)


def test_there_may_be_no_background(tmp_path):
    source = FastaSource(str(write_fasta({"a": "N" * LENGTH}, tmp_path / "s.fa")), LENGTH)
    with pytest.raises(SequenceError, match=r"^found no known base \(A, C, G or T\) to count"):
        opened("flat", source, length=LENGTH, background="regions")


def test_genomic_references_are_windows_of_the_genome(source):
    scheme = opened("genomic", source, length=LENGTH)
    (batch,) = batches(source, LENGTH, [scheme])
    (references,) = batch.references
    assert references.shape == (len(batch.kept), 5, 4, LENGTH)
    assert not batch.is_unshufflable[0].any()
    whole = np.concatenate([encode(letters) for letters in make_contigs().values()], axis=1)
    possible = np.lib.stride_tricks.sliding_window_view(whole, LENGTH, axis=1).swapaxes(0, 1)
    is_n = ~batch.one_hot.any(axis=1)
    for own, unknown in zip(references, is_n, strict=True):
        for reference in own:
            known = possible[:, :, ~unknown]
            assert (known == reference[:, ~unknown]).all(axis=(1, 2)).any()
            assert not reference[:, unknown].any()
    windows = scheme.attributes.pop("n_reference_windows")
    assert windows > 100
    assert scheme.attributes == {"reference_scheme": "genomic", "n_references": 5}


def test_own_references_belong_to_rows_of_the_input(source, tmp_path):
    """Rows that are dropped have theirs as well, which nobody looks at."""
    items = list(source.items())
    own = np.random.default_rng(0).normal(size=(len(items), 3, 4, LENGTH)).astype(np.float32)
    np.save(tmp_path / "own.npy", own)
    scheme = opened(str(tmp_path / "own.npy"), source, n_rows=len(items), length=LENGTH)
    assert (scheme.label, scheme.n_made) == ("own", 3)
    kept = [i for i, item in enumerate(items) if item.status != "dropped"]
    assert kept != list(range(len(kept)))
    (batch,) = batches(source, LENGTH, [scheme])
    is_base = batch.one_hot.any(axis=1)[:, None, None]
    assert not is_base.all()
    np.testing.assert_array_equal(batch.references[0], np.where(is_base, own[kept], 0))
    assert batch.references[0].dtype == np.float32


def test_own_references_in_later_batches(source, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 2)
    n_rows = len(list(source.items()))
    np.save(tmp_path / "own.npy", np.arange(n_rows)[:, None, None, None] * np.ones((1, 4, LENGTH)))
    scheme = opened(str(tmp_path / "own.npy"), source, n_rows=n_rows, length=LENGTH)
    for batch in batches(source, LENGTH, [scheme]):
        for item, references in zip(batch.kept, batch.references[0], strict=True):
            assert references.max() == item.region.row - 1


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("uint8", "uint8"), ("bool", "float64"), ("float16", "float64"), (">f4", "float64")],
)
def test_own_references_have_a_type_that_torch_knows(tmp_path, dtype, kept):
    import torch

    np.save(tmp_path / "own.npy", SEQUENCES.astype(dtype))
    found = opened(str(tmp_path / "own.npy")).make(SEQUENCES, [0, 1])
    assert found.dtype == kept
    assert torch.from_numpy(found).shape == (2, 2, 4, 32)
    is_base = SEQUENCES.any(axis=1)[:, None, None]
    np.testing.assert_array_equal(found, SEQUENCES[None] * is_base)


def test_a_fasta_of_ones_own_is_recorded_with_its_digest(tmp_path):
    import hashlib

    path = write_fasta({"a": "ACGT" * 8, "b": "GGATTACA" * 4}, tmp_path / "closed.fa")
    scheme = opened(str(path))
    (found,) = scheme.make(encode("A" * 32)[None], [0])
    assert [decode(reference) for reference in found] == ["ACGT" * 8, "GGATTACA" * 4]
    assert scheme.attributes == {
        "reference_scheme": str(path),
        "reference_digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "n_references": 2,
    }
