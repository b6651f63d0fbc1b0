"""Integrated gradients: the mean derivative on the straight line from reference to sequence."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, fx

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.replay import differentiate, predict

__all__ = ["gauss_legendre", "integrated_gradients"]


@functools.cache
def gauss_legendre(steps: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of Gauss-Legendre quadrature on the unit interval.

    Parameters
    ----------
    steps : int
        At least 1.

    Returns
    -------
    nodes : float64 Tensor, shape (step,), ascending
    weights : float64 Tensor, shape (step,), of sum 1
        Exact for polynomials up to degree 2·steps − 1.

    References
    ----------
    Golub & Welsch 1969, Math. Comp. 23:221: nodes are the eigenvalues of the Jacobi matrix.
    """
    k = torch.arange(1, steps, dtype=torch.float64)
    beside = k / (4 * k * k - 1).sqrt()
    values, vectors = torch.linalg.eigh(beside.diag(1) + beside.diag(-1))
    return (1 + values) / 2, vectors[0].square()


def integrated_gradients(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute ∫₀¹ ∂f/∂x at r + t·(x − r) dt for every reference r.

    The sum over (x − r)·m tends to delta as steps grow; with few it misses.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    one_hot : Tensor, shape (region, base=4, position)
    references : Tensor, shape (region, reference, base=4, position)
    options : MethodOptions
        `steps` and `rows` are used.

    Returns
    -------
    Multipliers

    References
    ----------
    Sundararajan et al. 2017, arXiv:1703.01365, section 3; Gauss-Legendre nodes as in captum.
    """
    starts = references.flatten(0, 1)
    ends = one_hot.repeat_interleave(references.shape[1], 0)
    lines = zip(torch.split(starts, options.rows), torch.split(ends, options.rows), strict=True)
    found = torch.cat([_mean_gradient(graph, start, end, options) for start, end in lines])
    return Multipliers(
        found.reshape(references.shape),
        predict(graph, one_hot, options.rows),
        predict(graph, starts, options.rows).reshape(references.shape[:2]),
    )


def _mean_gradient(
    graph: fx.GraphModule, start: Tensor, end: Tensor, options: MethodOptions
) -> Tensor:
    """Return the mean derivative on each of some lines; as many steps at once as fit."""
    nodes, weights = (part.to(start)[:, None, None, None] for part in gauss_legendre(options.steps))
    at_once = max(1, options.rows // len(start))
    total = torch.zeros_like(start)
    parts = zip(torch.split(nodes, at_once), torch.split(weights, at_once), strict=True)
    for node, weight in parts:
        points = start + node * (end - start)  # (step, line, base, position)
        found, _ = differentiate(graph, points.flatten(0, 1), options.rows)
        total += (weight * found.reshape(points.shape)).sum(0)
    return total
