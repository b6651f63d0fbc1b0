"""Files of torch that have changed since they were written."""

from __future__ import annotations

import contextlib
import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from seqlift.errors import ModelLoadError
from seqlift.model.quiet import first_line

__all__ = ["UNREADABLE", "require_whole"]

# What zipfile raises at files that are damaged, encrypted (RuntimeError), or packed otherwise.
UNREADABLE = (
    EOFError, OSError, RuntimeError, ValueError, lzma.LZMAError, struct.error, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def require_whole(path: Path) -> None:
    """Refuse a zip archive that is cut off, or whose content does not have its checksums.

    Torch does not look at them: weights with a wrong byte would be other weights, and a pickle with
    one would look like a pickle of something else. Files that are no zip archives have none.

    Raises
    ------
    ModelLoadError
    """
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return
    reason = "its end is missing;"
    with contextlib.suppress(*UNREADABLE):
        with zipfile.ZipFile(path) as archive:
            # Without its end, an archive can look like a small one that it holds.
            if min((info.header_offset for info in archive.infolist()), default=0) == 0:
                reason = _find_damage(archive)
    if reason:
        raise ModelLoadError(f"{path} is damaged, or truncated: {reason} copy it again")


def _find_damage(archive: zipfile.ZipFile) -> str:
    """Say which member has another checksum than it had; 0 is of those written without."""
    for info in archive.infolist():
        try:
            with archive.open(info) as member:
                while info.CRC and member.read(1 << 20):
                    pass
        except RuntimeError as error:  # encrypted, or packed in a way that Python does not know
            return f"{first_line(error)}; save it without, or"
        except UNREADABLE:
            return f"{info.filename} in it has another checksum than was written;"
    return ""
