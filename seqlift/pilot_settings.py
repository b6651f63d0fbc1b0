"""The settings that a pilot tries, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqlift.errors import UsageError
from seqlift.opening import Input, require_one_input
from seqlift.schemes import require_schemes
from seqlift.sequence.references import DEFAULT_SCHEME

__all__ = ["FLAT", "SETTINGS", "PilotPlan", "Setting"]

FLAT = "flat"


class Setting(NamedTuple):
    """One way to score; the options of `seqlift score` under the same names."""

    references: str
    n_references: int
    rules: str = "rescale"
    estimator: str = "plain"
    precision: str = "float32"

    @property
    def name(self) -> str:
        """What tables and figures call it.

        Examples
        --------
        >>> Setting("flat", 1, rules="genomics").name
        'flat genomics'
        >>> Setting("dinucleotide-shuffle", 5, estimator="base-marginal").name
        '5 shuffles base-marginal'
        """
        if self.references == FLAT:
            return f"{FLAT} {self.rules}"
        return " ".join([f"{self.n_references} shuffles", *self._changed().values()])

    def _changed(self) -> dict[str, str]:
        """Return what is not as `seqlift score` has it by default."""
        values = {name: str(getattr(self, name)) for name in ("rules", "estimator", "precision")}
        return {k: v for k, v in values.items() if v != self._field_defaults[k]}

    @property
    def sums_to_delta(self) -> bool:
        """Whether the scores of a region sum to its mean delta."""
        return self.estimator == "plain"

    def options(self, background: str | None = None) -> str:
        """Write the setting as options of `seqlift score`.

        Parameters
        ----------
        background : str or None
            As the user gave it, for the flat reference.

        Returns
        -------
        options : str

        Examples
        --------
        >>> Setting("flat", 1, rules="genomics").options()
        '--references flat --rules genomics'
        >>> Setting("dinucleotide-shuffle", 5, estimator="base-marginal").options()
        '-n 5 --estimator base-marginal'
        """
        words = [f"-n {self.n_references}"]
        if self.references == FLAT:
            words = ["--references flat"]
            words += [] if background is None else [f"--background {background}"]
        words += [f"--{option} {value}" for option, value in self._changed().items()]
        return " ".join(words)


SETTINGS = (
    Setting(FLAT, 1),
    Setting(FLAT, 1, rules="genomics"),
    *(Setting(DEFAULT_SCHEME, n) for n in (5, 10, 20, 50)),
    *(Setting(DEFAULT_SCHEME, n, estimator="base-marginal") for n in (5, 10, 20, 50)),
    Setting(DEFAULT_SCHEME, 20, precision="bfloat16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotPlan(Input):
    """What to try and on what; the options of `seqlift pilot` under the same names.

    The input is that of `seqlift.opening.Input`.

    Parameters
    ----------
    model : str
        See `seqlift.model.load.load_model`.
    output : str or None
        Prefix of the table and the figure, if they are to be written.
    regions_sampled : int
        How many regions to score.
    against : int
        Shuffles of the independent set that every setting is held against; even.
    seed : int
        Of the sample and of the settings' references; the independent set has the next one.
    """

    model: str
    output: str | None = None
    weights: str | None = None
    target: str = "0"
    target_activation: str = "auto"
    background: str | None = None
    regions_sampled: int = 20
    against: int = 64
    seed: int = 0
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        require_one_input(self)
        require_schemes((FLAT,), self.background, has_genome=self.fasta is None)
        if self.regions_sampled < 1:
            raise UsageError(f"found {self.regions_sampled} regions to sample; expected at least 1")
        if self.against < 2 or self.against % 2:
            raise UsageError(
                f"found an independent set of {self.against} shuffles; expected an even number, "
                "since its halves are compared with each other"
            )
        if self.output is not None and (not Path(self.output).name or self.output.endswith("/")):
            raise UsageError(
                f"the output {self.output!r} is a folder; give a prefix such as "
                f"{Path(self.output) / 'pilot'}"
            )

    def files(self) -> tuple[Path, ...]:
        """Return the names of the table and the figure, if they are written."""
        return (
            ()
            if self.output is None
            else tuple(Path(f"{self.output}{ending}") for ending in (".tsv", ".png"))
        )
