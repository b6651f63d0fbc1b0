"""Join the shards of one run: the results are those of a run that was never divided.

Shards follow each other in the input, so their rows are written one after the other. The bigWig is
made from the joined windows, since those of neighbouring shards overlap. Memory is bounded by a few
rows, and a few numbers a window for the bigWig.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seqlift.errors import InputError, UsageError
from seqlift.genome.fasta import Genome
from seqlift.output.atomic import whole_files, write_errors
from seqlift.output.bigwig import write_bigwig
from seqlift.output.hdf5 import ScoresFile, ScoresWriter
from seqlift.output.summary import write_summary
from seqlift.parts import Part, read_parts, shared
from seqlift.strongest import draw_region, strongest_of

__all__ = ["merge"]

Progress = Callable[[int, int], None]

CHUNKS = 8  # read and written together: each call of HDF5 costs as much as a chunk


def merge(
    summaries: Sequence[str],
    output: str,
    *,
    genome: str | None = None,
    fai: str | None = None,
    overlap: str = "nearest",
    logos: int = 0,
    force: bool = False,
    command_line: str = "",
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Join all shards of a run.

    Parameters
    ----------
    summaries : sequence of str
        The `PREFIX.json` of every shard, in any order; its other files lie beside it.
    output : str
        Prefix of the files to write: those of an undivided run.
    genome : str or None
        FASTA that was scored, for the bigWig; None where sequences were.
    fai : str or None
        Its index, where that is not beside it.
    overlap : {"nearest", "mean", "max-abs"}
    logos : int
        Draw so many of the regions with the strongest cores.
    force : bool
        Replace files that exist.
    command_line : str
        Recorded in the files.
    progress : callable
        Called with the number of windows that have been joined, and of all.

    Returns
    -------
    summary : dict
        As written to `PREFIX.json`.

    Raises
    ------
    InputError, UsageError
        If a file is no shard, one is missing or there twice, or they were made differently.
    OutputError
    """
    parts = read_parts(summaries)
    results = list(parts[0].summary["targets"])
    n_scored = sum(part.summary["counts"]["scored"] for part in parts)
    files = {"regions": f"{output}.regions.tsv", "summary": f"{output}.json"}
    for result in results:
        name = f"{output}{parts[0].ending(result)}"
        files[f"scores {result}"] = name
        if genome is not None:
            files[f"track {result}"] = f"{name.removesuffix('.h5')}.bw"
        for k in range(1, min(logos, n_scored) + 1):
            files[f"logo {k} {result}"] = f"{name.removesuffix('.h5')}.logo{k}.png"
    total = len(results) * n_scored
    settings = _settings(parts, command_line)
    with ExitStack() as stack:
        sizes = None if genome is None else stack.enter_context(Genome(genome, index=fai))
        _require_genome(parts[0], sizes)
        paths = stack.enter_context(whole_files(*files.values(), force=force))
        written = dict(zip(files, paths, strict=True))
        _join_tables(parts, written["regions"])
        targets: dict[str, Any] = {}
        done = 0
        for result in results:
            path = written[f"scores {result}"]
            for n in _join_scores(parts, result, path, settings):
                done += n
                progress(done, total)
            with ScoresFile(path) as scores:
                targets[result] = _target(parts, result, scores)
                if sizes is not None:
                    targets[result]["track"] = write_bigwig(
                        written[f"track {result}"],
                        sizes.contigs,
                        scores,
                        scores.track,
                        overlap=overlap,
                    )
                of = f"target {targets[result]['target']}"
                for k, row in enumerate(strongest_of(scores, logos), start=1):
                    draw_region(scores, row, written[f"logo {k} {result}"], of)
        seconds = _summed(part.summary["seconds"] for part in parts)
        found = {
            "settings": shared(parts[0].summary["settings"]) | settings,
            "counts": _summed(part.summary["counts"] for part in parts),
            "targets": targets,
            "seconds": seconds,
            "regions_per_second": n_scored / max(seconds["score"], 1e-9),
            "files": {kind: Path(path).name for kind, path in files.items()},
        }
        write_summary(written["summary"], found)
    return found


