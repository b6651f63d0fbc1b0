"""Several convolutions as one operator, taken row by row."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.rules.winograd_steps import Place, Step, run_steps

__all__ = ["CHAIN"]


@torch.library.custom_op(
    "seqlift::convolve_chain",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor[] tensors, str plan) -> Tensor[]",
)
def _convolve_chain(tensors: list[Tensor], plan: str) -> list[Tensor]:
    """Take the steps of a plan at each row.

    Parameters
    ----------
    tensors : list of Tensor
        All that is read, weights included.
    plan : str
        In JSON. ``given``: the shapes of what comes out; ``own``: numbers that a thread keeps for
        itself; ``steps``: as `Step` has them, a tensor by its place in `tensors`, and ``taken``,
        ``beside`` and ``given`` as pairs such as ``["tensors", 3]``, ``["given", 0]`` or, in the
        memory of the thread, ``["own", 135296]``.

    Returns
    -------
    list of Tensor, shape (row, position, channel)
    """
    tensors = [tensor.contiguous() for tensor in tensors]
    given: list[Tensor] = _of_shape(tensors, plan)
    known = _read(plan)

    def place(kind: str, number: int) -> Place:
        return number if kind == "own" else {"tensors": tensors, "given": given}[kind][number]

    steps = [
        Step(
            **step
            | {name: [place(*one) for one in step[name]] for name in ("taken", "beside", "given")}
            | {"sums": tensors[step["sums"]]}
            | {"bias": None if step["bias"] is None else tensors[step["bias"]]}
        )
        for step in known["steps"]
    ]
    run_steps(steps, known["rows"], known["own"])
    return given


CHAIN = torch.ops.seqlift.convolve_chain.default


@_convolve_chain.register_fake
def _of_shape(tensors: list[Tensor], plan: str) -> list[Tensor]:
    return [tensors[0].new_empty(shape) for shape in _read(plan)["given"]]


@cache
def _read(plan: str) -> dict[str, Any]:
    return json.loads(plan)  # type: ignore[no-any-return]
