"""Tools in processes of their own, asked one at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

CHILD = Path(__file__).with_name("one_tool.py")


def job_of(snakemake, tool: str, precision: str, sequences: int, n_references: int) -> dict:
    """Return what a tool is to do for a rule, whose params have `row`, `seed`, `explainer` and `device`."""
    params = snakemake.params
    return {
        "tool": tool,
        "precision": precision,
        "row": params.row,
        "program": snakemake.input.program,
        "weights": snakemake.input.weights,
        "sequences": sequences,
        "n_references": n_references,
        "seed": params.seed,
        "explainer": params.explainer,
        "device": params.device,
        "threads": snakemake.threads,
    }


class Tool:
    """A tool that has a network, sequences and references, and runs when it is asked; a context manager.

    Parameters
    ----------
    job : dict
        "tool" ("seqlift", "limit" or a peer), "precision", "row", "program" and "weights" of the network, "sequences",
        "n_references" and "seed" of what is explained, "explainer" (options), "device", "threads".
    """

    def __init__(self, job: dict) -> None:
        self.name = job["tool"]
        self._child = subprocess.Popen(
            [sys.executable, str(CHILD), json.dumps(job)],
            env=os.environ | {"OMP_NUM_THREADS": str(job["threads"])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )

    def run(self, batch_size: int = 0, save: str | None = None) -> dict[str, float]:
        """Run the work once.

        Parameters
        ----------
        batch_size : int
            0 where the tool takes none or chooses its own.
        save : str or None
            A file for the result, as torch saves it.

        Returns
        -------
        dict
            "seconds", and "peak_gb": the most memory the process has held so far.

        Raises
        ------
        SystemExit
            If the process has ended.
        """
        self._child.stdin.write(json.dumps({"batch_size": batch_size, "save": save}) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} ended with {self._child.wait()}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.kill()  # nothing of value is in it
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()
