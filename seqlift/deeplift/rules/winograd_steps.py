"""Running winograd.cpp: convolutions one after the other, with what stands around them.

The file is compiled once for each `Kernel`, as torch compiles its own code.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift import kept

__all__ = ["Kernel", "Place", "Step", "run_steps"]

KERNEL = "kernel.so"


class Kernel(NamedTuple):
    """What is done around a convolution: expressions of C++ on vectors of numbers.

    Attributes
    ----------
    taken, beside, given : int
        Tensors that are convolved, that stand beside the results, and that come out.
    take : str
        Of ``in[i]``, the numbers of `taken`; must be zero where they are.
    give : str
        Statements that set ``out[i]``, of the result ``y`` and the numbers ``in[i]`` of `beside`.
    """

    taken: int = 1
    take: str = "in[0]"
    beside: int = 0
    given: int = 1
    give: str = "out[0] = y;"

    def definitions(self) -> str:
        """Return what winograd.cpp wants defined."""
        return (
            f"#define TAKEN {self.taken}\n"
            f"#define TAKE(in) {self.take}\n"
            f"#define BESIDE {self.beside}\n"
            f"#define GIVEN {self.given}\n"
            f"#define GIVE(y, in, out) {self.give}\n"
        )


# A tensor, or where in the memory of a thread its row is.
Place = Tensor | int


class Step(NamedTuple):
    """One convolution.

    Attributes
    ----------
    taken : sequence of Place, shape (row, position, channel in)
        What `code` makes of them is convolved. Neighbouring rows share one where there are fewer.
    sums : Tensor, shape (sum=6, panel, channel in, 16)
        Of weights.
    bias : Tensor or None, shape (channel out,)
    padding, dilation : int
    length : int
        Positions of what is convolved.
    beside, given : sequence of Place, shape (row, position, channel out)
    code : str
        The definitions of a `Kernel`.
    """

    taken: Sequence[Place]
    sums: Tensor
    bias: Tensor | None
    padding: int
    dilation: int
    length: int
    beside: Sequence[Place]
    given: Sequence[Place]
    code: str


class _Stream(ctypes.Structure):
    _fields_ = (("first", ctypes.c_void_p), ("shared_by", ctypes.c_int64), ("own", ctypes.c_int64))


class _Step(ctypes.Structure):
    _fields_ = (
        ("convolve", ctypes.c_void_p),
        *((name, ctypes.POINTER(_Stream)) for name in ("taken", "beside", "given")),
        *((name, ctypes.c_void_p) for name in ("weights", "bias")),
        *(
            (name, ctypes.c_int64)
            for name in ("length", "channels_in", "channels_out", "padding", "dilation")
        ),
    )


def run_steps(steps: Sequence[Step], n_rows: int, n_own: int = 0) -> None:
    """Take steps one after the other at each row.

    Parameters
    ----------
    steps : sequence of Step
        Their tensors are float32 and contiguous.
    n_rows : int
    n_own : int
        Numbers that a thread keeps for what it makes and nobody else reads.
    """
    array = (_Step * len(steps))(*(_in_c(step, n_rows) for step in steps))
    sizes = map(ctypes.c_int64, (len(steps), n_rows, n_own, torch.get_num_threads()))
    if not _library(steps[0].code).seqlift_run(array, *sizes):
        raise torch.OutOfMemoryError("can't allocate memory for the sums of a convolution")


def _in_c(step: Step, n_rows: int) -> _Step:
    _, n_panels, n_in, panel = step.sums.shape
    return _Step(
        ctypes.cast(_library(step.code).seqlift_convolve, ctypes.c_void_p),
        *(_streams(places, n_rows) for places in (step.taken, step.beside, step.given)),
        step.sums.data_ptr(),
        None if step.bias is None else step.bias.data_ptr(),
        step.length,
        n_in,
        n_panels * panel,
        step.padding,
        step.dilation,
    )


def _streams(places: Sequence[Place], n_rows: int) -> ctypes.Array[_Stream]:
    return (_Stream * len(places))(*(_stream(place, n_rows) for place in places))


def _stream(place: Place, n_rows: int) -> _Stream:
    if isinstance(place, int):
        return _Stream(None, 1, place)
    assert n_rows % max(len(place), 1) == 0
    return _Stream(place.data_ptr(), n_rows // max(len(place), 1), -1)


@cache
def _library(code: str) -> ctypes.CDLL:
    """Load what was compiled before, or compile winograd.cpp."""
    source = resources.files("seqlift.deeplift.rules").joinpath("winograd.cpp").read_text("utf-8")
    folder = kept.find(f"{code}\n{source}")
    try:
        library = None if folder is None else ctypes.CDLL(str(folder / KERNEL))
    except OSError:  # it went meanwhile
        library = None
    library = library or _compiled(f"{code}\n{source}")
    library.seqlift_run.restype = ctypes.c_bool
    return library


def _compiled(source: str) -> ctypes.CDLL:
    """Have torch compile a source, and keep what it makes where torch need not be asked for it."""
    from torch._inductor.codecache import CppCodeCache  # importing it takes a second

    # Products and sums in one step: half the time. Torch leaves them apart.
    library: ctypes.CDLL = CppCodeCache.load(source, extra_flags=("-ffp-contract=fast",))
    with contextlib.suppress(OSError), kept.making(source) as folder:
        shutil.copyfile(library._name, folder / KERNEL)
    return library
