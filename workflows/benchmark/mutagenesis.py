"""Time in-silico mutagenesis on windows against the same on whole sequences, and against tangermeme.

    pip install -e '.[bench]'
    python workflows/benchmark/mutagenesis.py --model bpnet

Every base of a stretch in the middle of one sequence is substituted; the cost of a substitution does not depend on
where it is. Prints processor seconds a round, one line a way, then the ratios round by round: the model itself on
batches of changed sequences, seqlift with windows switched off, seqlift as it is, and tangermeme without and with its
own fast way, which captures and checks the model at each call.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import tangermeme
import torch
from tangermeme import saturation_mutagenesis as peer
from torch import Tensor, nn

import seqlift
from seqlift.deeplift.methods import locality
from seqlift.deeplift.methods.mutagenesis import mutagenesis
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.model.capture import capture
from seqlift.model.placement import place
from seqlift.model.targets import select_target

sys.path.insert(0, str(Path(__file__).parent / "workflow/scripts"))
from models import BPNet, basset
from sequences import random_sequences

MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "basset": (basset, 600),
    "bpnet": (lambda: BPNet(64, 9), 2114),
}


def processor_seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def ways_of(
    model: nn.Module, length: int, stretch: slice, options: argparse.Namespace
) -> dict[str, Callable[[], Tensor]]:
    """Return all ways by name; each gives scores of shape (base, position of the stretch)."""
    # The same substitutions for all: outside the stretch there are no bases to substitute.
    one_hot = torch.zeros(1, 4, length)
    one_hot[:, :, stretch] = random_sequences(1, length, seed=1)[:, :, stretch].float()
    graph = place(
        select_target(capture(model, length), 0).graph, torch.float32, torch.device("cpu")
    )

    def ours() -> Tensor:
        no_reference = torch.zeros(1, 1, 4, length)
        found = mutagenesis(graph, one_hot, no_reference, MethodOptions(rows=options.rows))
        return found.multipliers[0, 0, :, stretch]

    def without_windows() -> Tensor:
        with mock.patch.object(locality, "WORTH", -1.0):
            return ours()

    def theirs(rows: int, *, fast: bool) -> Tensor:
        with mock.patch.object(peer, "_FAST_MIN_SECONDS", 0.0):
            return peer.saturation_mutagenesis(
                model, one_hot, start=stretch.start, end=stretch.stop, target=0, fast=fast,
                hypothetical=True, batch_size=rows, device="cpu",
            )[0]  # fmt: skip

    ways: dict[str, Callable[[], Tensor]] = {
        "seqlift": ours,
        "seqlift, whole sequences": without_windows,
        "the model itself": lambda: by_the_model(model, one_hot, stretch, options.rows),
    }
    for rows in options.peer_rows:
        ways[f"tangermeme, {rows} rows"] = lambda rows=rows: theirs(rows, fast=False)
        ways[f"tangermeme fast, {rows} rows"] = lambda rows=rows: theirs(rows, fast=True)
    return ways


def by_the_model(model: nn.Module, one_hot: Tensor, stretch: slice, at_once: int) -> Tensor:
    """Run the model on batches of changed sequences."""
    row = torch.arange((stretch.stop - stretch.start) * 4)
    rows = one_hot[0].repeat(len(row), 1, 1)
    rows[row, :, stretch.start + row // 4] = nn.functional.one_hot(row % 4, 4).float()
    is_other = (rows != one_hot).any(2).any(1)
    found = torch.zeros(len(rows))
    with torch.no_grad():
        parts = torch.split(rows[is_other], at_once)
        found[is_other] = torch.cat([model(part)[:, 0] for part in parts])
        found[~is_other] = model(one_hot)[:, 0]
    found = found.reshape(-1, 4).T
    return found - found.mean(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="bpnet")
    parser.add_argument("--positions", type=int, default=100, help="bases substituted")
    parser.add_argument("--rows", type=int, default=24, help="sequences in the model at once")
    parser.add_argument("--peer-rows", type=int, nargs="*", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    make, length = MODELS[options.model]
    first = (length - options.positions) // 2
    ways = ways_of(make().eval(), length, slice(first, first + options.positions), options)
    print(
        f"seqlift {seqlift.__version__}, tangermeme {tangermeme.__version__}, torch {torch.__version__}"
    )
    print(f"{platform.machine()}, {options}")
    expected = ways["seqlift"]()
    times: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(options.rounds):
        for way, work in ways.items():
            seconds, result = processor_seconds(work)
            times[way].append(seconds)
            error = float((result - expected).abs().max() / expected.abs().max())
            print(
                f"round {i + 1}: {way:28s} {seconds:8.2f} s, largest difference {error:.1e}",
                flush=True,
            )
    for way, spent in times.items():
        ratios = [b / a for a, b in zip(times["seqlift"], spent, strict=True)]
        middle = statistics.median(ratios)
        print(f"{way:28s} {middle:6.2f} times (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
