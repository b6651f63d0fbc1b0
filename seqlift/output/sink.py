"""A file that HDF5 can always close.

When a write fails, the HDF5 library keeps the data, tries again as it closes, fails again, and
crashes the interpreter as it exits. So it is given a Python file that remembers the first failure,
swallows what follows, and lets HDF5 finish in peace; the failure is then raised by whoever owns the
file.
"""

from pathlib import Path

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name, write_errors

__all__ = ["Sink"]


class Sink:
    """A binary file, open for writing and reading, whose writes never raise.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.

    Raises
    ------
    OutputError
        If the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = final_name(path)
        self._failure: OSError | None = None
        with write_errors(path):
            self._file = Path(path).open("w+b", buffering=0)

    def require_written(self) -> None:
        """Raise an OutputError if anything could not be written so far."""
        if self._failure is not None:
            reason = self._failure.strerror or str(self._failure)
            raise OutputError(f"{self._name} cannot be written: {reason}") from self._failure

    def write(self, data: bytes) -> int:
        """Write all of `data`, or remember why not."""
        remaining = memoryview(data)
        size = len(remaining)
        try:
            while remaining and self._failure is None:
                remaining = remaining[self._file.write(remaining) :]
        except OSError as exc:
            self._failure = exc
        return size

    def truncate(self, size: int) -> int:
        """Set the size in bytes, or remember why not."""
        try:
            self._file.truncate(size)
        except OSError as exc:
            self._failure = self._failure or exc
        return size

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        return self._file.read(size) or b""

    def readinto(self, buffer: bytearray) -> int:
        """Fill `buffer` from the file."""
        return self._file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a byte."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the byte that comes next."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: the file has no buffer."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
