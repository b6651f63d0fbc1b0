"""A scores file in the layouts that other tools ask for."""

from __future__ import annotations

import sys
from pathlib import Path

from seqlift.errors import OutputError, UsageError
from seqlift.output.atomic import whole_files
from seqlift.output.formats import bedgraph
from seqlift.output.formats.registry import FORMATS
from seqlift.output.reader import ScoresFile

__all__ = ["export"]

_STANDARD_OUTPUT = "-"


def export(
    scores: str,
    output: str,
    layout: str,
    *,
    quantity: str | None = None,
    overlap: str | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Write a scores file again, for another tool.

    Parameters
    ----------
    scores : str
        A file that `seqlift score` wrote.
    output : str
        What to write; `-` is standard output, for bedgraph alone. The files appear whole or not at
        all.
    layout : {"npz", "bpnet", "finemo", "bedgraph"}
        See `seqlift.output.formats`.
    quantity : {"contribution", "standard-error"} or None
        For bedgraph: what to write at each base. None is contribution.
    overlap : {"nearest", "mean", "max-abs"} or None
        For bedgraph: what a base in several windows gets. None is nearest.
    force : bool
        Replace files that exist.

    Returns
    -------
    names : tuple of str
        The files; empty for standard output.

    Raises
    ------
    UsageError
        If the options do not go together.
    InputError, OutputError
    """
    form = FORMATS[layout]
    given = {"quantity": quantity, "overlap": overlap}
    track = {name: value for name, value in given.items() if value is not None}
    if track and not form.is_track:
        raise UsageError(
            f"found --{next(iter(track))} with --format {layout}, which holds whole windows; "
            "it goes with --format bedgraph"
        )
    if output == _STANDARD_OUTPUT:
        _require_text(layout, is_text=form.is_track)
        with ScoresFile(scores) as file:
            _print(file, track)
        return ()
    names = form.names(output)
    with ScoresFile(scores) as file:
        _require_other_files(scores, names)
        with whole_files(*names, force=force) as paths:
            form.write(file, *paths, **track)
    return names


def _require_text(layout: str, *, is_text: bool) -> None:
    if not is_text:
        raise UsageError(
            f"found -o - with --format {layout}, which is no text; expected the name of a file"
        )


def _require_other_files(scores: str, names: tuple[str, ...]) -> None:
    """Refuse to replace the scores, which hold more than any export of them."""
    for name in names:
        if Path(name).exists() and Path(name).samefile(scores):
            raise OutputError(f"{name} is the scores file itself; give another name")


def _print(scores: ScoresFile, track: dict[str, str]) -> None:
    try:
        for block in bedgraph.lines(scores, **track):
            sys.stdout.write(block)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # no error: whoever reads has had enough, which the command line sees to
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error
