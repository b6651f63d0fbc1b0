"""`seqlift score`: regions in, tracks out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from seqlift.cli.options import (
    METHODS,
    MODEL_HELP,
    OVERLAPS,
    RULE_SETS,
    SCHEMES,
    activation_option,
    background_option,
    batch_option,
    devices_option,
    force_option,
    model_options,
    stack,
    threads_option,
    window_options,
)
from seqlift.cli.progress import Progress

if TYPE_CHECKING:
    from seqlift.plan import Plan

__all__ = ["score"]

_input = stack(
    click.option(
        "-m",
        "--model",
        "models",
        multiple=True,
        required=True,
        metavar="MODEL",
        help=f"{MODEL_HELP} Several are averaged.",
    ),
    click.option("-g", "--genome", metavar="FASTA", help="The genome: plain or bgzip FASTA."),
    click.option(
        "-r",
        "--regions",
        metavar="BED",
        help="BED3 to BED12, narrowPeak or broadPeak, plain or gzip; - is stdin.",
    ),
    click.option(
        "-f",
        "--fasta",
        metavar="FASTA",
        help="Sequences to score whole, in place of -g and -r (no bigWig); - is stdin.",
    ),
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="PREFIX",
        help="Writes PREFIX.h5, .bw, .regions.tsv and .json.",
    ),
    click.option(
        "-w",
        "--weights",
        multiple=True,
        metavar="FILE",
        help="Weights for a factory or an architecture: safetensors, a state dict, a checkpoint; "
        "several for the folds of one.",
    ),
    model_options,
    window_options,
    click.option(
        "--stranded",
        is_flag=True,
        help="Read regions on the minus strand as their reverse complement; results are in genome "
        "orientation all the same.",
    ),
)

_explanation = stack(
    click.option(
        "--target",
        "targets",
        multiple=True,
        default=("0",),
        show_default=True,
        metavar="TARGET",
        help="INDEX, or OUTPUT.INDEX where the model has several outputs; counts, profile, "
        "position:P and others, see below; may be repeated.",
    ),
    activation_option,
    click.option(
        "--strands",
        type=click.Choice(["forward", "both"]),
        default="forward",
        show_default=True,
        help="both averages with the scores of the reverse complement, whose positions are counted "
        "from the other end; an index is a position in outputs named profile.",
    ),
    click.option(
        "--swap-targets",
        "swapped",
        multiple=True,
        metavar="A=B",
        help="Targets that change places on the reverse strand, such as those of two strands.",
    ),
    click.option(
        "--method",
        type=click.Choice(METHODS),
        default=METHODS[0],
        show_default=True,
        metavar="METHOD",
        help=f"How bases are scored: {', '.join(METHODS)}. `seqlift rules` tells of each.",
    ),
    click.option(
        "--rules",
        type=click.Choice(RULE_SETS),
        default=RULE_SETS[0],
        show_default=True,
        help="The rules of deeplift's non-linear operators; genomics is reveal-cancel after dense "
        "layers.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=50,
        show_default=True,
        metavar="N",
        help="Points of integrated-gradients between reference and sequence.",
    ),
    click.option(
        "--window",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        metavar="BP",
        help="Bases that occlusion replaces at a time.",
    ),
    click.option(
        "--stride",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="BP",
        help="Bases from one window of occlusion to the next.",
    ),
    click.option(
        "--references",
        multiple=True,
        metavar="SCHEME",
        help=f"What each sequence is compared with: {', '.join(SCHEMES)}, or a FASTA, .npy or .npz "
        f"file; may be repeated.  [default: {SCHEMES[0]}]",
    ),
    background_option,
    click.option(
        "-n",
        "--n-references",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="References of each sequence; flat and zeros have one, a file has its own.",
    ),
    click.option(
        "--reference-error",
        type=float,
        metavar="SHARE",
        help="Use only as many of the -n references as bring the standard error of a region's "
        "track below this share of its largest score.",
    ),
    click.option(
        "--estimator",
        type=click.Choice(["plain", "base-marginal"]),
        default="plain",
        show_default=True,
        help="base-marginal wants fewer references; its scores do not sum to delta.",
    ),
    click.option(
        "-s",
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Same seed and sequence, same references.",
    ),
)

_running = stack(
    devices_option,
    batch_option,
    threads_option,
    click.option(
        "--precision",
        type=click.Choice(["float32", "float64", "bfloat16", "tf32"]),
        default="float32",
        show_default=True,
        help="Of the model's arithmetic; bfloat16 is for convolutions, and pays on GPUs and CPUs "
        "with AMX; tf32 is for CUDA devices.",
    ),
    click.option(
        "--compile",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        show_default=True,
        help="Compile the model's arithmetic for this machine; auto does where a job is long "
        "enough. Needs a C++ compiler on a CPU.",
    ),
)

_results = stack(
    click.option(
        "--overlap",
        type=click.Choice(OVERLAPS),
        default=OVERLAPS[0],
        show_default=True,
        help="Value of a base in several windows: that of the nearest centre, the mean, or the "
        "largest.",
    ),
    click.option(
        "--logos",
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Draw the N regions with the strongest cores, 60 bp about each.",
    ),
    click.option(
        "--on-incomplete",
        type=click.Choice(["warn", "fail", "ignore"]),
        default="warn",
        show_default=True,
        help="What to do if scores do not sum to delta.",
    ),
    click.option(
        "--shard",
        metavar="I/N",
        help="Score the I-th of N equal parts of the input; `seqlift merge` joins them.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Go on from what an interrupted run of the same has left in PREFIX.unfinished/; "
        "without that, begin.",
    ),
    force_option,
    click.option(
        "-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors alone."
    ),
)


@click.command(short_help="Score regions or sequences; write tracks.")
@stack(_input, _explanation, _running, _results)
@click.pass_obj
def score(arguments: list[str] | None, /, quiet: bool, **options: Any) -> None:  # noqa: ANN401
    """Score every base of the regions of a BED file, or of the sequences of a FASTA.

    \b
    seqlift score -m model.pt2 -g hg38.fa -r peaks.narrowPeak -o out/ctcf
    seqlift score -m model.pt2 -f sequences.fa -o out/ctcf --logos 5

    The scores are those of DeepLIFT, or of another --method. Each region is cut to the model's
    input length about its summit or midpoint and compared with shuffles of itself, or with other
    --references. DeepLIFT's scores of a region sum to the difference between the model's output for
    it and for its references; how nearly is written for each region. With several --references each
    has files of its own, PREFIX.SCHEME.h5 and so on.

    \b
    Targets; OUTPUT. goes before where the model has several outputs:
      INDEX                       one number, counting from 0
      counts                      log counts, summed over strands
      profile                     sum of s*m, m = logits - their mean, s = softmax(m) held constant
      profile-bpnet               sum of m*softmax(m), the product as one element-wise step
      position:P, positions:A-B   a position of a profile counting from 0, or the sum from A to B;
                                  CLASS.position:P where there are several numbers a position
      0,3,7 and 0..4              one target each
      mean:0..4, sum:0,3,7        the mean or the sum of several
      TARGET-TARGET               the difference of two
    """  # noqa: D301  (click reads the backspace)
    from seqlift.pipeline import run
    from seqlift.plan import Plan

    plan = Plan(command_line=shlex.join(["seqlift", *(arguments or ())]), **options)
    with Progress("scoring", "regions", quiet=quiet) as progress:
        summary = run(plan, progress.update)
    if not quiet:
        _report(plan, summary)


def _report(plan: Plan, summary: dict[str, Any]) -> None:
    """Say in a few lines what was written and how far it can be trusted."""
    counts = summary["counts"]
    kinds = [f"{counts[k]} {k}" for k in ("padded", "dropped", "unshufflable") if counts.get(k)]
    also = f" ({', '.join(kinds)})" if kinds else ""
    rate = f"{summary['regions_per_second']:.3g} a second, model busy {summary['model_busy']:.0%}"
    _say(f"scored {counts['scored']} of {counts['rows']} rows{also}, {rate}")
    for name, found in summary["targets"].items():
        error = found["completeness"]["mean_error_over_mean_delta"]
        if found["removed_activation"]:
            _say(f"target {name}: the logit below the final {found['removed_activation']}")
        kind = "" if plan.estimator == "plain" else "of multipliers, since scores do not sum: "
        said = f"completeness error {error:.1e} of delta on average, in {plan.precision}"
        _say(f"target {name}: {kind}{said}")
    for kind, path in plan.files(counts["scored"]).items():
        _say(f"wrote {path} ({kind})")


def _say(message: str) -> None:
    click.echo(f"seqlift: {message}", err=True)
