"""`seqlift shuffle`: the references of sequences, as FASTA."""

from __future__ import annotations

from collections.abc import Iterator

import click

from seqlift.cli.options import force_option
from seqlift.errors import OutputError, UsageError

__all__ = ["shuffle"]


@click.command(short_help="Shuffle sequences as the references of a run.")
@click.argument("fasta", metavar="FASTA")
@click.option(
    "-n",
    "--n-references",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Shuffles of each sequence.",
)
@click.option(
    "-k",
    "--klet",
    "k",
    type=click.IntRange(1),
    metavar="K",
    help="Keep the counts of all words of K bases.  [default: 2]",
)
@click.option(
    "--scheme",
    metavar="SCHEME",
    help="The same by name: dinucleotide-shuffle, mononucleotide-shuffle or K-let-shuffle.",
)
@click.option(
    "-s",
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Same seed and sequence, same shuffles.",
)
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="FASTA to write; - is standard output."
)
@force_option
def shuffle(
    fasta: str,
    n_references: int,
    k: int | None,
    scheme: str | None,
    seed: int,
    output: str,
    force: bool,
) -> None:
    """Shuffle the sequences of a FASTA file (- is standard input), and write them as FASTA.

    They are the very references that `seqlift score` makes with the same seed. Shuffle K of NAME is
    called NAME.K, K from 1. The dinucleotide shuffle keeps the first and the last base and all
    dinucleotide counts, and is uniform over all sequences that do; that of longer words does the
    same for them. Ns stay where they are.
    """
    from seqlift.output.atomic import whole_file, write_errors

    records = _records(fasta, n_references, _scheme(k, scheme), seed)
    if output == "-":
        _print(records)
        return
    with whole_file(output, force=force) as path, write_errors(path):
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(records)


def _scheme(k: int | None, scheme: str | None) -> str:
    """Return the name of the scheme that the options ask for, one way or the other."""
    from seqlift.sequence.references import klet_of

    if scheme is None:
        return f"{2 if k is None else k}-let-shuffle"
    named = klet_of(scheme)
    if named is None:
        raise UsageError(
            f"found --scheme {scheme}; expected dinucleotide-shuffle, mononucleotide-shuffle or "
            "K-let-shuffle, such as 3-let-shuffle"
        )
    if k is not None and k != named:
        raise UsageError(f"found -k {k} and --scheme {scheme}; give one of them")
    return scheme


def _print(records: Iterator[str]) -> None:
    try:
        for record in records:
            click.echo(record, nl=False)
    except BrokenPipeError:
        raise  # no error: see the group of commands
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def _records(fasta: str, n_references: int, scheme: str, seed: int) -> Iterator[str]:
    from seqlift.genome.records import read_fasta
    from seqlift.sequence.onehot import decode, encode
    from seqlift.sequence.references import make_references

    for name, letters in read_fasta(fasta):
        made = make_references(encode(letters)[None], scheme, n_references, seed=seed)[0]
        for k, one_hot in enumerate(made, start=1):
            yield f">{name}.{k}\n{decode(one_hot)}\n"
