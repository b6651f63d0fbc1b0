"""Signals that end a run, as exceptions, so that it cleans up behind itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Terminated", "catch_signals"]


class Terminated(BaseException):
    """SIGTERM: what Slurm, Snakemake and `kill` send to a job that has to end."""


@contextmanager
def catch_signals() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM and `KeyboardInterrupt` on SIGINT.

    A SIGTERM that follows either is ignored, since it would break off the cleaning up; a job's
    processes often get it twice, from their group and from their parent.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, _terminate),
        signal.SIGINT: signal.getsignal(signal.SIGINT),
    }
    # A job in the background of a script is started with SIGINT ignored, and that is left so.
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
