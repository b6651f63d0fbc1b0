"""One point of a curve, in a process of its own: prints its seconds and its peak memory in GB as JSON.

The one argument is JSON too: what `time_curve.py` says of the point.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from sequences import sequences_for
from timing import seconds

from seqlift.sequence.references import make_references

point = json.loads(sys.argv[1])
row, device = point["row"], point["device"]
torch.set_num_threads(point["threads"])
one_hot = sequences_for(row, point["sequences"], seed=0)
shuffles = make_references(one_hot.numpy(), n_references=point["n_references"], seed=0)
references = torch.from_numpy(shuffles)


def seqlift_work():
    import seqlift
    from seqlift.explain import Explainer

    explainer = Explainer(
        seqlift.load_model(point["program"]), length=row["length"], precision=point["precision"],
        device=device, batch_size=point["batch_size"], **point["explainer"],
    )  # fmt: skip
    return lambda: explainer.contribute(one_hot, references).hypothetical


def peer_work():
    import models
    from contenders import PEERS, hush

    hush()
    network = models.load(row["network"], point["weights"], device)
    arrays = (array.float().to(device) for array in (one_hot, references))
    return partial(PEERS[point["tool"]], network, *arrays, point["batch_size"])


def peak() -> float:
    """Return the most memory that this process has held, and not its parent, as getrusage may have it."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e9


work = seqlift_work() if point["tool"] == "seqlift" else peer_work()
seconds(work)  # what is done once
print(json.dumps({"seconds": seconds(work)[0], "peak_gb": peak()}))
