"""The index of a genome's FASTA: .fai, and for bgzip .gzi as well.

Found, checked against the FASTA, or made where it is missing. Jobs that start together may all find
it missing, so that each writes its own under a temporary name and renames it when it is whole. What
is read through the index is for `fasta`.

References
----------
samtools, faidx(5), "Fasta index"; bgzip(1), "GZI format".
"""

import os
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqlift.errors import GenomeError
from seqlift.genome.layout import Contig, scan_blocks, scan_contigs
from seqlift.genome.regions import MOST_DIGITS
from seqlift.genome.text import StrPath, explain_os_error, quote, read_lines

__all__ = ["Index", "explain_misfit", "load_index"]

_MAX_HEADER = 1 << 16


class Index(NamedTuple):
    """The contigs of a genome and the files that say so; `gzi` is None for a plain FASTA."""

    contigs: list[Contig]
    fai: Path
    gzi: Path | None


def load_index(fasta: Path, fai: StrPath | None = None, *, is_compressed: bool) -> Index:
    """Find or make the index of a FASTA, and check that it belongs to it.

    Parameters
    ----------
    fasta : Path
        Plain, or whole bgzip.
    fai : str or os.PathLike, optional
        Where the index is, or is to be made; beside the FASTA by default. A .gzi that is not beside
        the FASTA is looked for, or made, beside this.
    is_compressed : bool
        The FASTA is bgzip.

    Returns
    -------
    index : Index

    Raises
    ------
    GenomeError
        If the FASTA is malformed, or the index is missing and cannot be written, malformed, older
        than the FASTA (by whole seconds), or does not fit it. bgzip is not unpacked for this last
        check.
    """
    fai_path = Path(f"{fasta}.fai") if fai is None else Path(fai)
    options = "" if fai is None else f"--fai-idx {fai_path} "
    remedy = f"rebuild it with `samtools faidx {options}{fasta}`"
    gzi_path = _gzi_path(fasta, fai) if is_compressed else None
    if gzi_path is not None:
        _provide(gzi_path, fasta, _make_gzi, remedy)
    _provide(fai_path, fasta, _make_fai, remedy)
    contigs = _read_fai(fai_path, remedy)
    if not is_compressed:
        _require_fit(fasta, contigs, fai_path)
    return Index(contigs, fai_path, gzi_path)


def explain_misfit(fasta: StrPath, fai: Path, where: str) -> str:
    """Say that an index is not that of its FASTA; to make it anew says more than samtools would."""
    return f"{fasta} does not fit its index {fai} ({where}); delete the index to have it made again"


def _gzi_path(fasta: Path, fai: StrPath | None) -> Path:
    beside = Path(f"{fasta}.gzi")
    return beside if fai is None or beside.exists() else Path(fai).with_suffix(".gzi")


def _provide(
    index: Path, fasta: Path, make: Callable[[Path], Iterable[bytes]], remedy: str
) -> None:
    """Make an index that is missing; refuse one that is older than its FASTA."""
    try:
        made = index.stat().st_mtime
    except FileNotFoundError:
        _write_whole(index, fasta, make(fasta))
        return
    except OSError as exc:
        raise GenomeError(explain_os_error(str(index), exc)) from exc
    # Whole seconds: copies and archives do not keep the rest.
    if int(fasta.stat().st_mtime) > int(made):
        raise GenomeError(f"{fasta} is newer than its index {index}; {remedy}")


