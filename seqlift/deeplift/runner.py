"""One function of a batch, run for many batches: by its rules, or compiled.

Compiling takes from ten seconds to minutes, and seconds where it has been done before. It is worth
that when what it saves of the work that is left is more; nobody wants to wait for a compiler on a
job of a few seconds. So the first batches are run rule by rule and timed.

A compiler can be wrong, and a device's that nobody has tried more so. What compiled code makes of
the first and the last region of a batch is therefore held against what the rules make of them.
"""

# ruff: noqa: ANN401  (the function returns what it returns)

from __future__ import annotations

import contextlib
import math
import shutil
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seqlift.deeplift.chaining import chain_convolutions
from seqlift.deeplift.compiled_before import remember, was_compiled
from seqlift.deeplift.fusing import fuse_convolutions
from seqlift.deeplift.program import Function, write_program
from seqlift.errors import CompileWarning

__all__ = ["COMPILE", "Runner", "is_out_of_memory"]

COMPILE = ("auto", "on", "off")

# What compiling costs on two cores (BPNet, Basset and the demo model 12 to 19 s, wider ones more),
# what it costs where torch has kept it (2 to 3 s, and as much for imports), and what it saves of
# the time of a batch (there 0.6 to 0.8, less where others' convolutions are all the work).
COMPILE_SECONDS = 25.0
LOAD_SECONDS = 5.0
SAVED = 0.5

# Of torch's compiler, by kind of device. On a CPU a maximum over four positions is computed once a
# window, not written out for each of the four: the demo model gained a third. On CUDA devices torch
# 2.11 pads rows and reads some of them as if it had not, which made wrong scores of Basset's.
OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"unroll_reductions_threshold": 1},
    "cuda": {"comprehensive_padding": False},
}


class Runner:
    """Runs a function of sequences and references.

    Parameters
    ----------
    function : callable
        ``function(one_hot, references)``, nested tuples of tensors of shape (region, ...) from
        tensors of shape (region, ...); each region by itself.
    compile : str
        "on", "off", or "auto": when the work that is left is worth it.
    rows : int
        Regions in a whole batch. Compiled code takes that many and no other number.
    n_targets : int
        Ways back that the function goes; each costs a compiler about as much as the way forward.
    description : str
        The same for functions that do the same, here and in other processes.
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
        compile: str = "auto",
        rows: int = 1,
        n_targets: int = 1,
        description: str = "",
        agrees: Callable[[Any, Any], bool] | None = None,
    ) -> None:
        self._function = function
        self._agrees = agrees
        self._mode = compile
        self._n_targets = n_targets
        self._description = description
        self.rows = rows
        self._compiled: dict[Any, Any] = {}  # by kind of batch; None where it did not work
        self._seconds = math.inf  # a pair, rule by rule

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
        if found is None:
            return self._timed(one_hot, references)
        return _rows(found, slice(len(one_hot)))

    def _timed(self, one_hot: Tensor, references: Tensor) -> Any:
        """Run rule by rule, and remember the seconds a pair of the quickest batch."""
        if self._mode != "auto":
            return self._function(one_hot, references)
        started = time.perf_counter()
        found = self._function(one_hot, references)
        if one_hot.is_cuda:
            torch.cuda.synchronize(one_hot.device)
        seconds = (time.perf_counter() - started) / (len(one_hot) * references.shape[1])
        self._seconds = min(seconds, self._seconds)
        return found

    def _run_compiled(self, one_hot: Tensor, references: Tensor, pairs_left: int) -> Any:
        """Return what compiled code makes of a batch, or None where there is none."""
        key = one_hot.shape[1:], one_hot.dtype, references.shape[1:], references.dtype
        description = f"{self._description} {self.rows} {key}"
        is_new = key not in self._compiled and self._should_compile(description, pairs_left)
        if self._compiled.get(key) is None and not is_new:
            return None
        filled = _filled(one_hot, self.rows), _filled(references, self.rows)
        if not is_new:
            return self._compiled[key](*filled)
        self._compiled[key], found = _compile(self._function, *filled)
        if found is None or not self._is_right(found, *filled):
            self._compiled[key] = None
            return None
        remember(description)
        return found

    def _is_right(self, found: Any, one_hot: Tensor, references: Tensor) -> bool:
        """Hold compiled code against the function on two regions; if it is wrong, warn and stop."""
        two = sorted({0, len(one_hot) - 1})  # strides that are wrong do not show on the first
        if self._agrees is None or self._agrees(
            _rows(found, two), self._function(one_hot[two], references[two])
        ):
            return True
        self._mode = "off"
        _warn("what torch compiled gives other scores than the rules do")
        return False

    def _should_compile(self, description: str, pairs_left: int) -> bool:
        if self._mode != "auto":
            return self._mode == "on"
        if math.isinf(self._seconds):
            return False
        saved = SAVED * self._seconds * pairs_left / ((1 + self._n_targets) / 2)
        return saved > COMPILE_SECONDS or (saved > LOAD_SECONDS and was_compiled(description))


def _rows(found: Any, rows: slice | list[int]) -> Any:
    """Return some regions of all that a function gave."""
    return pytree.tree_map_only(Tensor, lambda leaf: leaf[rows], found)


def _filled(batch: Tensor, rows: int) -> Tensor:
    """Fill a batch up with copies of its last row."""
    missing = rows - len(batch)
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch


def _compile(function: Function, one_hot: Tensor, references: Tensor) -> tuple[Any, Any]:
    """Return the compiled function and what it makes of a batch.

    Or warn and return None twice: a run goes on without.
    """
    if one_hot.device.type == "cpu" and not has_compiler():
        _warn("no C++ compiler is on this machine; install g++ or clang++, or say --compile off")
        return None, None
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, to itself
            with ThreadPoolExecutor(1) as beside:
                if one_hot.device.type == "cpu":
                    beside.submit(_meet_compiler)
                program = write_program(function, (one_hot, references))
                fuse_convolutions(program)
                chain_convolutions(program)
            options = OPTIONS.get(one_hot.device.type)
            compiled = torch.compile(program, fullgraph=True, dynamic=False, options=options)
            # The way back is part of the program.
            return torch.no_grad()(compiled), compiled(one_hot, references)
    except Exception as error:  # the compiler raises whatever its many parts raise
        if is_out_of_memory(error):  # in the batch that was run
            raise
        _warn(f"torch.compile failed ({type(error).__name__}: {_first_line(error)})")
        return None, None


def _meet_compiler() -> None:
    """Have torch find out what the compiler and the processor can, once a process.

    It asks by starting other processes and waits for them, more than a second in all. Nothing else
    need wait: this is for a thread of its own.
    """
    from torch._inductor.codecache import CppCodeCache

    with contextlib.suppress(Exception):  # torch will say what is wrong when it compiles
        CppCodeCache.load('extern "C" int seqlift_meets_compiler() { return 0; }')


def has_compiler() -> bool:
    """Say whether there is a C++ compiler for torch to call."""
    from torch._inductor import config  # importing it takes a second

    names = config.cpp.cxx if isinstance(config.cpp.cxx, (list, tuple)) else [config.cpp.cxx]
    return any(shutil.which(name) for name in names if name)


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error of torch is that memory, of a device or of the host, did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _warn(reason: str) -> None:
    warnings.warn(
        f"the model runs without compiling, slower: {reason}", CompileWarning, stacklevel=2
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
