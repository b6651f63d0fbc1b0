"""In-silico mutagenesis: what the target becomes with each other base at each position."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.methods.local_plan import Plan
from seqlift.deeplift.methods.local_windows import Rows
from seqlift.deeplift.methods.locality import make_plan, predict_substituted, run_unchanged
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.replay import predict

__all__ = ["mutagenesis"]

SUBSTITUTIONS = 3  # at each position


def mutagenesis(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute f(x with a base) − mean over the four bases, for each base and position.

    The score of the base that is there is so what it adds over the mean of all four.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    one_hot : Tensor, shape (region, base=4, position)
        Positions without a base stay without one, and get zeros.
    references : Tensor, shape (region, reference, base=4, position)
        Only their predictions are taken.
    options : MethodOptions
        `rows` is used.

    Returns
    -------
    Multipliers
        The same for each reference.

    References
    ----------
    Zhou & Troyanskaya 2015, Nature Methods 12:931, in-silico saturated mutagenesis; centred over
    the bases as in tangermeme's saturation_mutagenesis. How it is made quick: see `locality.py`.
    """
    with torch.no_grad():
        plan = make_plan(graph, one_hot[:1])
        # As many regions together as fill the model with their substitutions.
        n_together = max(1, options.rows // (SUBSTITUTIONS * one_hot.shape[2]))
        groups = [_scored(plan, group, options.rows) for group in torch.split(one_hot, n_together)]
        scores, predictions = (torch.cat(parts) for parts in zip(*groups, strict=True))
        at_references = predict(graph, references.flatten(0, 1), options.rows)
    return Multipliers(
        scores.unsqueeze(1).expand(references.shape).contiguous(),
        predictions,
        at_references.reshape(references.shape[:2]),
    )


def _scored(plan: Plan, one_hot: Tensor, at_once: int) -> tuple[Tensor, Tensor]:
    """Return scores (region, base, position) and predictions of a group of regions."""
    unchanged = run_unchanged(plan, one_hot)
    is_base = one_hot.any(1, keepdim=True)
    is_other = (is_base & (one_hot == 0)).transpose(1, 2)
    region, position, base = is_other.nonzero(as_tuple=True)
    columns = torch.eye(4, dtype=one_hot.dtype, device=one_hot.device)[base]
    predictions = [
        predict_substituted(plan, unchanged, Rows(*rows), letters)
        for *rows, letters in zip(
            *(torch.split(each, at_once) for each in (region, position, columns)), strict=True
        )
    ]
    # Differences from the unchanged sequence: the mean of those is exact to more digits.
    change = torch.zeros_like(one_hot)
    if predictions:
        change[region, base, position] = torch.cat(predictions) - unchanged.prediction[region]
    return (change - change.mean(1, keepdim=True)) * is_base, unchanged.prediction
