"""The networks that are explained, as modules: every layer is one module, used once.

That is how tools need them that hook modules; seqlift gets the same weights as a `.pt2`.
"""

import copy

import torch
from torch import Tensor, nn

from seqlift.cli.demo import MODEL, data_folder


class BPNet(nn.Module):
    """The trunk and the count head of BPNet: dilated residual convolutions, mean over positions, dense."""

    def __init__(self, n_filters: int = 64, n_layers: int = 8, trimming: int = 37) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, n_filters, 21, padding=10)
        self.first_relu = nn.ReLU()
        dilations = [2**i for i in range(1, n_layers + 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(n_filters, n_filters, 3, padding=d, dilation=d) for d in dilations
        )
        self.relus = nn.ModuleList(nn.ReLU() for _ in dilations)
        self.counts = nn.Linear(n_filters, 1)
        self.trimming = trimming

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_relu(self.first(x))
        for convolution, relu in zip(self.convolutions, self.relus, strict=True):
            x = x + relu(convolution(x))
        return self.counts(x[:, :, self.trimming : -self.trimming].mean(2))


def basset() -> nn.Module:
    """Return the network of Kelley et al. 2016, for 600 bp."""

    def block(n_in: int, n_out: int, width: int, pool: int) -> list[nn.Module]:
        convolution = nn.Conv1d(n_in, n_out, width, padding=width // 2)
        return [convolution, nn.BatchNorm1d(n_out), nn.ReLU(), nn.MaxPool1d(pool)]

    return nn.Sequential(
        *block(4, 300, 19, 3), *block(300, 200, 11, 4), *block(200, 200, 7, 4), nn.Flatten(),
        nn.Linear(2400, 1000), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(1000, 1000), nn.ReLU(), nn.Dropout(0.3), nn.Linear(1000, 164),
    )  # fmt: skip


class Scan(nn.Module):
    """Find the strongest place of each feature on one strand of 200 bp: to shape (row, filter, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.motifs = nn.Conv1d(4, 64, 21)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(4)
        self.context = nn.ModuleList(nn.Conv1d(64, 64, 3, padding=d, dilation=d) for d in (1, 2))
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(2))
        self.strongest = nn.MaxPool1d(45)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.motifs(x)))
        for convolution, relu in zip(self.context, self.relus, strict=True):
            x = x + relu(convolution(x))
        return self.strongest(x)


class DemoTwin(nn.Module):
    """The demo model's arithmetic without functions: a scan for each strand, each maximum a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.scan = Scan()
        self.reverse_scan = Scan()
        self.stronger_strand = nn.MaxPool1d(2)
        self.hidden = nn.Linear(64, 32)
        self.relu = nn.ReLU()
        self.output = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        strands = torch.cat([self.scan(x), self.reverse_scan(x.flip(1, 2))], 2)
        return self.output(self.relu(self.hidden(self.stronger_strand(strands).squeeze(2))))


def demo() -> nn.Module:
    """Return the twin of the demo model, with its weights."""
    weights = torch.export.load(data_folder() / MODEL).state_dict
    both = {f"reverse_{name}": value for name, value in weights.items() if name[:5] == "scan."}
    model = DemoTwin()
    model.load_state_dict(copy.deepcopy({**weights, **both}))
    return model


KINDS = {"bpnet": BPNet, "basset": basset, "demo": demo}


def make(network: dict) -> nn.Module:
    """Return a network by its settings: the kind, and what that takes."""
    options = {name: value for name, value in network.items() if name != "kind"}
    return KINDS[network["kind"]](**options)


def load(network: dict, weights: str, device: str = "cpu") -> nn.Module:
    """Return a trained network. Its weights want no gradient, which spares every tool some work."""
    model = make(network)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval().requires_grad_(False).to(device)


def export(model: nn.Module, length: int, path: str) -> None:
    """Save a network for batches of any size."""
    rows = torch.export.Dim("row")
    program = torch.export.export(
        model.eval(), (torch.zeros(2, 4, length),), dynamic_shapes=({0: rows},)
    )
    torch.export.save(program, path)
