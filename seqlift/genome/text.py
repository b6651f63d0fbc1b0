"""Lines of a text file that a user named: plain, gzip, bgzip or stdin.

What the lines mean is for `bed` and `fasta` to say. Here live only the ways in which a file can
fail to be readable text, and the words for them.
"""

import codecs
import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from seqlift.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = [
    "UTF8_MARK",
    "StrPath",
    "explain_os_error",
    "has_bgzip_end",
    "is_bgzip",
    "is_gzip",
    "quote",
    "read_lines",
    "show",
    "source_name",
    "spool",
]

StrPath = str | os.PathLike[str]

# The empty block that closes every whole bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

UTF8_MARK = b"\xef\xbb\xbf"
"""The byte order mark that spreadsheets write at the start of a text file."""

_GZIP = b"\x1f\x8b"
_PEEK = 4096


def source_name(path: StrPath) -> str:
    """Name an input as messages do: the path as it was given, `stdin` for `-`."""
    return "stdin" if os.fspath(path) == "-" else os.fspath(path)


def quote(value: str | bytes) -> str:
    """Show a value from a file in a message: quoted, on one line, not too long."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return repr(text if len(text) <= 40 else text[:37] + "...")


def show(name: str) -> str:
    """Show a name in a message: as it is, or quoted if it is long or has odd characters."""
    return name if len(name) <= 40 and name.isprintable() else quote(name)


def explain_os_error(source: str, error: OSError) -> str:
    """Say in one line why an input cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return f"{source} does not exist"
    if isinstance(error, IsADirectoryError):
        return f"{source} is a directory, not a file"
    return f"{source} cannot be read ({error.strerror or error})"


def is_gzip(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is gzip, of which bgzip is one kind."""
    return head.startswith(_GZIP)


def is_bgzip(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is bgzip: gzip with a BC field."""
    return is_gzip(head) and head[3:4] == b"\x04" and head[12:16] == b"BC\x02\x00"


def spool(path: StrPath, error: type[InputError]) -> "tempfile._TemporaryFileWrapper[bytes]":
    """Copy an input that can be read only once to the disk, where it can be read again.

    Parameters
    ----------
    path : str or os.PathLike
        A pipe, or `-` for stdin.
    error : type
        Class of the error to raise.

    Returns
    -------
    file : temporary file
        With a name; it goes when the file is closed.

    Raises
    ------
    InputError
        As `error`, where the input cannot be read or there is no room for it.
    """
    file = tempfile.NamedTemporaryFile(prefix="seqlift-")
    try:
        with _open_binary(path) as stream:
            shutil.copyfileobj(stream, file)
            file.flush()
    except OSError as exc:
        file.close()
        reason = exc.strerror or exc
        raise error(
            f"{source_name(path)} cannot be kept in {tempfile.gettempdir()} to be read again "
            f"({reason}); write it to a file first"
        ) from exc
    return file


def read_lines(
    path: StrPath,
    error: type[InputError],
    expected: str,
    source: str | None = None,
    *,
    longest: int = -1,
) -> Iterator[bytes]:
    r"""Read the lines of a text file, compressed or not.

    Parameters
    ----------
    path : str or os.PathLike
        A file, or `-` for stdin. gzip and bgzip are told by content, whatever the name.
    error : type
        Class of the error to raise.
    expected : str
        What the file should be, for messages: "a BED file".
    source : str or None
        What to call it in messages, if not by its path.
    longest : int
        Bytes that a line may have, so that no file fills the memory; -1 for any number.

    Yields
    ------
    line : bytes
        With its line end, if it has one; the first line with its byte order mark, if the file has
        one.

    Raises
    ------
    InputError
        As `error`, where the file cannot be opened, is not text, has a line that is too long, or
        is damaged or cut short.
    """
    source = source or source_name(path)
    n_read = 0
    try:
        with _open_decompressed(path) as stream:
            _require_text(stream, source, error, expected)
            for line in iter(partial(stream.readline, longest), b""):
                if len(line) == longest and not line.endswith(b"\n"):
                    found = f"line {n_read + 1} has more than {longest} bytes"
                    raise error(f"{source}: {found}; expected {expected}")
                n_read += 1
                if b"\0" in line:
                    raise error(f"{source}:{n_read}: found a byte 0; expected {expected}")
                yield line
            if not _is_whole(path):
                raise EOFError
    except EOFError as exc:
        raise error(f"{source} is truncated: it ends after line {n_read}; copy it again") from exc
    except (gzip.BadGzipFile, zlib.error) as exc:
        raise error(f"{source} is damaged after line {n_read} ({exc}); copy it again") from exc
    except OSError as exc:
        raise error(explain_os_error(source, exc)) from exc


class _Unzipped(io.RawIOBase):
    """gzip data piece by piece, so that the lines before damage are read before it is reported."""

    def __init__(self, unzipped: gzip.GzipFile) -> None:
        self._unzipped = unzipped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        piece = self._unzipped.read1(len(view))
        view[: len(piece)] = piece
        return len(piece)


@contextmanager
def _open_decompressed(path: StrPath) -> Iterator["io.BufferedReader[Any]"]:
    with _open_binary(path) as stream:
        if is_gzip(stream.peek(2)):
            with gzip.open(cast(BinaryIO, stream)) as unzipped:
                yield io.BufferedReader(_Unzipped(unzipped), 1 << 17)
        else:
            yield stream


@contextmanager
def _open_binary(path: StrPath) -> Iterator["io.BufferedReader[Any]"]:
    if os.fspath(path) != "-":
        with Path(path).open("rb") as stream:
            yield stream
        return
    # A reader of our own, because not every stand-in for stdin can peek; detached, so that stdin
    # stays open.
    wrapped = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
    try:
        yield wrapped
    finally:
        wrapped.detach()


def _require_text(
    stream: "io.BufferedReader[Any]", source: str, error: type[InputError], expected: str
) -> None:
    head = stream.peek(_PEEK)[:_PEEK]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise error(f"{source} is UTF-16 text; save it as UTF-8")
    if b"\0" in head:
        raise error(f"{source} is a binary file; expected {expected}, plain or gzip")


def _is_whole(path: StrPath) -> bool:
    """Tell whether a bgzip file has its last block: cut between two, it unzips all the same."""
    if os.fspath(path) == "-" or not Path(path).is_file():
        return True
    with Path(path).open("rb") as stream:
        return not is_bgzip(stream.read(16)) or has_bgzip_end(stream)


def has_bgzip_end(stream: BinaryIO) -> bool:
    """Tell whether a bgzip file, open for reading at random, closes with the empty block."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(_BGZIP_END)))
    return stream.read() == _BGZIP_END
