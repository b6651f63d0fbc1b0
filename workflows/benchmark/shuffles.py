"""Time seqlift's dinucleotide shuffles against those of tangermeme, in turn and in one process.

    pip install -e '.[bench]'
    python workflows/benchmark/shuffles.py
    python workflows/benchmark/shuffles.py --sequences 8 --length 200 --rounds 1

Prints shuffles a second (median over rounds) on one thread and on several, and the ratio to tangermeme's on as many,
round by round. tangermeme has two ways: one-hot tensors, as seqlift gives them, and letters packed four in a byte, which
are close to what its compiled kernel takes by itself. Its first call, which compiles, is left out.

The two do not draw the same: seqlift's shuffles are uniform over all that keep the counts of dinucleotides, while
tangermeme keeps the last step out of each base as it is in the sequence.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import tangermeme
import torch
from tangermeme.ersatz import dinucleotide_shuffle as peer_shuffle

import seqlift
from seqlift.sequence.onehot import from_indices
from seqlift.sequence.shuffle import dinucleotide_shuffle


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=400)
    parser.add_argument("--length", type=int, default=2114)
    parser.add_argument("--references", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    shape = (options.sequences, options.length)
    letters = np.random.default_rng(0).integers(0, 4, shape, dtype=np.uint8)
    one_hot = from_indices(letters)
    tensor = torch.from_numpy(one_hot).to(torch.int8)
    n = options.references

    def ours(n_threads: int) -> None:
        dinucleotide_shuffle(one_hot, n, seed=0, n_threads=n_threads)

    def theirs(n_threads: int, is_packed: bool) -> None:
        torch.set_num_threads(n_threads)
        peer_shuffle(tensor, n=n, random_state=0, n_jobs=n_threads, return_packed=is_packed)

    ways: dict[str, Callable[[int], None]] = {
        "seqlift": ours,
        "tangermeme": lambda n_threads: theirs(n_threads, False),
        "tangermeme, packed": lambda n_threads: theirs(n_threads, True),
    }
    warnings.simplefilter("ignore")
    print(f"seqlift {seqlift.__version__}, tangermeme {tangermeme.__version__}")
    print(f"{platform.machine()}, numpy {np.__version__}, torch {torch.__version__}, {options}")
    runs = [(name, threads) for threads in options.threads for name in ways]
    rates: dict[tuple[str, int], list[float]] = {run: [] for run in runs}
    for name, threads in runs:
        ways[name](threads)
    for _ in range(options.rounds):
        for name, threads in runs:
            took = seconds(lambda name=name, threads=threads: ways[name](threads))
            rates[name, threads].append(options.sequences * n / took)
    print("threads\tshuffles/s\tfrom\tto\tseqlift is faster by\twho")
    for name, threads in runs:
        found = rates[name, threads]
        ratio = statistics.median(
            mine / other for mine, other in zip(rates["seqlift", threads], found, strict=True)
        )
        median = statistics.median(found)
        print(f"{threads}\t{median:.0f}\t{min(found):.0f}\t{max(found):.0f}\t{ratio:.2f} ×\t{name}")


if __name__ == "__main__":
    main()
