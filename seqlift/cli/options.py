"""Options that several commands share, and the choices they offer.

The choices stand here as text, because the modules that know them import torch or h5py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["METHODS", "OVERLAPS", "RULE_SETS", "SCHEMES", "force_option", "model_options", "stack"]

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


model_options = stack(
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
    click.option(
        "--length",
        type=click.IntRange(1),
        metavar="BP",
        help="Positions, where the model does not fix them.",
    ),
)

force_option = click.option("--force", is_flag=True, help="Replace results that exist.")
