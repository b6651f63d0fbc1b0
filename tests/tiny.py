"""A genome of three contigs, regions on it, a small model, and a way to run commands."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from seqlift import preparing
from seqlift.cli import main
from seqlift.model.capture import Captured
from seqlift.model.form import InputForm

LENGTH = 40
N_REFERENCES = 4

# Name, BED6 columns but the score; on the genome below.
REGIONS = """\
chr1	230	290	first	0	+
chr1	250	300	second	0	-
chr1	251	320	third	0	.
chr1	250	300	again	0	+
chr1	130	170	poly-A	0	.
chr10	0	20	start	0	.
chr2	585	600	end	0	-
chr2	190	230	run-of-N	0	.
chr2	300	340	IUPAC	0	-
chr2	60	100	lower-case	0	+
chr10	110	130	last	0	.
"""
# The window of this one lies about its summit, 60 bp right of the midpoint.
NARROW_PEAK = "chr2\t400\t500\tsummit\t0\t.\t1.5\t-1\t-1\t110\n"


def names(folder: str | Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in Path(folder).iterdir())


class Run(NamedTuple):
    """How a command ended and what it said."""

    status: int
    stdout: str
    stderr: str


class Tiny(nn.Module):
    """One convolution and three outputs; the last is small."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 7, padding=3)
        self.dense = nn.Linear(60, 3)

    def forward(self, x):
        return self.dense(torch.max_pool1d(torch.relu(self.conv(x)), 4).flatten(1))


class Pooled(Tiny):
    """Takes any length and has two outputs with names, one of them a probability."""

    def forward(self, x):
        pooled = torch.relu(self.conv(x)).amax(-1)
        return {"counts": pooled[:, :2], "bound": torch.sigmoid(pooled.sum(-1))}


class Sorted(Tiny):
    """Uses an operator without a rule, once for each output but the last."""

    def forward(self, x):
        whole = super().forward(x)
        return torch.cat([whole[:, :2].sort(-1).values, whole[:, 2:]], 1)


class TwoInputs(Tiny):
    """Takes a second tensor."""

    def forward(self, x, bias):
        return super().forward(x) + bias


def seeded(model: type[nn.Module]) -> nn.Module:
    """Make a model with the same random weights every time."""
    torch.manual_seed(3)
    return model().eval()


def export(
    model: nn.Module, path: Path, *, inputs: tuple[torch.Tensor, ...] | None = None, dims=None
) -> Path:
    """Write a model as a program with a batch of any size, or with the given dimensions."""
    inputs = (torch.zeros(2, 4, LENGTH),) if inputs is None else inputs
    shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs) if dims is None else dims
    torch.export.save(torch.export.export(model, inputs, dynamic_shapes=shapes), path)
    return path


def make_contigs() -> dict[str, str]:
    """Make the letters of the genome; lower case, Ns, IUPAC codes and a poly-A among them."""
    rng = np.random.default_rng(7)
    lengths = {"chr2": 600, "chr10": 130, "chr1": 500}
    contigs = {name: "".join(rng.choice([*"ACGT"], n)) for name, n in lengths.items()}
    chr2, chr1 = contigs["chr2"], contigs["chr1"]
    chr2 = chr2[:205] + "N" * 12 + chr2[217:318] + "RYK" + chr2[321:]
    contigs["chr2"] = chr2[:70] + chr2[70:90].lower() + chr2[90:]
    contigs["chr1"] = chr1[:110] + "A" * 80 + chr1[190:]
    return contigs


def write_fasta(sequences: dict[str, str], path: Path) -> Path:
    """Write FASTA in lines of 50 letters."""
    text = "".join(
        f">{name}\n" + "".join(f"{letters[i : i + 50]}\n" for i in range(0, len(letters), 50))
        for name, letters in sequences.items()
    )
    path.write_text(text)
    return path


def write_inputs(folder: Path, regions: str = REGIONS) -> Path:
    """Write model.pt2, genome.fa and peaks.bed; return the folder."""
    export(seeded(Tiny), folder / "model.pt2")
    write_fasta(make_contigs(), folder / "genome.fa")
    (folder / "peaks.bed").write_text(regions)
    return folder


def cut(contigs: dict[str, str], chrom: str, start: int, end: int) -> str:
    """Cut a window out of the genome by hand: N where there is no genome."""
    letters = contigs[chrom]
    return "".join(letters[i] if 0 <= i < len(letters) else "N" for i in range(start, end))


def run_cli(*arguments: object, stdin: str | bytes = b"") -> Run:
    """Run the command line in this process, as the shell would."""
    out, err = io.StringIO(), io.StringIO()
    data = stdin.encode() if isinstance(stdin, str) else stdin
    with _stdin(data), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
    assert isinstance(status, int)
    return Run(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _stdin(data: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


@contextlib.contextmanager
def remembered_captures() -> Iterator[None]:
    """Let the pipeline capture each program once: half a second that has nothing to do with it."""
    known: dict[object, Captured] = {}
    real = preparing.capture

    def capture(
        model: nn.Module | ExportedProgram,
        length: int | None = None,
        form: InputForm | None = None,
    ) -> Captured:
        if not isinstance(model, ExportedProgram):
            return real(model, length, form)
        weights = b"".join(v.detach().numpy().tobytes() for v in model.state_dict.values())
        key = (str(model), weights, length, str(form))
        if key not in known:
            known[key] = real(model, length, form)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "capture", capture)
        yield
