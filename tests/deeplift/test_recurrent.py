"""Recurrent layers as one operator: torch's values, the unrolled layer's multipliers, the cost."""

from __future__ import annotations

import collections
import runpy

import pytest
import torch
import torch._decomp.decompositions as torchs_own
import torch.nn.functional as F
from torch import Tensor, nn
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

from seqlift.deeplift import recurrence
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply
from seqlift.deeplift.rules.recurrent import OPERATORS_A_STEP
from seqlift.describe import describe
from seqlift.errors import CaptureError, SeqliftError, ShapeError
from seqlift.explain import Explainer
from seqlift.model import recurrence as capturing
from seqlift.model.capture import capture
from seqlift.model.options import ModelOptions
from tests.helpers import assert_complete, with_shuffles
from tests.model.export import exported
from tests.zoo import CHANNELS, LENGTH

aten = torch.ops.aten

OPERATORS = {
    "LSTM": aten.lstm.input,
    "GRU": aten.gru.input,
    "RNN_TANH": aten.rnn_tanh.input,
    "RNN_RELU": aten.rnn_relu.input,
}
REGIONS, REFERENCES, STEPS, FEATURES = 2, 3, 9, 4

LAYERS = {
    "LSTM": (nn.LSTM, {}),
    "LSTM two layers, no bias": (nn.LSTM, {"num_layers": 2, "bias": False}),
    "LSTM bidirectional": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "LSTM projections": (nn.LSTM, {"num_layers": 2, "bidirectional": True, "proj_size": 3}),
    "GRU": (nn.GRU, {}),
    "GRU bidirectional, no bias": (
        nn.GRU,
        {"num_layers": 2, "bidirectional": True, "bias": False},
    ),
    "RNN": (nn.RNN, {"num_layers": 2}),
    "RNN ReLU bidirectional": (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make_layer(name: str, batch_first: bool = True, dtype=torch.float64) -> nn.RNNBase:
    module, options = LAYERS[name]
    torch.manual_seed(1)
    layer = module(FEATURES, 5, batch_first=batch_first, **options)
    return layer.to(dtype).requires_grad_(False)


class Call:
    """A layer's operator on random lanes; `repeat` has as many sequences as references."""

    def __init__(self, layer: nn.RNNBase, *, repeat: bool = False, constant: bool = False) -> None:
        self.layer, self.repeat = layer, repeat
        self.random = torch.Generator().manual_seed(0)
        self.batch_axis = 0 if layer.batch_first else 1
        n_layers = layer.num_layers * (2 if layer.bidirectional else 1)
        widths = [layer.proj_size or 5, 5] if layer.mode == "LSTM" else [5]
        self.value = self._lanes((STEPS, FEATURES), self.batch_axis)
        self.states = [self._lanes((n_layers, width), 1, constant) for width in widths]
        self.result = apply(
            OPERATORS[layer.mode],
            self.value,
            self.states if layer.mode == "LSTM" else self.states[0],
            layer._flat_weights,
            layer.bias,
            layer.num_layers,
            0.0,
            False,
            layer.bidirectional,
            layer.batch_first,
        )

    def _lanes(self, shape: tuple[int, ...], axis: int, is_constant: bool = False) -> Lanes:
        lanes = []
        for rows in (REGIONS, REGIONS * REFERENCES):
            size = [*shape[:axis], rows, *shape[axis:]]
            drawn = torch.rand(size, generator=self.random, dtype=torch.float64) * 4 - 2
            drawn = torch.full_like(drawn, 0.3) if is_constant else drawn
            lanes.append(drawn.to(self.layer.weight_hh_l0.dtype))
        if self.repeat:
            lanes[0] = lanes[0].repeat_interleave(REFERENCES, axis)
        return Lanes(lanes[0], lanes[1].requires_grad_())

    def torchs(self, lane: str) -> list[Tensor]:
        value, *states = (getattr(v, lane).detach() for v in (self.value, *self.states))
        output, last = self.layer(value, tuple(states) if len(states) == 2 else states[0])
        return [output, *(last if isinstance(last, tuple) else [last])]

    def multipliers(self) -> list[Tensor]:
        """Return those of a random weighting of all outputs."""
        random = torch.Generator().manual_seed(1)
        self.weights = [
            torch.rand(y.narrow(axis, 0, 1).shape, generator=random).to(y.dtype)
            for y, axis in zip(self.result.reference, (self.batch_axis, 1, 1), strict=False)
        ]
        targets = zip(self.result.reference, self.weights, strict=True)
        sources = [v.reference for v in (self.value, *self.states)]
        return list(torch.autograd.grad(sum((y * w).sum() for y, w in targets), sources))


# --- values, and completeness of the operator ---------------------------------------------------


@every_layer
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("constant", [True, False], ids=["constant state", "varying state"])
def test_values_are_torchs(name, batch_first, constant):
    call = Call(make_layer(name, batch_first), constant=constant)
    for lane in ("sequence", "reference"):
        for found, expected in zip(getattr(call.result, lane), call.torchs(lane), strict=True):
            torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-12)


@every_layer
@pytest.mark.parametrize("batch_first", [True, False])
def test_multipliers_times_differences_sum_to_delta(name, batch_first):
    call = Call(make_layer(name, batch_first), repeat=True)
    found = call.multipliers()
    inputs = [(call.value, call.batch_axis), *((state, 1) for state in call.states)]
    contributions = [
        per_row(m * (v.sequence - v.reference), axis)
        for m, (v, axis) in zip(found, inputs, strict=True)
    ]
    outputs = zip(*(call.result.sequence, call.result.reference), call.weights, strict=True)
    axes = (call.batch_axis, 1, 1)
    deltas = [per_row((y - y0) * w, a) for (y, y0, w), a in zip(outputs, axes, strict=False)]
    delta = sum(deltas).detach()
    assert delta.abs().max() > 0.1
    torch.testing.assert_close(sum(contributions).detach(), delta, rtol=0, atol=1e-12)


def per_row(value: Tensor, batch_axis: int) -> Tensor:
    return value.movedim(batch_axis, 0).flatten(1).sum(1)


@every_layer
def test_a_sequence_that_runs_once_gives_the_same(name):
    once, repeated = (Call(make_layer(name), repeat=repeat) for repeat in (False, True))
    for found, expected in zip(once.multipliers(), repeated.multipliers(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@every_layer
def test_how_many_steps_are_taken_together_does_not_matter(name, monkeypatch):
    expected = Call(make_layer(name)).multipliers()
    for at_once in (1, 4):
        monkeypatch.setattr(recurrence, "STEPS_AT_ONCE", at_once)
        for found, other in zip(Call(make_layer(name)).multipliers(), expected, strict=True):
            torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-13)


@every_layer
def test_float32_is_close_to_float64(name):
    exact, rounded = Call(make_layer(name)), Call(make_layer(name, dtype=torch.float32))
    pairs = zip(rounded.result.reference, exact.result.reference, strict=True)
    for found, expected in [*pairs, *zip(rounded.multipliers(), exact.multipliers(), strict=True)]:
        assert found.dtype == torch.float32
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4 * scale)


# --- the same layer, unrolled -------------------------------------------------------------------


class Unrolled(nn.Module):
    """A layer of torch's written out with plain operators, one step after another."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: Tensor) -> Tensor:
        value = value.transpose(0, 1)
        n_directions = 2 if self.layer.bidirectional else 1
        for layer in range(self.layer.num_layers):
            found = [
                self._direction(value, f"_l{layer}{s}") for s in ("", "_reverse")[:n_directions]
            ]
            value = torch.cat(found, -1)
        return value.transpose(0, 1)

    def _direction(self, value: Tensor, suffix: str) -> Tensor:
        w, u, b, c = (
            getattr(self.layer, f"{kind}{suffix}", None)
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden = memory = torch.zeros(value.shape[1], u.shape[1], dtype=value.dtype)
        shown = []
        for step in value.flip(0) if suffix.endswith("reverse") else value:
            of_input, of_hidden = F.linear(step, w, b), F.linear(hidden, u, c)
            hidden, memory = self._cell(of_input, of_hidden, hidden, memory)
            shown.append(hidden)
        return torch.stack(shown[::-1] if suffix.endswith("reverse") else shown)

    def _cell(self, x: Tensor, h: Tensor, hidden: Tensor, memory: Tensor):
        if self.layer.mode == "LSTM":
            i, f, g, o = (x + h).chunk(4, 1)
            memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
            return o.sigmoid() * memory.tanh(), memory
        if self.layer.mode == "GRU":
            (r, z, n), (hr, hz, hn) = x.chunk(3, 1), h.chunk(3, 1)
            update = (z + hz).sigmoid()
            new = (n + (r + hr).sigmoid() * hn).tanh()
            return (1 - update) * new + update * hidden, memory
        return F.relu(x + h) if self.layer.mode == "RNN_RELU" else torch.tanh(x + h), memory


UNROLLED = {
    "LSTM": (nn.LSTM, {"bidirectional": True}),
    "GRU": (nn.GRU, {}),
    "RNN": (nn.RNN, {"nonlinearity": "relu", "bias": False}),
}


class BothWays(nn.Module):
    """Each layer of `UNROLLED` behind a convolution, whole and unrolled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, CHANNELS, 5, padding=2)
        self.layers = nn.ModuleDict(
            {k: m(CHANNELS, 3, batch_first=True, **options) for k, (m, options) in UNROLLED.items()}
        )
        self.last = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.avg_pool1d(self.conv(x), 8).transpose(1, 2)
        found = {}
        for name, layer in self.layers.items():
            for way, steps in (("whole", layer(x)[0]), ("unrolled", Unrolled(layer)(x))):
                found[f"{name} {way}"] = self.last((steps[..., :3] * steps[..., -3:]).mean(1))
        return found


