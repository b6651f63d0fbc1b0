"""From a function of a batch to compiled code."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.deeplift.ahead import Job, compile_ahead, find_library
from seqlift.deeplift.chaining import chain_convolutions
from seqlift.deeplift.fusing import fuse_convolutions
from seqlift.deeplift.program import Function, write_program

__all__ = ["OPTIONS", "NoCompilerError", "compile_function", "has_compiler"]

# Of torch's compiler, by kind of device. On a CPU a maximum over four positions is computed once a
# window, not written out for each of the four: the demo model gained a third. On CUDA devices torch
# 2.11 pads rows and reads some of them as if it had not, which made wrong scores of Basset's.
OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"unroll_reductions_threshold": 1},
    "cuda": {"comprehensive_padding": False},
}


class NoCompilerError(Exception):
    """No C++ compiler for torch to call."""


def compile_function(function: Function, batch: tuple[Tensor, ...], job: Job) -> Callable[..., Any]:
    """Compile a function for batches of a kind, or find what was compiled before.

    Parameters
    ----------
    function : callable
        Of tensors alone, to nested tuples of tensors; may call autograd.
    batch : tuple of Tensor
        Of the shapes, types and devices to come; their values do not matter.
    job : Job

    Returns
    -------
    callable
        Of such tensors.

    Raises
    ------
    NoCompilerError
        If there is none and it takes one.
    Exception
        Whatever torch's compiler raises.
    """
    kind = batch[0].device.type
    if kind != "cpu":
        program = _prepared(function, batch)
        options = OPTIONS.get(kind)
        compiled = torch.compile(program, fullgraph=True, dynamic=False, options=options)
        return torch.no_grad()(compiled)  # the way back is part of the program
    library = find_library(job)
    if library is not None:
        return library
    if not has_compiler():
        raise NoCompilerError
    with ThreadPoolExecutor(1) as beside:
        beside.submit(_meet_compiler)
        program = _prepared(function, batch)
    return compile_ahead(program, batch, OPTIONS[kind], job)


def _prepared(function: Function, batch: tuple[Tensor, ...]) -> fx.GraphModule:
    """Write the program of a function, its convolutions as they are quickest."""
    with torch.no_grad():
        program = write_program(function, batch)
        fuse_convolutions(program)
        chain_convolutions(program)
    return program


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
