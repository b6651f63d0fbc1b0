"""The .h5 of BPNet's own tools, which `modisco motifs -i` and Fi-NeMo read too.

::

    /hyp_scores    float16  (region, position, base)  hypothetical contributions
    /input_seqs    int8     (region, position, base)  one-hot, N = all zeros
    /coords_chrom  text     (region)                  of a fixed width, UTF-8
    /coords_start  int64    (region)                  0-based half-open, as is
    /coords_end    int64    (region)

BPNet cuts the names of contigs after 8 letters, and stores coordinates in 32 bits; this does not.
The arrays need no plugin, where BPNet's need hdf5plugin.

References
----------
`save_scores` in `bpnet/cli/shap_scores.py` of bpnet 2.0.0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name
from seqlift.output.formats.windows import half_hypothetical, one_hot
from seqlift.output.reader import ScoresFile
from seqlift.output.runs import contigs_of
from seqlift.output.schema import rows_at_once
from seqlift.output.sink import Sink

__all__ = ["write"]


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
            for _ in _steps(scores, file):
                sink.require_written()  # each time: HDF5 crashes where it goes on after a failure
    except (OSError, RuntimeError) as exc:
        sink.require_written()
        reason = " ".join(str(exc).split())
        raise OutputError(f"{final_name(path)} cannot be written: {reason}") from exc
    finally:
        sink.close()
    sink.require_written()


def _steps(scores: ScoresFile, file: h5py.File) -> Iterator[None]:
    """Write the datasets, a little at each step."""
    for name, create in _datasets(scores).items():
        file.create_dataset(name, **create)
        yield
    for rows in scores.slices():
        for name, values in _columns(scores, rows).items():
            file[name][rows] = np.asarray(values, dtype=file[name].dtype)
            yield


def _datasets(scores: ScoresFile) -> dict[str, dict[str, Any]]:
    n = scores.n_regions
    whole = (n, scores.length, 4)
    chunked = {
        "shape": whole,
        "maxshape": (None, *whole[1:]),  # or no file of 0 regions could have chunks
        "chunks": (max(1, min(n, rows_at_once(scores.length))), *whole[1:]),
    }
    width = max((len(name.encode()) for name in contigs_of(scores)), default=1)
    text = h5py.string_dtype("utf-8", width)
    return {
        "hyp_scores": {**chunked, "dtype": np.float16},
        # As in the scores file: the one-hot compresses, scores do not.
        "input_seqs": {**chunked, "dtype": np.int8, "compression": "gzip", "compression_opts": 4},
        "coords_chrom": {"shape": (n,), "dtype": text},
        "coords_start": {"shape": (n,), "dtype": np.int64},
        "coords_end": {"shape": (n,), "dtype": np.int64},
    }


def _columns(scores: ScoresFile, rows: slice) -> dict[str, NDArray[Any]]:
    regions = scores.regions(rows)
    return {
        "hyp_scores": half_hypothetical(scores, rows).swapaxes(1, 2),
        "input_seqs": one_hot(scores, rows).swapaxes(1, 2),
        "coords_chrom": np.array([region.chrom.encode() for region in regions]),
        "coords_start": np.array([region.start for region in regions]),
        "coords_end": np.array([region.end for region in regions]),
    }
