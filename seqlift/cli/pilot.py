"""`seqlift pilot`: which setting to choose before a long run."""

from __future__ import annotations

from typing import Any

import click

from seqlift.cli.options import (
    MODEL_HELP,
    activation_option,
    background_option,
    batch_option,
    device_option,
    force_option,
    model_options,
    stack,
    threads_option,
    weights_option,
    window_options,
)
from seqlift.cli.progress import Progress

__all__ = ["pilot"]

_input = stack(
    click.option(
        "-m",
        "--model",
        required=True,
        metavar="MODEL",
        help=MODEL_HELP,
    ),
    click.option("-g", "--genome", metavar="FASTA", help="The genome: plain or bgzip FASTA."),
    click.option(
        "-r",
        "--regions",
        metavar="BED",
        help="All regions of the long run: BED3 to BED12, narrowPeak or broadPeak; - is stdin.",
    ),
    click.option(
        "-f",
        "--fasta",
        metavar="FASTA",
        help="Sequences, in place of -g and -r; - is stdin.",
    ),
    click.option(
        "-o",
        "--output",
        metavar="PREFIX",
        help="Writes PREFIX.tsv and PREFIX.png.  [default: the table to standard output]",
    ),
    weights_option,
    model_options,
    window_options,
)

_explanation = stack(
    click.option(
        "--target",
        default="0",
        show_default=True,
        metavar="TARGET",
        help="INDEX, or OUTPUT.INDEX where the model has several outputs.",
    ),
    activation_option,
    background_option,
    click.option(
        "--regions-sampled",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        metavar="N",
        help="Regions to score with every setting.",
    ),
    click.option(
        "--against",
        type=click.IntRange(2),
        default=64,
        show_default=True,
        metavar="K",
        help="Shuffles of the independent set that every setting is held against; even.",
    ),
    click.option(
        "-s",
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Same seed and windows, same sample and references.",
    ),
)

_running = stack(
    device_option,
    batch_option,
    threads_option,
    force_option,
    click.option(
        "-q", "--quiet", is_flag=True, help="No progress, no advice; warnings and errors alone."
    ),
)


@click.command(short_help="Try settings on a sample of the regions before a long run.")
@stack(_input, _explanation, _running)
def pilot(quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Score a sample of the regions with several settings and say which to choose.

    \b
    seqlift pilot -m model.pt2 -g hg38.fa -r peaks.narrowPeak
    seqlift pilot -m model.pt2 -g hg38.fa -r peaks.narrowPeak -o out/pilot -d cuda

    The settings are flat references with the rescale and the genomics rules, 5 to 50 shuffles with
    both estimators, and bfloat16. The table has for each: agreement with an independent large set
    of shuffles, corrected for that set's own noise; completeness; and what it costs on this
    machine. Standard error has the cheapest setting for an agreement of 0.95, 0.98 and 0.99, as
    options of seqlift score.
    """  # noqa: D301  (click reads the backspace)
    from seqlift.pilot import pilot as run
    from seqlift.pilot_settings import PilotPlan

    plan = PilotPlan(**options)
    with Progress("trying settings", "passes", quiet=quiet) as progress:
        report = run(plan, progress.update)
    if plan.output is None:
        click.echo(report.table(), nl=False)
    if not quiet:
        for line in (*report.advice(), *(f"wrote {path}" for path in plan.files())):
            click.echo(f"seqlift: {line}", err=True)
