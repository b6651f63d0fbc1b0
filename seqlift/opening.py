"""Open what a command works on: the rows of its input, at the length that its model takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import torch

from seqlift.errors import ShapeError, UsageError
from seqlift.genome.contigs import ContigStyle
from seqlift.genome.fasta import Genome
from seqlift.genome.regions import EdgePolicy
from seqlift.model.capture import fixed_length
from seqlift.model.load import LoadedModel
from seqlift.model.options import ModelOptions
from seqlift.windows import FastaSource, GenomeSource, Source, first_length, is_read_once

__all__ = ["Input", "model_length", "open_source", "require_one_input", "threads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(ModelOptions):
    """The options that say what the input is, under the names of the command line.

    How models are loaded and take it is that of `seqlift.model.options.ModelOptions`.

    Parameters
    ----------
    genome, regions : str or None
        FASTA and BED, or
    fasta : str or None
        sequences instead of both.
    """

    genome: str | None = None
    regions: str | None = None
    fasta: str | None = None
    fai: str | None = None
    contig_style: ContigStyle = "exact"
    edges: EdgePolicy = "pad"


def require_one_input(options: Input) -> None:
    """Raise an error unless there is a genome with regions, or sequences in their place.

    Raises
    ------
    UsageError
    """
    given = {"-g": options.genome, "-r": options.regions, "-f": options.fasta}
    found = [option for option, value in given.items() if value is not None]
    if found not in (["-g", "-r"], ["-f"]):
        raise UsageError(
            f"found {' and '.join(found) or 'no input'}; expected a genome and regions "
            "(-g and -r), or sequences (-f) in their place"
        )


def model_length(model: LoadedModel, options: Input) -> int | None:
    """Return the positions to capture a model at; None where the model fixes them itself.

    Raises
    ------
    ShapeError
        If neither the model, nor the user, nor the first sequence of a FASTA file says it.
    """
    if options.length is not None or fixed_length(model.model, model.form) is not None:
        return options.length
    if options.fasta is None or is_read_once(options.fasta):
        raise ShapeError("the model does not say how many positions it takes; give --length")
    return first_length(options.fasta)


def open_source(options: Input, length: int, stack: ExitStack) -> Source:
    """Open the input.

    Parameters
    ----------
    options : Input
    length : int
        Of the windows, bp.
    stack : ExitStack
        Closes the genome and the regions.

    Returns
    -------
    source : Source

    Raises
    ------
    InputError
    """
    if options.fasta is not None:
        return stack.enter_context(closing(FastaSource(options.fasta, length)))
    assert options.genome is not None
    assert options.regions is not None
    genome = Genome(options.genome, index=options.fai, contig_style=options.contig_style)
    stack.callback(genome.close)
    return stack.enter_context(
        closing(GenomeSource(genome, options.regions, length, options.edges))
    )


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch use so many threads, and as many as before when it is over."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n is None else n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
