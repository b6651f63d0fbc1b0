"""What a call of seqlets should do: the options of `seqlift seqlets`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqlift.errors import UsageError
from seqlift.model.options import ModelOptions

__all__ = ["STDOUT", "SeqletPlan"]

STDOUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeqletPlan(ModelOptions):
    """Where to call seqlets and how; the options of `seqlift seqlets` under the same names.

    Parameters
    ----------
    scores : str
        A file that `seqlift score` wrote.
    output : str
        The BED file to write; `-` is standard output.
    models, weights : tuple of str
        The model that was scored; without it, the one that `scores` names.
    null : str or None
        Scored shuffles, in place of scoring them now.
    shuffles : int or None
        How many to score; None takes `seqlift.seqlet_shuffles.default_number`.
    motifs : str or None
        A MEME file, whose motifs name seqlets.
    fdr : float
        The false discovery rate of all that is written, over 0 and at most 1.
    logos : int
        The strongest seqlets to draw, as `OUTPUT.logo1.png` and so on.
    """

    scores: str
    output: str
    models: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    null: str | None = None
    shuffles: int | None = None
    motifs: str | None = None
    fdr: float = 0.05
    logos: int = 0
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fdr <= 1:
            raise UsageError(f"found --fdr {self.fdr:g}; expected more than 0 and at most 1")
        if self.null is not None and (self.models or self.weights or self.shuffles is not None):
            given = "-m" if self.models else "-w" if self.weights else "--shuffles"
            raise UsageError(
                f"found --null and {given}; expected scored shuffles, or what scores them"
            )
        if self.output == STDOUT and self.logos:
            raise UsageError("found --logos with the output -; expected the name of a file")

    def files(self, n_logos: int | None = None) -> list[Path]:
        """Return the files to write: the BED, and the logos.

        Parameters
        ----------
        n_logos : int or None
            How many there are to draw, if that is known by now.

        Returns
        -------
        files : list of Path
        """
        if self.output == STDOUT:
            return []
        n = self.logos if n_logos is None else min(self.logos, n_logos)
        prefix = self.output.removesuffix(".bed")
        return [Path(self.output), *(Path(f"{prefix}.logo{k}.png") for k in range(1, n + 1))]