def _require_genome(part: Part, genome: Genome | None) -> None:
    """Hold the genome against what was scored."""
    settings = part.summary["settings"]
    scored = settings.get("genome")
    if scored is None and genome is not None:
        raise UsageError("sequences of a FASTA were scored, which have no track; leave out -g")
    if scored is not None and genome is None:
        raise UsageError(
            f"a genome was scored, whose bigWig needs its contigs; give -g, as {scored}"
        )
    if genome is not None and genome.digest() != settings["genome_digest"]:
        raise InputError(
            f"{genome.name} has other contigs than the genome that was scored ({scored}); "
            "give that one"
        )


def _settings(parts: Sequence[Part], command_line: str) -> dict[str, Any]:
    """Return what the joined files say in place of what each shard said."""
    found: dict[str, Any] = {"command_line": command_line, "n_shards": len(parts)}
    for name in ("compile", "device"):
        values = dict.fromkeys(str(part.summary["settings"][name]) for part in parts)
        found[name] = ",".join(values)
    return found


def _join_tables(parts: Sequence[Part], path: Path) -> None:
    header = ""
    with write_errors(path), path.open("w", encoding="utf-8", newline="\n") as out:
        for part in parts:
            name = f"{part.prefix}.regions.tsv"
            try:
                with Path(name).open(encoding="utf-8", newline="\n") as lines:
                    first = next(lines, "")
                    if header and first != header:
                        raise InputError(f"{name} has other columns than the first shard's")
                    if not header:
                        header = first
                        out.write(first)
                    out.writelines(lines)
            except FileNotFoundError as error:
                raise InputError(f"{name} does not exist; it lies beside a shard's .h5") from error


def _join_scores(
    parts: Sequence[Part], result: str, path: Path, settings: dict[str, Any]
) -> Iterator[int]:
    """Write the rows of all shards' scores files to one; yield how many, each time."""
    writer: ScoresWriter | None = None
    with ExitStack() as stack:
        for part in parts:
            with ScoresFile(part.scores(result)) as scores:
                if writer is None:
                    own = {**shared(scores.attributes), **settings}
                    writer = stack.enter_context(_like(scores, path, own))
                if scores.n_regions != part.summary["counts"]["scored"]:
                    raise InputError(
                        f"{scores.path} has {scores.n_regions} regions and {part.prefix}.json says "
                        f"{part.summary['counts']['scored']}; score shard {part.shard} again"
                    )
                for rows in scores.slices(CHUNKS):
                    writer.append_columns(scores.columns(rows))
                    yield rows.stop - rows.start


def _like(scores: ScoresFile, path: Path, attributes: dict[str, Any]) -> ScoresWriter:
    """Open a writer of files like this one."""
    for added in ("format", "format_version"):
        attributes.pop(added, None)
    return ScoresWriter(
        path,
        scores.length,
        scores.n_references,
        dtype=scores.dtype,
        extra=scores.extra,
        attributes=attributes,
    )


def _target(parts: Sequence[Part], result: str, scores: ScoresFile) -> dict[str, Any]:
    """Return what the summary says of a target, from those of the shards and the joined file."""
    of_each = [part.summary["targets"][result] for part in parts]
    each = [of_one["completeness"] for of_one in of_each]
    error = delta = 0.0
    for rows in scores.slices(CHUNKS):
        error += float(np.nansum(scores.completeness_error(rows)))
        delta += float(np.nansum(np.abs(scores.delta(rows))))
    found = dict(of_each[0]) | {"track": None}
    found["completeness"] = {
        "n_pairs": sum(one["n_pairs"] for one in each),
        "n_beyond_rounding": sum(one["n_beyond_rounding"] for one in each),
        "max_error": max(one["max_error"] for one in each),
        "mean_error_over_mean_delta": error / delta if delta else 0.0,
    }
    if "strand_asymmetry_median" in found:
        found["strand_asymmetry_median"] = float(np.median(scores.strand_asymmetry()))
    return found


def _summed(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in counts:
        for name, value in one.items():
            total[name] = total.get(name, 0) + value
    return total
