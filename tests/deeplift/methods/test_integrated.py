"""Integrated gradients: quadrature, closed forms, and convergence to completeness."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from seqlift.deeplift.methods.integrated import gauss_legendre
from tests.deeplift.methods.nets import assert_close, graph_named, graph_of, run, sequences


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 50, 101])
def test_nodes_and_weights_are_those_of_numpy(steps):
    nodes, weights = gauss_legendre(steps)
    expected_nodes, expected_weights = np.polynomial.legendre.leggauss(steps)
    np.testing.assert_allclose(nodes, (1 + expected_nodes) / 2, rtol=0, atol=1e-14)
    np.testing.assert_allclose(weights, expected_weights / 2, rtol=0, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_polynomials_up_to_twice_the_steps_are_integrated_exactly(steps):
    nodes, weights = gauss_legendre(steps)
    degrees = range(2 * steps)
    found = [float((weights * nodes**d).sum()) for d in degrees]
    assert found == pytest.approx([1 / (d + 1) for d in degrees], rel=1e-13)


class Polynomial(nn.Module):
    """xᵀQx + Σ c x³ of the flattened sequence."""

    def __init__(self, length, cubic):
        super().__init__()
        self.q = nn.Parameter(torch.randn(4 * length, 4 * length, dtype=torch.float64))
        self.c = nn.Parameter(cubic * torch.randn(4 * length, dtype=torch.float64))

    def forward(self, x):
        x = x.flatten(1)
        return ((x @ self.q) * x).sum(1) + (x**3 * self.c).sum(1)


@pytest.mark.parametrize(("cubic", "steps"), [(0.0, 1), (0.0, 3), (1.0, 2), (1.0, 5)])
def test_polynomials_have_their_closed_form(cubic, steps):
    """Quadratic: (Q + Qᵀ)(x + r)/2, of one step. Cubic: c·(x² + x·r + r²), of two."""
    one_hot, references = sequences(length=8)
    references = 0.7 * references + 0.1
    model = Polynomial(8, cubic)
    found = run("integrated-gradients", graph_of(model, 8), one_hot, references, steps=steps)
    x, r = one_hot.unsqueeze(1).flatten(2), references.flatten(2)
    q, c = model.q.detach(), model.c.detach()
    expected = (x + r) / 2 @ (q + q.T) + c * (x * x + x * r + r * r)
    assert_close(found.multipliers.flatten(2), expected)


def completeness_error(found, one_hot, references):
    total = ((one_hot.unsqueeze(1) - references) * found.multipliers).sum((2, 3))
    delta = found.prediction.unsqueeze(1) - found.prediction_reference
    return float((total - delta).abs().max() / delta.abs().max())


def test_the_completeness_error_falls_with_steps():
    one_hot, references = sequences()
    graph = graph_named("smooth")
    errors = [
        completeness_error(
            run("integrated-gradients", graph, one_hot, references, steps=steps),
            one_hot,
            references,
        )
        for steps in (1, 2, 3, 6)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-2
    assert errors[-1] < 1e-7


@pytest.mark.parametrize("rows", [1, 3, 7, 40, 1000])
def test_rows_at_once_do_not_matter(rows):
    """12 pairs of 6 steps: 7 leaves a smaller last group of pairs, 40 one of steps."""
    one_hot, references = sequences(3, 4)
    graph = graph_named("pooled")
    expected = run("integrated-gradients", graph, one_hot, references, steps=6, rows=72)
    largest = []
    counted = _counting(graph, largest)
    found = run("integrated-gradients", counted, one_hot, references, steps=6, rows=rows)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
    assert max(largest) <= rows


def _counting(graph, seen):
    """Return a graph that writes down how many rows it is given."""

    def count(x):
        seen.append(x.shape[0])
        return x

    counted = copy.deepcopy(graph)
    first = next(node for node in counted.graph.nodes if node.op == "placeholder")
    with counted.graph.inserting_after(first):
        seen_first = counted.graph.call_function(count, (first,))
    first.replace_all_uses_with(seen_first, lambda user: user is not seen_first)
    counted.recompile()
    return counted
