"""Text compressed as bgzip does it: gzip in small blocks, so that it can be indexed.

pysam can write it, but hides why a write failed and crashes the interpreter where a folder is gone.

References
----------
SAM/BAM format specification, section 4.1, "The BGZF compression format".
"""

import struct
import zlib
from types import TracebackType
from typing import BinaryIO, Self

__all__ = ["BgzfWriter"]

# Magic, deflate, an extra field, no time; that field holds the size of the block, less one.
_HEADER = struct.Struct("<4B4xBBH2BHH")
_FOOTER = struct.Struct("<II")
_LARGEST = 0xFF00  # of the letters in a block: its size must fit 16 bits, compressed or not


class BgzfWriter:
    """Compress into a file that is open; a context manager, which ends it when the block ends well.

    Parameters
    ----------
    file : binary file
        Open for writing; it is left open.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.end()

    def write(self, data: bytes) -> None:
        """Add some bytes, of any number."""
        self._waiting += data
        n_whole = len(self._waiting) // _LARGEST * _LARGEST
        for start in range(0, n_whole, _LARGEST):
            self._file.write(_block(self._waiting[start : start + _LARGEST]))
        del self._waiting[:n_whole]

    def end(self) -> None:
        """Write what is left, and the empty block by which readers know that nothing was cut."""
        if self._waiting:
            self._file.write(_block(self._waiting))
            self._waiting.clear()
        self._file.write(_block(b""))


def _block(data: bytes | bytearray) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflate.compress(data) + deflate.flush()
    size = _HEADER.size + len(packed) + _FOOTER.size
    header = _HEADER.pack(31, 139, 8, 4, 0, 255, 6, 66, 67, 2, size - 1)
    return header + packed + _FOOTER.pack(zlib.crc32(data), len(data))
