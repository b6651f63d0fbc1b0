"""Progress on stderr: a bar on a terminal, now and then a line with rate and estimate elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

import click

__all__ = ["Progress"]

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Report how far a job has come; a context manager.

    Parameters
    ----------
    what, unit : str
        "scoring", "regions".
    quiet : bool
        Say nothing.
    """

    def __init__(self, what: str, unit: str, *, quiet: bool = False) -> None:
        self._what, self._unit = what, unit
        self._quiet = quiet
        self._bar: Any = None
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, total: int) -> None:
        """Report `done` of `total`."""
        if self._quiet:
            return
        if sys.stderr.isatty():
            self._draw(done, total)
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._print(done, total)

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=self._what, unit=f" {self._unit}")
        self._bar.update(done - self._bar.n)

    def _print(self, done: int, total: int) -> None:
        self._last_line = time.monotonic()
        rate = done / (self._last_line - self._started)
        left = (total - done) / rate if rate else float("inf")
        click.echo(
            f"seqlift: {self._what} {done} of {total} {self._unit}, {rate:.3g} a second, "
            f"about {left:.0f} s left",
            err=True,
        )
