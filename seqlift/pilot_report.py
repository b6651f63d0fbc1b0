"""What a pilot found, as a table and as advice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlift.output.atomic import write_errors
from seqlift.pilot_choice import LEVELS, Outcome, choose, nearest

__all__ = ["COLUMNS", "Report", "write_report"]

COLUMNS = (
    "setting",
    "references",
    "n_references",
    "rules",
    "estimator",
    "precision",
    "agreement",
    "corrected",
    "corrected_low",
    "corrected_high",
    "completeness_error",
    "sum_error",
    "seconds_per_region",
    "regions_per_hour",
    "hours_for_all",
    "options",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a pilot found.

    Attributes
    ----------
    facts : dict of str to str
        About the run and its input.
    outcomes : list of Outcome
        In the order of the table.
    n_regions : int
        Of the whole input, to score.
    background : str or None
        Of the flat reference, as the user gave it.
    """

    facts: dict[str, str]
    outcomes: list[Outcome]
    n_regions: int
    background: str | None = None

    def table(self) -> str:
        """Write the table as tab-separated text; facts are lines with # before it."""
        facts = [f"# {key}: {value}" for key, value in self.facts.items()]
        rows = ["\t".join(row) for row in (COLUMNS, *map(self._cells, self.outcomes))]
        return "".join(f"{line}\n" for line in (*facts, *rows))

    def _cells(self, found: Outcome) -> tuple[str, ...]:
        setting, corrected = found.setting, found.corrected
        # That of pairs would hide that the scores of such an estimator do not sum.
        completeness = found.completeness_error if setting.sums_to_delta else np.nan
        numbers = (
            *(found.agreement, corrected.value, corrected.low, corrected.high),
            *(completeness, found.sum_error),
            *(found.seconds, 3600 / found.seconds, found.seconds * self.n_regions / 3600),
        )
        cells = (setting.name, *map(str, setting), *map(_number, numbers))
        return (*cells, setting.options(self.background))

    def advice(self) -> list[str]:
        """Say for each level which setting is the cheapest that reaches it."""
        return [self._advice(level) for level in LEVELS]

    def _advice(self, level: float) -> str:
        chosen = choose(self.outcomes, level)
        if chosen is not None:
            return f"for an agreement of {level}: {self._described(chosen)}"
        best = nearest(self.outcomes)
        if best is None:
            return f"for an agreement of {level}: nothing can be said, see reliability in the table"
        return f"for an agreement of {level}: none of these; the nearest is {self._described(best)}"

    def _described(self, found: Outcome) -> str:
        value, seconds = found.corrected, found.seconds
        spread = f", {value.low:.3f} to {value.high:.3f}" if np.isfinite(value.low) else ""
        sums = "" if found.setting.sums_to_delta else "; its scores do not sum to delta"
        cost = f"{_rate(seconds)}, {_duration(seconds * self.n_regions)} for all {self.n_regions:,}"
        options = found.setting.options(self.background)
        return f"{options} ({value.value:.3f}{spread}; {cost}{sums})"


def write_report(path: Path, report: Report) -> None:
    """Write the table of a report.

    Parameters
    ----------
    path : Path
        Where to write; what is there is replaced.
    report : Report

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with write_errors(path):
        path.write_text(report.table(), encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "NA"


def _rate(seconds: float) -> str:
    """Write how many regions are done, by what one takes.

    Examples
    --------
    >>> _rate(0.0008), _rate(0.3), _rate(1.5)
    ('1,250 regions a second', '3.3 regions a second', '2,400 regions an hour')
    """
    if seconds <= 1:
        return f"{_rounded(1 / seconds)} regions a second"
    return f"{_rounded(3600 / seconds)} regions an hour"


def _duration(seconds: float) -> str:
    """Write a time in the unit that suits it.

    Examples
    --------
    >>> _duration(7.26), _duration(600), _duration(90000), _duration(900000)
    ('7.3 s', '10 min', '25 h', '10 days')
    """
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{_rounded(seconds / size)} {unit}"
    return f"{_rounded(seconds / 86_400)} days"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
