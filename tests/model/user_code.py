"""A user's own file: a model, factories that work and factories that do not.

Tests import it, and copy it to where a user would keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

constant = 7


@dataclass
class Sizes:
    channels: int = 3


class Net(nn.Module):
    def __init__(self, sizes: Sizes | None = None):
        super().__init__()
        channels = (sizes or Sizes()).channels
        self.conv = nn.Conv1d(4, channels, 5)
        self.dense = nn.Linear(channels, 2)

    def forward(self, x):
        return self.dense(torch.relu(self.conv(x)).mean(-1))


class Lazy(Net):
    def __init__(self):
        super().__init__()
        self.dense = nn.LazyLinear(2)


def text():
    return "net"


def fails():
    raise RuntimeError("no licence\nfor this")


def leaves():
    raise SystemExit(3)


class Planted:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("code-ran"),)
