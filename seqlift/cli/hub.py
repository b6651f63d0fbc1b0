"""`seqlift hub`: tracks to a folder that genome browsers read."""

from __future__ import annotations

from typing import Any

import click

from seqlift import __version__
from seqlift.cli.options import force_option

__all__ = ["hub"]


@click.command(short_help="Write a UCSC track hub, for WashU and IGV too.")
@click.argument("tracks", metavar="TRACK.bw...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to write.")
@click.option(
    "--assembly",
    required=True,
    metavar="NAME",
    help="The genome that was scored, as UCSC calls it: hg38, hg19, mm10.",
)
@click.option("--email", required=True, help="Whom to ask about the hub; UCSC wants one.")
@click.option("--url", help="Where DIR will be on the web; IGV needs it.  [default: relative]")
@click.option(
    "--label",
    multiple=True,
    metavar="TEXT",
    help="What to call a track; one for each, in their order.  [default: the name of the file]",
)
@click.option(
    "--standard-error",
    multiple=True,
    metavar="FILE.bw",
    help="The standard errors of a track (seqlift tracks --quantity standard-error); one for each, "
    "in their order.",
)
@click.option("--title", default="seqlift", show_default=True, help="What to call the hub.")
@click.option(
    "--autoscale",
    is_flag=True,
    help="Fit the scale to what is in view.  [default: fixed, one base in 10,000 beyond each end]",
)
@click.option("--link", is_flag=True, help="Link to the tracks in place of copying them.")
@force_option
@click.option("-q", "--quiet", is_flag=True, help="No summary; warnings and errors alone.")
def hub(quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Write a folder for a web server that genome browsers show, the tracks in it.

    DIR/hub.txt is for the UCSC Genome Browser, DIR/washu.json for the WashU Epigenome Browser,
    DIR/igv.json for igv.js and IGV-Web. Zoomed in, each base is a letter as high as its
    contribution. Upload DIR as it is, to a server that answers range requests and, for WashU and
    IGV, lets other sites read it (CORS).
    """
    from seqlift.output.hub.write import write_hub

    written = write_hub(**options, version=__version__)
    if quiet:
        return
    n_tracks = len(written.tracks)
    click.echo(
        f"seqlift: wrote {options['output']}: {n_tracks} track{'s'[: n_tracks != 1]}, "
        f"strong at {written.locus}",
        err=True,
    )
    if not written.links:
        click.echo(
            "seqlift: give --url for links, and for an igv.json that IGV-Web opens", err=True
        )
    for browser, address in written.links.items():
        click.echo(f"seqlift: {browser}: {address}", err=True)
