"""One function of a batch, run for many batches: by its rules, or compiled.

Compiling takes from ten seconds to minutes, and seconds where it has been done before. It is worth
that when what it saves of the work that is left is more; nobody wants to wait for a compiler on a
job of a few seconds. So the first batches are run rule by rule and timed, unless a run before has
noted how long they take.

A compiler can be wrong, and a device's that nobody has tried more so. What compiled code makes of
the first and the last region of a batch is therefore held against what the rules make of them.
"""

# ruff: noqa: ANN401  (the function returns what it returns)

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seqlift.deeplift.ahead import Job, is_compiled, is_ready
from seqlift.deeplift.compiled_before import remember, seconds_by_rules
from seqlift.deeplift.compiling import NoCompilerError, compile_function
from seqlift.deeplift.program import Function
from seqlift.errors import CompileWarning
from seqlift.memory import free_bytes

__all__ = ["COMPILE", "Runner", "is_out_of_memory"]

COMPILE = ("auto", "on", "off")

# What compiling costs on two cores (BPNet, Basset and the demo model 12 to 19 s, wider ones more),
# what it costs where it has been done before (2 to 3 s, and as much for imports), or with these
# very weights (it is loaded at once, but held against the rules all the same), and what it saves of
# a batch (there 0.6 to 0.8, less where others' convolutions are all the work).
COMPILE_SECONDS = 25.0
LOAD_SECONDS = 5.0
READY_SECONDS = 1.0
SAVED = 0.5

# What torch's compiler and that of C++ are left, or a job is not compiled by itself: a system short
# of memory ends the largest process, which would be this one. (In a control group of 512 MiB the
# C++ compiler had 190 MB when the system ended this process, with BPNet.)
COMPILE_BYTES = 2**30


