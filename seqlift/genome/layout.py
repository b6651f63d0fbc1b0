"""Where things lie in a FASTA: its sequences in the text, its blocks in bgzip.

What `faidx` writes down, found by reading the whole file once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqlift.errors import GenomeError
from seqlift.genome.text import is_bgzip, quote, read_lines

__all__ = ["Contig", "scan_blocks", "scan_contigs"]

_HEADER = ord(">")


class Contig(NamedTuple):
    """A line of a .fai: where a sequence lies in its file, which has lines of one length."""

    name: str
    length: int  # bp
    offset: int  # of its first base, bytes
    line_bases: int
    line_width: int  # bytes, with the line end


def scan_blocks(stream: BinaryIO, fasta: Path) -> Iterator[tuple[int, int]]:
    """Find where each block of a bgzip file starts, packed and unpacked, bytes; not empty ones."""
    packed = unpacked = 0
    while head := stream.read(18):
        if not is_bgzip(head):
            raise GenomeError(f"{fasta} is damaged at byte {packed}; copy it again")
        start, packed = packed, packed + int.from_bytes(head[16:18], "little") + 1
        stream.seek(packed - 4)
        if size := int.from_bytes(stream.read(4), "little"):
            yield start, unpacked
        unpacked += size


def scan_contigs(fasta: Path) -> Iterator[Contig]:
    """Read a FASTA as `samtools faidx` does; sequences of no bases are left out, as there."""
    seen: set[str] = set()
    growing: _Growing | None = None
    offset = 0
    for row, line in enumerate(read_lines(fasta, GenomeError, "a FASTA file"), start=1):
        offset += len(line)
        if line[0] == _HEADER:
            if growing is not None and growing.length:
                yield growing.finish()
            growing = _Growing(_new_name(line, f"{fasta}:{row}", seen), offset)
        elif growing is not None:
            growing.add(line, str(fasta), row)
        elif line.strip():
            found = quote(line.strip())
            raise GenomeError(f"{fasta}:{row}: found {found} where a header line (>) was expected")
    if growing is not None and growing.length:
        yield growing.finish()


class _Growing:
    """A contig whose lines are being read."""

    __slots__ = ("is_ended", "length", "line_bases", "line_width", "name", "offset")

    def __init__(self, name: str, offset: int) -> None:
        self.name = name
        self.offset = offset
        self.length = self.line_bases = self.line_width = 0
        self.is_ended = False

    def add(self, line: bytes, where: str, row: int) -> None:
        n_bases = len(line.rstrip())
        is_like_first = n_bases == self.line_bases and len(line) == self.line_width
        if n_bases and not self.line_width and not self.is_ended:
            # A first line without a line end is also the last of the file; samtools counts one all
            # the same.
            self.line_bases, self.line_width = n_bases, max(len(line), n_bases + 1)
        elif n_bases and (self.is_ended or n_bases > self.line_bases):
            raise GenomeError(
                f"{where}:{row}: the lines of sequence {quote(self.name)} are not equally long up "
                "to here, or one is blank; rewrap it, for instance with `seqkit seq -w 60`"
            )
        elif not is_like_first:
            self.is_ended = True
        self.length += n_bases

    def finish(self) -> Contig:
        return Contig(self.name, self.length, self.offset, self.line_bases, self.line_width)


def _new_name(line: bytes, where: str, seen: set[str]) -> str:
    words = line[1:].split(maxsplit=1)
    if not words or line[1:2].isspace():
        raise GenomeError(f"{where}: a sequence has no name; write one right after >")
    try:
        name = words[0].decode()
    except UnicodeDecodeError:
        raise GenomeError(f"{where}: the name {quote(words[0])} is not UTF-8 text") from None
    if not name.isprintable():
        raise GenomeError(f"{where}: the name {quote(name)} has characters that do not print")
    if name in seen:
        raise GenomeError(f"{where}: a second sequence is named {quote(name)}; rename one")
    seen.add(name)
    return name
