"""What an evaluation should do: the options of `seqlift evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqlift.errors import UsageError
from seqlift.model.options import ModelOptions
from seqlift.sequence.references import find_scheme

__all__ = ["OWN", "EvaluationPlan"]

OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan(ModelOptions):
    """What to evaluate and how; the options of `seqlift evaluate` under the same names.

    Parameters
    ----------
    model : str
        See `seqlift.model.load.load_model`.
    scores : tuple of str
        Files that `seqlift score` wrote with that model.
    output : str
        Prefix of the table and the figure.
    regions_sampled : int
        Regions of each file; 0 takes all.
    positions : int
        Positions of each region where the three substitutions are made; 0 takes all.
    replacement : str
        Scheme of the references that bases are replaced by, or "own" for those of each file.
    seed : int
        Of the sample, the intervals and the replacements that are not a file's own.
    """

    model: str
    scores: tuple[str, ...]
    output: str
    weights: str | None = None
    regions_sampled: int = 50
    positions: int = 100
    replacement: str = OWN
    seed: int = 0
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    precision: str = "float32"
    force: bool = False

    def __post_init__(self) -> None:
        if not Path(self.output).name or self.output.endswith("/"):
            raise UsageError(
                f"the output {self.output!r} is a folder; give a prefix such as "
                f"{Path(self.output) / 'evaluation'}"
            )
        if len(set(self.scores)) < len(self.scores):
            raise UsageError(f"a file is named twice in {', '.join(self.scores)}")
        if self.replacement != OWN:
            find_scheme(self.replacement)

    def files(self) -> tuple[Path, Path]:
        """Return the names of the table and the figure."""
        return Path(f"{self.output}.tsv"), Path(f"{self.output}.png")
