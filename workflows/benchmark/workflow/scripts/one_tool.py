"""One tool in a process of its own, which runs its work whenever it is asked.

So every tool runs as it does for who uses it alone: what another sets for its process, such as how memory is freed,
does not reach it. The one argument, the questions on standard input and the answers are JSON, as `tools.py` has them.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from sequences import sequences_for
from timing import seconds

from seqlift.sequence.references import make_references


def seqlift_work(job: dict) -> Callable:
    import seqlift
    from seqlift.explain import Explainer

    x, references = sequences_of(job)
    model = seqlift.load_model(job["program"])

    def explainer(batch_size: int) -> Explainer:
        return Explainer(
            model, length=job["row"]["length"], precision=job["precision"], device=job["device"],
            batch_size=batch_size or None, **job["explainer"],
        )  # fmt: skip

    return lambda batch_size: partial(contributed, explainer(batch_size), x, references)


def contributed(explainer, one_hot, references):
    return explainer.contribute(one_hot, references).hypothetical


def peer_work(job: dict) -> Callable:
    import models
    from contenders import PEERS, hush

    from seqlift.model.tensor_float import tensor_float

    hush()
    network = models.load(job["row"]["network"], job["weights"], job["device"])
    x, references = (array.float().to(job["device"]) for array in sequences_of(job))

    def track(batch_size: int) -> torch.Tensor:
        with tensor_float(job["precision"] == "tf32"):
            return PEERS[job["tool"]](network, x, references, batch_size)

    return lambda batch_size: partial(track, batch_size)


def limit_work(job: dict) -> Callable:
    import models
    from limit import limit

    from seqlift.memory import keep_freed_memory

    if job["device"] == "cpu":
        keep_freed_memory()  # a ceiling takes what helps
    row = job["row"]
    network = models.load(row["network"], job["weights"], job["device"])
    numbers = row["length"], job["sequences"], job["n_references"]
    return lambda batch_size: limit(network, *numbers, batch_size, job["precision"])


def sequences_of(job: dict) -> tuple[torch.Tensor, torch.Tensor]:
    one_hot = sequences_for(job["row"], job["sequences"], job["seed"])
    shuffles = make_references(one_hot.numpy(), n_references=job["n_references"], seed=job["seed"])
    return one_hot, torch.from_numpy(shuffles)


def peak(device: str) -> float:
    """Return the most memory that this process has held, and not its parent, as getrusage may have it."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e9


def serve(job: dict, answer: Callable[[dict], None]) -> None:
    """Answer each question by running the work once."""
    prepare = {"seqlift": seqlift_work, "limit": limit_work}.get(job["tool"], peer_work)(job)
    works: dict[int, Callable] = {}
    for line in sys.stdin:
        question = json.loads(line)
        size = question["batch_size"]
        if size not in works:
            works[size] = prepare(size)
        spent, result = seconds(works[size])
        if question["save"]:
            torch.save(result.cpu(), question["save"])
        answer({"seconds": spent, "peak_gb": peak(job["device"])})


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # what a tool prints is no answer
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    serve(settings, lambda found: print(json.dumps(found), file=answers, flush=True))
