"""A report from scores files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from seqlift import __version__
from seqlift.errors import UsageError
from seqlift.genome.fasta import Genome
from seqlift.output.atomic import check_targets, whole_file, write_errors
from seqlift.output.reader import ScoresFile
from seqlift.report.fates import find_table, read_fates
from seqlift.report.page import page
from seqlift.report.quality import file_quality
from seqlift.report.selection import Selection, select
from seqlift.report.table import places, region_numbers
from seqlift.report.tracks import CONTEXT, letters, merge, track_values

__all__ = ["Report", "labels", "write_report"]

# What tells the files of one page apart, in this order, where they differ in it.
_TELLING = ("target", "method", "rules", "reference_scheme", "estimator", "model", "strands")


class Report(NamedTuple):
    """What a page shows.

    Attributes
    ----------
    n_shown, n_regions : int
        Regions on the page, and in all of the files.
    n_bytes : int
        Of the page.
    """

    n_shown: int
    n_regions: int
    n_bytes: int


def write_report(
    scores: Sequence[str],
    output: str,
    *,
    genome: str | None = None,
    fai: str | None = None,
    regions_shown: int | None = None,
    title: str | None = None,
    force: bool = False,
) -> Report:
    """Write a page about one or several scores files of the same regions.

    Parameters
    ----------
    scores : sequence of str
        Files that `seqlift score` wrote. Regions that not all of them have are left out.
    output : str
        The page, .html; appears whole or not at all.
    genome : str or None
        FASTA that was scored, for the lengths of its contigs and the sequence beside the windows.
    fai : str or None
        Its index, where that is not beside it.
    regions_shown : int or None
        How many regions at most, those with the strongest cores in the first file; None for 500,
        or as many as a browser opens.
    title : str or None
        By default the name of the first file.
    force : bool
        Replace a page that exists.

    Returns
    -------
    Report

    Raises
    ------
    UsageError, InputError, GenomeError, OutputError
    """
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output} does not end in .html")
    check_targets([output], force=force)
    with ExitStack() as stack:
        files = [stack.enter_context(ScoresFile(path)) for path in scores]
        sizes = (
            None
            if genome is None
            else stack.enter_context(Genome(genome, index=fai, contig_style="match"))
        )
        chosen = select(files, regions_shown)
        data = _data(files, chosen, sizes)
        name = title or Path(scores[0]).name.removesuffix(".h5")
        text = page(name, {"title": name, **data}).encode()
        with whole_file(output, force=force) as path, write_errors(path):
            path.write_bytes(text)
    return Report(len(chosen.rows[0]), chosen.n_common, len(text))


def _data(files: Sequence[ScoresFile], chosen: Selection, genome: Genome | None) -> dict[str, Any]:
    regions = files[0].regions(chosen.rows[0])
    stretches = merge(regions, CONTEXT if genome else 0)
    contigs = list(dict.fromkeys(stretch.chrom for stretch in stretches))
    ends = {name: max(s.end for s in stretches if s.chrom == name) for name in contigs}
    if genome is not None:
        names = genome.match_contigs(contigs)
        ends = {name: genome.contigs[names[name]] for name in contigs}
    return {
        "version": __version__,
        "genome": genome.name if genome else None,
        "length": files[0].length,
        "n_regions": chosen.n_common,
        "contigs": [[name, ends[name]] for name in contigs],
        "stretches": [[contigs.index(s.chrom), s.start, s.end] for s in stretches],
        "sequences": letters(stretches, regions, files[0].one_hot(chosen.rows[0]), genome),
        "regions": places(regions),
        "fates": _fates(files),
        "files": [
            {
                "label": label,
                "path": str(file.path),
                "attributes": {name: str(value) for name, value in file.attributes.items()},
                "numbers": region_numbers(file, rows),
                "tracks": track_values(file, rows, regions, stretches),
                "quality": file_quality(file),
            }
            for label, file, rows in zip(labels(files), files, chosen.rows, strict=True)
        ],
    }


def _fates(files: Sequence[ScoresFile]) -> list[dict[str, Any]]:
    tables = dict.fromkeys(find_table(file) for file in files)
    return [read_fates(path) for path in tables if path is not None]


def labels(files: Sequence[ScoresFile]) -> list[str]:
    """Name the files of one page by what they differ in, or else by their own names.

    Parameters
    ----------
    files : sequence of ScoresFile

    Returns
    -------
    labels : list of str
        No two alike.
    """
    attributes = [file.attributes for file in files]
    told = [_words("target", str(attributes[0].get("target", ".")))] if len(files) == 1 else []
    differing: list[str] = []
    for name in _TELLING:
        if len(set(told)) == len(files):
            return told
        if len({str(found.get(name)) for found in attributes}) > 1:
            differing.append(name)
            told = [_label(differing, found) for found in attributes]
    if len(set(told)) == len(files):
        return told
    stems = [file.path.name.removesuffix(".h5") for file in files]
    return stems if len(set(stems)) == len(files) else [str(file.path) for file in files]


def _label(names: Sequence[str], attributes: Mapping[str, object]) -> str:
    known = [(name, attributes.get(name)) for name in names]
    return ", ".join(_words(name, str(value)) for name, value in known if str(value) != "None")


def _words(name: str, value: str) -> str:
    if name == "model":
        return Path(value).name
    return f"target {value}" if name == "target" else value