class Runner:
    """Runs a function of sequences and references.

    Parameters
    ----------
    function : callable
        ``function(one_hot, references)``, nested tuples of tensors of shape (region, ...) from
        tensors of shape (region, ...); each region by itself.
    job : Job
        What tells it from others.
    compile : str
        "on", "off", or "auto": when the work that is left is worth it.
    rows : int
        Regions in a whole batch. Compiled code takes that many and no other number.
    n_targets : int
        Ways back that the function goes; each costs a compiler about as much as the way forward.
    agrees : callable or None
        ``agrees(found, expected)``: whether what compiled code gave for some regions is what the
        function gives.

    Attributes
    ----------
    rows : int
        As given.
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Any],
        job: Job,
        compile: str = "auto",
        rows: int = 1,
        n_targets: int = 1,
        agrees: Callable[[Any, Any], bool] | None = None,
    ) -> None:
        self._function = function
        self._agrees = agrees
        self._mode = compile
        self._n_targets = n_targets
        self._job = job
        self.rows = rows
        self._compiled: dict[Any, Any] = {}  # by kind of batch; None where it did not work
        self._seconds = math.inf  # a pair, rule by rule, as far as this process knows
        self._costs: dict[str, float] = {}  # seconds until compiled code can run, by description

    def __call__(self, one_hot: Tensor, references: Tensor, pairs_left: int = 0) -> Any:
        """Run the function for a batch of at most `rows` regions.

        Parameters
        ----------
        one_hot : Tensor, shape (region, base=4, position)
        references : Tensor, shape (region, reference, base=4, position)
        pairs_left : int
            Pairs of a sequence and a reference still to come, these among them.

        Returns
        -------
        What the function returns.
        """
        # A batch less than half full costs less as it is than filled up.
        is_whole = 2 * len(one_hot) > self.rows
        found = self._run_compiled(one_hot, references, pairs_left) if is_whole else None
        if found is not None:
            return _rows(found, slice(len(one_hot)))
        found, seconds = self._timed(one_hot, references)
        self._seconds = min(seconds, self._seconds)
        return found

    def _timed(self, one_hot: Tensor, references: Tensor) -> tuple[Any, float]:
        """Run rule by rule; return what is found, and the seconds a pair."""
        started = time.perf_counter()
        found = self._function(one_hot, references)
        if one_hot.is_cuda and self._mode != "off":
            torch.cuda.synchronize(one_hot.device)
        return found, (time.perf_counter() - started) / (len(one_hot) * references.shape[1])

    def _run_compiled(self, one_hot: Tensor, references: Tensor, pairs_left: int) -> Any:
        """Return what compiled code makes of a batch, or None where there is none."""
        key = one_hot.shape[1:], one_hot.dtype, references.shape[1:], references.dtype
        job = self._job._replace(description=f"{self._job.description} {self.rows} {key}")
        kind = one_hot.device.type
        is_new = key not in self._compiled and self._should_compile(job, kind, pairs_left)
        if self._compiled.get(key) is None and not is_new:
            return None
        filled = _filled(one_hot, self.rows), _filled(references, self.rows)
        if is_new:
            self._compiled[key], found = _compile(self._function, filled, job)
            is_good = found is not None and self._is_right(found, job, *filled)
        else:
            found, is_good = _again(self._compiled[key], *filled)
        if not is_good:
            self._compiled[key] = None
        return found if is_good else None

    def _is_right(self, found: Any, job: Job, one_hot: Tensor, references: Tensor) -> bool:
        """Hold compiled code against the function on two regions; if it is wrong, warn and stop."""
        two = sorted({0, len(one_hot) - 1})  # strides that are wrong do not show on the first
        expected, seconds = self._timed(one_hot[two], references[two])
        if self._agrees is not None and not self._agrees(_rows(found, two), expected):
            self._mode = "off"
            _warn("what torch compiled gives other scores than the rules do")
            return False
        remember(job.description, min(seconds, self._seconds))
        return True

    def _should_compile(self, job: Job, kind: str, pairs_left: int) -> bool:
        if self._mode != "auto":
            return self._mode == "on"
        seconds = min(self._seconds, seconds_by_rules(job.description))
        if math.isinf(seconds):
            return False
        saved = SAVED * seconds * pairs_left / ((1 + self._n_targets) / 2)
        if saved <= READY_SECONDS:
            return False
        if job.description not in self._costs:
            self._costs[job.description] = _cost(job, kind)
        cost = self._costs[job.description]
        return saved > cost and (cost == READY_SECONDS or _has_room_to_compile())


def _cost(job: Job, kind: str) -> float:
    """Return the seconds until compiled code can run, on a kind of device."""
    if math.isinf(seconds_by_rules(job.description)):
        return COMPILE_SECONDS
    if kind == "cpu" and is_ready(job):
        return READY_SECONDS
    return LOAD_SECONDS if kind != "cpu" or is_compiled(job) else COMPILE_SECONDS


def _has_room_to_compile() -> bool:
    free = free_bytes()
    return free is None or free >= COMPILE_BYTES


def _rows(found: Any, rows: slice | list[int]) -> Any:
    """Return some regions of all that a function gave."""
    return pytree.tree_map_only(Tensor, lambda leaf: leaf[rows], found)


def _filled(batch: Tensor, rows: int) -> Tensor:
    """Fill a batch up with copies of its last row."""
    missing = rows - len(batch)
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch


def _compile(function: Function, batch: tuple[Tensor, Tensor], job: Job) -> tuple[Any, Any]:
    """Return the compiled function and what it makes of a batch.

    Or warn and return None twice: a run goes on without.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, to itself
            compiled = compile_function(function, batch, job)
            return compiled, compiled(*batch)
    except NoCompilerError:
        _warn("no C++ compiler is on this machine; install g++ or clang++, or say --compile off")
    except Exception as error:  # the compiler raises whatever its many parts raise
        if is_out_of_memory(error):  # in the batch that was run
            raise
        _warn(f"torch.compile failed ({type(error).__name__}: {_first_line(error)})")
    return None, None


def _again(compiled: Callable[..., Any], *batch: Tensor) -> tuple[Any, bool]:
    """Return what compiled code makes of a further batch, and whether it made anything."""
    try:
        return compiled(*batch), True
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        # Not every version of torch says what failed. If it was memory, the rules will.
        _warn(_first_line(error))
        return None, False


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error of torch is that memory, of a device or of the host, did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _warn(reason: str) -> None:
    warnings.warn(
        f"the model runs without compiling, slower: {reason}", CompileWarning, stacklevel=2
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
