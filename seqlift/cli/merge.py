"""`seqlift merge`: the shards of a run to what it would have written undivided."""

from __future__ import annotations

import shlex

import click

from seqlift.cli.options import OVERLAPS, force_option
from seqlift.cli.progress import Progress

__all__ = ["merge"]


@click.command(short_help="Join the shards of a run.")
@click.argument("summaries", nargs=-1, required=True, metavar="SHARD.json...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PREFIX",
    help="Writes PREFIX.h5, .bw, .regions.tsv and .json.",
)
@click.option("-g", "--genome", metavar="FASTA", help="The genome that was scored.")
@click.option("--fai", metavar="FILE", help="Its index, if not GENOME.fai.")
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default=OVERLAPS[0],
    show_default=True,
    help="Value of a base in several windows, of whichever shards.",
)
@click.option(
    "--logos",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Draw the N regions with the strongest cores, of all shards.",
)
@force_option
@click.option("-q", "--quiet", is_flag=True, help="Warnings and errors alone.")
@click.pass_obj
def merge(
    arguments: list[str] | None,
    /,
    summaries: tuple[str, ...],
    output: str,
    genome: str | None,
    fai: str | None,
    overlap: str,
    logos: int,
    force: bool,
    quiet: bool,
) -> None:
    """Join all shards of a run, given by their PREFIX.json in any order.

    \b
    seqlift score ... -o out/1 --shard 1/2
    seqlift score ... -o out/2 --shard 2/2
    seqlift merge out/1.json out/2.json -g hg38.fa -o out/ctcf

    What is written is what one run would have: PREFIX.h5, .bw, .regions.tsv and .json, with the
    rows in the order of the input and overlaps resolved across shards. The shards are left.
    """  # noqa: D301  (click reads the backspace)
    from seqlift.merge import merge as join

    with Progress("joining", "windows", quiet=quiet) as progress:
        summary = join(
            summaries,
            output,
            genome=genome,
            fai=fai,
            overlap=overlap,
            logos=logos,
            force=force,
            command_line=shlex.join(["seqlift", *(arguments or ())]),
            progress=progress.update,
        )
    if not quiet:
        counts = summary["counts"]
        n = summary["settings"]["n_shards"]
        click.echo(
            f"seqlift: joined {n} shards: {counts['scored']} of {counts['rows']} rows scored",
            err=True,
        )
