"""Basset, DeepSEA and Beluga: stacks of convolutions and pooling with dense layers behind them.

Kelley et al. 2016; Zhou & Troyanskaya 2015; Zhou et al. 2018 (the network of ExPecto). Their
weights go around under many names, and with convolutions of one or two dimensions; what they share
is the order, so weights are taken in the order of the file.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["basset", "basset_from", "beluga", "beluga_from", "deepsea", "deepsea_from"]

Weights = Mapping[str, Tensor]


def basset(n_targets: int = 164) -> nn.Sequential:
    """Make Basset: takes (row, base=4, position=600), gives (row, target)."""
    layers: list[nn.Module] = []
    for n_in, n_out, width, pooled in ((4, 300, 19, 3), (300, 200, 11, 4), (200, 200, 7, 4)):
        convolved = nn.Conv1d(n_in, n_out, width), nn.BatchNorm1d(n_out), nn.ReLU()
        layers += [*convolved, nn.MaxPool1d(pooled)]
    layers.append(nn.Flatten())
    for n_in in (2000, 1000):
        layers += [nn.Linear(n_in, 1000), nn.BatchNorm1d(1000), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(1000, n_targets), nn.Sigmoid())


def deepsea(n_targets: int = 919) -> nn.Sequential:
    """Make DeepSEA: takes (row, base=4, position=1000), gives (row, target)."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((4, 320), (320, 480)):
        convolved = nn.Conv1d(n_in, n_out, 8), nn.ReLU()
        layers += [*convolved, nn.MaxPool1d(4), nn.Dropout(0.2)]
    layers += [nn.Conv1d(480, 960, 8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()]
    dense = nn.Linear(53 * 960, 925), nn.ReLU(), nn.Linear(925, n_targets)
    return nn.Sequential(*layers, *dense, nn.Sigmoid())


def beluga(n_targets: int = 2002) -> nn.Sequential:
    """Make Beluga: takes (row, base=4, position=2000), gives (row, target)."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((4, 320), (320, 480), (480, 640)):
        layers += [nn.Conv1d(n_in, n_out, 8), nn.ReLU(), nn.Conv1d(n_out, n_out, 8), nn.ReLU()]
        layers += [] if n_out == 640 else [nn.Dropout(0.2), nn.MaxPool1d(4)]
    layers += [nn.Dropout(0.5), nn.Flatten(), nn.Linear(106 * 640, 2003), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(2003, n_targets), nn.Sigmoid())


def basset_from(weights: Weights) -> tuple[nn.Module, Weights]:
    """Make Basset of the targets that its weights have; see `_in_order` for errors."""
    return _in_order(basset(_n_targets(weights)), weights)


def deepsea_from(weights: Weights) -> tuple[nn.Module, Weights]:
    """Make DeepSEA of the targets that its weights have; see `_in_order` for errors."""
    return _in_order(deepsea(_n_targets(weights)), weights)


def beluga_from(weights: Weights) -> tuple[nn.Module, Weights]:
    """Make Beluga of the targets that its weights have; see `_in_order` for errors."""
    return _in_order(beluga(_n_targets(weights)), weights)


def _n_targets(weights: Weights) -> int:
    return len(list(weights.values())[-1])


def _in_order(module: nn.Module, weights: Weights) -> tuple[nn.Module, Weights]:
    """Give the weights of a file the names of a module, by their order.

    Raises
    ------
    ValueError
        If there are more or fewer, or one has another shape; axes of size 1 do not count.
    """
    wanted = _counted_out(module.state_dict())
    found = _counted_out(weights)
    if set(wanted) == set(found):  # safetensors keep no order
        found = {name: found[name] for name in wanted}
    if len(wanted) != len(found):
        raise ValueError(f"found {len(found)} tensors, expected {len(wanted)}")
    renamed = {}
    for (name, like), (called, tensor) in zip(wanted.items(), found.items(), strict=True):
        if [n for n in tensor.shape if n > 1] != [n for n in like.shape if n > 1]:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(like.shape)}"
            raise ValueError(f"{called} has shape {shapes}")
        renamed[name] = tensor.reshape(like.shape)
    counts = {name: torch.tensor(0) for name in module.state_dict() if name not in wanted}
    return module, renamed | counts


def _counted_out(weights: Weights) -> dict[str, Tensor]:
    """Leave out how many batches a norm has seen, which some files lack."""
    return {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
