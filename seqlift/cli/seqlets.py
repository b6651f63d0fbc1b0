"""`seqlift seqlets`: the stretches that shuffled DNA does not have, as BED."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seqlift.cli.options import (
    batch_option,
    devices_option,
    force_option,
    loading_options,
    stack,
    threads_option,
)
from seqlift.cli.progress import Progress

if TYPE_CHECKING:
    from seqlift.seqlet_plan import SeqletPlan
    from seqlift.seqlets import Called

__all__ = ["seqlets"]

_input = stack(
    click.argument("scores", metavar="SCORES.h5"),
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE.bed",
        help="The BED file to write; - is standard output.",
    ),
    click.option(
        "--motifs",
        metavar="FILE.meme",
        help="Motifs to name seqlets by, in the minimal MEME format. Needs seqlift[seqlets], which "
        "takes a minute or two to compile when it is first used.",
    ),
    click.option(
        "--fdr",
        type=float,
        default=0.05,
        show_default=True,
        metavar="SHARE",
        help="False discovery rate of all that is written.",
    ),
    click.option(
        "--logos",
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Draw the N seqlets with the largest contributions, as FILE.logo1.png and so on.",
    ),
)

_null = stack(
    click.option(
        "--shuffles",
        type=click.IntRange(1),
        metavar="N",
        help="Shuffled sequences to score for the null.  [default: 1000, fewer over 2,500 bp]",
    ),
    click.option(
        "--null",
        metavar="NULL.h5",
        help="Scores of shuffled sequences, in place of scoring some now.",
    ),
    click.option(
        "-m",
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="The model that was scored; all of them, if several.  [default: the file that "
        "SCORES.h5 names]",
    ),
    click.option(
        "-w",
        "--weights",
        multiple=True,
        metavar="FILE",
        help="Weights for a factory or an architecture.",
    ),
    loading_options,
)

_running = stack(
    devices_option,
    batch_option,
    threads_option,
    force_option,
    click.option(
        "-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors alone."
    ),
)


@click.command(short_help="Call stretches of high contribution; name them by motifs.")
@stack(_input, _null, _running)
def seqlets(quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Call the short stretches of high contribution in scored regions, of either sign.

    \b
    seqlift seqlets out/ctcf.h5 -o seqlets.bed
    seqlift seqlets out/ctcf.h5 -o seqlets.bed --motifs jaspar.meme --logos 5

    Stretches are compared with those of shuffled DNA: dinucleotide shuffles of the regions, scored
    by the same model in the same way. A p-value is the share of shuffles whose best stretch, of the
    same sign, scores as high; q-values are those of Benjamini and Hochberg over regions, for each
    sign. Regions are looked at one by one, so where they overlap a seqlet is written for each.

    The BED has chrom, start, end (0-based, half-open), name and strand of the motif, score (-100
    log10 p, at most 1000), then sum of contributions, p-value, q-value, line of the region in the
    input, identifier of the motif, and its p-value times the number of motifs. Motifs are compared
    with the hypothetical contributions, so a name says what the model would like to see there.

    \b
    To score the shuffles elsewhere, or once for several calls:
      bedtools getfasta -fi hg38.fa -bed windows.bed | seqlift shuffle - -o null.fa
      seqlift score -m model.pt2 -f null.fa -o null
      seqlift seqlets out/ctcf.h5 --null null.h5 -o seqlets.bed
    """  # noqa: D301  (click reads the backspace)
    from seqlift.seqlet_plan import SeqletPlan
    from seqlift.seqlets import call_seqlets

    plan = SeqletPlan(**options)
    with Progress("scoring", "shuffles", quiet=quiet) as progress:
        found = call_seqlets(plan, progress.update)
    if not quiet:
        _report(plan, found)


def _report(plan: SeqletPlan, found: Called) -> None:
    named = f", {found.n_named:,} named" if plan.motifs is not None else ""
    _say(
        f"{found.n_seqlets:,} seqlets{named}, in {found.n_regions:,} of {found.n_scored:,} "
        f"regions; null of {found.n_null:,} shuffles"
    )
    if not found.n_seqlets and found.fewest > 1:
        _say(
            f"with {found.n_null:,} shuffles, {found.fewest:,} regions must score above all of "
            "them before any is called; more --shuffles lower that number"
        )
    for path in found.files:
        _say(f"wrote {path}")


def _say(message: str) -> None:
    click.echo(f"seqlift: {message}", err=True)
