"""`seqlift export`: a scores file in the layout of another tool."""

from __future__ import annotations

import click

from seqlift.cli.options import FORMATS, OVERLAPS, QUANTITIES, force_option

__all__ = ["export"]


@click.command(short_help="Write a scores file in the layout of another tool.")
@click.argument("scores", metavar="SCORES.h5")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The file to write; for npz, what the names of both begin with.",
)
@click.option("--format", "layout", type=click.Choice(FORMATS), required=True, help="See above.")
@click.option(
    "--quantity",
    type=click.Choice(QUANTITIES),
    help="For bedgraph: what to write at each base.  [default: contribution]",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    help="For bedgraph: value of a base in several windows, that of the nearest centre, the mean, "
    "or the largest.  [default: nearest]",
)
@force_option
def export(
    scores: str,
    output: str,
    layout: str,
    quantity: str | None,
    overlap: str | None,
    force: bool,
) -> None:
    """Write the scores file of `seqlift score` in the layout of another tool.

    \b
    npz       OUT.ohe.npz and OUT.shap.npz, for `modisco motifs -s -a`; nothing is rounded
    bpnet     the .h5 of BPNet's tools, in half precision
    finemo    the .npz of `finemo call-hits -r`, in half precision
    bedgraph  one line a base, sorted; - is standard output, a name in .gz is bgzip

    The scores file has chrombpnet's layout, so `modisco motifs -i` and `finemo
    extract-regions-chrombpnet-h5` read it as it is. Of a bedGraph, bases that are N, and bases
    outside every window, have no line.
    """  # noqa: D301  click's mark of a table
    from seqlift.export import export as write

    names = write(scores, output, layout, quantity=quantity, overlap=overlap, force=force)
    for name in names:
        click.echo(f"seqlift: wrote {name}", err=True)
