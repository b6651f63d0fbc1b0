"""Occlusion: what the target loses when a window of the sequence becomes the reference's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, fx

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.replay import predict

__all__ = ["occlusion"]


def occlusion(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute f(x) − f(x with the reference in a window), mean over the windows of each base.

    Windows start every `stride` bases from the first; the last may reach past the end, and a
    window longer than the sequence is all of it. There are no hypothetical scores: what another
    base would get is not asked, so multipliers are zero but for the base that is there.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    one_hot : Tensor, shape (region, base=4, position)
        Positions without a base stay without one in all windows.
    references : Tensor, shape (region, reference, base=4, position)
    options : MethodOptions
        `window`, `stride` and `rows` are used.

    Returns
    -------
    Multipliers

    References
    ----------
    Zeiler & Fergus 2013, arXiv:1311.2901, section 4.2; windows and their mean as in captum.
    """
    is_base = one_hot.any(1)[:, None, None]
    sequences = one_hot.repeat_interleave(references.shape[1], 0)
    replacements = (references * is_base).flatten(0, 1)
    pairs = zip(
        torch.split(sequences, options.rows), torch.split(replacements, options.rows), strict=True
    )
    occluded = torch.cat([_occluded(graph, *pair, options) for pair in pairs], 1)
    prediction = predict(graph, one_hot, options.rows)
    losses = prediction.repeat_interleave(references.shape[1]) - occluded
    track = _mean_over_windows(losses.T, one_hot.shape[2], options)
    return Multipliers(
        track.reshape(*references.shape[:2], 1, -1) * one_hot.unsqueeze(1),
        prediction,
        predict(graph, references.flatten(0, 1), options.rows).reshape(references.shape[:2]),
    )


def _occluded(
    graph: fx.GraphModule, sequences: Tensor, replacements: Tensor, options: MethodOptions
) -> Tensor:
    """Return the target with each window replaced, shape (window, pair)."""
    length = sequences.shape[2]
    positions = torch.arange(length, device=sequences.device)
    n_windows = 1 + max(0, math.ceil((length - options.window) / options.stride))
    starts = options.stride * torch.arange(n_windows, device=sequences.device)
    found = []
    for some in torch.split(starts, max(1, options.rows // len(sequences))):
        behind = positions - some[:, None, None, None]
        rows = torch.where((behind >= 0) & (behind < options.window), replacements, sequences)
        predictions = predict(graph, rows.flatten(0, 1), options.rows)
        found.append(predictions.reshape(len(some), -1))
    return torch.cat(found)


def _mean_over_windows(losses: Tensor, length: int, options: MethodOptions) -> Tensor:
    """Turn (pair, window) into (pair, position)."""
    covered = (1, (losses.shape[1] - 1) * options.stride + options.window)

    def spread(values: Tensor) -> Tensor:
        over_window = values.unsqueeze(1).expand(-1, options.window, -1)
        folded = F.fold(over_window, covered, (1, options.window), stride=(1, options.stride))
        return folded.reshape(-1, covered[1])[:, :length]

    return spread(losses) / spread(torch.ones_like(losses[:1]))
