"""Fewer multiplications, or several positions at once: the same convolution."""

import pytest
import torch

from seqlift.deeplift.compiling import has_compiler
from seqlift.deeplift.program import write_program
from seqlift.deeplift.rules import convolution as module
from seqlift.deeplift.rules import winograd_steps
from seqlift.deeplift.rules.convolution import convolution, differentiable_convolution
from seqlift.deeplift.rules.winograd import convolve_winograd, takes_winograd
from seqlift.deeplift.rules.winograd_steps import Kernel, Step, run_steps
from seqlift.explain import Explainer


def case(n_in, n_out, width, length, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, n_in, length, generator=generator, dtype=dtype)
    weight = torch.randn(n_out, n_in, width, generator=generator, dtype=dtype)
    return value, weight, torch.randn(n_out, generator=generator, dtype=dtype)


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")


@needs_compiler
@pytest.mark.parametrize("length", [1, 9, 16, 17, 30, 200])
@pytest.mark.parametrize(("padding", "dilation"), [(1, 1), (2, 1), (3, 4), (8, 4), (64, 64)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(("n_in", "n_out"), [(32, 48), (64, 64), (96, 160)])
def test_winograd_is_the_convolution_to_a_few_roundings(
    length, padding, dilation, with_bias, n_in, n_out
):
    value, weight, bias = (x.float() for x in case(n_in, n_out, 3, length))
    assert takes_winograd(value, weight)
    bias = bias if with_bias else None
    precise = [None if x is None else x.double() for x in (value, weight, bias)]
    if length + 2 * padding <= 2 * dilation:
        pytest.skip("nothing to convolve")
    expected = torch.conv1d(*precise, padding=padding, dilation=dilation)
    found = convolve_winograd(value, weight, bias, padding, dilation)
    assert found.transpose(1, 2).is_contiguous()
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_winograd_of_a_row_depends_on_that_row_alone(threads):
    value, weight, bias = (x.float() for x in case(64, 64, 3, 300))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows = [convolve_winograd(row[None], weight, bias, 2, 2) for row in value]
        assert torch.equal(convolve_winograd(value, weight, bias, 2, 2), torch.cat(rows))
    finally:
        torch.set_num_threads(before)


@needs_compiler
@pytest.mark.parametrize(
    "bias", [torch.tensor([1.5]).expand(32), torch.arange(64.0)[::2]], ids=["expanded", "sliced"]
)
def test_winograd_takes_a_bias_of_any_layout(bias):
    value, weight, _ = (x.float() for x in case(32, 32, 3, 50))
    found = convolve_winograd(value, weight, bias, 1, 1)
    assert torch.equal(found, convolve_winograd(value, weight, bias.clone().contiguous(), 1, 1))
    expected = torch.conv1d(value.double(), weight.double(), bias.double(), padding=1)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@needs_compiler
def test_winograd_takes_any_layout_and_nothing_at_all():
    value, weight, bias = (x.float() for x in case(32, 32, 3, 50))
    last = value.transpose(1, 2).contiguous().transpose(1, 2)
    found = [convolve_winograd(x, weight, bias, 1, 1) for x in (value.contiguous(), last)]
    assert torch.equal(*found)
    assert convolve_winograd(value[:0], weight, bias, 1, 1).shape == (0, 32, 50)


def test_winograd_is_for_width_three_whole_panels_and_float32():
    def takes(*shape, dtype=torch.float32):
        return takes_winograd(
            torch.zeros(1, shape[1], 9, dtype=dtype), torch.zeros(shape, dtype=dtype)
        )

    assert takes(64, 64, 3)
    assert takes(32, 512, 3)
    assert not takes(64, 64, 5)
    assert not takes(64, 60, 3)
    assert not takes(16, 64, 3), "narrower, and the plain convolution is as quick"
    assert not takes(64, 64, 3, dtype=torch.float64)
    assert not takes(64, 64, 3, dtype=torch.bfloat16)


@needs_compiler
def test_a_compiled_way_back_goes_through_it_too():
    """The way back is the same convolution, flipped; its program holds both and computes both."""
    value, weight, bias = (x.float() for x in case(32, 48, 3, 60))

    def both(value):
        value = value.detach().requires_grad_()
        with torch.enable_grad():
            found = differentiable_convolution(value, weight, bias, (1,), (2,), (2,))
            return found.detach(), *torch.autograd.grad((found**2).sum(), value)

    program = write_program(both, [value])
    named = [node for node in program.graph.nodes if "winograd" in str(node.target)]
    assert len(named) == 2
    with torch.no_grad():
        found = program(value)
    for got, expected in zip(found, both(value), strict=True):
        assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


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


class Dilated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv1d(4, 32, 7, padding=3)
        self.others = torch.nn.ModuleList(
            torch.nn.Conv1d(32, 32, 3, padding=d, dilation=d) for d in (2, 4)
        )
        self.last = torch.nn.Linear(32, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for layer in self.others:
            x = x + torch.relu(layer(x))
        return self.last(x.mean(2))


@needs_compiler
def test_compiled_scores_are_those_of_the_rules_in_float64():
    torch.manual_seed(0)
    model = Dilated().eval()
    one_hot = torch.nn.functional.one_hot(torch.randint(4, (2, 60)), 4).transpose(1, 2).byte()
    references = torch.stack([one_hot.roll(7, 2), one_hot.flip(2)], 1)
    found, expected = (
        Explainer(model, length=60, device="cpu", **options).contribute(one_hot, references)
        for options in ({"compile": "on"}, {"compile": "off", "precision": "float64"})
    )
    error = (found.hypothetical - expected.hypothetical).abs().max()
    assert 0 < error < 1e-5 * expected.hypothetical.abs().max()


@needs_compiler
def test_memory_that_is_not_there_is_an_error_that_halves_the_batch():
    value, sums, given = torch.zeros(1, 9, 32), torch.zeros(6, 2, 32, 16), torch.zeros(1, 9, 32)
    step = Step([value], sums, None, 1, 1, 9, [], [given], Kernel().definitions())
    with pytest.raises(torch.OutOfMemoryError, match="can't allocate memory"):
        run_steps([step], 1, n_own=2**55)


@needs_compiler
def test_what_was_compiled_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    kernel = Kernel(give="out[0] = y + y;").definitions()
    winograd_steps._library.__wrapped__(kernel)
    monkeypatch.setattr(winograd_steps, "_compiled", None)
    assert winograd_steps._library.__wrapped__(kernel).seqlift_run
