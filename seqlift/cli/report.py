"""`seqlift report`: scores files to one page with a genome browser."""

from __future__ import annotations

from typing import Any

import click

from seqlift.cli.options import force_option

__all__ = ["report"]


@click.command(short_help="Write a page with a genome browser and a table of regions.")
@click.argument("scores", nargs=-1, required=True, metavar="SCORES.h5...")
@click.option("-o", "--output", required=True, metavar="FILE.html", help="The page to write.")
@click.option(
    "-g",
    "--genome",
    metavar="FASTA",
    help="The genome that was scored, for the lengths of its contigs and the sequence beside the "
    "windows.  [default: the sequence of the windows alone]",
)
@click.option("--fai", metavar="FILE", help="The genome's index, where it is not FASTA.fai.")
@click.option(
    "--regions-shown",
    type=click.IntRange(1),
    metavar="N",
    help="Show the N regions with the strongest cores.  [default: 500, or as many as a browser "
    "opens]",
)
@click.option("--title", help="A title of your own.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
@force_option
def report(scores: tuple[str, ...], output: str, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Write one page that opens from disk, without network, in any current web browser.

    \b
    seqlift report out/ctcf.h5 -g hg38.fa -o ctcf.html
    seqlift report deeplift.h5 gradient.h5 -o methods.html

    It has the contribution scores as letters along the genome, their standard error, and a table of
    the regions that moves the view; completeness, predictions and dropped regions; and how the
    files were made. Of several files of the same regions, targets or methods say, each has its
    tracks.
    """  # noqa: D301  (click reads the backspace)
    from seqlift.report.make import write_report

    found = write_report(scores, output, **options)
    if not quiet:
        click.echo(
            f"seqlift: wrote {output}: {found.n_shown:,} of {found.n_regions:,} regions, "
            f"{found.n_bytes / 1e6:.1f} MB",
            err=True,
        )
