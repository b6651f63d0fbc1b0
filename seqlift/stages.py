"""Stages of a job that run at the same time, each on a thread of its own.

Between two stages wait a few items and no more, so memory stays bounded and the slowest stage sets
the pace. An error in any stage comes out where the items are taken or handed over; whoever stops
early stops the stages before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

__all__ = ["ahead", "behind"]

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """Make the next items on a thread while the caller works on this one.

    Parameters
    ----------
    items : iterator
        Used, and in the end closed, by this stage alone.
    depth : int
        How many items are made before they are asked for, at least 1.

    Yields
    ------
    item
        In their order; then the error of `items`, if it had one.
    """
    end = object()
    in_use = Lock()

    def following() -> T | object:
        with in_use:
            return next(items, end)

    try:
        with ThreadPoolExecutor(1, thread_name_prefix="seqlift-ahead") as thread:
            coming = deque(thread.submit(following) for _ in range(depth))
            try:
                while (item := coming.popleft().result()) is not end:
                    coming.append(thread.submit(following))
                    yield item  # type: ignore[misc]  # end never gets here
            finally:
                _cancel(coming)
    finally:
        close = getattr(items, "close", None)  # that of a generator, which ends the stages before
        if close is not None:
            with in_use:  # a signal while the thread was started leaves it running, unknown
                close()


@contextmanager
def behind(use: Callable[[T], None], depth: int = 1) -> Iterator[Callable[[T], None]]:
    """Use items on a thread while the caller makes the next ones.

    When the block ends well, all items have been used. When it does not, those that wait are left.

    Parameters
    ----------
    use : callable
        Takes one item.
    depth : int
        How many items wait or are in use before the caller does.

    Yields
    ------
    hand_over : callable
        Takes one item, and raises the error of an earlier one.
    """
    waiting: deque[Future[None]] = deque()

    def hand_over(item: T) -> None:
        while waiting and (len(waiting) >= depth or waiting[0].done()):
            waiting.popleft().result()
        waiting.append(thread.submit(use, item))

    with ThreadPoolExecutor(1, thread_name_prefix="seqlift-behind") as thread:
        try:
            yield hand_over
            while waiting:
                waiting.popleft().result()
        finally:
            _cancel(waiting)


def _cancel(futures: deque[Future[T]]) -> None:
    for future in futures:
        future.cancel()
