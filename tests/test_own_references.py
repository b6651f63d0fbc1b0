"""References that the user brings: what can be read, and what is said of the rest."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from seqlift.errors import InputError
from seqlift.own_references import digest, read_references
from seqlift.sequence.onehot import encode_many

LENGTH, N_ROWS = 6, 3
SEQUENCES = ["ACGTNA", "GGATTA", "TTTTTT"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file in the current folder; return its name."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        if isinstance(content, np.ndarray):
            np.save(tmp_path / name, content)
        elif isinstance(content, dict):
            np.savez(tmp_path / name, **content)
        elif isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            (tmp_path / name).write_text(content)
        return name

    return write


def fasta(sequences):
    return "".join(f">s{i}\n{letters}\n" for i, letters in enumerate(sequences))


def is_mapped(array):
    return array is not None and (isinstance(array, np.memmap) or is_mapped(array.base))


def assert_shared(found, wanted):
    assert found.shape == (N_ROWS, *wanted.shape)
    for each in found:
        np.testing.assert_array_equal(each, wanted)


@pytest.mark.parametrize("name", ["refs.fa", "refs.fa.gz", "refs.txt"])
def test_every_row_is_compared_with_all_sequences_of_a_fasta(write, name):
    text = fasta(SEQUENCES)
    path = write(name, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    found = read_references(path, N_ROWS, LENGTH)
    assert found.dtype == np.uint8
    assert_shared(found, encode_many(SEQUENCES))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float32, np.float64, ">f4"])
def test_arrays_for_all_rows(write, dtype):
    one_hot = encode_many(SEQUENCES).astype(dtype)
    assert_shared(read_references(write("refs.npy", one_hot), N_ROWS, LENGTH), one_hot)
    packed = write("refs.npz", {"anything": one_hot})
    assert_shared(read_references(packed, N_ROWS, LENGTH), one_hot)


def test_arrays_for_each_row_of_any_numbers(write):
    own = np.random.default_rng(0).normal(size=(N_ROWS, 2, 4, LENGTH))
    found = read_references(write("refs.npy", own), N_ROWS, LENGTH)
    np.testing.assert_array_equal(found, own)
    assert is_mapped(found)  # read as it is needed


def test_the_content_counts_and_not_the_name(write):
    one_hot = encode_many(SEQUENCES)
    write("refs.npy", one_hot)
    Path("refs.npy").rename("refs.fa")
    assert_shared(read_references("refs.fa", N_ROWS, LENGTH), one_hot)


def test_digest(write):
    text = fasta(SEQUENCES)
    assert digest(write("refs.fa", text)) == hashlib.sha256(text.encode()).hexdigest()


GOOD = encode_many(SEQUENCES)
EXPECTED = "expected (3, n_references, 4, 6), or (n_references, 4, 6) for all sequences alike"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("none.fa", None, "none.fa does not exist"),
        ("refs.fa", "", "refs.fa holds no sequences"),
        (
            "refs.fa",
            fasta(["ACGTNA", "ACGTN"]),
            "refs.fa: sequence 's1' has 5 bp; the model takes 6, and references must be as long",
        ),
        (
            "refs.fa",
            ">a\nACGTLA\n",
            "refs.fa:2: 'L' in sequence 'a' is not a letter of DNA (A, C, G, T or an IUPAC code)",
        ),
        (
            "refs.npy",
            b"\0\1\2\3",
            "refs.npy is a binary file; expected a FASTA file, plain or gzip",
        ),
        (
            "refs.npy",
            GOOD[:, :, :5].copy(),
            f"refs.npy: found references of shape (3, 4, 5); {EXPECTED}, n_references at least 1: "
            "reshape or transpose them",
        ),
        (
            "refs.npy",
            GOOD.swapaxes(1, 2).copy(),
            f"refs.npy: found references of shape (3, 6, 4); {EXPECTED}, n_references at least 1: "
            "reshape or transpose them",
        ),
        (
            "refs.npy",
            np.stack([GOOD, GOOD]),
            f"refs.npy: found references of shape (2, 3, 4, 6); {EXPECTED}, n_references at least "
            "1: reshape or transpose them",
        ),
        (
            "refs.npy",
            np.where(GOOD, np.nan, 0),
            "refs.npy: found nan in the references at index (0, 0, 0); expected finite numbers: "
            "replace it, by 0 where there is no base",
        ),
        (
            "refs.npy",
            GOOD.astype(complex),
            "refs.npy: found references of dtype complex128; expected real numbers: convert them, "
            "for instance to float32",
        ),
        (
            "refs.npz",
            {"a": GOOD, "b": GOOD},
            "refs.npz: found 2 arrays (a, b); expected one: save it alone, for instance with "
            "np.save",
        ),
        ("refs.npz", {}, "refs.npz is a binary file; expected a FASTA file, plain or gzip"),
    ],
)
def test_what_is_wrong_is_one_line(write, name, content, error):
    if content is not None:
        write(name, content)
    with pytest.raises(InputError) as caught:
        read_references(name, N_ROWS, LENGTH)
    assert str(caught.value) == error


@pytest.mark.parametrize("name", ["refs.npy", "refs.npz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_what_is_cut_short_is_one_line(write, name, share):
    values = np.random.default_rng(0).normal(size=(50, 4, LENGTH))
    write(name, values if name.endswith("y") else {"a": values})
    os.truncate(name, int(Path(name).stat().st_size * share))
    with pytest.raises(InputError) as caught:
        read_references(name, N_ROWS, LENGTH)
    assert str(caught.value).startswith(f"{name} cannot be read as an array of numbers (")
    assert "\n" not in str(caught.value)


def test_objects_are_not_unpickled(write):
    with pytest.raises(InputError, match=r"^refs\.npy cannot be read as an array of numbers \("):
        read_references(write("refs.npy", np.array([{}, None])), N_ROWS, LENGTH)


def test_a_pipe_and_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.fa")
    Path("folder").mkdir()
    with pytest.raises(InputError) as caught:
        read_references("pipe.fa", N_ROWS, LENGTH)
    assert str(caught.value) == (
        "pipe.fa is a pipe or a device; references are read more than once and must be a file on "
        "a disk"
    )
    with pytest.raises(InputError, match=r"^folder is a directory, not a file$"):
        read_references("folder", N_ROWS, LENGTH)
