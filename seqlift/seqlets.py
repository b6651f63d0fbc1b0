"""Seqlets: the stretches of scored regions that shuffled DNA does not have, as BED.

The file is read twice, in slices. The first time only counts how its stretches rank among those of
the null, which is what false discovery rates need; the second time writes. So memory depends on
the null and not on the number of regions.
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.genome.regions import Region, format_region
from seqlift.logo import draw_logo, save_logo
from seqlift.motifs import NO_MATCH, Match, Motifs, preferences, read_motifs
from seqlift.output.atomic import check_targets, whole_files, write_errors
from seqlift.output.hdf5 import ScoresFile
from seqlift.seqlet_null import DRIFT_QUANTILE, Null, Tally, measure_null
from seqlift.seqlet_plan import SeqletPlan
from seqlift.seqlet_shuffles import read_tracks, require_comparable, score_shuffles
from seqlift.stretches import SIGNS, find_stretches

__all__ = ["COLUMNS", "Called", "Seqlet", "call_seqlets"]

COLUMNS = (
    "chrom", "start", "end", "name", "score", "strand",
    "contribution", "p_value", "q_value", "region_row", "motif", "motif_p_value",
)  # fmt: skip
# BED has scores from 0 to 1000; a p-value of 1e-5 is 500.
_SCORE_A_DECADE = 100
_LOGO_FLANK = 10


class Seqlet(NamedTuple):
    """A called stretch.

    Attributes
    ----------
    row : int
        Of the region in the file, from 0.
    region : Region
        The window, 0-based half-open.
    start, end : int
        0-based half-open, counted from the window's start, bp.
    sign : int
        1 or -1.
    contribution : float
        Sum of the track over the stretch, in units of the target output.
    p_value, q_value : float
    hypothetical : float, shape (base=4, position)
        Of the stretch.
    match : Match
        The motif that names it.
    """

    row: int
    region: Region
    start: int
    end: int
    sign: int
    contribution: float
    p_value: float
    q_value: float
    hypothetical: NDArray[np.floating[Any]]
    match: Match = NO_MATCH

    @property
    def place(self) -> Region:
        """Where it lies in the genome; the strand is that of the motif's match."""
        start = self.region.start
        return Region(
            self.region.chrom,
            start + self.start,
            start + self.end,
            self.match.name,
            self.match.strand,
        )

    def line(self) -> str:
        """Return its line of the BED."""
        place = self.place
        score = min(1000, round(-_SCORE_A_DECADE * np.log10(self.p_value)))
        motif_p = "." if self.match == NO_MATCH else f"{self.match.p_value:.3g}"
        words = (
            place.chrom, place.start, place.end, place.name, score, place.strand,
            f"{self.contribution:.6g}", f"{self.p_value:.3g}", f"{self.q_value:.3g}",
            self.region.row, self.match.motif, motif_p,
        )  # fmt: skip
        return "\t".join(map(str, words)) + "\n"


class Called(NamedTuple):
    """What a call found.

    Attributes
    ----------
    n_seqlets, n_regions, n_scored : int
        Seqlets, regions that have one, and regions of the file.
    n_named : int
        Seqlets that a motif names.
    n_null : int
        Shuffles of the null.
    fewest : int
        Regions that must score above the whole null before any is called.
    files : list of Path
        Written.
    """

    n_seqlets: int
    n_regions: int
    n_scored: int
    n_named: int
    n_null: int
    fewest: int
    files: list[Path]


@dataclass
class _Caller:
    """A call under way, once the null is known."""

    plan: SeqletPlan
    file: ScoresFile
    null: Null
    motifs: Motifs | None
    n_seqlets: int = field(init=False)
    p_values: NDArray[np.float64] = field(init=False)
    q_values: dict[int, NDArray[np.float64]] = field(init=False)

    def __post_init__(self) -> None:
        n_ranks = self.null.n_sequences + 1
        tally, n_stretches = Tally(self.null), {s: np.zeros(n_ranks, np.int64) for s in SIGNS}
        for rows in self.file.slices():
            tracks = self.file.track(rows)
            for sign in SIGNS:
                found = find_stretches(tracks, self.null.drift, sign)
                tally.add(found, len(tracks), sign)
                ranks = self.null.ranks(found.score, sign)
                n_stretches[sign] += np.bincount(ranks, minlength=n_ranks)
        self.p_values, self.q_values = self.null.p_values, tally.q_values()
        fdr = self.plan.fdr
        self.n_seqlets = sum(int(n_stretches[s][self.q_values[s] <= fdr].sum()) for s in SIGNS)

    @property
    def fewest(self) -> int:
        """How many regions beat the whole null where the first of them can be called."""
        return int(np.ceil(self.p_values[0] * self.file.n_regions / self.plan.fdr))

    def seqlets(self) -> Iterator[Seqlet]:
        """Go through the seqlets by region and start, named."""
        for rows in self.file.slices():
            found = sorted(self._called(rows), key=lambda one: (one.row, one.start, one.end))
            if self.motifs is None:
                yield from found
                continue
            queries = [preferences(one.hypothetical, one.sign) for one in found]
            matches = self.motifs.name(queries, self.plan.threads)
            for one, match in zip(found, matches, strict=True):
                yield one._replace(match=match)

    def _called(self, rows: slice) -> Iterator[Seqlet]:
        tracks = self.file.track(rows)
        regions = hypothetical = None
        for sign in SIGNS:
            found = find_stretches(tracks, self.null.drift, sign)
            ranks = self.null.ranks(found.score, sign)
            for i in np.flatnonzero(self.q_values[sign][ranks] <= self.plan.fdr).tolist():
                if regions is None or hypothetical is None:  # most slices may have no seqlet
                    regions, hypothetical = self.file.regions(rows), self.file.hypothetical(rows)
                row, start, end = int(found.track[i]), int(found.start[i]), int(found.end[i])
                yield Seqlet(
                    rows.start + row,
                    regions[row],
                    start,
                    end,
                    sign,
                    float(tracks[row, start:end].sum(dtype=np.float64)),
                    float(self.p_values[ranks[i]]),
                    float(self.q_values[sign][ranks[i]]),
                    hypothetical[row][:, start:end].copy(),
                )


