"""The ways of running a model, over which laws and oracles run."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Mode(NamedTuple):
    """Options of `Explainer`, and what they may change: scores and sums, over the largest."""

    options: dict[str, object]
    tolerance: float


ROUNDING = 1e-11
FLOAT32 = 1e-4
BFLOAT16 = 0.05
TF32 = 0.05

EAGER = {
    "one pair at a time": Mode({"batch_size": 1}, ROUNDING),
    "seven pairs at a time": Mode({"batch_size": 7}, ROUNDING),
    "float32": Mode({"precision": "float32"}, FLOAT32),
    "float32, three pairs": Mode({"precision": "float32", "batch_size": 3}, FLOAT32),
    "bfloat16": Mode({"precision": "bfloat16"}, BFLOAT16),
    "bfloat16, seven pairs": Mode({"precision": "bfloat16", "batch_size": 7}, BFLOAT16),
}
# Compiling takes ten seconds a model, whatever its size.
COMPILED = {
    "compiled": Mode({"compile": "on", "batch_size": 12}, ROUNDING),
    "compiled float32": Mode({"precision": "float32", "compile": "on", "batch_size": 12}, FLOAT32),
    "compiled bfloat16": Mode(
        {"precision": "bfloat16", "compile": "on", "batch_size": 12}, BFLOAT16
    ),
}

# Only where there is such a device.
ON_CUDA = {
    "CUDA": Mode({"device": "cuda"}, ROUNDING),
    "CUDA, seven pairs": Mode({"device": "cuda", "batch_size": 7}, ROUNDING),
    "CUDA float32": Mode({"device": "cuda", "precision": "float32"}, FLOAT32),
    "CUDA tf32": Mode({"device": "cuda", "precision": "tf32"}, TF32),
    "CUDA bfloat16": Mode({"device": "cuda", "precision": "bfloat16"}, BFLOAT16),
}
COMPILED_ON_CUDA = {
    f"compiled {name}": Mode({**mode.options, "compile": "on", "batch_size": 12}, mode.tolerance)
    for name, mode in ON_CUDA.items()
    if "batch_size" not in mode.options
}
if torch.cuda.is_available():
    EAGER |= ON_CUDA
    COMPILED |= COMPILED_ON_CUDA
MODES = EAGER | COMPILED


def options_of(mode: str) -> dict[str, object]:
    """Return all options of a mode; without others it is float64, on the CPU and rule by rule."""
    return {"precision": "float64", "compile": "off", "device": "cpu", **MODES[mode].options}
