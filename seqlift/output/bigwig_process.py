"""Hand runs of values to the process that writes a bigWig.

See `bigwig_child` for why there is one. It also compresses while this process goes on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name, write_errors
from seqlift.output.bigwig_child import END, RECORD

__all__ = ["BigWigProcess"]


class BigWigProcess:
    """Write one bigWig in another process; a context manager.

    When the block ends well, the file is finished, read back and compared. When it does not, the
    process is ended.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.
    contigs : mapping of str to int
        Lengths in bp, in the order of the header.

    Raises
    ------
    OutputError
        If the file cannot be written, or cannot be read back as it was written.
    """

    def __init__(self, path: str | Path, contigs: Mapping[str, int]) -> None:
        self._path = Path(path)
        self._contigs = contigs
        self._index = {name: i for i, name in enumerate(contigs)}
        with write_errors(path):
            self._path.open("wb").close()  # libBigWig needs the folder to be there
        child = Path(__file__).with_name("bigwig_child.py")
        # -P: the modules beside the child must not stand in front of installed ones.
        command = [sys.executable, "-P", str(child), str(self._path)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        header = [(name, int(length)) for name, length in self._contigs.items()]
        self._send(json.dumps(header).encode() + b"\n")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None:
                self._send(RECORD.pack(END, 0, 0))
                self._finish()
        finally:
            self._stop()

    def add(self, contig: str, start: int, values: NDArray[np.float32]) -> None:
        """Add a run of values.

        Parameters
        ----------
        contig : str
            One of the contigs, in their order.
        start : int
            0-based, at or after the end of the run before.
        values : float32, shape (position,)
            Finite, at least one, none past the contig's end.
        """
        self._send(RECORD.pack(self._index[contig], start, len(values)))
        self._send(values.astype("<f4").tobytes())

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            # It has ended, which only happens when it failed.
            self._finish()

    def _finish(self) -> None:
        _, messages = self._process.communicate()
        if self._process.returncode != 0:
            raise OutputError(
                f"{final_name(self._path)} cannot be written: {self._reason(messages.decode())}"
            )

    def _reason(self, messages: str) -> str:
        """Ask the system what libBigWig does not tell."""
        try:
            with self._path.open("ab") as file:
                file.write(bytes(1 << 20))
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            return exc.strerror or str(exc)
        said = messages.strip().splitlines()
        return said[-1] if said else f"the writing process ended with {self._process.returncode}"

    def _stop(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was still on its way is no longer wanted
                    pipe.close()
        self._process.wait()
