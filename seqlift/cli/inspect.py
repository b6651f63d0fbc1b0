"""`seqlift inspect`: what a model is, and which rule each of its operators has."""

from __future__ import annotations

from typing import Any

import click

from seqlift.cli.options import MODEL_OPTION_NAMES, RULE_SETS, model_options, weights_option

__all__ = ["inspect"]


@click.command(short_help="Show a model's inputs, outputs and rules.")
@click.argument("model", metavar="MODEL")
@weights_option
@model_options
@click.option("-t", "--target", metavar="TARGET", help="Only what this target needs.")
@click.option(
    "--target-activation",
    type=click.Choice(["auto", "keep"]),
    default="auto",
    show_default=True,
    help="auto explains the logit below a final sigmoid or softmax.",
)
@click.option(
    "--rules",
    type=click.Choice(RULE_SETS),
    default=RULE_SETS[0],
    show_default=True,
    help="The set of rules to show.",
)
@click.option("--optimized", is_flag=True, help="Show the operators as they are run, for a target.")
def inspect(model: str, weights: str | None, **options: Any) -> None:  # noqa: ANN401
    """Show what a model takes and gives, and the rule of every operator.

    A table on standard output, with columns node, operator, source line, rule and formula. Lines
    that start with # tell the model's file, digest, input, outputs and whether all operators are
    covered. Exit status 1 if one is not.
    """
    from seqlift.describe import describe
    from seqlift.model.options import ModelOptions

    loading = {name: options.pop(name) for name in MODEL_OPTION_NAMES}
    found = describe(model, weights=weights, options=ModelOptions(**loading), **options)
    for key, value in found.facts.items():
        click.echo(f"# {key}: {value}")
    click.echo("\t".join(("node", "operator", "line", "rule", "formula")))
    for use in found.operators:
        click.echo(
            "\t".join((use.node, use.operator, use.line, use.kind, use.problem or use.formula))
        )
    if not found.is_covered:
        raise click.exceptions.Exit(1)
