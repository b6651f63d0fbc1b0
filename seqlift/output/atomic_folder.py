"""A folder of results that appears whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seqlift.errors import OutputError
from seqlift.output.atomic import write_errors

__all__ = ["check_folder", "whole_folder"]


@contextmanager
def whole_folder(
    target: str | Path, *, force: bool = False, is_ours: Callable[[Path], bool]
) -> Iterator[Path]:
    """Give a temporary folder for results; rename it if the block ends well.

    Parameters
    ----------
    target : str or Path
        The name that the folder will have. An empty folder of that name is filled.
    force : bool
        Replace a folder that has files. It stays as it is until the block has ended well.
    is_ours : callable
        Says of a file's path inside an old folder whether this command may have written it. A
        folder that has any other file is never replaced, so that nobody's results are deleted.

    Yields
    ------
    temporary : Path
        A folder beside the target.

    Raises
    ------
    OutputError
        As `check_folder`; if a file cannot be written.
    """
    check_folder(target, force=force, is_ours=is_ours)
    final = Path(os.path.realpath(target))
    temporary = _beside(final)
    try:
        with write_errors(target):
            temporary.mkdir()
            yield temporary
            _require_on_disk(temporary)
        check_folder(target, force=force, is_ours=is_ours)
        with write_errors(target):
            _put_in_place(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(
    target: str | Path, *, force: bool = False, is_ours: Callable[[Path], bool]
) -> None:
    """Check that a folder can be written, before the work that fills it.

    Parameters
    ----------
    target, force, is_ours
        As of `whole_folder`.

    Raises
    ------
    OutputError
        Saying what is in the way.
    """
    target = Path(target)
    final = Path(os.path.realpath(target))
    if not final.parent.is_dir():
        raise OutputError(f"{target.parent}/ does not exist; make it first")
    if final.exists() and not final.is_dir():
        raise OutputError(f"{target} is a file; give the name of a folder")
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target.parent}/ is not writable; choose another folder")
    held = (path.relative_to(final) for path in final.rglob("*") if not path.is_dir())
    in_the_way = next((path for path in held if not (force and is_ours(path))), None)
    if in_the_way is None:
        return
    if is_ours(in_the_way):
        raise OutputError(f"{target}/ exists (use --force)")
    raise OutputError(
        f"{target}/ has files that this command does not write ({in_the_way}); give another folder"
    )


def _require_on_disk(folder: Path) -> None:
    # Some file systems report a full disk only when asked to have written.
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _put_in_place(temporary: Path, final: Path) -> None:
    """Give the new folder its name; the old one keeps it until then and is deleted after."""
    if not final.exists():
        temporary.rename(final)
        return
    old = _beside(final)
    final.rename(old)
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(final: Path) -> Path:
    return final.with_name(f"{final.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
