"""Sequences, captured zoo models and the checks that many tests make."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from seqlift.deeplift.scores import Contributions
from seqlift.explain import Explainer
from seqlift.model.capture import Captured, capture
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from seqlift.sequence.onehot import from_indices
from seqlift.sequence.shuffle import dinucleotide_shuffle
from tests.zoo import LENGTH, ZOO, build, group_of

COMPLETE = 1e-10  # completeness error over the mean |delta|, float64


class _Together(nn.Module):
    """Several models side by side."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> list[object]:
        return [model(x) for model in self.models]


def capture_together(models: Sequence[nn.Module], length: int = LENGTH) -> list[Captured]:
    """Capture models of one type at once, because torch takes half a second for any, however small.

    Each result is that of its model alone, but for the names of nodes and weights.
    """
    whole = capture(_Together(models), length)
    return [_one_of(whole, index) for index in range(len(models))]


def _one_of(whole: Captured, index: int) -> Captured:
    """Return the part of a capture of models side by side that belongs to one of them."""
    leaves = dict(zip(whole.outputs, whole.graph.graph.output_node().args[0], strict=True))
    own = {name: leaf for name, leaf in leaves.items() if name.split(".")[0] == str(index)}
    part, copies = fx.Graph(), {}
    needed = _ancestors(own.values())
    for node in whole.graph.graph.nodes:
        if node in needed or node.op == "placeholder":
            copies[node] = part.node_copy(node, copies.__getitem__)
    part.output(fx.node.map_arg(tuple(own.values()), copies.__getitem__))
    names = tuple(name.partition(".")[2] or "0" for name in own)
    return whole._replace(graph=fx.GraphModule(whole.graph, part), outputs=names)


def _ancestors(leaves: Iterable[object]) -> set[fx.Node]:
    """Return the nodes among some values, and all that these are made from."""
    found, ahead = set(), [leaf for leaf in leaves if isinstance(leaf, fx.Node)]
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead += node.all_input_nodes
    return found


@functools.cache
def _captured_group(group: int) -> dict[str, Captured]:
    names = [name for name in ZOO if group_of(name) == group]
    return dict(zip(names, capture_together([build(name) for name in names]), strict=True))


def captured(name: str) -> Captured:
    """Return a zoo model as a graph, in float64; shared, so leave it as it is."""
    return _captured_group(group_of(name))[name]


@functools.cache
def zoo_graph(
    name: str, dtype: torch.dtype = torch.float64, device: str = "cpu", target: int = 0
) -> fx.GraphModule:
    """Return the graph of one output of a zoo model as methods take it; shared."""
    targeted = select_target(captured(name), target, "keep")
    return place(targeted.graph, dtype, torch.device(device))


@functools.cache
def explainer(name: str, precision: str = "float64", device: str = "cpu", **options) -> Explainer:
    """Return an explainer of a zoo model; shared, so leave it as it is.

    `options` are any others of Explainer's that can be keys of a dict.
    """
    return Explainer(captured(name), precision=precision, device=device, **options)


@functools.cache
def model(name: str) -> nn.Module:
    """Return a zoo model with the weights that `explainer` uses; shared, so leave it as it is."""
    return build(name)


def random_sequences(n_regions: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    """Return uniform random DNA, uint8 (region, base=4, position)."""
    bases = np.random.default_rng(seed).integers(0, 4, (n_regions, length))
    return torch.from_numpy(from_indices(bases))


@functools.cache
def with_shuffles(
    n_regions: int = 3, n_references: int = 20, length: int = LENGTH, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return random sequences and their dinucleotide shuffles, uint8."""
    one_hot = random_sequences(n_regions, length, seed)
    return one_hot, torch.from_numpy(dinucleotide_shuffle(one_hot, n_references, seed=seed))


def assert_complete(found: Contributions, tolerance: float = COMPLETE) -> None:
    """Check each pair's completeness error, and that the scores sum to the mean delta.

    Errors are measured against the mean |delta|, because single deltas may be near zero.
    """
    size = found.delta.abs().mean()
    assert size > 1e-6, "the model tells no sequence from its references: this proves nothing"
    assert found.completeness_error.max() <= tolerance * size
    error = found.scores.sum((1, 2)) - found.delta.mean(1)
    assert error.abs().max() <= tolerance * size


def assert_same_scores(found: Contributions, expected: Contributions, tolerance: float) -> None:
    """Compare scores, hypothetical scores and deltas, each against the largest expected one."""
    for field in ("scores", "hypothetical", "delta", "prediction", "standard_error"):
        one, other = getattr(found, field), getattr(expected, field)
        scale = float(other.nan_to_num().abs().max())  # NaN: references that were not used
        torch.testing.assert_close(
            one, other, rtol=0, atol=tolerance * scale, equal_nan=True, msg=_named(field)
        )


def _named(field: str):
    return lambda message: f"{field}: {message}"


def rows_of(found: Contributions, rows: Sequence[int] | slice) -> Contributions:
    """Return some of the regions."""
    return Contributions(*(None if field is None else field[rows] for field in found))


def remembered(function):
    """Call a function once for each set of arguments, which are told apart by how they print."""
    known = {}

    def call(*args, **kwargs):
        key = str([id(a) if isinstance(a, ExportedProgram) else a for a in args]), str(kwargs)
        if key not in known:
            known[key] = function(*args, **kwargs)
        return known[key]

    return call
