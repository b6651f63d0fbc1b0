"""What must hold for any input: a result that obeys the laws, or one line that says why not."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from seqlift.errors import SeqliftError, SeqliftWarning

__all__ = ["check", "empty_folder"]

LONGEST_MESSAGE = 500  # characters
# What was typed may be shown in full; an escaped character has up to ten.
TYPED = ("region", "options", "target")


def check(target: Callable[[bytes], None], data: bytes) -> bool:
    """Run a target, and say whether it took the input.

    The current folder is left empty. Any exception is a finding, and so is a message that is not
    one printable line of at most `LONGEST_MESSAGE` characters.
    """
    longest = LONGEST_MESSAGE + 10 * len(data) * (target.__name__ in TYPED)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SeqliftWarning)
        try:
            target(data)
        except SeqliftError as error:
            messages, is_taken = [str(error)], False
        else:
            messages, is_taken = [], True
        finally:
            _clear()
    messages += [str(one.message) for one in caught if issubclass(one.category, SeqliftWarning)]
    for message in messages:
        assert message.isprintable(), f"not one printable line: {message!r}"
        assert 0 < len(message) <= longest, f"{len(message)} characters: {message!r}"
    return is_taken


def _clear() -> None:
    for path in Path.cwd().iterdir():
        path.unlink()


@contextlib.contextmanager
def empty_folder() -> Iterator[None]:
    """Work in an empty folder, in memory where the machine has such a place."""
    before = Path.cwd()
    shared = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="fuzz-", dir=shared if os.access(shared, os.W_OK) else None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
