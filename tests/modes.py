"""The ways of running a model, over which laws and oracles run."""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """Options of `Explainer`, and what they may change: scores and sums, over the largest."""

    options: dict[str, object]
    tolerance: float


ROUNDING = 1e-11
FLOAT32 = 1e-4
BFLOAT16 = 0.05

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
MODES = EAGER | COMPILED


def options_of(mode: str) -> dict[str, object]:
    """Return all options of a mode; without others it is float64, rule by rule."""
    return {"precision": "float64", "compile": "off", **MODES[mode].options}
