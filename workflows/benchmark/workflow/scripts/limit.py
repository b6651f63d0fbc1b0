"""The ceiling: how long a network's convolutions take by themselves, as fast as torch runs them.

DeepLIFT against K references needs 1 + K forward passes and K backward ones. Timed are the convolutions of these passes
alone, in their own shapes, as channels-last conv2d on inputs that lie ready; backward is the convolution with
the flipped, transposed weights, which for stride 1 is exact.
"""

from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from seqlift.model.tensor_float import tensor_float


def convolutions(model: nn.Module, length: int) -> list[tuple[nn.Conv1d, int]]:
    """Return the convolutions that one sequence passes, each with the length of its input."""
    found: list[tuple[nn.Conv1d, int]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append((module, inputs[0].shape[2]))

    layers = [m for m in model.modules() if isinstance(m, nn.Conv1d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    parameter = next(model.parameters())
    with torch.no_grad():
        model(torch.zeros(1, 4, length, device=parameter.device))
    for hook in hooks:
        hook.remove()
    return found


def passes(layer: nn.Conv1d, length: int, make: Callable[[int, int], Tensor]) -> Iterator[tuple]:
    """Yield inputs, weights and options of a layer's forward convolution, and of its backward one.

    `make` gives an input of so many channels and positions.
    """
    if layer.stride != (1,) or layer.groups != 1:
        raise ValueError(f"{layer}: the limit is measured for stride 1 and one group")
    padding, dilation, width = layer.padding[0], layer.dilation[0], layer.kernel_size[0]
    weight = layer.weight.detach().unsqueeze(2)
    length_out = length + 2 * padding - dilation * (width - 1)
    turned = weight.flip(3).transpose(0, 1)
    for w, n, p in (
        (weight, length, padding),
        (turned, length_out, dilation * (width - 1) - padding),
    ):
        x = make(w.shape[1], n)
        yield x, w.to(x.dtype).contiguous(memory_format=torch.channels_last), p, dilation


def limit(
    model: nn.Module, length: int, n_sequences: int, n_references: int, n_rows: int, precision: str
) -> Callable[[], Tensor]:
    """Return the convolutions of a whole job, made ready, `n_rows` at a time."""
    n_pairs = n_sequences * n_references
    dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)
    device = next(model.parameters()).device

    @cache  # layers of one shape read one input
    def make(n_channels: int, n: int) -> Tensor:
        x = torch.randn(n_rows, n_channels, 1, n, dtype=dtype, device=device)
        return x.contiguous(memory_format=torch.channels_last)

    jobs = []
    for layer, size in convolutions(model, length):
        ready = passes(layer, size, make)
        jobs += zip(ready, (n_pairs + n_sequences, n_pairs), strict=True)

    @torch.no_grad()
    def work() -> Tensor:
        with tensor_float(precision == "tf32"):
            for (x, weight, padding, dilation), n in jobs:
                for first in range(0, n, n_rows):
                    rows = x[: n - first]
                    y = conv2d(rows, weight, padding=(0, padding), dilation=(1, dilation))
        return y

    return work


def n_operations(model: nn.Module, length: int, n_references: int) -> int:
    """Return the multiplications and additions of the convolutions, for one sequence."""
    forward = 0
    for layer, size in convolutions(model, length):
        size_out = size + 2 * layer.padding[0] - layer.dilation[0] * (layer.kernel_size[0] - 1)
        forward += 2 * layer.weight.numel() * size_out
    return (1 + 2 * n_references) * forward
