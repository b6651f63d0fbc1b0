"""`seqlift tracks`: a scores file to a bigWig."""

from __future__ import annotations

import click

from seqlift.cli.options import OVERLAPS, QUANTITIES, force_option

__all__ = ["tracks"]


@click.command(short_help="Write a bigWig from a scores file.")
@click.argument("scores", metavar="SCORES.h5")
@click.option("-o", "--output", required=True, metavar="FILE.bw", help="The bigWig to write.")
@click.option(
    "-g",
    "--genome",
    required=True,
    metavar="FASTA",
    help="The genome that was scored, for the lengths of its contigs.",
)
@click.option("--fai", metavar="FILE", help="The genome's index, where it is not FASTA.fai.")
@click.option(
    "--quantity",
    type=click.Choice(QUANTITIES),
    default=QUANTITIES[0],
    show_default=True,
    help="What to write at each base.",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default=OVERLAPS[0],
    show_default=True,
    help="Value of a base in several windows: that of the nearest centre, the mean, or the "
    "largest.",
)
@force_option
def tracks(
    scores: str, output: str, genome: str, fai: str | None, quantity: str, overlap: str, force: bool
) -> None:
    """Write a bigWig with one value a base from the scores file of `seqlift score`.

    Bases that are N, and bases outside every window, have no value.
    """
    from seqlift.track import write_track

    found = write_track(
        scores, output, genome, fai=fai, quantity=quantity, overlap=overlap, force=force
    )
    click.echo(
        f"seqlift: wrote {output}: {found.n_bases:,} bases "
        f"from {found.minimum:.4g} to {found.maximum:.4g}",
        err=True,
    )
