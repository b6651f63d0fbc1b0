"""The pair of .npz files that tf-modisco-lite reads: `modisco motifs -s FILE -a FILE`.

::

    OUT.ohe.npz   arr_0  int8   (region, base, position)  one-hot, N = all zeros
    OUT.shap.npz  arr_0  float  (region, base, position)  hypothetical contributions

"float" is that of the scores file, so nothing is rounded. Fi-NeMo reads the same pair
(`extract-regions-modisco-fmt`). modisco itself multiplies by the one-hot.

References
----------
`modiscolite/cli.py` of modisco-lite 3.0.0.
"""

from pathlib import Path

import numpy as np

from seqlift.output.formats.windows import one_hot
from seqlift.output.npz_file import Member, write_npz
from seqlift.output.reader import ScoresFile

__all__ = ["names", "write"]

_KEY = "arr_0"


def names(output: str) -> tuple[str, str]:
    """Return the names of the pair; a `.npz` at the end of `output` is taken off first."""
    prefix = output.removesuffix(".npz")
    return f"{prefix}.ohe.npz", f"{prefix}.shap.npz"


def write(scores: ScoresFile, ohe: Path, shap: Path) -> None:
    """Write the pair.

    Parameters
    ----------
    scores : ScoresFile
    ohe, shap : Path
        Where to write the one-hot, and the hypothetical contributions.

    Raises
    ------
    OutputError
        If a file cannot be written.
    InputError
        If the scores file is damaged.
    """
    shape = (scores.n_regions, 4, scores.length)
    letters = (one_hot(scores, rows) for rows in scores.slices())
    write_npz(ohe, [Member(_KEY, np.dtype(np.int8), shape, letters)])
    values = (scores.hypothetical(rows) for rows in scores.slices())
    write_npz(shap, [Member(_KEY, scores.hypothetical(slice(0)).dtype, shape, values)])
