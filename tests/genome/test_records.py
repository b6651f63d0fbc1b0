import io
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from seqlift.errors import SequenceError
from seqlift.genome.records import read_fasta

Write = Callable[..., str]

TEXT = ">a first\nACGT\nacgtn\n\n>b\nRYSWKMBDHVN\n>c|x\t1\nA\nCC\n   \n"
RECORDS = [("a", "ACGTACGTN"), ("b", "RYSWKMBDHVN"), ("c|x", "ACC")]


@pytest.mark.parametrize(
    "text",
    [TEXT, TEXT.rstrip(), TEXT.replace("\n", "\r\n"), "\n\n" + TEXT, "\ufeff" + TEXT],
    ids=["as it is", "no final newline", "CRLF", "blank lines first", "byte order mark"],
)
@pytest.mark.parametrize("packed", ["plain", "gzip", "bgzip"])
def test_wrappings_do_not_change_the_sequences(write: Write, text: str, packed: str) -> None:
    assert list(read_fasta(write("s.fa", text, packed))) == RECORDS


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    assert list(read_fasta("-")) == RECORDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.fa holds no sequences"),
        ("\n\n", "s.fa holds no sequences"),
        ("ACGT\n", "s.fa:1: found 'ACGT' where a header line (>) was expected"),
        ("\n@r1\nAC\n+\nII\n", "s.fa:2: found '@r1' where a header line (>) was expected"),
        (">\nACGT\n", "s.fa:1: a sequence has no name; write one after >"),
        (">a\nAC\n>  \nACGT\n", "s.fa:3: a sequence has no name; write one after >"),
        (">a\n>b\nAC\n", "s.fa:1: sequence 'a' is empty"),
        (">a\nAC\n>b\n\n", "s.fa:3: sequence 'b' is empty"),
        (
            ">a\nAC\n>b\nA\n>a x\nAC\n",
            "s.fa:5: a second sequence is named 'a' (the first is in line 1); rename one",
        ),
        (">a\nAC\nACGU\n", "s.fa:3: sequence 'a' is RNA ('U'); write T for U"),
        (">a\nacgu\n", "s.fa:2: sequence 'a' is RNA ('u'); write T for U"),
        *[
            (
                f">a\nAC\nAC{letter}T\n",
                f"s.fa:3: {letter!r} in sequence 'a' is not a letter of DNA "
                "(A, C, G, T or an IUPAC code)",
            )
            for letter in "-*XE1. é"
        ],
        (b">\xff\nAC\n", r"s.fa:1: the name '\\xff' is not UTF-8 text"),
        (b">a\nA\0C\n", "s.fa is a binary file; expected a FASTA file, plain or gzip"),
    ],
)
def test_bad_files(write: Write, text: str | bytes, message: str) -> None:
    with pytest.raises(SequenceError, match=f"^{re.escape(message)}$"):
        list(read_fasta(write("s.fa", text)))


def test_a_missing_file(write: Write) -> None:
    with pytest.raises(SequenceError, match=r"^s\.fa does not exist$"):
        list(read_fasta("s.fa"))


def test_sequences_before_an_error_are_given(write: Write) -> None:
    records = read_fasta(write("s.fa", ">a\nAC\n>b\nAXC\n"))
    assert next(records) == ("a", "AC")
    with pytest.raises(SequenceError, match="'X' in sequence 'b'"):
        next(records)
