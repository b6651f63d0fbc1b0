"""Processes that answer questions side by side, each in the order in which it was asked.

Questions go round: the first to the first process, the next to the next. Which process answers
what is therefore always the same, and so are the answers. A process knows no more than what it is
told, and ends when this one does, however that ends.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple, Self

from seqlift.errors import SeqliftError
from seqlift.stages import behind

__all__ = ["Processes"]

# Questions that a process has at a time: the one it works on, and the next.
AT_ONCE = 2

Work = Callable[..., Iterator[Any]]
_END = None


class Processes:
    """Start processes that do the same work; a context manager, which ends them.

    Parameters
    ----------
    work : callable
        Takes an iterator of questions and the arguments of its process, and yields an answer to
        each question. Found by its name in the new process, so it belongs to a module.
    arguments : mapping of str to tuple
        The arguments of each process, by what messages call it.

    Raises
    ------
    SeqliftError
        When asked, if a process has died.
    Exception
        When asked, whatever ended the work of a process.
    """

    def __init__(self, work: Work, arguments: Mapping[str, tuple[Any, ...]]) -> None:
        self._processes: list[_Process] = []
        try:
            for name, own in arguments.items():
                self._processes.append(_Process(work, name, own))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def __len__(self) -> int:
        return len(self._processes)

    def ask_all(self, question: Any) -> list[Any]:  # noqa: ANN401  whatever can be pickled
        """Ask every process the same, and return their answers."""
        for process in self._processes:
            process.send(question)
        return [process.receive() for process in self._processes]

    def deal(self, questions: Iterable[Any]) -> Generator[Any, None, None]:
        """Ask each question of one process; yield the answers in the order of the questions."""
        asked: deque[_Process] = deque()
        for i, question in enumerate(questions):
            process = self._processes[i % len(self)]
            if len(asked) == AT_ONCE * len(self):
                yield asked.popleft().receive()
            process.send(question)
            asked.append(process)
        while asked:
            yield asked.popleft().receive()

    def _end(self) -> None:
        for process in self._processes:
            process.end()


class _Failed(NamedTuple):
    """What ended the work of a process, in place of an answer."""

    error: BaseException


class _Process:
    """One process and the way to it."""

    def __init__(self, work: Work, name: str, arguments: tuple[Any, ...]) -> None:
        self._name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, work, arguments), daemon=True)
        # Signals are for this process, which ends the others; an interrupt of the group must not.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()  # or the end of the process would not be seen

    def send(self, question: Any) -> None:  # noqa: ANN401
        with suppress(BrokenPipeError, ConnectionResetError):  # `receive` tells why
            self._connection.send(question)

    def receive(self) -> Any:  # noqa: ANN401
        wait([self._connection, self._process.sentinel])
        try:
            answer = self._connection.recv() if self._connection.poll() else _END
        except (EOFError, OSError):  # nothing, or half an answer
            answer = _END
        if answer is _END:
            raise SeqliftError(self._death())
        if isinstance(answer, _Failed):
            raise answer.error
        return answer

    def _death(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"with exit code {code}"
        if code < 0:
            how = f"by signal {-code} ({signal.Signals(-code).name})"
        return (
            f"the process of {self._name} was ended {how}, most often for want of memory: try a "
            "smaller --batch-size, or fewer devices"
        )

    def end(self) -> None:
        self._process.kill()  # nothing of value is in it
        self._process.join()
        self._connection.close()
        self._process.close()


def _serve(connection: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    """Be the other process: answer what is asked until there is nobody who asks."""
    try:
        with behind(connection.send, AT_ONCE) as send:
            for answer in work(_received(connection), *arguments):
                send(answer)
    except BaseException as error:
        error.add_note(traceback.format_exc())  # which --debug shows
        with suppress(OSError):
            connection.send(_Failed(_portable(error)))


def _received(connection: Connection) -> Iterator[Any]:
    with suppress(EOFError, OSError):
        while True:
            yield connection.recv()


def _portable(error: BaseException) -> BaseException:
    """Return an error that survives the way to another process."""
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]
    except Exception:  # pickling fails in any way it likes
        return RuntimeError(f"{type(error).__name__}: {error}")