@pytest.fixture(scope="module")
def both_ways():
    torch.manual_seed(0)
    return capture(BothWays().double(), LENGTH)


@pytest.mark.parametrize("name", UNROLLED)
def test_multipliers_are_those_of_the_unrolled_layer(name, both_ways):
    one_hot, references = with_shuffles(2, 4)
    found, expected = (
        Explainer(both_ways, target=f"{name} {way}", precision="float64", device="cpu").contribute(
            one_hot, references, keep_multipliers=True
        )
        for way in ("whole", "unrolled")
    )
    assert_complete(found)
    scale = float(expected.multipliers.abs().max())
    torch.testing.assert_close(found.multipliers, expected.multipliers, rtol=0, atol=1e-10 * scale)


# --- capture ------------------------------------------------------------------------------------


class LastStep(nn.Module):
    """A recurrent layer, behind a convolution and before a dense layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, CHANNELS, 5, padding=2)
        self.layer = layer
        self.last = nn.Linear(10 if getattr(layer, "bidirectional", True) else 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(self.conv(x).transpose(1, 2))[0][:, -1])


class Chain(nn.Sequential):
    """Recurrent layers one after the other."""

    def forward(self, value: Tensor) -> tuple[Tensor]:
        for layer in self:
            value = layer(value)[0]
        return (value,)


@pytest.fixture
def steps_are_forbidden(monkeypatch):
    """Fail where torch follows a recurrent layer step by step."""

    def refuse(*args, **kwargs):
        raise AssertionError("followed step by step")

    for name in ("one_layer_lstm", "mkldnn_one_layer_lstm", "one_layer_rnn", "gru_cell"):
        monkeypatch.setattr(torchs_own, name, refuse)


def test_layers_are_captured_at_once_whatever_their_length(steps_are_forbidden):
    options = {"batch_first": True, "bidirectional": True}
    layers = nn.LSTM(CHANNELS, 5, **options), nn.GRU(10, 5, **options)
    activations = [nn.RNN(10, 5, nonlinearity=f, **options) for f in ("tanh", "relu")]
    model = LastStep(Chain(*layers, *activations))
    sizes = set()
    for length in (8, 5000):
        targets = [node.target for node in capture(model, length).graph.graph.nodes]
        sizes.add(len(targets))
        assert all(targets.count(operator) == 1 for operator in OPERATORS.values())
    assert len(sizes) == 1


@pytest.mark.parametrize("name", ["LSTM projections", "GRU bidirectional, no bias", "RNN"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_shapes_are_those_of_the_operator(name, batch_first):
    layer = make_layer(name, batch_first)
    call = Call(layer)
    value, *states = (v.sequence for v in (call.value, *call.states))
    given = tuple(states) if len(states) == 2 else states[0]
    found = capturing._shapes(
        value, given, [], layer.bias, layer.num_layers, 0.0, False, layer.bidirectional, batch_first
    )
    output, last = layer(value, given)
    expected = [output, *(last if isinstance(last, tuple) else [last])]
    assert [(y.shape, y.stride()) for y in found] == [(y.shape, y.stride()) for y in expected]


def test_an_exported_program_is_decomposed_at_once(request):
    program = exported(LastStep(nn.LSTM(CHANNELS, 5, batch_first=True)).eval(), 6)
    request.getfixturevalue("steps_are_forbidden")
    targets = [node.target for node in capture(program).graph.graph.nodes]
    assert targets.count(aten.lstm.input) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_torchs_tables_are_put_back(fails):
    def tables():
        return [(decomposition_table[o], dict(o.py_kernels)) for o in OPERATORS.values()]

    before = tables()
    if fails:
        with pytest.raises(SeqliftError):
            capture(LastStep(nn.LSTM(CHANNELS, 5)), 8)
    else:
        capture(LastStep(nn.LSTM(CHANNELS, 5, batch_first=True)), 8)
    assert tables() == before


def refusal(kind: type[SeqliftError], model, length: int = 8) -> str:
    with pytest.raises(kind) as caught:
        capture(model, length)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_more_steps_than_can_be_scored_are_refused():
    model = LastStep(nn.LSTM(CHANNELS, 5, 2, batch_first=True, bidirectional=True))
    assert refusal(ShapeError, model, 25_001).startswith(
        "a recurrent layer takes 100,004 steps (25,001 positions, 4 layers and directions); "
        "at most 100,000 are scored: pool before it (at "
    )


def test_steps_over_the_sequences_of_a_batch_are_refused():
    model = LastStep(nn.LSTM(CHANNELS, 5))
    assert "steps over the sequences of a batch" in refusal(CaptureError, model)


def test_dropout_at_random_is_refused():
    class Drops(nn.LSTM):
        """Drops values whatever the model's mode."""

        def forward(self, value):
            zeros = torch.zeros(2, value.shape[0], 5)
            return torch.lstm(
                value, (zeros, zeros), self._flat_weights, True, 2, 0.3, True, False, True
            )

    model = LastStep(Drops(CHANNELS, 5, num_layers=2, batch_first=True))
    assert "drops values at random between its layers (dropout=0.3" in refusal(CaptureError, model)


