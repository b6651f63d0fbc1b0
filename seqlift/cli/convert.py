"""`seqlift convert`: any model as a program that needs none of the user's classes."""

from __future__ import annotations

from typing import Any

import click

from seqlift.cli.options import MODEL_OPTION_NAMES, force_option, model_options, weights_option

__all__ = ["convert"]


@click.command(short_help="Write any model as a .pt2 file.")
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="FILE.pt2", help="The program to write.")
@weights_option
@model_options
@force_option
def convert(
    model: str,
    weights: str | None,
    output: str,
    force: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Write a model as a .pt2 file, which needs none of your classes and runs no code of its own.

    \b
    seqlift convert model.h5 -o model.pt2
    seqlift convert mypackage.nets:build -w weights.ckpt --length 2114 -o model.pt2
    seqlift convert pickled.pt --allow-pickle --length 1000 -o model.pt2

    MODEL is what seqlift score takes. The program takes one-hot sequences (row, 4, position), bases
    A C G T, whatever the model takes. It is loaded again and must predict the same.
    """  # noqa: D301  (click reads the backspace)
    from seqlift.convert import convert as run
    from seqlift.model.options import ModelOptions

    loading = {name: options[name] for name in MODEL_OPTION_NAMES}
    found = run(model, output, weights=weights, options=ModelOptions(**loading), force=force)
    _say(f"{model} is a model of the format {found.format}; takes (row, 4, {found.length})")
    _say(
        f"outputs: {', '.join(found.outputs)}; predictions agree to {found.largest_difference:.1g}"
    )
    if found.uncovered:
        _say(f"warning: no rule for {', '.join(found.uncovered)}; seqlift inspect shows where")
    _say(f"wrote {output}")


def _say(message: str) -> None:
    click.echo(f"seqlift: {message}", err=True)
