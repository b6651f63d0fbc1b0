"""Options that several commands share, and the choices they offer.

The choices stand here as text, because the modules that know them import torch or h5py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "FORMATS",
    "LAYOUTS",
    "METHODS",
    "MODEL_HELP",
    "MODEL_OPTION_NAMES",
    "OVERLAPS",
    "QUANTITIES",
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
    "weights_option",
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
MODEL_HELP = (
    "A .pt2, TorchScript, ONNX or Keras file; package.module:factory or an architecture (bpnet, "
    "basepairnet, chrombpnet, basset, deepsea, beluga), with --weights."
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
LAYOUTS = ("N4L", "NL4", "N14L", "N41L", "N4L1", "N1L4", "NL41", "NL14")
OVERLAPS = ("nearest", "mean", "max-abs")
QUANTITIES = ("contribution", "standard-error")
FORMATS = ("npz", "bpnet", "finemo", "bedgraph")


def stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Put several options on a command, in the order in which help shows them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


weights_option = click.option(
    "-w",
    "--weights",
    metavar="FILE",
    help="Weights for a factory or an architecture: safetensors, a state dict, a checkpoint.",
)

loading_options = stack(
    click.option(
        "--model-arg",
        "model_args",
        multiple=True,
        metavar="NAME=VALUE",
        help="An argument of a factory; may be repeated.",
    ),
    click.option(
        "--allow-pickle",
        is_flag=True,
        help="Load a pickled module, which runs any code that the file holds.",
    ),
    click.option(
        "--custom-layer",
        "custom_layers",
        multiple=True,
        metavar="NAME=CLASS",
        help="For Keras: what stands in for a layer, as in ConvDNA=keras.layers.Conv1D.",
    ),
    click.option(
        "--layout",
        type=click.Choice(LAYOUTS),
        help="Axes of the model's input: rows, 4 bases, L positions.  [default: found out]",
    ),
    click.option(
        "--bases",
        default="ACGT",
        show_default=True,
        metavar="ORDER",
        help="The order of the model's bases.",
    ),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME=VALUE",
        help="An input beside the sequence: a number, with its shape as in 0:2x2114 where the "
        "model does not say it, or a FILE.npy; or NAME=sequence.  [default: zeros]",
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

# Those of `seqlift.model.options.ModelOptions`.
MODEL_OPTION_NAMES = (
    "allow_pickle", "bases", "custom_layers", "inputs", "layout", "length", "model_args",
)  # fmt: skip

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
