"""The layout of the scores file: names, axes, types, and the version of the format.

::

    /raw/seq             int8    (region, base, position)  one-hot, N = all zeros
    /shap/seq            float   (region, base, position)  hypothetical contributions
    /projected_shap/seq  float   (region, base, position)  contribution scores
    /regions/            chrom start end name strand summit row, each (region)
    /ensemble/           standard_deviation (region, position), where there are several models
    /quality/            strand_asymmetry (region), where both strands were scored;
                         delta completeness_error prediction_reference (region, reference)
                         prediction n_references (region), standard_error (region, position)

The first three are named and laid out as chrombpnet has them, so that tools which read its files
read these. "float" is float32 unless float64 was asked for. Coordinates are 0-based half-open;
`summit` counts from `start`, -1 is none; `row` is the 1-based line of the input. The order of the
bases is A C G T. `n_references` counts the references that a region used; the columns of those that
it did not use are NaN.
"""

from typing import NamedTuple

__all__ = [
    "COMPLETENESS_ERROR",
    "DATASETS",
    "DELTA",
    "EXTRA",
    "FORMAT",
    "FORMAT_VERSION",
    "HYPOTHETICAL",
    "MODEL_DEVIATION",
    "NEWER",
    "NO_SUMMIT",
    "N_REFERENCES",
    "ONE_HOT",
    "PREDICTION",
    "PREDICTION_REFERENCE",
    "SCORES",
    "STANDARD_ERROR",
    "STRAND_ASYMMETRY",
    "Dataset",
    "rows_at_once",
]

FORMAT = "seqlift-scores"
# Of the layout, not of the program: it grows when a reader of the old layout would misread the new
# one.
FORMAT_VERSION = 2

ONE_HOT = "raw/seq"
HYPOTHETICAL = "shap/seq"
SCORES = "projected_shap/seq"
DELTA = "quality/delta"
COMPLETENESS_ERROR = "quality/completeness_error"
PREDICTION = "quality/prediction"
PREDICTION_REFERENCE = "quality/prediction_reference"
STANDARD_ERROR = "quality/standard_error"
N_REFERENCES = "quality/n_references"
# What files of an older version lack, by the version that brought it.
NEWER = {N_REFERENCES: 2}

NO_SUMMIT = -1


class Dataset(NamedTuple):
    """One dataset of the scores file; its first axis is always the region.

    Parameters
    ----------
    name : str
        Path inside the file.
    axes : tuple of str
        The axes after the region: "base", "position", "reference".
    dtype : str
        A NumPy type; "float" for the precision of the file, "text" for UTF-8 strings of any length.
    """

    name: str
    axes: tuple[str, ...]
    dtype: str


DATASETS = (
    Dataset(ONE_HOT, ("base", "position"), "int8"),
    Dataset(HYPOTHETICAL, ("base", "position"), "float"),
    Dataset(SCORES, ("base", "position"), "float"),
    Dataset("regions/chrom", (), "text"),
    Dataset("regions/start", (), "int64"),
    Dataset("regions/end", (), "int64"),
    Dataset("regions/name", (), "text"),
    Dataset("regions/strand", (), "text"),
    Dataset("regions/summit", (), "int64"),
    Dataset("regions/row", (), "int64"),
    Dataset(DELTA, ("reference",), "float"),
    Dataset(COMPLETENESS_ERROR, ("reference",), "float"),
    Dataset(PREDICTION, (), "float"),
    Dataset(PREDICTION_REFERENCE, ("reference",), "float"),
    Dataset(STANDARD_ERROR, ("position",), "float"),
    Dataset(N_REFERENCES, (), "int64"),
)

# What only some runs have. The standard deviation is that of the track over models.
MODEL_DEVIATION = Dataset("ensemble/standard_deviation", ("position",), "float")
# Sum over positions of |forward - reverse|, over that of |forward| + |reverse|: from 0 to 1.
STRAND_ASYMMETRY = Dataset("quality/strand_asymmetry", (), "float")
EXTRA = (MODEL_DEVIATION, STRAND_ASYMMETRY)

_LETTERS_AT_ONCE = 1 << 18


def rows_at_once(length: int) -> int:
    """Return how many regions are read or written together.

    The same number is the height of a chunk. It falls as the regions grow, so that memory is
    bounded by letters and not by regions.

    Parameters
    ----------
    length : int
        Length of a region in bp.

    Returns
    -------
    rows : int
        Between 1 and 64.

    Examples
    --------
    >>> rows_at_once(2114), rows_at_once(524_288)
    (64, 1)
    """
    return max(1, min(64, _LETTERS_AT_ONCE // max(length, 1)))
