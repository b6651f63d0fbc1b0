"""A matrix of contribution scores to a sequence logo.

Figures are made without pyplot, so that nothing global changes and nothing piles up; they can be
drawn on any thread.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError, OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "CORE_WIDTH",
    "DEFAULT_WIDTH",
    "FORMATS",
    "Crop",
    "crop_about_core",
    "draw_logo",
    "save_logo",
    "strongest_stretch",
]

Floats = NDArray[np.floating]

# The usual ones of browsers and papers, in shades that print.
COLOURS = {"A": "#109648", "C": "#255C99", "G": "#F7A01D", "T": "#D62839"}
FORMATS = ("pdf", "png", "svg")

# A letter costs 2.3 ms, and a whole window has letters too narrow to read.
DEFAULT_WIDTH = 60
# About as long as the longest common motifs, so that a core holds one of them whole.
CORE_WIDTH = 20

_LETTER_INCHES = 0.105
_SIDE_INCHES = 0.85
_FONT_SIZE = 8.0
_GREY = "#555555"


class Place(Protocol):
    """Where a matrix lies: any region, 0-based half-open."""

    @property
    def chrom(self) -> str:
        """Name of the chromosome."""

    @property
    def start(self) -> int:
        """First base, 0-based."""

    @property
    def end(self) -> int:
        """End, exclusive."""


class Crop(NamedTuple):
    """A stretch about the strongest core of a track.

    Attributes
    ----------
    start, end : int
        0-based half-open, counted from the start of the track.
    strength : float
        Sum of |track| over the core, in units of the target output.
    """

    start: int
    end: int
    strength: float


class _Stretch(NamedTuple):
    """The part of a region that is drawn.

    `first` is the 1-based coordinate of the leftmost letter; coordinates change by `step` (1, or -1
    for the reverse complement) from letter to letter. The x axis carries coordinate * step, which
    always ascends.
    """

    columns: slice
    first: int
    step: int

    @property
    def n_letters(self) -> int:
        return int(self.columns.stop - self.columns.start)

    @property
    def x(self) -> NDArray[np.int64]:
        return self.first * self.step + np.arange(self.n_letters)

    def cut(self, values: Floats) -> Floats:
        """Cut out of (..., position), or (base, position) of the other strand."""
        part = np.nan_to_num(np.asarray(values, dtype=np.float64)[..., self.columns], nan=0.0)
        # A C G T backwards are T G C A: reversing both axes is the reverse complement.
        return part if self.step == 1 else np.flip(part)


def draw_logo(
    scores: Floats,
    *,
    region: Place | None = None,
    start: int | None = None,
    end: int | None = None,
    hypothetical: Floats | None = None,
    standard_error: Floats | None = None,
    title: str | None = None,
    reverse: bool = False,
) -> "Figure":
    """Draw contribution scores as letters.

    Parameters
    ----------
    scores : float, shape (base=4, position)
        Contribution scores, order A C G T, in units of the target output. Ns, all zeros or NaN, are
        gaps.
    region : Region or None
        Where the matrix lies, 0-based half-open. The axis shows its coordinates as browsers do,
        1-based; without a region it counts from 1.
    start, end : int or None
        Columns to draw, 0-based half-open, counted from the left of the matrix. With neither, the
        `DEFAULT_WIDTH` bp about the strongest core, as `crop_about_core` finds it.
    hypothetical : float, shape (base=4, position), or None
        Draws a second panel, with all four letters at each position.
    standard_error : float, shape (position,), or None
        Draws a last panel; of the track over references.
    title : str or None
        Above the figure.
    reverse : bool
        Draw the reverse complement; the coordinates descend.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Known to no pyplot, so nothing has to be closed.

    Raises
    ------
    InputError
        If shapes do not fit each other or the region, or the columns lie outside of the matrix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _require_shapes(scores, region, hypothetical, standard_error)
    stretch = _stretch(scores, region, start, end, reverse)
    heights = [1.5] + [1.1] * (hypothetical is not None) + [0.55] * (standard_error is not None)
    width = _SIDE_INCHES + max(_LETTER_INCHES * stretch.n_letters, 2.2)
    height = sum(heights) + 0.55 + 0.2 * (title is not None)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0].tolist()

    remaining = iter(panels)
    _draw_letters(next(remaining), stretch.cut(scores), stretch, "contribution score")
    if hypothetical is not None:
        _draw_letters(
            next(remaining), stretch.cut(hypothetical), stretch, "hypothetical\ncontribution"
        )
    if standard_error is not None:
        _draw_area(next(remaining), stretch.cut(standard_error), stretch, "standard\nerror")
    _label_positions(panels, stretch, region)
    figure.align_ylabels(panels)
    if title is not None:
        figure.suptitle(title, fontsize=_FONT_SIZE + 1)
    return figure


