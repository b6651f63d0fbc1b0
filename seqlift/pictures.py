"""A logo from a scores file: which region, which stretch, which strand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seqlift.errors import RegionError, UsageError
from seqlift.genome.regions import Region, format_region, parse_region
from seqlift.logo import DEFAULT_WIDTH, FORMATS, crop_about_core, draw_logo, save_logo
from seqlift.output.atomic import whole_file
from seqlift.output.hdf5 import ScoresFile
from seqlift.strongest import strongest_of

__all__ = ["draw"]


def draw(
    scores: str,
    output: str,
    *,
    region: str | None = None,
    width: int = DEFAULT_WIDTH,
    hypothetical: bool = False,
    standard_error: bool = False,
    strand: str = "region",
    title: str | None = None,
    force: bool = False,
) -> str:
    """Draw one stretch of a scores file and write the picture.

    Parameters
    ----------
    scores : str
        A file that `seqlift score` wrote.
    output : str
        Ends in .png, .svg or .pdf; appears whole or not at all.
    region : str or None
        Name of a scored region, which is drawn about its strongest core, or ``chrom:start-end``
        (1-based, closed) inside one; None takes the region with the strongest core of all.
    width : int
        Length of the stretch about the core, bp.
    hypothetical, standard_error : bool
        Draw these below.
    strand : {"region", "+", "-"}
        "-" draws the reverse complement.
    title : str or None
    force : bool
        Replace a picture that exists.

    Returns
    -------
    place : str
        What was drawn, 1-based and closed.

    Raises
    ------
    UsageError, RegionError, InputError, OutputError
    """
    kind = Path(output).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f"{output} does not end in .png, .svg or .pdf")
    with whole_file(output, force=force) as path, ScoresFile(scores) as file:
        position, start, end = _choose(file, region, width)
        rows = slice(position, position + 1)
        window = file.regions(rows)[0]
        drawn = replace(window, start=window.start + start, end=window.start + end)
        figure = draw_logo(
            file.scores(rows)[0],
            region=window,
            start=start,
            end=end,
            hypothetical=file.hypothetical(rows)[0] if hypothetical else None,
            standard_error=file.standard_error(rows)[0] if standard_error else None,
            title=_title(window) if title is None else title,
            reverse=(window.strand if strand == "region" else strand) == "-",
        )
        save_logo(figure, path, format=kind)
    return format_region(drawn)


def _title(window: Region) -> str:
    return window.name if window.name != "." else format_region(window)


def _choose(file: ScoresFile, text: str | None, width: int) -> tuple[int, int, int]:
    """Return the position of a region in the file, and the stretch of it to draw."""
    if text is None:
        (named,) = strongest_of(file, 1, width)
    else:
        regions = file.regions()
        named = next((i for i, region in enumerate(regions) if region.name == text), -1)
    if named >= 0:
        start, end, _ = crop_about_core(file.track(slice(named, named + 1))[0], width)
        return named, start, end
    assert text is not None
    if ":" not in text:
        raise RegionError(
            f"{file.path} has no region named {text!r}; give a name, or chrom:start-end"
        )
    return _containing(file, regions, parse_region(text))


def _containing(file: ScoresFile, regions: list[Region], wanted: Region) -> tuple[int, int, int]:
    """Find the window that holds the stretch most nearly in its middle."""
    middle = wanted.start + wanted.end
    found = [
        (abs(region.start + region.end - middle), i)
        for i, region in enumerate(regions)
        if _holds(region, wanted)
    ]
    if not found:
        raise RegionError(f"no region of {file.path} holds {format_region(wanted)} whole")
    position = min(found)[1]
    offset = regions[position].start
    return position, wanted.start - offset, wanted.end - offset


def _holds(region: Region, wanted: Region) -> bool:
    is_inside = region.start <= wanted.start and wanted.end <= region.end
    return is_inside and region.chrom == wanted.chrom