def test_a_layer_left_in_training_mode_without_dropout_is_captured():
    program = exported(LastStep(nn.GRU(CHANNELS, 5, batch_first=True)).train(), 6)
    assert capture(program).outputs == ("0",)


def test_packed_sequences_are_refused():
    class Packed(LastStep):
        def forward(self, x):
            lengths = torch.full((x.shape[0],), x.shape[2])
            steps = self.conv(x).transpose(1, 2)
            packed = nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True)
            return self.last(self.layer(packed)[1][0][0])

    with pytest.raises(SeqliftError) as caught:
        Explainer(Packed(nn.LSTM(CHANNELS, 5)), length=8)
    assert "\n" not in str(caught.value)


# --- cost ---------------------------------------------------------------------------------------

VIEWS = ("view", "t", "transpose", "unbind", "split", "detach", "slice", "unsqueeze", "select")


class Counter(TorchDispatchMode):
    """Counts operators that compute."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    def computed(self) -> int:
        return sum(n for name, n in self.counts.items() if name not in VIEWS)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_the_stated_number_of_operators_is_that_of_a_run(name, monkeypatch):
    layer = make_layer(name)
    counts = []
    for n_steps in (2 * recurrence.STEPS_AT_ONCE, 8 * recurrence.STEPS_AT_ONCE):
        monkeypatch.setattr(f"{__name__}.STEPS", n_steps)
        with Counter() as counter:
            Call(layer).multipliers()
        counts.append(counter.computed())
    times = layer.num_layers * (2 if layer.bidirectional else 1)
    a_step = (counts[1] - counts[0]) / (6 * recurrence.STEPS_AT_ONCE * times)
    assert OPERATORS_A_STEP[OPERATORS[layer.mode]] == pytest.approx(a_step, rel=0.1)


TWO_LAYERS = """
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(4, 2, 2, batch_first=True, bidirectional=True)
        self.second = nn.GRU(4, 1)

    def forward(self, x):
        x = self.first(x.transpose(1, 2))[0]
        return self.second(x[:, :300].transpose(0, 1))[1][0]
"""


def test_inspect_says_what_recurrent_layers_cost(tmp_path):
    path, weights = tmp_path / "two.py", tmp_path / "two.pt"
    path.write_text(TWO_LAYERS)
    torch.save(runpy.run_path(str(path))["Two"]().state_dict(), weights)
    found = describe(f"{path}:Two", weights=str(weights), options=ModelOptions(length=5000))
    assert found.facts["recurrent"] == (
        "4 layers x 5,000 + 1 layer x 300 steps, about 404,500 operators a batch"
    )
