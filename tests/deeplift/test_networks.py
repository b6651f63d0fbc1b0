"""Whole networks against the literal chain of matrices, and the fast convolution against the plain.

The engine walks backwards through two lanes with autograd; the oracle multiplies full matrices.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply
from seqlift.explain import Explainer
from tests.helpers import with_shuffles
from tests.modes import EAGER, MODES, options_of
from tests.oracle import deeplift as oracle

LENGTH = 12
aten = torch.ops.aten


def array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().double().numpy()


def batch_norm(layer: nn.BatchNorm1d, length: int) -> oracle.Step:
    scale = array(layer.weight) / np.sqrt(array(layer.running_var) + layer.eps)
    shift = array(layer.bias) - scale * array(layer.running_mean)
    return oracle.affine(np.diag(np.repeat(scale, length)), np.repeat(shift, length))


def max_pool(layer: nn.MaxPool1d, shape: tuple[int, ...]) -> oracle.Step:
    windows = oracle.windows_along(
        shape[1], layer.kernel_size, layer.stride, layer.padding, layer.dilation
    )
    return oracle.maximum(oracle.windows_over(shape, [windows]))


def layer_norm(layer: nn.LayerNorm) -> oracle.Step:
    return oracle.Step(
        lambda x: (x - x.mean()) / np.sqrt(x.var() + layer.eps),
        lambda x, r: oracle.layer_norm(x, r, layer.eps),
    )


SOFTMAX = oracle.Step(lambda x: np.exp(x) / np.exp(x).sum(), oracle.softmax)
SAME = oracle.Step(lambda x: x, lambda x, r: np.eye(len(x)))


def as_step(layer: nn.Module, shape: tuple[int, ...]) -> oracle.Step:
    """Write a layer on values of one shape as the oracle has it."""
    if type(layer) in ACTIVATIONS:
        return oracle.element_wise(ACTIVATIONS[type(layer)])
    makers = {
        nn.Conv1d: lambda: oracle.convolution(
            array(layer.weight), array(layer.bias), shape[1], *layer.stride, *layer.padding
        ),
        nn.Linear: lambda: oracle.affine(array(layer.weight), array(layer.bias)),
        nn.BatchNorm1d: lambda: batch_norm(layer, shape[1]),
        nn.MaxPool1d: lambda: max_pool(layer, shape),
        nn.LayerNorm: lambda: layer_norm(layer),
        nn.Softmax: lambda: SOFTMAX,
        nn.Flatten: lambda: SAME,
    }
    return makers[type(layer)]()


ACTIVATIONS = {
    nn.ReLU: lambda x: max(x, 0.0),
    nn.Tanh: math.tanh,
    nn.ELU: lambda x: x if x > 0 else math.expm1(x),
    nn.GELU: lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))),
    nn.Sigmoid: lambda x: 1 / (1 + math.exp(-x)),
}

NETWORKS = {
    "convolution, ReLU, dense": lambda: [
        nn.Conv1d(4, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 1),
    ],
    "overlapping max-pools": lambda: [
        nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(3, 2, 1), nn.Conv1d(3, 3, 2), nn.Tanh(),
        nn.MaxPool1d(2, 1), nn.Flatten(), nn.Linear(9, 1),
    ],
    "two max-pools at once": lambda: [
        nn.Conv1d(4, 2, 3), nn.MaxPool1d(3, 1, dilation=2), nn.MaxPool1d(3, 1), nn.Flatten(),
        nn.Linear(8, 4), nn.ELU(), nn.Linear(4, 1),
    ],
    "batch norm, strides": lambda: [
        nn.Conv1d(4, 4, 4, stride=2), nn.BatchNorm1d(4), nn.GELU(), nn.Conv1d(4, 2, 2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 1), nn.Sigmoid(),
    ],
    "layer norm, softmax": lambda: [
        nn.Conv1d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(20, elementwise_affine=False),
        nn.Linear(20, 4), nn.Softmax(1), nn.Linear(4, 1),
    ],
}  # fmt: skip


def network(name: str) -> nn.Sequential:
    model = nn.Sequential(*NETWORKS[name]()).double()
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return model.train(False)


def steps_of(model: nn.Sequential) -> list[oracle.Step]:
    shape, steps = (4, LENGTH), []
    for layer in model:
        steps.append(as_step(layer, shape))
        shape = tuple(layer(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:])
    return steps


@pytest.mark.parametrize("name", NETWORKS)
def test_multipliers_of_a_network_are_those_of_the_chain_of_matrices(name):
    """On random numbers, not one-hot: equal letters would tie for the maximum."""
    model = network(name)
    sequences = torch.rand(3, 4, LENGTH, dtype=torch.float64)
    references = torch.rand(3, 4, 4, LENGTH, dtype=torch.float64)
    explained = Explainer(
        model, length=LENGTH, precision="float64", device="cpu", target_activation="keep"
    )
    found = explained.contribute(sequences, references, keep_multipliers=True)
    steps = steps_of(model)
    for i, x in enumerate(sequences.numpy()):
        expected = []
        for j, r in enumerate(references[i].numpy()):
            y, y0, matrix = oracle.through(steps, x.ravel(), r.ravel())
            matrix = matrix.reshape(4, LENGTH)
            np.testing.assert_allclose(found.multipliers[i, j], matrix, rtol=1e-9, atol=1e-12)
            assert found.delta[i, j] == pytest.approx(y[0] - y0[0], abs=1e-12)
            # Hypothetical contributions: what each base would get, less what the reference has.
            expected.append(matrix - (matrix * r).sum(0))
        hypothetical = np.mean(expected, 0)
        np.testing.assert_allclose(found.hypothetical[i], hypothetical, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.scores[i], hypothetical * x, rtol=1e-9, atol=1e-12)


PLAIN, POOLED = "convolution, ReLU, dense", "overlapping max-pools"
# Rounded to bfloat16, another value may be the largest of a window.
IN_MODES = [
    pytest.param(mode, name, marks=pytest.mark.gpu if "CUDA" in mode else ())
    for name in (PLAIN, POOLED)
    for mode in (MODES if name == PLAIN else EAGER)
    if name == PLAIN or not ("bfloat16" in mode or "tf32" in mode)
]


@pytest.mark.parametrize(("mode", "name"), IN_MODES)
def test_in_every_mode(mode, name):
    model = network(name)
    sequences = torch.rand(3, 4, LENGTH, dtype=torch.float64)
    references = torch.rand(3, 4, 4, LENGTH, dtype=torch.float64)
    explained = Explainer(model, length=LENGTH, target_activation="keep", **options_of(mode))
    found = explained.contribute(sequences, references, keep_multipliers=True)
    steps = steps_of(model)
    for i, j in ((0, 0), (1, 3), (2, 2)):
        x, r = (value.numpy().ravel() for value in (sequences[i], references[i, j]))
        matrix = torch.from_numpy(oracle.through(steps, x, r)[2].reshape(4, LENGTH))
        far = (found.multipliers[i, j].cpu().double() - matrix).abs().max()
        assert far <= MODES[mode].tolerance * matrix.abs().max()


def test_scores_of_one_hot_sequences_are_multiplier_times_difference():
    """The paper's contribution, Σ_base m·(x − r), is the score at the base that is there."""
    one_hot, references = with_shuffles(3, 4, length=LENGTH)
    explained = Explainer(
        network("convolution, ReLU, dense"), length=LENGTH, precision="float64", device="cpu"
    )
    found = explained.contribute(one_hot, references, keep_multipliers=True)
    differences = one_hot[:, None].double() - references.double()
    expected = (differences * found.multipliers).sum(2).mean(1)
    torch.testing.assert_close(found.scores.sum(1), expected, rtol=1e-12, atol=1e-15)
    assert (found.scores[one_hot == 0] == 0).all()


