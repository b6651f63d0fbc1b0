"""The reference schemes of a run: from the words of the user to what makes the references.

Schemes that need the sequence alone are in `seqlift.sequence.references`. Here are those that need
files as well: windows of the genome, the background of all regions, the user's own references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.batches import References
from seqlift.errors import UsageError
from seqlift.genome_pool import collect_pool
from seqlift.own_references import digest, read_references
from seqlift.sequence.background import (
    UNIFORM,
    Background,
    count_bases,
    frequencies,
    parse_background,
)
from seqlift.sequence.matching import WindowPool
from seqlift.sequence.references import (
    find_scheme,
    find_unshufflable,
    klet_of,
    make_references,
)
from seqlift.windows import GenomeSource, Source, encode_windows

__all__ = [
    "FROM_REGIONS",
    "GENOMIC",
    "label_of",
    "open_schemes",
    "require_schemes",
]

GENOMIC = "genomic"
FROM_REGIONS = "regions"  # as a background: that of all windows

_FASTA_OR_ARRAY = (".fa", ".fasta", ".fna", ".npy", ".npz")
_PACKED = (".gz", ".bgz")
_OTHERS = (GENOMIC, "or a FASTA, .npy or .npz file")
_ROWS_AT_ONCE = 128


@dataclass
class _Made:
    """References that come from the sequence."""

    label: str
    n: int
    seed: int
    background: Background
    n_threads: int = 1
    n_made: int = field(init=False)
    attributes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.n_made = self.n if find_scheme(self.label).is_random else 1
        self.attributes = {"reference_scheme": self.label, "n_references": self.n_made}
        if self.label == "flat":
            self.attributes["background"] = list(self.background)

    def make(self, one_hot: NDArray[np.uint8], rows: Sequence[int]) -> NDArray[Any]:
        return make_references(
            one_hot,
            self.label,
            self.n,
            seed=self.seed,
            background=self.background,
            n_threads=self.n_threads,
        )

    def find_unshufflable(self, one_hot: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return find_unshufflable(one_hot, self.label)


@dataclass
class _Genomic:
    """Windows of the genome outside the regions."""

    pool: WindowPool
    n_made: int
    seed: int
    label: str = GENOMIC
    attributes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = {
            "reference_scheme": self.label,
            "n_references": self.n_made,
            "n_reference_windows": self.pool.n_windows,
        }

    def make(self, one_hot: NDArray[np.uint8], rows: Sequence[int]) -> NDArray[Any]:
        return self.pool.draw(one_hot, self.n_made, seed=self.seed)

    def find_unshufflable(self, one_hot: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.zeros(len(one_hot), dtype=np.bool_)


@dataclass
class _Own:
    """References of the user, shape (row, reference, base=4, position)."""

    path: str
    array: NDArray[Any]
    label: str = field(init=False)
    n_made: int = field(init=False)
    attributes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.label = label_of(self.path)
        self.n_made = self.array.shape[1]
        self.attributes = {
            "reference_scheme": self.path,
            "reference_digest": digest(self.path),
            "n_references": self.n_made,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens the file again: the array may be larger than memory.
        n_rows, _, _, length = self.array.shape
        return _open_own, (self.path, n_rows, length)

    def make(self, one_hot: NDArray[np.uint8], rows: Sequence[int]) -> NDArray[Any]:
        is_base = one_hot.max(axis=1)[:, None, None]
        given = self.array[list(rows)]
        # Types that torch knows; of one-hot in bytes, bytes travel to the device.
        dtype = given.dtype if given.dtype in (np.uint8, np.float32) else np.dtype(np.float64)
        references: NDArray[Any] = np.multiply(given, is_base, dtype=dtype)
        return references

    def find_unshufflable(self, one_hot: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.zeros(len(one_hot), dtype=np.bool_)


def label_of(word: str) -> str:
    """Return what files and tables call a scheme: its name, or that of its file without the ending.

    Parameters
    ----------
    word : str
        As for `--references`.

    Returns
    -------
    label : str

    Examples
    --------
    >>> label_of("flat"), label_of("data/closed-chromatin.fa.gz")
    ('flat', 'closed-chromatin')
    """
    if not _is_file(word):
        return word
    path = Path(word)
    return Path(path.stem).stem if path.suffix in _PACKED else path.stem


def _is_file(word: str) -> bool:
    if word == GENOMIC or klet_of(word) is not None or word in ("flat", "zeros"):
        return False
    path = Path(word)
    ending = Path(path.stem).suffix if path.suffix in _PACKED else path.suffix
    return ending in _FASTA_OR_ARRAY or "/" in word or path.exists()


def require_schemes(words: Sequence[str], background: str | None, *, has_genome: bool) -> None:
    """Raise an error unless schemes are known and go together.

    Parameters
    ----------
    words : sequence of str
        As for `--references`.
    background : str or None
        As for `--background`.
    has_genome : bool
        Whether there is a genome with regions on it.

    Raises
    ------
    UsageError
    """
    if not words:
        raise UsageError("found no reference scheme; expected at least one")
    for word in words:
        if not _is_file(word) and word != GENOMIC:
            find_scheme(word, _OTHERS)
    _require_different(words)
    if GENOMIC in words and not has_genome:
        raise UsageError(
            "found --references genomic without a genome; windows are taken from it outside the "
            "regions: give -g and -r in place of -f"
        )
    if background is None:
        return
    if "flat" not in words:
        raise UsageError(
            f"found --background with --references {', '.join(words)}; it is for flat alone: add "
            "--references flat"
        )
    if background != FROM_REGIONS:
        parse_background(background)


def _require_different(words: Sequence[str]) -> None:
    seen: dict[str | int, str] = {}
    for word in words:
        # 2-let-shuffle is the dinucleotide shuffle by another name.
        names = {label_of(word), klet_of(word) or word}
        for name in names & seen.keys():
            raise UsageError(
                f"found --references {seen[name]} and --references {word}, which are the same or "
                "would have files of the same name; give each scheme once"
            )
        seen |= dict.fromkeys(names, word)


def open_schemes(
    words: Sequence[str],
    source: Source,
    length: int,
    n_rows: int,
    *,
    n_references: int,
    seed: int,
    background: str | None = None,
    n_threads: int = 1,
) -> list[References]:
    """Make schemes ready, with all that they need of the genome, the regions and the user's files.

    Parameters
    ----------
    words : sequence of str
        As for `--references`; see `require_schemes`.
    source : Source
        The rows of the input.
    length : int
        Of their windows, bp.
    n_rows : int
        How many there are.
    n_references : int
        References a sequence, for schemes that make any number.
    seed : int
    background : str or None
        For the flat reference: frequencies of A, C, G, T, or "regions" for those of all windows.
    n_threads : int
        That shuffle.

    Returns
    -------
    schemes : list of References

    Raises
    ------
    InputError
        If there is no genome left beside the regions, or a file cannot be used.
    """
    frequency = _background(background, source, length)

    def opened(word: str) -> References:
        if word == GENOMIC:
            assert isinstance(source, GenomeSource)
            pool = collect_pool(source.genome, source.items(), length, n_references, seed=seed)
            return _Genomic(pool, n_references, seed)
        if _is_file(word):
            return _open_own(word, n_rows, length)
        return _Made(word, n_references, seed, frequency, n_threads)

    return [opened(word) for word in words]


def _open_own(path: str, n_rows: int, length: int) -> _Own:
    return _Own(path, read_references(path, n_rows, length))


def _background(text: str | None, source: Source, length: int) -> Background:
    if text is None:
        return UNIFORM
    if text != FROM_REGIONS:
        return parse_background(text)
    counts = np.zeros(4, dtype=np.int64)
    rows = source.items()
    while items := list(islice(rows, _ROWS_AT_ONCE)):
        counts += count_bases(encode_windows(source, items, length))
    return frequencies(counts)