def save_logo(
    figure: "Figure", path: str | Path, *, format: str | None = None, dpi: int = 300
) -> None:
    """Write a figure; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Where to write; what is there is replaced.
    format : {"pdf", "png", "svg"} or None
        By default what the name ends in.
    dpi : int
        Dots per inch of a PNG.

    Raises
    ------
    OutputError
        If there is no such format, or the file cannot be written.
    """
    import matplotlib as mpl

    path = Path(path)
    chosen = path.suffix.removeprefix(".").lower() if format is None else format
    if chosen not in FORMATS:
        raise OutputError(f"{path}: a logo is written as .pdf, .png or .svg, not {chosen!r}")
    # Letters of axes stay text that can be edited; no date and no random ids.
    settings: dict[Any, Any] = {
        "svg.hashsalt": "seqlift",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }
    undated: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    try:
        with mpl.rc_context(settings):
            figure.savefig(path, format=chosen, dpi=dpi, metadata=undated[chosen])
    except OSError as exc:
        raise OutputError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def strongest_stretch(track: Floats, width: int = DEFAULT_WIDTH) -> tuple[int, int]:
    """Return the stretch with the largest sum of |track|.

    Parameters
    ----------
    track : float, shape (position,)
        One value a base; NaN counts as 0.
    width : int
        In bp, at least 1; all of a track that is shorter.

    Returns
    -------
    start, end : int
        0-based half-open, counted from the start of the track; the first of equals.

    Raises
    ------
    InputError
        If `width` is less than 1 or the track has no positions.

    Examples
    --------
    >>> strongest_stretch(np.array([0, 0, -3.0, 1, 0, 2]), width=2)
    (2, 4)
    """
    if width < 1 or not len(track):
        raise InputError(
            f"a stretch of {width} bp out of {len(track)} cannot be drawn; both must be at least 1"
        )
    width = min(width, len(track))
    size = np.abs(np.nan_to_num(np.asarray(track, dtype=np.float64), nan=0.0))
    sums = np.lib.stride_tricks.sliding_window_view(size, width).sum(axis=1)
    start = int(np.argmax(sums))
    return start, start + width


def crop_about_core(track: Floats, width: int = DEFAULT_WIDTH) -> Crop:
    """Return the stretch that has the strongest core of the track in its middle.

    The core is the `CORE_WIDTH` bp with the largest sum of |track|. The strongest stretch of the
    whole width would do as well with the core at its edge.

    Parameters
    ----------
    track : float, shape (position,)
        One value a base; NaN counts as 0.
    width : int
        In bp, at least 1; all of a track that is shorter. Under `CORE_WIDTH`, the core is as wide.

    Returns
    -------
    crop : Crop
        `width` bp; moved, not cut, where it would pass an end of the track.

    Raises
    ------
    InputError
        If `width` is less than 1 or the track has no positions.

    Examples
    --------
    >>> track = np.zeros(100)
    >>> track[40:60] = 0.5
    >>> crop_about_core(track, width=30)
    Crop(start=35, end=65, strength=10.0)
    """
    first, last = strongest_stretch(track, min(CORE_WIDTH, width))
    core = np.abs(np.nan_to_num(np.asarray(track[first:last], dtype=np.float64), nan=0.0))
    width = min(width, len(track))
    start = (first + last - width) // 2
    start = min(max(start, 0), len(track) - width)
    return Crop(start, start + width, float(core.sum()))


