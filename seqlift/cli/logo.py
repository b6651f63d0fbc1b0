"""`seqlift logo`: draw a stretch of a scored region as letters."""

from __future__ import annotations

from typing import Any

import click

from seqlift.cli.options import force_option

__all__ = ["logo"]


@click.command(short_help="Draw a stretch of a scored region as letters.")
@click.argument("scores", metavar="SCORES.h5")
@click.option("-o", "--output", required=True, metavar="FILE", help="A .png, .svg or .pdf file.")
@click.option(
    "--region",
    metavar="REGION",
    help="Name of a scored region, or chrom:start-end (1-based, as samtools has it) inside one.  "
    "[default: the region with the strongest core]",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    metavar="BP",
    help="Length of the stretch about the core; not used with chrom:start-end.",
)
@click.option(
    "--hypothetical",
    is_flag=True,
    help="Draw the hypothetical contributions of all four bases below.",
)
@click.option(
    "--standard-error", is_flag=True, help="Draw the standard error over references below."
)
@click.option(
    "--strand",
    type=click.Choice(["region", "+", "-"]),
    default="region",
    show_default=True,
    help="Draw the strand of the region, or one of the two.",
)
@click.option("--title", help="A title of your own.")
@force_option
def logo(**options: Any) -> None:  # noqa: ANN401
    """Draw the contribution scores of a stretch as letters, over genomic coordinates.

    The stretch has the strongest core in its middle: the 20 bp with the largest sum of |score|.
    With the name of a region it is that region's core, without --region that of all regions;
    coordinates are drawn as they are.
    """
    from seqlift.pictures import draw

    place = draw(**options)
    click.echo(f"seqlift: wrote {options['output']}: {place}", err=True)
