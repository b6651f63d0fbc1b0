"""`seqlift rules`: every rule and method, with formula and source."""

from __future__ import annotations

import click

__all__ = ["rules"]


@click.command(short_help="List every rule and method.")
def rules() -> None:
    """List the rule of every operator and every method, with formula and source, as Markdown.

    `seqlift inspect` shows which of them a model uses.
    """
    from seqlift.deeplift.reference import reference_page

    click.echo(reference_page(), nl=False)
