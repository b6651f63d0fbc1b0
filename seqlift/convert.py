"""Any model as a ``.pt2`` program without classes of the user's, checked to predict the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.coverage import operator_table
from seqlift.deeplift.rulesets import assign
from seqlift.errors import ModelError, ShapeError
from seqlift.model.capture import Captured, capture, export, fixed_length, predict
from seqlift.model.load import LoadedModel, load_model
from seqlift.model.options import ModelOptions
from seqlift.model.quiet import quiet
from seqlift.output.atomic import whole_file, write_errors

__all__ = ["Converted", "convert"]

# Rows that the check predicts: random bases, and one of N alone.
ROWS = 4
# Of the largest output; both run the same operators, but maybe in another layout.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9, torch.float16: 1e-2, torch.bfloat16: 5e-2}


class Converted(NamedTuple):
    """What became of a model.

    Attributes
    ----------
    format : str
        What it was.
    length : int
        Positions that the program takes.
    outputs : tuple of str
    largest_difference : float
        Between the predictions of the two, of the largest.
    uncovered : tuple of str
        Operators without a rule.
    """

    format: str
    length: int
    outputs: tuple[str, ...]
    largest_difference: float
    uncovered: tuple[str, ...]


def convert(
    source: str,
    output: str,
    *,
    weights: str | None = None,
    options: ModelOptions | None = None,
    force: bool = False,
) -> Converted:
    """Write a model as a program that takes a sequence (row, base=4, position) alone.

    Parameters
    ----------
    source, weights
        See `seqlift.model.load.load_model`.
    output : str
        A ``.pt2`` file.
    options : ModelOptions or None
    force : bool
        Replace a file that exists.

    Returns
    -------
    Converted

    Raises
    ------
    ModelError
        If it cannot be loaded or captured, or what was written predicts something else; then
        nothing is left behind.
    OutputError
    """
    options = options or ModelOptions()
    with whole_file(output, force=force) as path:
        loaded = options.load_one(source, weights)
        length = options.length or fixed_length(loaded.model, loaded.form)
        if length is None:
            raise ShapeError("the model does not say how many positions it takes; give --length")
        program = export(loaded.model, length, loaded.form)
        with write_errors(Path(output)), quiet():
            with path.open("wb") as file:
                torch.export.save(program, file)
        again = load_model(path)
        after = capture(again.model, length, again.form)
        difference = _largest_difference(loaded, after, length)
        if not difference <= TOLERANCE.get(after.dtype, 1e-5):
            raise ModelError(
                f"the program predicts something else than {source} (off by {difference:.2g} of "
                "the largest output), so it is not kept; the model may draw random numbers"
            )
        table = operator_table(after.graph.graph, assign(after.graph.graph, "rescale"))
    uncovered = dict.fromkeys(use.operator for use in table if use.problem)
    return Converted(loaded.format, length, after.outputs, difference, tuple(uncovered))


def _largest_difference(loaded: LoadedModel, captured: Captured, length: int) -> float:
    """Hold the predictions of a program against those of the model itself."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(0, 4, (ROWS, length), generator=generator)
    rows = torch.nn.functional.one_hot(letters, 4).transpose(1, 2).to(captured.dtype)
    rows[-1] = 0
    before = predict(loaded.model, rows, loaded.form)
    with torch.no_grad():
        after = [leaf for leaf in captured.graph(rows) if isinstance(leaf, Tensor)]
    sizes = [
        (float((a - b).abs().max()), float(a.abs().max()))
        for a, b in zip(before, after, strict=True)
        if a.numel()
    ]
    return max((off / max(size, 1e-30) for off, size in sizes if off), default=0.0)
