"""Fewer multiplications, or several positions at once: the same convolution."""

import pytest
import torch

from seqlift.deeplift.rules import convolution as module
from seqlift.deeplift.rules.convolution import convolution
from seqlift.deeplift.rules.winograd import convolve_winograd


def case(n_in, n_out, width, length, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, n_in, length, generator=generator, dtype=dtype)
    weight = torch.randn(n_out, n_in, width, generator=generator, dtype=dtype)
    return value, weight, torch.randn(n_out, generator=generator, dtype=dtype)


@pytest.mark.parametrize("length", [9, 16, 17, 30])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 1), (2, 1), (3, 4), (8, 4)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_winograd_is_the_convolution(length, padding, dilation, with_bias):
    value, weight, bias = case(5, 7, 3, length)
    bias = bias if with_bias else None
    expected = torch.conv1d(value, weight, bias, padding=padding, dilation=dilation)
    found = convolve_winograd(value, weight, bias, padding, dilation)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_winograd_is_good_to_a_few_roundings():
    value, weight, _ = case(256, 256, 3, 40, torch.float32)
    expected = torch.conv1d(value.double(), weight.double(), padding=1)
    error = (convolve_winograd(value, weight, None, 1, 1) - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("n_out", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize(("width", "padding"), [(7, 0), (7, 3), (21, 10), (3, 1)])
@pytest.mark.parametrize("length", [24, 25, 30])
def test_narrow_convolutions_compute_several_positions_at_once(n_out, width, padding, length):
    value, weight, bias = case(6, n_out, width, length, torch.float32)
    expected = torch.conv1d(value, weight, bias, padding=padding)
    torch.testing.assert_close(
        convolution(value, weight, bias, padding=(padding,)), expected, rtol=1e-5, atol=1e-5
    )


def test_positions_are_computed_together_where_a_register_would_be_half_empty():
    assert module._is_narrow(torch.zeros(4, 64, 21)), "the way back to the bases"
    assert not module._is_narrow(torch.zeros(64, 4, 21))
    assert not module._is_narrow(torch.zeros(4, 64, 1)), "nothing to share"
