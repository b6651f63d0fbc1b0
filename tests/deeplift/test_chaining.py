"""Row by row or one after the other, convolutions give the same, bit for bit."""

import json

import pytest
import torch

from seqlift.deeplift.chaining import chain_convolutions
from seqlift.deeplift.compiling import has_compiler
from seqlift.deeplift.fusing import fuse_convolutions
from seqlift.deeplift.program import write_program
from seqlift.deeplift.rules.winograd import CONVOLVE, convolve_winograd
from seqlift.deeplift.rules.winograd_chain import CHAIN
from tests.deeplift.test_fusing import ROWS, operators, tensors

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")

N_ROWS, LENGTH, N_CHANNELS = ROWS
WEIGHTS = tensors(*[(N_CHANNELS, N_CHANNELS, 3)] * 4)
(BIAS,) = tensors((N_CHANNELS,))


@pytest.fixture(autouse=True)
def two_threads():
    """With so many rows, two threads have three each."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def convolve(value, i=0, dilation=2, padding=None):
    padding = dilation if padding is None else padding
    found = convolve_winograd(value.transpose(1, 2), WEIGHTS[i], BIAS, padding, dilation)
    return found.transpose(1, 2)


def chained(function, *examples):
    """Return the program with chains, after it was seen to give what it gives without."""
    with_chains, without = (write_program(function, examples) for _ in range(2))
    for program in (with_chains, without):
        fuse_convolutions(program)
    chain_convolutions(with_chains)
    found, expected = with_chains(*examples), without(*examples)
    for one, other in zip(
        *(x if isinstance(x, tuple) else (x,) for x in (found, expected)), strict=True
    ):
        assert torch.equal(one, other)
    return with_chains


def plans(program):
    chains = [node for node in program.graph.nodes if node.target is CHAIN]
    return [json.loads(node.args[1]) for node in chains]


def residual(x):
    for i in range(4):
        x = x + torch.relu(convolve(x, i, 2**i))
    return x


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_residual_layers_are_one_operator(threads):
    torch.set_num_threads(threads)
    program = chained(residual, *tensors(ROWS))
    assert CONVOLVE not in operators(program)
    (plan,) = plans(program)
    assert len(plan["steps"]) == 4
    assert plan["given"] == [list(ROWS)], "only the last sum is kept"


def test_a_thread_writes_again_where_nothing_is_read_any_more():
    (plan,) = plans(chained(residual, *tensors(ROWS)))
    assert plan["own"] == 2 * LENGTH * N_CHANNELS


def test_what_is_read_much_later_keeps_its_place():
    def function(x):
        first = convolve(x, 0)
        second = convolve(first, 1)
        third = convolve(second, 2)
        return convolve(third, 3) + first

    (plan,) = plans(chained(function, *tensors(ROWS)))
    assert plan["own"] == 3 * LENGTH * N_CHANNELS


def test_what_others_read_is_kept():
    def function(x):
        first = torch.relu(convolve(x, 0))
        second = torch.relu(convolve(first, 1))
        return first.cos(), second.sin(), convolve(second * first, 2)

    program = chained(function, *tensors(ROWS))
    (plan,) = plans(program)
    assert len(plan["steps"]) == 3
    assert len(plan["given"]) == 3


def test_rows_may_grow_longer_and_shorter():
    def function(x):
        return convolve(convolve(convolve(x, 0, 4, 1), 1, 1, 2), 2, 2, 0)

    (plan,) = plans(chained(function, *tensors(ROWS)))
    assert [step["length"] for step in plan["steps"]] == [LENGTH, LENGTH - 6, LENGTH - 4]


def test_what_stands_between_two_convolutions_parts_them():
    def function(x):
        return convolve(convolve(x, 0).flip(0), 1)

    assert not plans(chained(function, *tensors(ROWS)))


def test_what_depends_on_a_chain_cannot_be_read_in_it():
    """The last convolution reads the mean over rows of the first: not before all rows are done."""

    def function(x):
        first = convolve(x, 0)
        second = convolve(first, 1)
        return convolve(second + first.mean(0).expand(ROWS).contiguous().cos(), 2)

    (plan,) = plans(chained(function, *tensors(ROWS)))
    assert len(plan["steps"]) == 2


def test_two_chains_that_read_each_other_are_not_both_joined():
    def function(x, z):
        a, b = convolve(x, 0), convolve(z, 1)
        return convolve(a, 2) + b, convolve(b, 3) + a

    program = chained(function, *tensors(ROWS, ROWS))
    assert sum(len(plan["steps"]) for plan in plans(program)) >= 2


def test_chains_of_sequences_and_of_references_stand_beside_each_other():
    def function(x, z):
        for i in range(3):
            shared = convolve(z, i)
            x = x + (
                convolve(x, i).unflatten(0, (2, -1)) / (shared.abs() + 1).unsqueeze(1)
            ).flatten(0, 1)
            z = torch.relu(shared)
        return x

    program = chained(function, *tensors(ROWS, (2, LENGTH, N_CHANNELS)))
    (plan,) = plans(program)  # two sequences are too few rows for two threads
    assert plan["rows"] == N_ROWS
    assert operators(program).count(CONVOLVE) == 3


def test_few_rows_are_shared_out_by_parts_instead():
    torch.set_num_threads(4)
    assert not plans(chained(residual, *tensors(ROWS)))


def test_rows_that_do_not_come_out_even_are_too():
    torch.set_num_threads(3)
    assert not plans(chained(residual, *tensors((7, LENGTH, N_CHANNELS))))
    assert plans(chained(residual, *tensors((11, LENGTH, N_CHANNELS))))
