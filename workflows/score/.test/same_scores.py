"""Compare the results of two working directories: the same windows, scores within rounding, the same tracks.

python same_scores.py ONE OTHER
"""

import sys
from pathlib import Path

import numpy as np

from seqlift.output.hdf5 import ScoresFile

one, other = (Path(folder) / "results/scores" for folder in sys.argv[1:])
found = sorted(path.name for path in one.glob("*.h5"))
if not found or found != sorted(path.name for path in other.glob("*.h5")):
    sys.exit(f"{one} and {other} have other files: {found}")
for name in found:
    with ScoresFile(one / name) as a, ScoresFile(other / name) as b:
        if a.regions() != b.regions():
            sys.exit(f"{name} has other windows")
        np.testing.assert_array_equal(a.one_hot(), b.one_hot(), err_msg=name)
        scores = a.scores()
        size = np.abs(scores).max()
        np.testing.assert_allclose(b.scores(), scores, rtol=0, atol=1e-5 * size, err_msg=name)
        off = np.abs(b.scores() - scores).max() / size
    tables = [(folder / name).with_suffix(".regions.tsv").read_text() for folder in (one, other)]
    rows = [[line.split("\t")[:11] for line in table.splitlines()] for table in tables]
    if rows[0] != rows[1]:
        sys.exit(f"{name}: the tables of regions differ")
    print(f"{name}: {len(scores)} regions, largest difference {off:.1e} of the largest score")
