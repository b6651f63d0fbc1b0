"""Write one bigWig from a stream, in a process of its own: `python bigwig_child.py FILE < STREAM`.

When the disk fills up, libBigWig does not report it: it frees memory twice and aborts the process.
Here that takes down nobody else. `bigwig_process` starts this file and speaks to it; it is run by
its path, and so imports neither seqlift nor torch.

The stream is a line of JSON, the list of [contig, length], and then records: contig (index, int32),
start (int64), number of values (int64), the values (float32); little-endian. A contig of -1 ends
it. A stream that just stops is a parent that was killed, and the bigWig is not finished.
"""

import contextlib
import json
import os
import struct
import sys
import zlib
from array import array
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyBigWig

__all__ = ["END", "RECORD", "main"]

RECORD = struct.Struct("<iqq")
END = -1


def main(path: str, stream: BinaryIO) -> None:
    """Write a bigWig from a stream, and read it back to compare.

    Parameters
    ----------
    path : str
        An existing file, which is replaced: libBigWig crashes where the folder is missing.
    stream : binary file
        As the module says, checked by the parent: contigs in the order of the header, starts
        ascending, nothing past an end, all values finite.

    Raises
    ------
    RuntimeError, OSError, EOFError
        If the file cannot be written, or does not hold what the stream said.
    """
    contigs = [(str(name), int(length)) for name, length in json.loads(stream.readline())]
    bigwig = pyBigWig.open(path, "w")
    bigwig.addHeader(contigs)  # with zoom levels, without which some browsers fail
    # Contig, start, number of values and checksum of each run; flat, since there may be millions.
    runs = array("q")
    while (record := RECORD.unpack(_exactly(stream, RECORD.size)))[0] != END:
        contig, start, n_values = record
        values = np.frombuffer(_exactly(stream, 4 * n_values), dtype="<f4")
        bigwig.addEntries(contigs[contig][0], start, values=_handed_over(values), span=1, step=1)
        runs.extend([contig, start, n_values, zlib.crc32(values.tobytes())])
    bigwig.close()
    _require_whole(path)
    _require_same(path, contigs, runs)


def _require_whole(path: str) -> None:
    """Look for the signature that ends a bigWig as it begins it.

    A disk that fills up while zoom levels are written leaves every value in place, and libBigWig
    returns normally.
    """
    with Path(path).open("rb") as file:
        first = file.read(4)
        file.seek(-4, os.SEEK_END)
        if file.read(4) != first:
            raise RuntimeError("the file was not written to its end")


def _require_same(path: str, contigs: list[tuple[str, int]], runs: "array[int]") -> None:
    with contextlib.closing(pyBigWig.open(path)) as bigwig:
        if bigwig.chroms() != dict(contigs):
            raise RuntimeError("the contigs read back differ")
        n_covered = bigwig.header()["nBasesCovered"]
        if n_covered != sum(runs[2::4]):
            raise RuntimeError(f"{sum(runs[2::4])} values were written and {n_covered} read back")
        for contig, start, n_values, checksum in zip(*(runs[i::4] for i in range(4)), strict=True):
            name = contigs[contig][0]
            values = np.array(bigwig.values(name, start, start + n_values), dtype="<f4")
            if zlib.crc32(values.tobytes()) != checksum:
                raise RuntimeError(
                    f"the values read back at {name}:{start + 1:,}-{start + n_values:,} differ"
                )


def _handed_over(values: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> object:
    # pyBigWig can be built without NumPy, and then reads lists alone.
    return values if pyBigWig.numpy else values.tolist()


def _exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError("the stream stopped before its end")
    return data


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.stdin.buffer)
    except BaseException as exc:  # every reason goes to the parent as one line
        message = " ".join(f"{type(exc).__name__}: {exc}".split())
        print(message, file=sys.stderr, flush=True)
        # Without letting go of the bigWig, which is what would abort.
        os._exit(1)
