"""The figure of an evaluation: several scores files side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqlift.faithfulness import FRACTIONS, Estimate
from seqlift.findings import CURVES, Findings, Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_evaluation", "short_names"]

# Okabe and Ito's, which those with colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A00")
MARKERS = "osD^vPX*"
CORRELATIONS = {
    "mutagenesis-pearson": "scores\nPearson",
    "mutagenesis-spearman": "scores\nSpearman",
    "hypothetical-pearson": "hypoth.\nPearson",
    "hypothetical-spearman": "hypoth.\nSpearman",
    "split-half-corrected": "(halves of\nreferences)",
}
GAINS = {"deletion-gain": "deletion", "insertion-gain": "insertion"}
ERRORS = {"completeness-mean": "mean", "completeness-max": "largest", "sum-to-delta": "of the sum"}
# Errors below are rounding in any precision, and are drawn here.
SMALLEST_ERROR = 1e-16
FONT_SIZE = 8.0
LONGEST_NAME = 24
# More files than this, and the numbers in the matrix would touch.
MOST_NUMBERS = 8
# More points than this only darken the scatter.
MOST_POINTS = 20_000

Floats = NDArray[np.floating]
# Of each file, by the name of the measure; agreement is kept by the other file.
_Numbers = list[dict[str, Estimate]]


def draw_evaluation(
    paths: Sequence[str], found: Sequence[Findings], measures: Sequence[Sequence[Measure]]
) -> Figure:
    """Draw what an evaluation found.

    Parameters
    ----------
    paths : sequence of str
        The scores files.
    found : sequence of Findings
        What was measured in each.
    measures : sequence of sequence of Measure
        The numbers of each.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Known to no pyplot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = short_names(paths)
    numbers = [{m.name: m.estimate for m in own if m.detail == "."} for own in measures]
    figure = Figure(figsize=(10.5, 6.2 + 0.2 * -(-len(names) // 4)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, width_ratios=(1.25, 1, 1))
    if len(names) > 1:
        _draw_agreement(panels[0, 0], names, _agreement(paths, measures))
    else:
        _draw_scatter(panels[0, 0], found[0])
    for panel, name in zip(panels[0, 1:], CURVES, strict=True):
        _draw_curves(panel, found, name)
    _draw_dots(panels[1, 0], numbers, CORRELATIONS)
    _title(panels[1, 0], "against in-silico mutagenesis", "correlation")
    _draw_dots(panels[1, 1], numbers, GAINS)
    _title(panels[1, 1], "area under the curves", "area beyond that of a random order")
    _draw_errors(panels[1, 2], numbers)
    for panel in panels.flat:
        panel.tick_params(labelsize=FONT_SIZE - 1)
        panel.spines[["top", "right"]].set_visible(False)
    _draw_legend(figure, names)
    return figure


def short_names(paths: Sequence[str]) -> list[str]:
    """Name files by what tells them apart: their names without folder and ending if that does.

    Examples
    --------
    >>> short_names(["out/a.h5", "out/b.h5"]), short_names(["one/a.h5", "two/a.h5"])
    (['a', 'b'], ['one/a', 'two/a'])
    """
    stems = [path.removesuffix(".h5") for path in paths]
    names = [Path(stem).name for stem in stems]
    if len(set(names)) < len(names):
        folder = os.path.commonpath([Path(stem).absolute().parent for stem in stems])
        names = [str(Path(stem).absolute().relative_to(folder)) for stem in stems]
    return [_shortened(name) for name in names]


def _shortened(name: str) -> str:
    # Names differ at their ends more often than at their beginnings.
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _style(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def _draw_curves(panel: Axes, found: Sequence[Findings], name: str) -> None:
    for i, own in enumerate(found):
        if not own.no_curves:
            style = _style(i)
            panel.plot(FRACTIONS, own.curve(name), **style, markersize=3, linewidth=1)
            panel.plot(
                FRACTIONS, own.curve(name, "random"), color=style["color"], linestyle=":",
                linewidth=1,
            )  # fmt: skip
    # Room for the first bases, which are those of motifs.
    panel.set_xscale("function", functions=(_root, np.square))
    panel.set_xticks([0, 0.01, 0.05, 0.1, 0.2, 0.5, 1], ["0", "1", "5", "10", "20", "50", "100"])
    panel.set_xlim(0, 1)
    for level in (0, 1):
        panel.axhline(level, color="#BBBBBB", linewidth=0.6, zorder=0)
    end = "reference" if name == "deletion" else "sequence"
    panel.set_xlabel(f"bases taken from the {end} (%)", fontsize=FONT_SIZE)
    _title(panel, f"{name}, largest scores first", f"way of the output to the {end}")


def _root(values: Floats) -> Floats:
    # The axis asks about values beyond its ends too.
    root: Floats = np.sqrt(np.clip(values, 0, None))
    return root


def _title(panel: Axes, title: str, label: str) -> None:
    panel.set_title(title, fontsize=FONT_SIZE + 1)
    panel.set_ylabel(label, fontsize=FONT_SIZE)


def _draw_dots(panel: Axes, numbers: _Numbers, columns: dict[str, str]) -> None:
    for i, own in enumerate(numbers):
        x = np.arange(len(columns)) + _offset(i, len(numbers))
        found = [own[name] for name in columns]
        value = np.array([e.value for e in found])
        spread = np.abs(np.array([(e.low, e.high) for e in found]).T - value)
        panel.errorbar(
            x, value, yerr=np.nan_to_num(spread), **_style(i), linestyle="", markersize=4,
            elinewidth=1,
        )  # fmt: skip
    panel.axhline(0, color="#BBBBBB", linewidth=0.6, zorder=0)
    panel.axhline(1, color="#BBBBBB", linewidth=0.6, zorder=0)
    _label_columns(panel, list(columns.values()))


def _offset(i: int, n: int) -> float:
    return 0.6 * ((i + 0.5) / n - 0.5)


def _label_columns(panel: Axes, labels: list[str]) -> None:
    panel.set_xticks(range(len(labels)), labels)
    panel.set_xlim(-0.5, len(labels) - 0.5)


def _draw_errors(panel: Axes, numbers: _Numbers) -> None:
    for i, own in enumerate(numbers):
        x = np.arange(len(ERRORS)) + _offset(i, len(numbers))
        value = np.array([own[name].value for name in ERRORS])
        panel.plot(x, np.maximum(value, SMALLEST_ERROR), **_style(i), linestyle="", markersize=4)
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    panel.set_ylim(low / 10, high * 10)  # so that there are whole powers to label
    panel.minorticks_off()
    _label_columns(panel, list(ERRORS.values()))
    _title(panel, "completeness", "error as a fraction of delta")


def _agreement(paths: Sequence[str], measures: Sequence[Sequence[Measure]]) -> Floats:
    found = np.full((len(paths), len(paths)), np.nan)
    np.fill_diagonal(found, 1.0)
    for i, own in enumerate(measures):
        for measure in own:
            if measure.name == "agreement":
                found[i, paths.index(measure.detail)] = measure.estimate.value
    return found


def _draw_agreement(panel: Axes, names: list[str], values: Floats) -> None:
    image = panel.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r")
    for i, j in np.argwhere(np.isfinite(values)) if len(names) <= MOST_NUMBERS else ():
        colour = "white" if abs(values[i, j]) > 0.6 else "black"
        panel.text(
            j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=colour,
            fontsize=FONT_SIZE - 1,
        )  # fmt: skip
    panel.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(names)), names)
    _title(panel, "median correlation between files", "")
    bar = panel.figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=FONT_SIZE - 1)


def _draw_scatter(panel: Axes, found: Findings) -> None:
    track, loss = np.concatenate(found.track), np.concatenate(found.loss)
    some = slice(None, None, -(-len(track) // MOST_POINTS) or 1)
    panel.scatter(loss[some], track[some], s=4, color=COLOURS[0], alpha=0.4, linewidths=0)
    panel.axhline(0, color="#BBBBBB", linewidth=0.6, zorder=0)
    panel.axvline(0, color="#BBBBBB", linewidth=0.6, zorder=0)
    panel.set_xlabel("output lost by a substitution, mean of three", fontsize=FONT_SIZE)
    _title(panel, "scores and in-silico mutagenesis", "contribution score")


def _draw_legend(figure: Figure, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **_style(i), label=name) for i, name in enumerate(names)]
    handles.append(Line2D([], [], color="#555555", linestyle=":", label="random order"))
    columns = min(len(handles), 5)
    figure.legend(
        handles=handles, loc="outside upper center", ncols=columns, fontsize=FONT_SIZE,
        frameon=False,
    )  # fmt: skip
