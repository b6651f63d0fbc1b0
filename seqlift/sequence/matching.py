"""Draw references from a pool of genomic windows, matched in GC content to each sequence.

Where the windows come from is not known here; see `seqlift.genome_pool`.
"""

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlift.errors import SequenceError
from seqlift.sequence.onehot import from_indices, to_indices
from seqlift.sequence.shuffle import require_n_references

__all__ = ["GC_STEP", "WindowPool"]

# Windows within one step of a sequence's GC content match it; if they do not suffice, those within
# two steps are next, and so on. A window of 1,000 bp has a GC content of ± 0.016 by chance alone.
GC_STEP = 0.01


class WindowPool:
    """Windows to draw references from.

    Parameters
    ----------
    bases : uint8, shape (window, position)
        Base indices 0 to 3; no N.
    """

    def __init__(self, bases: NDArray[np.uint8]) -> None:
        self._bases = bases
        is_gc = (bases == 1) | (bases == 2)
        self._gc = is_gc.mean(axis=1) if bases.size else np.zeros(len(bases))

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return len(self._bases)

    def draw(self, sequences: ArrayLike, n_references: int, *, seed: int) -> NDArray[np.uint8]:
        """Draw references for sequences: distinct windows for each.

        Parameters
        ----------
        sequences : uint8, shape (region, base=4, position)
            One-hot, order A C G T.
        n_references : int
            Windows for each sequence, at least 1 and at most `n_windows`.
        seed : int
            Reference k of a sequence depends on the pool, the seed, the sequence's letters and k.

        Returns
        -------
        references : uint8, shape (region, reference, base=4, position)
            All zeros where the sequence is.

        Raises
        ------
        SequenceError
            If `sequences` is not one-hot, or there are fewer windows.
        UsageError
            If `n_references` is less than 1.
        """
        require_n_references(n_references)
        if n_references > self.n_windows:
            raise SequenceError(
                f"found {self.n_windows} windows to draw references from; expected at least "
                f"{n_references}: ask for fewer references"
            )
        regions = to_indices(sequences)
        drawn = [self._bases[self._order(letters, n_references, seed)] for letters in regions]
        shape = (len(regions), n_references, regions.shape[-1])
        references = from_indices(np.array(drawn, dtype=np.uint8).reshape(shape))
        references *= (regions < 4)[:, None, None]
        return references

    def _order(self, letters: NDArray[np.uint8], n: int, seed: int) -> NDArray[np.intp]:
        """Return the first n windows: by steps of GC content away, and at random within a step."""
        text = f"genomic {int(seed)} ".encode() + letters.tobytes()
        key = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
        words = np.random.Philox(key=key).random_raw(self.n_windows)
        known = letters[letters < 4]
        gc = float(((known == 1) | (known == 2)).mean()) if known.size else 0.0
        # Rounded first, or a window just a step away would match or not by the last bit.
        steps = np.ceil(np.round(np.abs(self._gc - gc) / GC_STEP, 9)).astype(np.uint64)
        ranks = (np.maximum(steps, np.uint64(1)) << np.uint64(56)) | (words >> np.uint64(8))
        nearest = np.argpartition(ranks, n - 1)[:n]
        return nearest[np.argsort(ranks[nearest], kind="stable")]
