"""The formats by the names that `seqlift export --format` has for them."""

from collections.abc import Callable
from typing import NamedTuple

from seqlift.output.formats import bedgraph, bpnet, finemo, npz

__all__ = ["FORMATS", "Format"]


class Format(NamedTuple):
    """One layout.

    Parameters
    ----------
    write : callable
        Takes a `ScoresFile` and as many paths as there are names.
    names : callable
        Takes what `-o` says; returns the names of the files that will be written.
    is_track : bool
        There is one value a base: `write` also takes `quantity` and `overlap`.
    """

    write: Callable[..., None]
    names: Callable[[str], tuple[str, ...]] = lambda output: (output,)
    is_track: bool = False


FORMATS = {
    "npz": Format(npz.write, npz.names),
    "bpnet": Format(bpnet.write),
    "finemo": Format(finemo.write),
    "bedgraph": Format(bedgraph.write, is_track=True),
}
