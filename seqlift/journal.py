"""What an unfinished run has scored, kept in a folder until its results are whole.

Every batch is a file of its own, which appears by a rename. Whatever ends a run, the batches that
were done are there; a file that a power cut left damaged is found by its checksum. A run that is
resumed takes these batches from the folder and computes the others, and goes on as if it had
computed all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seqlift.batches import Batch
from seqlift.deeplift.scores import Contributions
from seqlift.errors import IncompleteError, InputError, OutputError, ResumeWarning
from seqlift.explaining import Explained
from seqlift.output.atomic import write_errors
from seqlift.packing import packed, unpacked

__all__ = ["Journal", "require_no_journal"]

SETTINGS = "settings.json"
# First row, row behind the last, and sequences; `.tmp` until it is whole.
_BATCH = re.compile(r"(\d{12})-(\d{12})-(\d+)\.npz(?:\.tmp)?")


class Entry(NamedTuple):
    """A batch that is kept: its rows of the input, and how many of them are scored."""

    path: Path
    first: int
    stop: int
    n_scored: int


def require_no_journal(folder: Path, *, resume: bool, force: bool) -> None:
    """Raise an error if an earlier run left something, unless the user says what to do with it.

    Raises
    ------
    OutputError
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, where an unfinished run keeps what it has done")
    if folder.exists() and not (resume or force):
        raise OutputError(
            f"{folder} is what an unfinished run left; go on from there with --resume, or begin "
            "anew with --force"
        )


class Journal:
    """The folder of an unfinished run; a context manager.

    When the block ends well the folder is removed; when it does not, the folder stays, and a
    warning says so.

    Parameters
    ----------
    folder : Path
        Made when the first batch is done.
    settings : mapping
        Whatever determines the results, as JSON can hold it.
    rows : range
        Which rows of the input the run is about, counting from 0.
    resume : bool
        Take what is there; else it is removed.
    force : bool
        Remove what is there if it was made with other settings, where that is an error otherwise.

    Warns
    -----
    ResumeWarning
        If something is removed because settings have changed, or is kept.

    Raises
    ------
    OutputError
        If what is there was made with other settings; the first that differs is named.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        rows: range,
        *,
        resume: bool,
        force: bool,
    ) -> None:
        self._folder = folder
        self._settings = json.loads(json.dumps(settings))  # as it will be read again
        self._rows = rows
        self.entries: list[Entry] = []
        self._done = rows.start
        if not folder.exists():
            return
        changed = _difference(_read_settings(folder), self._settings) if resume else ""
        if changed and not force:
            raise OutputError(
                f"{folder} cannot be gone on from: {changed}; give what was given then, or begin "
                "anew with --force"
            )
        if changed:
            warnings.warn(f"{folder} is begun anew: {changed}", ResumeWarning, stacklevel=2)
        if changed or not resume:
            self.remove()
        else:
            self._find_entries()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None or self._done == self._rows.start or _would_come_again(exc):
            self.remove()
        elif self._folder.exists():
            warnings.warn(
                f"{self._folder} keeps the {self._done - self._rows.start} of {len(self._rows)} "
                "rows that were done; go on from there with --resume",
                ResumeWarning,
                stacklevel=2,
            )

    @property
    def sizes(self) -> list[int]:
        """Rows of each batch that is kept, in the order of the input."""
        return [entry.stop - entry.first for entry in self.entries]

    @property
    def n_scored(self) -> int:
        """Sequences whose scores are kept."""
        return sum(entry.n_scored for entry in self.entries)

    def replay(self, batches: Iterator[Batch]) -> Iterator[Explained]:
        """Give batches the scores that are kept.

        Parameters
        ----------
        batches : iterator of Batch
            As they were cut then; as many as there are entries, and no more, are taken.

        Raises
        ------
        InputError
            If a sequence is not what it was.
        """
        for entry in self.entries:
            yield _replayed(entry, next(batches))

    def write(self, explained: Explained) -> None:
        """Keep the next batch.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        batch = explained.batch
        stop = self._done + len(batch.items)
        arrays: dict[str, NDArray[Any]] = {"digest": _digest(batch)}
        for i, values in enumerate(batch.is_unshufflable):
            arrays[f"unshufflable {i}"] = values
        for i, one in enumerate(explained.found):
            for field, value in zip(one._fields, packed(one), strict=True):
                if value is not None:
                    arrays[f"{i} {field}"] = value
        name = f"{self._done:012d}-{stop:012d}-{len(batch.one_hot)}.npz"
        with write_errors(self._folder / name):
            if not self._folder.exists():
                self._folder.mkdir()
                (self._folder / SETTINGS).write_text(json.dumps(self._settings, indent=1))
            unfinished = self._folder / f"{name}.tmp"
            with unfinished.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            unfinished.replace(self._folder / name)
        self._done = stop

    def remove(self) -> None:
        """Remove what is kept, and the folder unless it has something of the user's."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.name == SETTINGS or _BATCH.fullmatch(path.name):
                    path.unlink()
            self._folder.rmdir()

    def _find_entries(self) -> None:
        """Find the batches that follow each other without a gap from the first row on."""
        for path in sorted(self._folder.glob("*.npz")):
            match = _BATCH.fullmatch(path.name)
            if match is None:
                continue
            first, stop, n_scored = map(int, match.groups())
            if first == self._done and stop <= self._rows.stop and _is_whole(path):
                self.entries.append(Entry(path, first, stop, n_scored))
                self._done = stop


def _would_come_again(error: BaseException) -> bool:
    """Say whether going on from there would end in the same error, whatever is done about it.

    Scores that do not sum or are not finite stay so; a full disk is an OutputError of the system.
    """
    if isinstance(error, OutputError):
        return not isinstance(error.__cause__, OSError)
    return isinstance(error, IncompleteError)


def _replayed(entry: Entry, batch: Batch) -> Explained:
    with np.load(entry.path) as kept:
        arrays = dict(kept)
    if arrays["digest"] != _digest(batch):
        raise InputError(
            f"the sequences of rows {entry.first + 1} to {entry.stop} are not those that "
            f"{entry.path.parent} was begun with; begin anew with --force"
        )
    n_schemes = sum(name.startswith("unshufflable") for name in arrays)
    batch = batch._replace(is_unshufflable=[arrays[f"unshufflable {i}"] for i in range(n_schemes)])
    found: list[Contributions] = []
    while f"{len(found)} scores" in arrays:
        fields = (arrays.get(f"{len(found)} {field}") for field in Contributions._fields)
        found.append(unpacked(tuple(fields)))
    return Explained(batch, found, 0.0)


def _digest(batch: Batch) -> NDArray[Any]:
    return np.array(hashlib.sha256(batch.one_hot.tobytes()).hexdigest())


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs first; an empty string if nothing does."""
    if not then:
        return f"it has no readable {SETTINGS}"
    for name in [*now, *(name for name in then if name not in now)]:
        if then.get(name) != now.get(name):
            return f"{name} was {_short(then.get(name))} and is {_short(now.get(name))}"
    return ""


def _short(value: object, longest: int = 60) -> str:
    text = json.dumps(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