def call_seqlets(
    plan: SeqletPlan, progress: Callable[[int, int], None] = lambda done, total: None
) -> Called:
    """Call the seqlets of a scores file and write them as BED.

    Parameters
    ----------
    plan : SeqletPlan
    progress : callable
        Called with the number of shuffles scored and of all.

    Returns
    -------
    Called

    Raises
    ------
    SeqliftError
        If a file or the model cannot be used, or they do not belong together. No result is left
        behind.
    """
    check_targets(plan.files(), force=plan.force)
    motifs = None if plan.motifs is None else read_motifs(plan.motifs)
    with ExitStack() as stack:
        file = stack.enter_context(ScoresFile(plan.scores))
        caller = _Caller(plan, file, _null(plan, file, progress), motifs)
        files = plan.files(caller.n_seqlets)
        paths = stack.enter_context(whole_files(*files, force=plan.force))
        counted = _Counted(caller.seqlets(), len(paths[1:]))
        _write(paths[0] if paths else None, caller, counted)
        for path, seqlet in zip(paths[1:], counted.strongest(), strict=True):
            _draw(file, seqlet, path)
        return Called(
            counted.n_seqlets,
            counted.n_regions,
            file.n_regions,
            counted.n_named,
            caller.null.n_sequences,
            caller.fewest,
            files,
        )


def _null(plan: SeqletPlan, file: ScoresFile, progress: Callable[[int, int], None]) -> Null:
    """Read the null, or score shuffles for it."""
    with ExitStack() as stack:
        if plan.null is not None:
            path, name = Path(plan.null), plan.null
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="seqlift-"))
            path, name = score_shuffles(file, plan, Path(folder), progress), "what -m names"
        null = stack.enter_context(ScoresFile(path))
        require_comparable(null, file, name)
        return measure_null(read_tracks(null))


class _Counted:
    """Seqlets that are counted, and the strongest kept, as they go by."""

    def __init__(self, seqlets: Iterable[Seqlet], n_kept: int) -> None:
        self._seqlets, self._n_kept = seqlets, n_kept
        self._kept: list[tuple[float, int, Seqlet]] = []
        self.n_seqlets = self.n_regions = self.n_named = 0

    def __iter__(self) -> Iterator[Seqlet]:
        last_row = -1
        for seqlet in self._seqlets:
            self.n_seqlets += 1
            self.n_regions += seqlet.row != last_row
            self.n_named += seqlet.match != NO_MATCH
            last_row = seqlet.row
            # Of equals the first is kept; no two have the same number.
            heapq.heappush(self._kept, (abs(seqlet.contribution), -self.n_seqlets, seqlet))
            if len(self._kept) > self._n_kept:
                heapq.heappop(self._kept)
            yield seqlet

    def strongest(self) -> list[Seqlet]:
        """Return the seqlets with the largest |contribution|."""
        return [seqlet for _, _, seqlet in sorted(self._kept, key=lambda kept: kept[:2])][::-1]


# --- writing --------------------------------------------------------------------------------------


def _write(path: Path | None, caller: _Caller, seqlets: Iterable[Seqlet]) -> None:
    if path is None:
        try:
            _write_lines(sys.stdout, caller, seqlets)
        except BrokenPipeError:
            raise  # no error: who reads has had enough
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error
        return
    with write_errors(path), path.open("w", encoding="utf-8", newline="\n") as lines:
        _write_lines(lines, caller, seqlets)


def _write_lines(lines: TextIO, caller: _Caller, seqlets: Iterable[Seqlet]) -> None:
    null, plan = caller.null, caller.plan
    columns = "\t".join(COLUMNS)
    lines.write(
        f"# seqlift seqlets of {plan.scores}, q-value at most {plan.fdr:g}\n"
        f"# null: {null.n_sequences} shuffles of regions, scored with the same model"
        f"{'' if plan.null is None else f' ({plan.null})'}; drift "
        f"{null.drift:.6g}, the {DRIFT_QUANTILE:.0%} quantile of their |contribution|\n"
        f"#{columns}\n"
    )
    lines.writelines(seqlet.line() for seqlet in seqlets)


def _draw(file: ScoresFile, seqlet: Seqlet, path: Path) -> None:
    """Draw a seqlet and what is beside it, as its motif is read."""
    start = max(0, seqlet.start - _LOGO_FLANK)
    end = min(file.length, seqlet.end + _LOGO_FLANK)
    place = format_region(replace(seqlet.place, name="."))
    name = f"{seqlet.match.name} ({seqlet.match.motif})" if seqlet.match != NO_MATCH else ""
    figure = draw_logo(
        file.scores(slice(seqlet.row, seqlet.row + 1))[0],
        region=seqlet.region,
        start=start,
        end=end,
        title=f"{name} {place}, p = {seqlet.p_value:.2g}".strip(),
        reverse=seqlet.match.strand == "-",
    )
    save_logo(figure, path, format="png")
