"""What the table says of each method, what options allow, and laws over the zoo."""

import inspect

import pytest
import torch

from seqlift.deeplift.methods import METHODS, MethodOptions
from seqlift.errors import UsageError
from tests.deeplift.methods.nets import (
    assert_close,
    graph_named,
    sequences,
    zeros_for,
)
from tests.helpers import model, with_shuffles, zoo_graph

QUICK = MethodOptions(steps=3, window=9, stride=8, rows=64)

methods = pytest.mark.parametrize("method", METHODS)


def references_for(method, one_hot, references):
    return references if METHODS[method].uses_references else zeros_for(one_hot)


# --- the table ------------------------------------------------------------------------------------


@methods
def test_a_method_is_described_in_one_line_and_has_a_source(method):
    described = METHODS[method]
    assert 0 < len(described.description) <= 80
    assert "\n" not in described.description
    assert any(year in described.source for year in ("2013", "2014", "2015", "2016", "2017"))


@methods
def test_a_method_that_compares_uses_references(method):
    described = METHODS[method]
    assert described.uses_references or not described.compares
    assert described.compares or not described.sums_to_delta


@methods
def test_a_method_uses_references_if_it_says_so(method):
    one_hot, references = sequences()
    graph = graph_named("pooled")
    found = METHODS[method].run(graph, one_hot, references, QUICK).multipliers
    differs = bool((found != found[:, :1]).any())
    assert differs == METHODS[method].uses_references


@methods
def test_scores_sum_to_delta_if_a_method_says_so(method):
    """Measured where nothing sums by accident: a smooth network, and few steps."""
    described = METHODS[method]
    one_hot, references = sequences()
    references = references_for(method, one_hot, references)
    found = described.run(graph_named("smooth"), one_hot, references, QUICK)
    baseline = references if described.compares else 0
    total = ((one_hot.unsqueeze(1) - baseline) * found.multipliers).sum((2, 3))
    delta = found.prediction.unsqueeze(1) - found.prediction_reference
    sums = bool((total - delta).abs().max() < 1e-9 * delta.abs().max())
    assert sums == described.sums_to_delta


@methods
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_type_and_the_shapes_of_the_input(method, dtype, device):
    one_hot, references = (part.to(device, dtype) for part in with_shuffles(3, 4))
    graph = zoo_graph("multi-head attention", dtype, device)  # folds the batch
    given = references_for(method, one_hot, references)
    found = METHODS[method].run(graph, one_hot, given, QUICK)
    assert found.multipliers.shape == given.shape
    assert found.prediction.shape == (3,)
    assert found.prediction_reference.shape == given.shape[:2]
    assert {(part.dtype, part.device.type) for part in found} == {(dtype, device)}
    assert not any(part.requires_grad for part in found)


@methods
def test_the_callers_gradient_mode_does_not_matter(method):
    one_hot, references = sequences()
    references = references_for(method, one_hot, references)
    graph = graph_named("mixed")
    expected = METHODS[method].run(graph, one_hot, references, QUICK)
    with torch.no_grad():
        found = METHODS[method].run(graph, one_hot, references, QUICK)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", inspect.signature(MethodOptions).parameters)
def test_an_option_below_one_is_refused(name):
    with pytest.raises(UsageError, match=f"^{name} 0 is not at least 1$"):
        MethodOptions(**{name: 0})


def test_a_stride_that_skips_bases_is_refused():
    with pytest.raises(UsageError, match=r"^stride 6 is longer than the window of 5 bp"):
        MethodOptions(window=5, stride=6)
    assert MethodOptions(window=5, stride=5).stride == 5


# --- laws over models of the zoo, one of each kind ------------------------------------------------

SOME = [
    "F.relu",
    "gelu",
    "x**3",
    "one ReLU five times",
    "tanh*sigmoid gate",
    "squeeze-excite",
    "ratio",
    "dense block",
    "max-pool overlap",
    "lp-pool",
    "batch norm",
    "layer norm",
    "softmax positions",
    "attention pooling",
    "transformer encoder layer",
    "LSTM last state",
    "conv2d max-pool",
    "siamese in one batch",
]

some = pytest.mark.parametrize("name", SOME)


@some
def test_the_gradient_is_the_original_modules(name):
    one_hot = with_shuffles()[0].double()
    found = METHODS["gradient-input"].run(zoo_graph(name), one_hot, zeros_for(one_hot), QUICK)
    source = one_hot.clone().requires_grad_()
    prediction = model(name)(source)[:, 0]
    (expected,) = torch.autograd.grad(prediction.sum(), source)
    assert_close(found.multipliers[:, 0], expected, 1e-11)
    assert_close(found.prediction, prediction.detach())


@some
def test_a_region_is_scored_the_same_in_any_company_and_order(name):
    one_hot, references = (part.double() for part in with_shuffles(3, 2))
    order = [2, 0]
    for method, described in METHODS.items():
        given = references_for(method, one_hot, references)
        together = described.run(zoo_graph(name), one_hot, given, QUICK)
        found = described.run(zoo_graph(name), one_hot[order], given[order], QUICK)
        assert together.multipliers.isfinite().all(), method
        for some_of_them, all_of_them in zip(found, together, strict=True):
            assert_close(some_of_them, all_of_them[order], 1e-10)
