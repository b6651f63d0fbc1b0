"""Any model as a ``.pt2`` program without classes of the user's, checked to predict the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from seqlift.deeplift.coverage import operator_table
from seqlift.deeplift.rulesets import assign
from seqlift.errors import ModelError, ShapeError
from seqlift.model.capture import capture, export, fixed_length
from seqlift.model.load import load_model
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
            # Torch writes to names that end so.
            written = path.with_name(f"{path.name}.pt2")
            torch.export.save(program, written)
            written.replace(path)
        again = load_model(path)
        before, after = (
            capture(m, length, f)
            for m, f in ((loaded.model, loaded.form), (again.model, again.form))
        )
        difference = _largest_difference(before.graph, after.graph, length, before.dtype)
        if not difference <= TOLERANCE.get(before.dtype, 1e-5):
            raise ModelError(
                f"the program predicts something else than {source} (off by {difference:.2g} of "
                "the largest output), so it is not kept; the model may draw random numbers"
            )
        table = operator_table(after.graph.graph, assign(after.graph.graph, "rescale"))
    uncovered = dict.fromkeys(use.operator for use in table if use.problem)
    return Converted(loaded.format, length, after.outputs, difference, tuple(uncovered))


def _largest_difference(
    before: fx.GraphModule, after: fx.GraphModule, length: int, dtype: torch.dtype
) -> float:
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(0, 4, (ROWS, length), generator=generator)
    rows = torch.nn.functional.one_hot(letters, 4).transpose(1, 2).to(dtype)
    rows[-1] = 0
    with torch.no_grad():
        found = [_tensors(graph(rows)) for graph in (before, after)]
    sizes = [
        (float((a - b).abs().max()), float(a.abs().max()))
        for a, b in zip(*found, strict=True)
        if a.numel()
    ]
    return max((off / max(size, 1e-30) for off, size in sizes if off), default=0.0)


def _tensors(outputs: Any) -> list[Tensor]:  # noqa: ANN401
    return [leaf.double() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
