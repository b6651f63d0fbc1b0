"""`seqlift evaluate`: how faithful scores files are to their model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from seqlift.cli.options import (
    device_option,
    force_option,
    loading_options,
    stack,
    threads_option,
    weights_option,
)
from seqlift.cli.progress import Progress

if TYPE_CHECKING:
    from seqlift.evaluation_plan import EvaluationPlan
    from seqlift.evaluation_table import Row

__all__ = ["evaluate"]

# What the summary says of each file, in its order.
SAID = {
    "mutagenesis-pearson": "mutagenesis",
    "hypothetical-pearson": "hypothetical",
    "deletion-gain": "deletion",
    "insertion-gain": "insertion",
    "split-half-corrected": "halves",
}

_input = stack(
    click.argument("scores", metavar="SCORES.h5...", nargs=-1, required=True),
    click.option(
        "-m",
        "--model",
        required=True,
        metavar="MODEL",
        help="The model that was scored, as for seqlift score.",
    ),
    click.option(
        "-o", "--output", required=True, metavar="PREFIX", help="Writes PREFIX.tsv and PREFIX.png."
    ),
    weights_option,
    loading_options,
)

_sample = stack(
    click.option(
        "--regions-sampled",
        type=click.IntRange(0),
        default=50,
        show_default=True,
        metavar="N",
        help="Regions of each file to look at; 0 takes all.",
    ),
    click.option(
        "--positions",
        type=click.IntRange(0),
        default=100,
        show_default=True,
        metavar="P",
        help="Positions of each region to mutate; 0 takes all.",
    ),
    click.option(
        "--replacement",
        default="own",
        show_default=True,
        metavar="SCHEME",
        help="What deletion and insertion curves put in place of a base: each file's own "
        "references, or one scheme for all files: a shuffle, flat or zeros.",
    ),
    click.option(
        "-s",
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Same seed and windows, same sample.",
    ),
)

_running = stack(
    device_option,
    click.option(
        "-b",
        "--batch-size",
        type=click.IntRange(1),
        metavar="ROWS",
        help="Sequences at a time.  [default: by length and device]",
    ),
    threads_option,
    click.option(
        "--precision",
        type=click.Choice(["float32", "float64"]),
        default="float32",
        show_default=True,
        help="Of the model's arithmetic.",
    ),
    force_option,
    click.option(
        "-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors alone."
    ),
)


@click.command(short_help="Measure how faithful scores are to the model.")
@stack(_input, _sample, _running)
def evaluate(quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Measure how faithful the scores of one or several files are to the model.

    \b
    seqlift evaluate -m model.pt2 out/ctcf.h5 -o out/faithfulness
    seqlift evaluate -m model.pt2 rescale.h5 genomics.h5 gradient.h5 -o out/methods

    The table has a line for each number of each file, with its 95 % interval over regions:
    correlation with in-silico mutagenesis at sampled positions, deletion and insertion curves and
    what they gain over a random order, completeness, agreement with the other files, and agreement
    between halves of the references. The figure shows the same.
    """  # noqa: D301  (click reads the backspace)
    from seqlift.evaluate import evaluate as run
    from seqlift.evaluation_plan import EvaluationPlan

    plan = EvaluationPlan(**options)
    with Progress("evaluating", "regions", quiet=quiet) as progress:
        rows = run(plan, progress.update)
    if not quiet:
        _report(plan, rows)


def _report(plan: EvaluationPlan, rows: Sequence[Row]) -> None:
    for name in plan.scores:
        found = {row.measure.name: row.measure.estimate for row in rows if row.file == name}
        n_regions = found["sum-to-delta"].n_regions
        numbers = [
            f"{label} {found[measure].value:.3f}"
            for measure, label in SAID.items()
            if found[measure].value == found[measure].value  # not so for NaN
        ]
        _say(f"{name}: {', '.join(numbers)} ({n_regions} regions)")
    for path in plan.files():
        _say(f"wrote {path}")


def _say(message: str) -> None:
    click.echo(f"seqlift: {message}", err=True)