CONVOLUTIONS = [  # channels in and out, width; stride, padding, dilation, groups
    ((4, 6, 5), ([1], [0], [1], 1)),
    ((4, 6, 5), ([1], [2], [1], 1)),
    ((6, 6, 3), ([1], [4], [4], 1)),
    ((6, 6, 3), ([1], [1], [4], 1)),
    ((6, 1, 1), ([1], [0], [1], 1)),
    ((6, 4, 4), ([1], [3], [1], 1)),
    ((6, 4, 3), ([1], [5], [1], 1)),  # more padding than the kernel reaches
    ((6, 4, 3), ([2], [1], [1], 1)),
    ((6, 6, 3), ([1], [1], [1], 3)),
]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("sizes", "settings"), CONVOLUTIONS)
def test_float32_convolutions_are_those_of_float64(sizes, settings, has_bias):
    """Where float32 takes a way of its own, it is the same operator and the same transpose."""
    n_in, n_out, width = sizes
    weight = torch.randn(n_out, n_in // settings[-1], width)
    bias = torch.randn(n_out) if has_bias else None
    value = Lanes(torch.randn(2, n_in, 21), torch.randn(6, n_in, 21))

    def run(dtype, cotangent=None):
        reference = value.reference.to(dtype).requires_grad_()
        lanes = Lanes(value.sequence.to(dtype), reference)
        constants = (weight.to(dtype), None if bias is None else bias.to(dtype))
        after = apply(aten.conv1d.default, lanes, *constants, *settings)
        cotangent = torch.randn(after.reference.shape) if cotangent is None else cotangent
        (found,) = torch.autograd.grad(after.reference, reference, cotangent.to(dtype))
        return [after.sequence, after.reference.detach(), found], cotangent

    found, cotangent = run(torch.float32)
    expected, _ = run(torch.float64, cotangent)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=0, atol=3e-5)
