"""Measure what a recurrent layer costs: capture, scoring and memory, by the number of positions.

    python workflows/benchmark/recurrent.py
    python workflows/benchmark/recurrent.py --layer GRU --positions 500 --bidirectional

One thread, seconds of processor time, so that a busy machine measures the same.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from torch import Tensor, nn

from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.sequence.references import make_references


class Recurrent(nn.Module):
    """A convolution, a recurrent layer of 64 units over all positions, their mean, dense."""

    def __init__(self, layer: str, is_bidirectional: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 64, 11, padding=5)
        self.recurrent = getattr(nn, layer)(
            64, 64, batch_first=True, bidirectional=is_bidirectional
        )
        self.last = nn.Linear(128 if is_bidirectional else 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.relu(self.first(x)).transpose(1, 2)
        return self.last(self.recurrent(steps)[0].mean(1))


def random_sequences(n: int, length: int) -> Tensor:
    """Return one-hot sequences, uint8, shape (region, 4, position)."""
    letters = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(0))
    return nn.functional.one_hot(letters, 4).transpose(1, 2).to(torch.uint8).contiguous()


def measure(model: nn.Module, length: int, n_sequences: int, n_references: int) -> str:
    started = time.process_time()
    captured = capture(model, length)
    to_capture = time.process_time() - started
    explainer = Explainer(captured, device="cpu")
    one_hot = random_sequences(n_sequences, length)
    shuffled = make_references(one_hot.numpy(), n_references=n_references, seed=0)
    references = torch.from_numpy(shuffled)
    explainer.contribute(one_hot[:1], references[:1])  # what is done once
    started = time.process_time()
    explainer.contribute(one_hot, references)
    to_score = (time.process_time() - started) / n_sequences
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return f"{length}\t{to_capture:.2f}\t{to_score:.3f}\t{memory:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layer", choices=("LSTM", "GRU", "RNN"), default="LSTM")
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--positions", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--references", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Recurrent(given.layer, given.bidirectional)
    capture(nn.Flatten(), 2)  # what torch.export imports
    print("positions\tcapture, s\ta sequence, s\tpeak memory, GB")
    for length in given.positions:
        print(measure(model, length, given.sequences, given.references), flush=True)


if __name__ == "__main__":
    main()