def _write_whole(index: Path, fasta: Path, chunks: Iterable[bytes]) -> None:
    """Write under a temporary name, opened before the first chunk is asked for, then rename."""
    temporary = Path(f"{index}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    changed = fasta.stat().st_mtime_ns
    try:
        with temporary.open("xb") as stream:
            stream.writelines(chunks)
        # The clock may have been ahead when the FASTA was written; it would stay newer than this.
        if temporary.stat().st_mtime_ns < changed:
            os.utime(temporary, ns=(changed, changed))
        temporary.replace(index)
    except OSError as exc:
        raise GenomeError(
            f"{index} is missing and cannot be written ({exc.strerror}); run "
            f"`samtools faidx {fasta}` as someone who may write there, or give another place "
            "with --fai FILE"
        ) from exc
    finally:
        _remove(temporary)


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return  # a folder that cannot be written cannot hold the file either


def _make_fai(fasta: Path) -> Iterator[bytes]:
    contigs = list(scan_contigs(fasta))
    if not contigs:
        raise GenomeError(f"{fasta} holds no sequences")
    for contig in contigs:
        yield ("\t".join(str(value) for value in contig) + "\n").encode()


def _make_gzi(fasta: Path) -> Iterator[bytes]:
    with fasta.open("rb") as stream:
        starts = list(scan_blocks(stream, fasta))[1:]  # the first, at (0, 0), goes without saying
    yield struct.pack("<Q", len(starts))
    yield from (struct.pack("<QQ", *start) for start in starts)


def _read_fai(fai: Path, remedy: str) -> list[Contig]:
    contigs: dict[str, Contig] = {}
    lines = read_lines(fai, GenomeError, "a FASTA index", longest=_MAX_HEADER)
    for row, line in enumerate(lines, start=1):
        contig = _parse_fai_line(line)
        if contig is None:
            raise GenomeError(
                f"{fai}:{row}: {quote(line.rstrip())} is not a line of a .fai; {remedy}"
            )
        if contig.name in contigs:
            raise GenomeError(f"{fai}:{row}: a second sequence is named {quote(contig.name)}")
        contigs[contig.name] = contig
    if not contigs:
        raise GenomeError(f"{fai} is empty; {remedy}")
    return list(contigs.values())


def _parse_fai_line(line: bytes) -> Contig | None:
    try:
        name, *numbers = line.decode().rstrip("\r\n").split("\t")
        length, offset, line_bases, line_width = (int(number) for number in numbers)
    except ValueError:
        return None
    is_name = bool(name) and name.isprintable() and " " not in name
    is_sound = 0 <= length and 0 < offset and 0 <= line_bases <= line_width
    is_sound = is_sound and max(length, offset, line_width) < 10**MOST_DIGITS
    if not is_name or not is_sound or (length and not line_bases):
        return None
    return Contig(name, length, offset, line_bases, line_width)


def _require_fit(fasta: Path, contigs: list[Contig], fai: Path) -> None:
    """Check that nothing but the header of the second stands between two contigs."""
    end = 0
    with fasta.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        for contig in sorted(contigs, key=lambda contig: contig.offset):
            header = _header_between(stream, end, contig.offset)
            end = _end(contig)
            if header != contig.name.encode():
                raise GenomeError(explain_misfit(fasta, fai, f"at sequence {quote(contig.name)}"))
            # A reader would ask for a line at once.
            if max(end, contig.line_width) > size:
                end = size + 1
                break
        if end > size or not _is_empty_after(stream, end):
            raise GenomeError(explain_misfit(fasta, fai, "at the end of the file"))


def _end(contig: Contig) -> int:
    """Offset of the line end behind the last base, or header if there is no base, bytes."""
    if not contig.length:
        return contig.offset - 1
    full_lines = (contig.length - 1) // contig.line_bases
    return contig.offset + contig.length + full_lines * (contig.line_width - contig.line_bases)


def _header_between(stream: BinaryIO, start: int, end: int) -> bytes | None:
    """Name of the last header in [start, end), bytes; None if anything but headers stands there."""
    stream.seek(start)
    lines = stream.read(max(0, min(end - start, _MAX_HEADER))).split(b"\n")
    ends_a_line = lines.pop() == b"" and (start == 0 or not b"".join(lines[:1]).strip())
    headers = [line for line in lines if line.strip()]
    if not ends_a_line or not headers or any(not line.startswith(b">") for line in headers):
        return None
    return (headers[-1][1:].split(maxsplit=1) or [b""])[0]


def _is_empty_after(stream: BinaryIO, start: int) -> bool:
    stream.seek(start)
    rest = stream.read(_MAX_HEADER).split(b"\n")
    return all(not line.strip() or line.startswith(b">") for line in rest)
