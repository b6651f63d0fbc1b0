"""Options that several commands share, and the choices they offer.

The choices stand here as text, because the modules that know them import torch or h5py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "METHODS",
    "OVERLAPS",
    "RULE_SETS",
    "SCHEMES",
    "activation_option",
    "background_option",
    "batch_option",
    "device_option",
    "devices_option",
    "force_option",
    "loading_options",
    "model_options",
    "stack",
    "threads_option",
    "window_options",
]

F = TypeVar("F", bound=Callable[..., Any])

SCHEMES = (
    "dinucleotide-shuffle",
    "mononucleotide-shuffle",
    "K-let-shuffle",
    "flat",
    "zeros",
    "genomic",
)
RULE_SETS = ("rescale", "reveal-cancel", "genomics")
METHODS = (
    "deeplift",
    "gradient",
    "gradient-input",
    "guided-backprop",
    "deconvolution",
    "integrated-gradients",
    "lrp",
    "in-silico-mutagenesis",
    "occlusion",
)
OVERLAPS = ("nearest", "mean", "max-abs")


def stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Put several options on a command, in the order in which help shows them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


loading_options = stack(
    click.option(
        "-w",
        "--weights",
        metavar="FILE",
        help="Weights for a factory: safetensors, or a state dict.",
    ),
    click.option(
        "--allow-pickle",
        is_flag=True,
        help="Load a pickled module, which runs any code that the file holds.",
    ),
)

model_options = stack(
    loading_options,
    click.option(
        "--length",
        type=click.IntRange(1),
        metavar="BP",
        help="Positions, where the model does not fix them.",
    ),
)

force_option = click.option("--force", is_flag=True, help="Replace results that exist.")

device_option = click.option(
    "-d",
    "--device",
    metavar="DEVICE",
    help="cpu, cuda or cuda:N.  [default: cuda if there is one]",
)

devices_option = click.option(
    "-d",
    "--device",
    metavar="DEVICE",
    help="cpu, cuda or cuda:N; several at a time as cuda:0,cuda:1.  [default: cuda if there is "
    "one]",
)

batch_option = click.option(
    "-b",
    "--batch-size",
    type=click.IntRange(1),
    metavar="PAIRS",
    help="Sequence-reference pairs at a time.  [default: by length and device]",
)

threads_option = click.option(
    "-t",
    "--threads",
    type=click.IntRange(1),
    help="CPU threads of the model.  [default: torch's]",
)

background_option = click.option(
    "--background",
    metavar="A,C,G,T",
    help="Frequencies of the flat reference, or regions: those of all windows.  [default: uniform]",
)

activation_option = click.option(
    "--target-activation",
    type=click.Choice(["auto", "keep"]),
    default="auto",
    show_default=True,
    help="auto explains the logit below a final sigmoid or softmax.",
)

window_options = stack(
    click.option("--fai", metavar="FILE", help="The genome's index, where it is not FASTA.fai."),
    click.option(
        "--contig-style",
        type=click.Choice(["exact", "match"]),
        default="exact",
        show_default=True,
        help="match also reads chr20 for 20, and 20 for chr20.",
    ),
    click.option(
        "--edges",
        type=click.Choice(["pad", "drop", "error"]),
        default="pad",
        show_default=True,
        help="For windows past a chromosome's end: fill with N, leave out, or stop.",
    ),
)
