"""The formats by the names that `seqlift export --format` has for them."""

from collections.abc import Callable
from typing import NamedTuple

from seqlift.output.formats import bedgraph, bpnet, finemo, npz

__all__ = ["FORMATS", "Format"]


class Format(NamedTuple):
    """One layout.

    Parameters
    ----------
    names : callable
        Takes what `-o` says; returns the names of the files that will be written.
    write : callable
        Takes a `ScoresFile` and as many paths.
    is_track : bool
        There is one value a base: `write` also takes `quantity` and `overlap`.
    """

    names: Callable[[str], tuple[str, ...]]
    write: Callable[..., None]
    is_track: bool = False


FORMATS = {
    "npz": Format(npz.names, npz.write),
    "bpnet": Format(bpnet.names, bpnet.write),
    "finemo": Format(finemo.names, finemo.write),
    "bedgraph": Format(bedgraph.names, bedgraph.write, is_track=True),
}
