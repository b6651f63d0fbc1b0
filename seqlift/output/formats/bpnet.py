"""The .h5 of BPNet's own tools, which `modisco motifs -i` and Fi-NeMo read too.

::

    /hyp_scores    float16  (region, position, base)  hypothetical contributions
    /input_seqs    int8     (region, position, base)  one-hot, N = all zeros
    /coords_chrom  text     (region)
    /coords_start  int64    (region)                  0-based half-open, as is
    /coords_end    int64    (region)

BPNet cuts the names of contigs after 8 letters, and stores coordinates in 32 bits; this does not.
The arrays need no plugin, where BPNet's need hdf5plugin.

References
----------
`save_scores` in `bpnet/cli/shap_scores.py` of bpnet 2.0.0.
"""

from pathlib import Path

import h5py
import numpy as np

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name
from seqlift.output.formats.windows import chunks, half_hypothetical, one_hot
from seqlift.output.reader import ScoresFile
from seqlift.output.schema import rows_at_once
from seqlift.output.sink import Sink

__all__ = ["names", "write"]


def names(output: str) -> tuple[str]:
    """Return the name of the one file."""
    return (output,)


def write(scores: ScoresFile, path: Path) -> None:
    """Write the file.

    Parameters
    ----------
    scores : ScoresFile
    path : Path
        Where to write.

    Raises
    ------
    OutputError
        If the file cannot be written, or a value is too large for half precision.
    InputError
        If the scores file is damaged.
    """
    sink = Sink(path)
    try:
        with h5py.File(sink, "w") as file:
            _create_datasets(file, scores)
            for rows in chunks(scores):
                _copy(scores, file, rows)
                sink.require_written()
    except (OSError, RuntimeError) as exc:
        sink.require_written()
        reason = " ".join(str(exc).split())
        raise OutputError(f"{final_name(path)} cannot be written: {reason}") from exc
    finally:
        sink.close()
    sink.require_written()


def _create_datasets(file: h5py.File, scores: ScoresFile) -> None:
    n = scores.n_regions
    shape = (n, scores.length, 4)
    chunk = (max(1, min(n, rows_at_once(scores.length))), *shape[1:]) if n else None
    # As in the scores file: the one-hot compresses, scores do not.
    file.create_dataset("hyp_scores", shape, np.float16, chunks=chunk)
    packing = {"compression": "gzip", "compression_opts": 4} if n else {}
    file.create_dataset("input_seqs", shape, np.int8, chunks=chunk, **packing)
    file.create_dataset("coords_chrom", (n,), h5py.string_dtype("utf-8"))
    file.create_dataset("coords_start", (n,), np.int64)
    file.create_dataset("coords_end", (n,), np.int64)


def _copy(scores: ScoresFile, file: h5py.File, rows: slice) -> None:
    file["hyp_scores"][rows] = half_hypothetical(scores, rows).swapaxes(1, 2)
    file["input_seqs"][rows] = one_hot(scores, rows).swapaxes(1, 2)
    regions = scores.regions(rows)
    file["coords_chrom"][rows] = [region.chrom for region in regions]
    file["coords_start"][rows] = [region.start for region in regions]
    file["coords_end"][rows] = [region.end for region in regions]