def _require_shapes(
    scores: Floats, region: Place | None, hypothetical: Floats | None, standard_error: Floats | None
) -> None:
    if scores.ndim != 2 or scores.shape[0] != 4:
        raise InputError(f"scores have shape {scores.shape}; a logo needs (4, position)")
    if hypothetical is not None and hypothetical.shape != scores.shape:
        raise InputError(
            f"hypothetical contributions have shape {hypothetical.shape}; the scores {scores.shape}"
        )
    if standard_error is not None and standard_error.shape != scores.shape[1:]:
        raise InputError(
            f"standard errors have shape {standard_error.shape}; the scores {scores.shape}"
        )
    if region is not None and region.end - region.start != scores.shape[1]:
        raise InputError(
            f"the region has {region.end - region.start} bp; the scores {scores.shape[1]}"
        )


def _stretch(
    scores: Floats, region: Place | None, start: int | None, end: int | None, reverse: bool
) -> _Stretch:
    length = scores.shape[1]
    if start is None and end is None:
        start, end, _ = crop_about_core(np.nansum(scores, axis=0))
    start, end = 0 if start is None else start, length if end is None else end
    if not 0 <= start < end <= length:
        raise InputError(f"columns {start} to {end} do not lie in the {length} of the matrix")
    offset = 0 if region is None else region.start
    first = offset + (end if reverse else start + 1)
    return _Stretch(slice(start, end), first, -1 if reverse else 1)


def _draw_letters(panel: "Axes", matrix: Floats, stretch: _Stretch, label: str) -> None:
    import pandas as pd

    with _quiet_logomaker():
        from logomaker import Logo

        Logo(
            pd.DataFrame(matrix.T, index=stretch.x, columns=list("ACGT")),
            ax=panel,
            color_scheme=COLOURS,
            font_name="DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
            font_weight="bold",
            flip_below=True,
            baseline_width=0.0,
            width=0.94,
        )
    top = np.clip(matrix, 0, None).sum(axis=0).max()
    bottom = np.clip(matrix, None, 0).sum(axis=0).min()
    _style(panel, float(bottom), float(top), label)
    panel.axhline(0.0, color="black", linewidth=0.5)


def _draw_area(panel: "Axes", values: Floats, stretch: _Stretch, label: str) -> None:
    edges = np.append(stretch.x - 0.5, stretch.x[-1] + 0.5)
    panel.stairs(values, edges, fill=True, color="#B8B8B8")
    panel.stairs(values, edges, color=_GREY, linewidth=0.6)
    _style(panel, 0.0, float(values.max()), label)


def _style(panel: "Axes", bottom: float, top: float, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    if top == bottom:
        bottom, top = -1.0, 1.0
    margin = 0.05 * (top - bottom)
    panel.set_ylim(bottom - margin * (bottom < 0), top + margin * (top > 0))
    panel.set_ylabel(label, fontsize=_FONT_SIZE)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 2.5, 5, 10]))
    panel.tick_params(labelsize=_FONT_SIZE - 1, width=0.5, length=2.5)
    panel.yaxis.get_offset_text().set_fontsize(_FONT_SIZE - 1)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_linewidth(0.5)


def _label_positions(panels: list["Axes"], stretch: _Stretch, region: Place | None) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    # A label of ten digits takes about three quarters of an inch.
    n_ticks = max(2, int(stretch.n_letters * _LETTER_INCHES))
    for panel in panels:
        panel.set_xlim(stretch.x[0] - 0.5, stretch.x[-1] + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=n_ticks, integer=True, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * stretch.step:,.0f}"))
        panel.tick_params(axis="x", labelbottom=panel is panels[-1])
    place = "position in the sequence" if region is None else f"{region.chrom} position"
    strand = ", reverse complement" if stretch.step == -1 else ""
    panels[-1].set_xlabel(f"{place} (bp, 1-based{strand})", fontsize=_FONT_SIZE)


@contextmanager
def _quiet_logomaker() -> Iterator[None]:
    with warnings.catch_warnings():
        # It sets the limits of the y axis itself, to one and the same number where all letters have
        # no height; ours replace them.
        warnings.filterwarnings("ignore", message="Attempting to set identical low and high ylims")
        yield
