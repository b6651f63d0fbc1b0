"""The figure of a pilot: agreement against cost, a point for each setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqlift.pilot_choice import LEVELS, Outcome, choose
from seqlift.pilot_report import Report
from seqlift.pilot_settings import FLAT, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_pilot"]

Floats = NDArray[np.floating[Any]]

FONT_SIZE = 9.0
# Okabe and Ito's, which those with colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
# Agreement is drawn by its distance from 1, where settings differ; this much beyond 1.
ROOM = 0.004
TICKS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1)


def draw_pilot(report: Report) -> Figure:
    """Draw corrected agreement against seconds a region.

    Parameters
    ----------
    report : Report

    Returns
    -------
    figure : matplotlib.figure.Figure
        Known to no pyplot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    series: dict[str, list[Outcome]] = {}
    for found in report.outcomes:
        series.setdefault(_series(found.setting), []).append(found)
    for i, (name, outcomes) in enumerate(series.items()):
        _draw_series(panel, name, outcomes, i)
    _ring_chosen(panel, report.outcomes)
    _scale(panel, report.outcomes)
    panel.set_xlabel("seconds a region", fontsize=FONT_SIZE)
    panel.set_ylabel("agreement, corrected", fontsize=FONT_SIZE)
    panel.tick_params(labelsize=FONT_SIZE - 1)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, fontsize=FONT_SIZE - 1, frameon=False)
    return figure


def _series(setting: Setting) -> str:
    """Name the line that a setting is on: settings that differ by the number of references."""
    return setting.name if setting.references == FLAT else setting.name.partition(" ")[2]


def _draw_series(panel: Axes, name: str, outcomes: Sequence[Outcome], i: int) -> None:
    x = [found.seconds for found in outcomes]
    values = [found.corrected for found in outcomes]
    y = np.array([v.value for v in values])
    spread = np.abs(np.array([(v.low, v.high) for v in values]).T - y)
    panel.errorbar(
        x, y, yerr=np.nan_to_num(spread), color=COLOURS[i], marker=MARKERS[i], markersize=5,
        linewidth=1, elinewidth=0.6, label=name,
    )  # fmt: skip
    # Lines that run beside each other have their numbers on different sides.
    side = (-5, 5) if name == "shuffles" else (5, -5)
    for found in outcomes:
        if found.setting.references != FLAT and np.isfinite(found.corrected.value):
            panel.annotate(
                str(found.setting.n_references), (found.seconds, found.corrected.value), side,
                textcoords="offset points", color=COLOURS[i], fontsize=FONT_SIZE - 1,
                ha="right" if side[0] < 0 else "left", va="bottom" if side[1] > 0 else "top",
            )  # fmt: skip


def _ring_chosen(panel: Axes, outcomes: Sequence[Outcome]) -> None:
    chosen = {id(found): found for level in LEVELS if (found := choose(outcomes, level))}
    x = [found.seconds for found in chosen.values()]
    y = [found.corrected.value for found in chosen.values()]
    panel.scatter(
        x, y, s=120, facecolors="none", edgecolors="black", linewidths=0.8, label="advised"
    )


def _scale(panel: Axes, outcomes: Sequence[Outcome]) -> None:
    seconds = [found.seconds for found in outcomes]
    panel.set_xlim(0.7 * min(seconds), 1.4 * max(seconds))
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_yscale("function", functions=(_far, _near))
    for level in LEVELS:
        panel.axhline(level, color="#BBBBBB", linewidth=0.6, linestyle=":", zorder=0)
    values = [v for found in outcomes for v in (found.corrected.value, found.corrected.low)]
    lowest = min([0.94, *(v for v in values if np.isfinite(v))])
    bottom = max([tick for tick in TICKS if tick < lowest], default=lowest - 0.05)
    ticks = [tick for tick in TICKS if tick >= bottom]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_ylim(bottom, 1 + ROOM / 4)


def _far(values: Floats) -> Floats:
    # The axis asks about values beyond its ends too.
    far: Floats = -np.log(np.maximum(1 + ROOM - values, ROOM / 10))
    return far


def _near(values: Floats) -> Floats:
    near: Floats = 1 + ROOM - np.exp(-values)
    return near
