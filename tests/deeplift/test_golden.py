"""Values that anyone can derive by hand, most of them from the paper."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlift.deeplift.interpreter import multipliers
from seqlift.model.capture import capture
from seqlift.model.targets import select_target


def explained(model: nn.Module, x, reference=None, target: int = 0):
    """Return multipliers and contributions of a (4, position) input, by default against zero."""
    x = torch.tensor(x, dtype=torch.float64)
    reference = torch.zeros_like(x) if reference is None else torch.tensor(reference).double()
    graph = select_target(capture(model.double(), x.shape[1]), target).graph
    found = multipliers(graph, x[None], reference[None, None])
    return found.multipliers[0, 0], found.multipliers[0, 0] * (x - reference)


class OppositeRows(nn.Module):
    """Four inputs to two, w₂ = −w₁, biases −1 and 1, then ReLU, summed."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 2)
        with torch.no_grad():
            self.dense.weight.copy_(torch.tensor([[1.0, 2, 3, 4], [-1, -2, -3, -4]]))
            self.dense.bias.copy_(torch.tensor([-1.0, 1]))

    def forward(self, x):
        return torch.relu(self.dense(x.flatten(1)))


@pytest.mark.parametrize(
    ("value", "slope_up", "slope_down"),
    [
        # x·w₁ = 10: the first goes from −1 to 9, so ReLU from 0 to 9: 9/10. The second goes from
        # 1 to −9, so ReLU from 1 to 0: 1/10.
        (1.0, 9 / 10, 1 / 10),
        # x·w₁ = 20: −1 to 19 and 1 to −19.
        (2.0, 19 / 20, 1 / 20),
    ],
)
def test_rescale_of_a_dense_layer(value, slope_up, slope_down):
    weight = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    x = np.full((4, 1), value)
    up, _ = explained(OppositeRows(), x, target=0)
    down, _ = explained(OppositeRows(), x, target=1)
    torch.testing.assert_close(up[:, 0], slope_up * weight, rtol=1e-14, atol=0)
    torch.testing.assert_close(down[:, 0], slope_down * -weight, rtol=1e-14, atol=0)


class Saturating(nn.Module):
    """y = min(1, i₁ + i₂), written y = 1 − relu(1 − i₁ − i₂)."""

    def forward(self, x):
        total = x[:, 0].sum(-1) + x[:, 1].sum(-1)
        return 1 - torch.relu(1 - total)


def test_saturation():
    """Both inputs at 1: the gradient is zero, yet each contributes half (2017, figure 1)."""
    _, contributions = explained(Saturating(), [[1.0], [1.0], [0.0], [0.0]])
    assert contributions[:, 0].tolist() == [0.5, 0.5, 0, 0]


class Threshold(nn.Module):
    """y = max(0, x − 10)."""

    def forward(self, x):
        return torch.relu(x[:, 0].sum(-1) - 10)


@pytest.mark.parametrize(("x", "expected"), [(10 + 2.0**-20, 2.0**-20), (11.0, 1.0), (9.0, 0.0)])
def test_thresholding(x, expected):
    """The contribution grows from zero without a jump: x − 10 (2017, figure 2)."""
    _, contributions = explained(Threshold(), [[x], [0.0], [0.0], [0.0]])
    assert contributions[0, 0] == pytest.approx(expected, rel=1e-9)


class Product(nn.Module):
    def forward(self, x):
        return x[:, 0].sum(-1) * x[:, 1].sum(-1)


def test_two_factors_share_their_interaction():
    """3·5 against 1·2: Δ = 13 = 2·(5 + 2)/2 + 3·(3 + 1)/2 = 7 + 6."""
    _, contributions = explained(
        Product(), [[3.0], [5.0], [0.0], [0.0]], [[1.0], [2.0], [0.0], [0.0]]
    )
    assert contributions[:2, 0].tolist() == [7, 6]


class GlobalMaximum(nn.Module):
    def forward(self, x):
        return x[:, 0].amax(-1)


@pytest.mark.parametrize(
    ("x", "reference", "expected"),
    [
        # The maximum rises from 2 to 3: the winner at the sequence earns it.
        ([3.0, 1.0], [0.0, 2.0], [1, 0]),
        # It falls from 3 to 1: the winner at the reference lost it.
        ([1.0, 0.0], [0.0, 3.0], [0, -2]),
        # One winner, at both.
        ([5.0, 1.0], [4.0, 0.0], [1, 0]),
    ],
)
def test_a_maximum_goes_to_the_winner(x, reference, expected):
    blank = [[0.0, 0.0]] * 3
    _, contributions = explained(GlobalMaximum(), [x, *blank], [reference, *blank])
    assert contributions[0].tolist() == expected


class OneWindow(nn.Module):
    """The same by windows that may overlap."""

    def forward(self, x):
        return nn.functional.max_pool1d(x[:, :1], 2, 1)[:, 0, 0]


@pytest.mark.parametrize("model", [GlobalMaximum(), OneWindow()])
@pytest.mark.parametrize("step", [0.0, 4.5e-16, -4.5e-16, 1e-9, -1e-9])
def test_a_winner_that_hardly_changes_earns_as_little_as_one_that_changes_more(model, step):
    """2 + step wins, but the reference has a 3 elsewhere: the maximum falls whatever step is."""
    blank = [[0.0, 0.0]] * 3
    found, _ = explained(model, [[2 + step, 1.0], *blank], [[2.0, 3.0], *blank])
    assert found[0, 0] == 0
    assert found[0, 1] == pytest.approx(1 / 2)


class SumOfTwoWindows(nn.Module):
    def forward(self, x):
        return nn.functional.max_pool1d(x[:, :1], 2, 1).sum((1, 2))


def test_a_position_that_wins_two_windows_earns_both():
    """The windows (0, 1) and (1, 2) both rise from 0 to 4, through position 1."""
    blank = [[0.0, 0.0, 0.0]] * 3
    found, contributions = explained(SumOfTwoWindows(), [[1.0, 4.0, 2.0], *blank])
    assert contributions[0].tolist() == [0, 8, 0]
    assert found[0, 1] == 2


class TwoClasses(nn.Module):
    def forward(self, x):
        return torch.stack([x[:, 0].sum(-1), x[:, 1].sum(-1)], 1).softmax(1)[:, 0] * 1.0


def test_softmax_of_two_equal_rises_does_not_change():
    """Both logits rise by 1, so Δ = 0: what one gives the other takes."""
    _, contributions = explained(TwoClasses(), [[1.0], [1.0], [0.0], [0.0]])
    one, other = contributions[:2, 0].tolist()
    assert one == pytest.approx(-other, abs=1e-15)
    # exp(x − L) against exp(r − L₀): Δ(x − L) = 0, so its slope is ½ and the shares ±½·½.
    assert one == pytest.approx(1 / 4)
