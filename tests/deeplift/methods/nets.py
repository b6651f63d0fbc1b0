"""Small networks for the tests of methods, and the graphs that methods run."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from seqlift.deeplift.methods import METHODS, MethodOptions
from seqlift.model.capture import capture
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from tests.helpers import with_shuffles

LENGTH = 40
FILTERS = 6


def graph_of(
    model: nn.Module,
    length: int = LENGTH,
    target: int = 0,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> fx.GraphModule:
    """Capture one output of a model as methods take it."""
    targeted = select_target(capture(model, length), target, "keep")
    return place(targeted.graph, dtype, torch.device(device))


class _Together(nn.Module):
    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {f"{i}": model(x).flatten() for i, model in enumerate(self.models)}


def graphs_of(models: Sequence[nn.Module], length: int = LENGTH) -> list[fx.GraphModule]:
    """Capture models of one output together, which is quicker than one by one."""
    captured = capture(_Together(models), length)
    graphs = (select_target(captured, f"{i}", "keep").graph for i in range(len(models)))
    return [place(graph, torch.float64, torch.device("cpu")) for graph in graphs]


def run(name: str, graph: fx.GraphModule, one_hot: Tensor, references: Tensor, **options):
    """Run a method by its name."""
    return METHODS[name].run(graph, one_hot, references, MethodOptions(**options))


def sequences(n_regions: int = 3, n_references: int = 4, length: int = LENGTH):
    """Return random sequences and their shuffles as methods take them, in float64."""
    one_hot, references = with_shuffles(n_regions, n_references, length, seed=1)
    return one_hot.double(), references.double()


def zeros_for(one_hot: Tensor) -> Tensor:
    """Return the one reference of zeros that stands for none."""
    return torch.zeros_like(one_hot).unsqueeze(1)


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    """Compare against the largest expected value."""
    atol = tolerance * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# --- networks, written with modules that are each used once: captum sees no others --------------


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 7, padding=3), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(FILTERS, 5, 3),
        nn.ReLU(), nn.MaxPool1d(3, 2), nn.Flatten(), nn.Linear(15, 8), nn.ReLU(), nn.Linear(8, 2),
    )  # fmt: skip


def normalised() -> nn.Module:
    model = nn.Sequential(
        nn.Conv1d(4, FILTERS, 5), nn.BatchNorm1d(FILTERS), nn.ReLU(), nn.AvgPool1d(6, 6),
        nn.Flatten(), nn.Linear(FILTERS * 6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(8, 2),
    )  # fmt: skip
    for norm in (model[1], model[6]):
        norm.running_mean.normal_(std=0.3)
        norm.running_var.uniform_(0.1, 1.0)
        nn.init.normal_(norm.weight)
    return model


class Residual(nn.Module):
    """Dilated convolutions, each added to what it read."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, FILTERS, 7, padding=3)
        self.relu = nn.ReLU()
        self.layers = nn.ModuleList(
            nn.Conv1d(FILTERS, FILTERS, 3, padding=d, dilation=d) for d in (1, 2, 4)
        )
        self.relus = nn.ModuleList(nn.ReLU() for _ in self.layers)
        self.last = nn.Linear(FILTERS, 2)

    def forward(self, x):
        x = self.relu(self.first(x))
        for convolution, relu in zip(self.layers, self.relus, strict=True):
            x = x + relu(convolution(x))
        return self.last(x.mean(-1))


def smooth() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 5), nn.Sigmoid(), nn.Conv1d(FILTERS, FILTERS, 5), nn.GELU(),
        nn.AvgPool1d(4), nn.Flatten(), nn.Linear(FILTERS * 8, 8), nn.Tanh(), nn.Linear(8, 2),
    )  # fmt: skip


def mixed() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 5), nn.ReLU(), nn.Conv1d(FILTERS, FILTERS, 5), nn.ReLU6(),
        nn.LayerNorm(32), nn.Flatten(), nn.Linear(FILTERS * 32, 8), nn.LeakyReLU(0.2),
        nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(-1),
    )  # fmt: skip


RELU_NETS = {"pooled": pooled, "normalised": normalised, "residual": Residual}
NETS = {**RELU_NETS, "smooth": smooth, "mixed": mixed}


def build(name: str) -> nn.Module:
    """Make a network with weights large enough for its activations to bend, in float64."""
    torch.manual_seed(2)
    model = NETS[name]().double().train(False)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                module.weight.mul_(2)
    return model


@functools.cache
def graph_named(name: str, target: int = 0) -> fx.GraphModule:
    """Capture a network of `NETS`; shared, so leave it as it is."""
    return _graphs(target)[list(NETS).index(name)]


@functools.cache
def _graphs(target: int) -> list[fx.GraphModule]:
    return graphs_of([_Output(build(name), target) for name in NETS])


class _Output(nn.Module):
    def __init__(self, model: nn.Module, target: int) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)[:, self.target]


class TwoReLUs(nn.Module):
    """Two dense layers of two ReLUs on a sequence of one base, to be worked out by hand.

    At A, x = (1, 0, 0, 0): before the first ReLUs (1, -1), before the second (2, 1).
    """

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 2)
        self.second = nn.Linear(2, 2)
        self.first.weight.data = torch.tensor([[1.0, 2, 3, 4], [-1, 1, -2, 2]])
        self.first.bias.data.zero_()
        self.second.weight.data = torch.tensor([[2.0, 3], [-1, 5]])
        self.second.bias.data = torch.tensor([0.0, 2])

    def forward(self, x):
        hidden = self.second(self.first(x.flatten(1)).relu()).relu()
        return hidden @ hidden.new_tensor([1.0, -2.0])


BASE_A = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).reshape(1, 4, 1)
