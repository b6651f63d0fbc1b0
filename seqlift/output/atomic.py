"""Results that appear whole or not at all.

A result is written beside its target under a temporary name and renamed when the work has ended
well. The results of one run share one `whole_files` block: they are renamed together, and a failed
or interrupted run leaves none of them. The writers of this package write where they are told and
know nothing of this.
"""

import glob
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seqlift.errors import OutputError

__all__ = [
    "check_targets",
    "final_name",
    "remove_leftovers",
    "whole_file",
    "whole_files",
    "write_errors",
]

_TEMPORARY = re.compile(r"\.tmp-\d+-[0-9a-f]{8}$")


@contextmanager
def whole_files(*targets: str | Path, force: bool = False) -> Iterator[list[Path]]:
    """Give temporary names for results; rename all of them if the block ends well.

    Parameters
    ----------
    *targets : str or Path
        The names that the results will have.
    force : bool
        Replace targets that exist. They stay as they are until the block has ended well.

    Yields
    ------
    temporary : list of Path
        One name beside each target, where the block writes. Each is an empty file already, so that
        a folder that cannot be written to is found before any work is done.

    Raises
    ------
    OutputError
        If a target exists (and `force` is not set), is no regular file, is named twice, lies in a
        folder that does not exist or cannot be written to; if the block wrote nothing to one of the
        names.
    """
    check_targets(targets, force=force)
    # A symbolic link stays one: it is the file behind it that is replaced.
    finals = [Path(os.path.realpath(target)) for target in targets]
    temporary: list[Path] = []
    try:
        for final in finals:
            temporary.append(_temporary_name(final))
            with write_errors(final):
                temporary[-1].open("xb").close()
        yield list(temporary)
        for path in temporary:
            _require_on_disk(path)
        check_targets(targets, force=force)
        _rename_together(temporary, finals)
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


@contextmanager
def whole_file(target: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary name for one result; rename it if the block ends well.

    Parameters
    ----------
    target : str or Path
        The name that the result will have.
    force : bool
        Replace a target that exists.

    Yields
    ------
    temporary : Path
        A name beside the target, where the block writes.

    Raises
    ------
    OutputError
        As `whole_files`.
    """
    with whole_files(target, force=force) as temporary:
        yield temporary[0]


def remove_leftovers(targets: Iterable[str | Path]) -> None:
    """Remove the temporary files of a process that was killed before it could.

    Parameters
    ----------
    targets : iterable of str or Path
        The names that its results would have had. No other process may be writing them.
    """
    for target in map(os.path.realpath, targets):
        for path in Path(target).parent.glob(f"{glob.escape(Path(target).name)}.tmp-*"):
            if _TEMPORARY.search(path.name):
                path.unlink(missing_ok=True)


def check_targets(targets: Iterable[str | Path], *, force: bool = False) -> None:
    """Check that results can be written, before the work that makes them.

    Parameters
    ----------
    targets : iterable of str or Path
        The names that the results will have.
    force : bool
        Let targets exist.

    Raises
    ------
    OutputError
        Naming the first target that cannot be written, and why.
    """
    seen = set()
    for target in map(Path, targets):
        if target in seen:
            raise OutputError(f"{target} is named for two results; give each its own name")
        seen.add(target)
        _check_target(target, force)


def _check_target(target: Path, force: bool) -> None:
    folder = Path(os.path.realpath(target)).parent
    if not folder.exists():
        raise OutputError(f"{target.parent}/ does not exist; make it first")
    if not folder.is_dir():
        raise OutputError(
            f"{target.parent} is not a directory; {target.name} cannot be written in it"
        )
    if target.is_dir():
        raise OutputError(f"{target} is a directory; give the name of a file")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is not a regular file; give the name of a file")
    if target.exists() and not force:
        raise OutputError(f"{target} exists (use --force)")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target.parent}/ is not writable; choose another folder")


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into an OutputError.

    Parameters
    ----------
    path : str or Path
        What is written; a temporary name is reported as the target's.

    Raises
    ------
    OutputError
        In place of any `OSError` of the block.
    """
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise OutputError(f"{final_name(path)} cannot be written: {reason}") from exc


def final_name(path: str | Path) -> str:
    """Return the target's name for the temporary name of `whole_files`.

    Parameters
    ----------
    path : str or Path
        Any name; one that is not temporary is returned as it is.

    Returns
    -------
    name : str

    Examples
    --------
    >>> final_name("out/scores.h5.tmp-71-0a1b2c3d")
    'out/scores.h5'
    """
    return _TEMPORARY.sub("", str(path))


def _temporary_name(final: Path) -> Path:
    # The process alone is not enough: two machines may write into one folder.
    return final.with_name(f"{final.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


def _require_on_disk(path: Path) -> None:
    # Some file systems report a full disk only when asked to have written.
    with write_errors(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        size = path.stat().st_size
    if size == 0:
        raise OutputError(f"nothing was written to {final_name(path)}")


def _keep(final: Path) -> Path:
    """Give a file a second name, or another one where the file system allows no two."""
    kept = _temporary_name(final)
    try:
        kept.hardlink_to(final)  # so that at no moment the name has no file
    except OSError:
        final.replace(kept)
    return kept


def _rename_together(temporary: list[Path], finals: list[Path]) -> None:
    """Rename all or none: a part of the results would look like all of them.

    What is replaced is kept under another name until the last one has its own.
    """
    kept: dict[Path, Path] = {}
    renamed: list[Path] = []
    try:
        for path, final in zip(temporary, finals, strict=True):
            with write_errors(final):
                if final.exists():
                    kept[final] = _keep(final)
                path.replace(final)
            renamed.append(final)
    except BaseException:
        for final in renamed:
            final.unlink(missing_ok=True)
        for final, old in kept.items():
            if final.exists():
                old.unlink()
            else:
                old.replace(final)
        raise
    for old in kept.values():
        old.unlink()
