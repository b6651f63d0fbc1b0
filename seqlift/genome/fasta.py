"""A genome: a FASTA file that is read at random.

Coordinates are 0-based and half-open. Its index is the business of `faidx`; sequences that are read
one after the other are that of `records`.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from seqlift.errors import GenomeError, RegionError
from seqlift.genome.contigs import ContigStyle, match_contigs
from seqlift.genome.faidx import Index, explain_misfit, load_index
from seqlift.genome.text import (
    StrPath,
    explain_os_error,
    has_bgzip_end,
    is_bgzip,
    is_gzip,
    quote,
    show,
)

__all__ = ["Genome"]

_Fetch = Callable[[str, int, int], str]

# pyfaidx goes by these names, and not by content, to tell compressed files.
_COMPRESSED_NAMES = (".gz", ".bgz", ".bz2", ".zip")


class Genome:
    """A FASTA file that is read at random: plain or bgzip, with a .fai index.

    An index that is missing is made, so that several processes may do so at once. Nothing else is
    ever written. One handle serves one thread of one process: open another after a fork and in each
    thread.

    Parameters
    ----------
    path : str or os.PathLike
        The FASTA. Compression is told by content.
    index : str or os.PathLike, optional
        Its .fai, where that is not PATH.fai; made there if it is missing.
    contig_style : {"exact", "match"}
        How `fetch` takes the names of contigs: see `match_contigs`.

    Attributes
    ----------
    contigs : dict of str to int
        Lengths in bp, in the order of the index.
    name : str
        The file's name without its folder, for messages.

    Raises
    ------
    GenomeError
        If the file cannot be read, is gzip and not bgzip, is truncated or malformed, holds no
        sequences, or its index is missing and cannot be written, older than the file, or does not
        fit it.

    Examples
    --------
    >>> with Genome("hg38.fa") as genome:  # doctest: +SKIP
    ...     genome.fetch("chr1", 999_990, 1_000_010)
    """

    contigs: dict[str, int]
    name: str

    def __init__(
        self,
        path: StrPath,
        *,
        index: StrPath | None = None,
        contig_style: ContigStyle = "exact",
    ) -> None:
        fasta = Path(path)
        is_compressed = _require_random_access(fasta)
        self._stamp = _stamp(fasta.stat())
        found = load_index(fasta, index, is_compressed=is_compressed)
        self.name = fasta.name
        self.contigs = {contig.name: contig.length for contig in found.contigs}
        self._source = os.fspath(path)
        self._contig_style = contig_style
        self._contig_of = {name: name for name in self.contigs}
        # pyfaidx reads the index as the locale has it.
        is_ascii = all(map(str.isascii, self.contigs))
        by_pysam = is_compressed or not is_ascii or _looks_compressed(fasta)
        open_reader = _open_pysam if by_pysam else _open_pyfaidx
        try:
            self._read, self._close = open_reader(fasta, found)
            # By a handle, as the readers do: the file may be renamed or removed, but not rewritten.
            self._watched = fasta.open("rb")
        except (OSError, ValueError) as exc:
            raise GenomeError(f"{self._source} cannot be opened ({exc})") from exc
        if is_compressed:
            self._require_last_base(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no sequence can be fetched afterwards."""
        self._close()
        self._watched.close()

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Fetch the letters of a stretch, in upper case.

        Parameters
        ----------
        chrom : str
            In the style that `contig_style` allows.
        start, end : int
            0-based, half-open, bp. Either may lie outside the chromosome.

        Returns
        -------
        sequence : str
            end - start letters: N outside the chromosome, inside it whatever the file has.

        Raises
        ------
        GenomeError
            If there is no such contig, or the file is damaged there.
        RegionError
            If `end` is below `start`.
        """
        if end < start:
            raise RegionError(f"{chrom}: end ({end}) is before start ({start})")
        contig = self._contig_of.get(chrom) or self._find(chrom)
        first, last = max(start, 0), min(end, self.contigs[contig])
        if last <= first:
            return "N" * (end - start)
        return "N" * (first - start) + self._fetch_inside(contig, first, last) + "N" * (end - last)

    def match_contigs(self, names: Iterable[str]) -> dict[str, str]:
        """Find the contig for each name that the regions use; see `contigs.match_contigs`."""
        return match_contigs(names, self.contigs, self._contig_style, genome=self.name)

    def digest(self) -> str:
        """Digest the names and lengths of the contigs, for provenance.

        Returns
        -------
        digest : str
            SHA-256, hexadecimal, of the lines NAME, tab, LENGTH in the order of the index: the
            first two columns of the .fai. The letters do not enter.
        """
        lines = "".join(f"{name}\t{length}\n" for name, length in self.contigs.items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def _find(self, chrom: str) -> str:
        contig = self.match_contigs([chrom])[chrom]
        self._contig_of[chrom] = contig
        return contig

    def _fetch_inside(self, contig: str, start: int, end: int) -> str:
        where = f"{self._source} cannot be read at {show(contig)}:{start + 1}-{end}"
        try:
            sequence = self._read(contig, start, end)
        except (OSError, ValueError, LookupError, OverflowError) as exc:
            raise GenomeError(f"{where} ({exc})") from exc
        if len(sequence) != end - start:
            raise GenomeError(f"{where}: the file is damaged, or changed after its index was made")
        if _stamp(os.fstat(self._watched.fileno())) != self._stamp:
            raise GenomeError(f"{self._source} changed while it was being read; start again")
        return sequence

    def _require_last_base(self, index: Index) -> None:
        """Catch the index of another file, as far as goes without unpacking all of this one."""
        last = max(index.contigs, key=lambda contig: contig.offset)
        try:
            fits = self._fetch_inside(last.name, last.length - 1, last.length).isalpha()
        except GenomeError:
            fits = False
        if not fits:
            self.close()
            where = f"at the end of sequence {quote(last.name)}"
            raise GenomeError(explain_misfit(self._source, index.fai, where))


def _looks_compressed(fasta: Path) -> bool:
    return fasta.name.lower().endswith(_COMPRESSED_NAMES)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return what is another number once a file is rewritten; times are compared for equality."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _require_random_access(fasta: Path) -> bool:
    """Refuse what cannot be read at random; tell whether the rest is bgzip."""
    try:
        if fasta.exists() and not (stat.S_ISREG(fasta.stat().st_mode) or fasta.is_dir()):
            raise GenomeError(f"{fasta} is a pipe or a device; a genome must be a file on a disk")
        with fasta.open("rb") as stream:
            head = stream.read(16)
            is_whole = has_bgzip_end(stream)
    except OSError as exc:
        raise GenomeError(explain_os_error(str(fasta), exc)) from exc
    if not head:
        raise GenomeError(f"{fasta} is empty")
    if not is_gzip(head):
        return False
    if not is_bgzip(head):
        raise GenomeError(
            f"{fasta} is gzip, which cannot be read at random; recompress it with "
            f"`gunzip {fasta}` and `bgzip {fasta.with_suffix('')}`"
        )
    if not is_whole:
        raise GenomeError(f"{fasta} is truncated (it lacks bgzip's last block); copy it again")
    return True


def _open_pyfaidx(fasta: Path, index: Index) -> tuple[_Fetch, Callable[[], None]]:
    import pyfaidx

    # With build_index=False nothing is written; rebuild=False would only add a warning about times,
    # which are checked in faidx.
    handle = pyfaidx.Fasta(
        fasta,
        indexname=index.fai,
        as_raw=True,
        sequence_always_upper=True,
        build_index=False,
    )

    def fetch(chrom: str, start: int, end: int) -> str:
        return str(handle.faidx.fetch(chrom, start + 1, end))

    return fetch, handle.close


def _open_pysam(fasta: Path, index: Index) -> tuple[_Fetch, Callable[[], None]]:
    """Open bgzip: pysam is no slower there than pyfaidx, which would need biopython for it."""
    import pysam

    with _quiet_htslib():
        handle = pysam.FastaFile(
            os.fspath(fasta),
            filepath_index=os.fspath(index.fai),
            filepath_index_compressed=os.fspath(index.gzi) if index.gzi else None,
        )

    def fetch(chrom: str, start: int, end: int) -> str:
        with _quiet_htslib():
            return str(handle.fetch(chrom, start, end)).upper()

    return fetch, handle.close


@contextmanager
def _quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to stderr what is raised as an error anyway."""
    import pysam

    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)
