"""A scores file and the sample of its windows that is looked at.

Which windows are drawn, and the random numbers of each, depend on a seed and on the window's own
coordinates: files with the same windows have the same sample, whatever their order.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.deeplift.methods import METHODS
from seqlift.errors import InputError, UsageError
from seqlift.genome.regions import format_region
from seqlift.output.hdf5 import ScoresFile
from seqlift.sequence.references import find_scheme, make_references

__all__ = ["Sampled", "Window", "open_sampled"]

Floats = NDArray[np.floating[Any]]

# What files say nothing of that were written when there was one choice.
DEFAULTS = {
    "method": "deeplift",
    "rules": "rescale",
    "estimator": "plain",
    "target": "0",
    "target_activation": "auto",
    "precision": "float32",
}


class Window(NamedTuple):
    """A sampled window.

    Attributes
    ----------
    rows : slice
        Its one row in the file.
    place : str
        1-based and closed, as messages have it.
    seed : int
        Of what is drawn in it.
    """

    rows: slice
    place: str
    seed: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """A scores file, open, and its sample; see `open_sampled`.

    Attributes
    ----------
    path : str
    file : ScoresFile
    windows : list of Window
        The sample, in an order that does not depend on the file.
    places : frozenset of str
        Of all windows of the file.
    attributes : dict
    """

    path: str
    file: ScoresFile
    windows: list[Window]
    places: frozenset[str]
    attributes: dict[str, Any]

    def setting(self, name: str) -> str:
        """Return an attribute as text; `.` where the file has none."""
        if name == "rules" and self.setting("method") != "deeplift":
            return "."
        return str(self.attributes.get(name, DEFAULTS.get(name, ".")))

    @property
    def scheme(self) -> str:
        """The reference scheme; methods that use no references have one of zeros."""
        return self.setting("reference_scheme") if self.uses_references else "zeros"

    @property
    def uses_references(self) -> bool:
        """Whether the scores depend on the references."""
        method = self.setting("method")
        return method not in METHODS or METHODS[method].uses_references

    def count_references(self, window: Window) -> int:
        """Return how many references a window used; some need fewer than others."""
        return int(self.file.references_used(window.rows)[0])

    def one_hot(self, window: Window) -> NDArray[np.uint8]:
        """Return the sequence of a window, uint8 (base=4, position)."""
        found: NDArray[np.uint8] = self.file.one_hot(window.rows)[0]
        return found

    def hypothetical(self, window: Window) -> Floats:
        """Return its hypothetical contributions, float (base=4, position)."""
        found: Floats = self.file.hypothetical(window.rows)[0]
        return found

    def track(self, window: Window) -> Floats:
        """Return its contribution scores, float (position,); 0 at N."""
        found: Floats = self.file.scores(window.rows)[0].sum(0)
        return found

    def make_references(self, one_hot: NDArray[np.uint8], n: int) -> NDArray[Any] | None:
        """Make the first references of a sequence again.

        Parameters
        ----------
        one_hot : uint8, shape (base=4, position)
        n : int
            How many, if the scheme makes more than one.

        Returns
        -------
        references : shape (reference, base=4, position), or None
            None for schemes that need more than the file holds, such as a genome.
        """
        options: dict[str, Any] = {}
        if "background" in self.attributes:
            options["background"] = self.attributes["background"]
        try:
            find_scheme(self.scheme)
        except UsageError:
            return None
        seed = int(self.attributes.get("seed", 0))
        made: NDArray[Any] = make_references(one_hot[None], self.scheme, n, seed=seed, **options)[0]
        return made


def open_sampled(path: str, n: int, seed: int, stack: ExitStack) -> Sampled:
    """Open a scores file and draw some of its windows.

    Parameters
    ----------
    path : str
    n : int
        How many windows; 0 takes all.
    seed : int
        Same seed, same windows.
    stack : ExitStack
        Closes the file.

    Returns
    -------
    Sampled

    Raises
    ------
    InputError
        If it is not a scores file, or an empty one.
    """
    file = stack.enter_context(ScoresFile(path))
    windows: dict[str, Window] = {}
    for row, region in enumerate(file.regions()):
        place = format_region(region)
        # A window that was scored twice is one window.
        windows.setdefault(place, Window(slice(row, row + 1), place, _seed_of(place, seed)))
    if not windows:
        raise InputError(f"{path} holds no regions; score some first")
    # Those with the smallest numbers: a sample that files with the same windows share.
    drawn = sorted(windows.values(), key=lambda window: (window.seed, window.place))
    return Sampled(path, file, drawn[: n or None], frozenset(windows), file.attributes)


def _seed_of(place: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}\t{place}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")
