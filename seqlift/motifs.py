"""Name stretches of scored sequences by the motifs of a MEME file.

What is compared with the motifs is what the model would like to see, and not the letters alone:
one sequence says too little for tomtom. Reading and comparing are memelite's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputDataWarning, InputError, UsageError

__all__ = ["NO_MATCH", "Match", "Motifs", "preferences", "read_motifs"]

Floats = NDArray[np.floating[Any]]

# Of the best match, corrected for the number of motifs; above it a stretch has no name.
LARGEST_P_VALUE = 0.05
# tomtom compares with the columns of all motifs, and few say little about what chance gives.
FEWEST_MOTIFS = 25
# Odds of the most and of the least liked base of a stretch: e**4, about those of a motif's column.
_LOG_ODDS = 4.0


class Match(NamedTuple):
    """The motif most like a stretch.

    Attributes
    ----------
    name : str
        Its name, such as CTCF; its identifier where it has none.
    motif : str
        Its identifier, such as MA0139.1.
    p_value : float
        Of tomtom, times the number of motifs, at most 1.
    strand : str
        `-` where the reverse complement of the motif matches.
    """

    name: str
    motif: str
    p_value: float
    strand: str


NO_MATCH = Match(".", ".", 1.0, ".")


class Motifs(NamedTuple):
    """The motifs of a file.

    Attributes
    ----------
    titles : list of str
        What follows MOTIF: an identifier, and a name where there is one.
    matrices : list of float, shape (base=4, position)
        Probabilities, order A C G T.
    """

    titles: list[str]
    matrices: list[Floats]

    def name(self, stretches: Sequence[Floats], threads: int | None = None) -> list[Match]:
        """Find the motif most like each stretch; what is found for one depends on no other.

        Parameters
        ----------
        stretches : sequence of float, shape (base=4, position)
            As `preferences` gives them.
        threads : int or None
            None takes all.

        Returns
        -------
        matches : list of Match
            `NO_MATCH` where the best p-value, times the number of motifs, is over 0.05.

        References
        ----------
        Gupta et al. (2007), Genome Biol. 8:R24, tomtom; Schreiber's memelite has the one used here.
        """
        from memelite import tomtom

        if not stretches:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few motifs; `read_motifs` says so once
            p_values, _, _, _, strands, indices = tomtom(
                list(stretches), self.matrices, n_nearest=1, n_jobs=_jobs(threads)
            )
        return [
            self._match(*of_one)
            for of_one in zip(p_values[:, 0], strands[:, 0], indices[:, 0], strict=True)
        ]

    def _match(self, p_value: float, strand: float, index: float) -> Match:
        corrected = min(1.0, max(0.0, float(p_value)) * len(self.titles))
        if corrected > LARGEST_P_VALUE:
            return NO_MATCH
        words = self.titles[int(index)].split(maxsplit=1)
        return Match(words[-1].replace(" ", "_"), words[0], corrected, "-" if strand else "+")


def _jobs(threads: int | None) -> int:
    from numba import get_num_threads

    return -1 if threads is None else min(threads, get_num_threads())  # numba allows no more


def preferences(hypothetical: Floats, sign: int) -> Floats:
    """Turn the hypothetical contributions of a stretch into probabilities of bases.

    Parameters
    ----------
    hypothetical : float, shape (base=4, position)
        Hypothetical contributions, order A C G T, in any unit.
    sign : {1, -1}
        -1 for a stretch of negative contributions: what makes them most negative.

    Returns
    -------
    probabilities : float64, shape (base=4, position)
        exp(4 sign h / largest |h|), made to sum to 1 at each position.
    """
    values = np.asarray(hypothetical, dtype=np.float64) * sign
    size = np.abs(values).max(initial=0.0)
    odds = np.exp(_LOG_ODDS * values / (size if size > 0 else 1.0))
    found: Floats = odds / odds.sum(axis=0)
    return found


def read_motifs(path: str) -> Motifs:
    """Read the motifs of a file in the minimal MEME format.

    Parameters
    ----------
    path : str

    Returns
    -------
    Motifs

    Raises
    ------
    UsageError
        If memelite is not installed.
    InputError
        If the file cannot be read, or has no motifs of DNA.

    Warns
    -----
    InputDataWarning
        If there are too few motifs for their p-values to mean much.
    """
    try:
        from memelite.io import read_meme
    except ImportError as exc:
        raise UsageError(
            "found no memelite, which --motifs needs; pip install 'seqlift[seqlets]'"
        ) from exc
    try:
        found = read_meme(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except (ValueError, IndexError, AttributeError, UnicodeDecodeError) as exc:
        reason = " ".join(str(exc).split())
        raise InputError(
            f"{path} is not in the minimal MEME format, or has motifs of other than 4 letters "
            f"({reason})"
        ) from exc
    if not found:
        raise InputError(f"{path} has no motifs; expected the minimal MEME format")
    for title, matrix in found.items():
        _require_probabilities(path, title, matrix)
    if len(found) < FEWEST_MOTIFS:
        noun = "motif" if len(found) == 1 else "motifs"
        warnings.warn(
            f"{path} has {len(found)} {noun}; tomtom's p-values need {FEWEST_MOTIFS} or more to "
            "compare with: names may be given that a whole collection would not give",
            InputDataWarning,
            stacklevel=2,
        )
    return Motifs(list(found), list(found.values()))


def _require_probabilities(path: str, title: str, matrix: Floats) -> None:
    is_fine = matrix.shape[1] > 0 and bool((matrix >= 0).all())
    if not title or not is_fine or not np.allclose(matrix.sum(axis=0), 1, atol=0.05):
        raise InputError(
            f"{path}: motif {title or 'without a name'} is not of probabilities that sum to 1 at "
            "each position; expected the minimal MEME format"
        )
