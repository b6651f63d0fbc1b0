"""Time seqlift against tangermeme on a BPNet, in turn and in one process, with the same references.

    pip install -e '.[bench]'
    python workflows/benchmark/against_tangermeme.py
    python workflows/benchmark/against_tangermeme.py --device cuda --precision tf32 --sequences 64 --batch-sizes 64 256 1024

Prints one line a round, then sequences a second (median over rounds), the ratio round by round, and the largest
difference between the two results. Both use torch's threads; tangermeme runs at the best of several batch sizes,
seqlift at its default. Compiling is not timed; once per machine it takes up to a minute or two. On a CUDA device tangermeme
has TF32 unless seqlift has float32.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import tangermeme
import torch
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import Tensor

import seqlift
from seqlift.explain import Explainer
from seqlift.model.tensor_float import tensor_float
from seqlift.sequence.references import make_references

sys.path.insert(0, str(Path(__file__).parent / "workflow/scripts"))
from models import BPNet
from sequences import random_sequences


def seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=10)
    parser.add_argument("--length", type=int, default=2114)
    parser.add_argument("--references", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 20, 32, 64])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--compile", choices=["on", "off", "auto"], default="on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = BPNet(options.filters).eval().requires_grad_(False)
    one_hot = random_sequences(options.sequences, options.length, seed=1)
    references = torch.from_numpy(
        make_references(one_hot.numpy(), n_references=options.references, seed=0)
    )
    explainer = Explainer(
        model,
        length=options.length,
        device=options.device,
        precision=options.precision,
        compile=options.compile,
    )

    def ours() -> Tensor:
        return explainer.contribute(one_hot, references).hypothetical.cpu()

    peer, given = model.to(options.device), references.float().to(options.device)

    def theirs(batch_size: int) -> Tensor:
        with tensor_float(options.precision != "float32"):
            return deep_lift_shap(
                peer, one_hot.float(), references=given, hypothetical=True,
                batch_size=batch_size, device=options.device, warning_threshold=float("inf"),
            )  # fmt: skip

    warnings.simplefilter("ignore")
    print(
        f"seqlift {seqlift.__version__}, tangermeme {tangermeme.__version__}, torch {torch.__version__}"
    )
    print(f"{platform.machine()}, {options.threads} threads, {options}")
    result = ours()
    times: list[float] = []
    peer_times: list[float] = []
    for i in range(options.rounds):
        times.append(seconds(ours)[0])
        runs = {size: seconds(lambda size=size: theirs(size)) for size in options.batch_sizes}
        best = min(runs, key=lambda size: runs[size][0])
        peer_times.append(runs[best][0])
        print(
            f"round {i + 1}: seqlift {times[-1]:.2f} s, tangermeme {peer_times[-1]:.2f} s (batch size {best})"
        )
    ratios = [b / a for a, b in zip(times, peer_times, strict=True)]
    expected = runs[best][1]
    print(f"seqlift     {options.sequences / statistics.median(times):8.2f} sequences a second")
    print(
        f"tangermeme  {options.sequences / statistics.median(peer_times):8.2f} sequences a second, best batch size"
    )
    print(
        f"ratio       {statistics.median(ratios):8.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
    )
    worst = (result - expected).abs().max() / expected.abs().max()
    print(f"largest difference {worst:.1e} of the largest score")


if __name__ == "__main__":
    main()
