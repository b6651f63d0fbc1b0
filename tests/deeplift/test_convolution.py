"""The quick convolution is the plain one: same values, same multipliers, any shape of kernel."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply
from seqlift.deeplift.rules import convolution

KINDS = [
    # width, stride, padding, dilation, groups; the last ones take the plain way
    (5, 1, 2, 1, 1),
    (5, 1, 0, 1, 1),
    (4, 1, 3, 1, 1),
    (3, 1, 8, 8, 1),
    (3, 1, 5, 8, 1),
    (1, 1, 0, 1, 1),
    (3, 1, 4, 1, 1),
    (5, 2, 2, 1, 1),
    (5, 1, 2, 1, 2),
]


def multipliers(rule, lanes, cotangent):
    source = lanes.reference.detach().requires_grad_()
    found = rule(Lanes(lanes.sequence, source))
    return found.sequence, found.reference, torch.autograd.grad(found.reference, source, cotangent)


CHANNELS = 1, 8, 17, 40  # fewer than a register of floats holds, and more


@pytest.mark.parametrize(
    ("kind", "rows", "n_channels"), list(itertools.product(KINDS, (1, 3), CHANNELS))
)
def test_it_agrees_with_the_plain_operator(kind, rows, n_channels):
    width, stride, padding, dilation, groups = kind
    n_channels *= groups
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(n_channels, 6 // groups, width, generator=generator)
    bias = torch.randn(n_channels, generator=generator)
    lanes = Lanes(
        torch.randn(rows, 6, 40, generator=generator),
        torch.randn(rows * 4, 6, 40, generator=generator),
    )
    rest = (weight, bias, [stride], [padding], [dilation], groups)
    plain = F.conv1d(lanes.reference, weight, bias, stride, padding, dilation, groups)
    cotangent = torch.randn(plain.shape, generator=generator)

    def quick(value):
        return apply(torch.ops.aten.conv1d.default, value, *rest)

    def slow(value):
        return Lanes(
            F.conv1d(value.sequence, weight, bias, stride, padding, dilation, groups),
            F.conv1d(value.reference, weight, bias, stride, padding, dilation, groups),
        )

    torch.testing.assert_close(
        multipliers(quick, lanes, cotangent),
        multipliers(slow, lanes, cotangent),
        rtol=1e-5,
        atol=3e-5,  # sums of up to 40 x 5 numbers, in another order
    )


def test_the_quick_way_is_taken_where_it_is_exact():
    value = torch.zeros(2, 6, 40)
    assert convolution._is_plain(value, 4, 1, 2, 1)
    assert not convolution._is_plain(value, 4, 2, 2, 1)
    assert not convolution._is_plain(value, 4, 1, 5, 1)
    assert not convolution._is_plain(value, 4, 1, 2, 2)
    assert not convolution._is_plain(value.double(), 4, 1, 2, 1)
