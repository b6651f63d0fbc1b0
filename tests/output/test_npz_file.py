"""Archives written in parts, read by NumPy."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from seqlift.errors import OutputError
from seqlift.output.atomic import whole_file
from seqlift.output.npz_file import Member, write_npz

ARRAYS = {
    "float": np.random.default_rng(0).normal(size=(10, 4, 7)).astype(np.float32),
    "half": np.arange(6, dtype=np.float16),
    "int": np.arange(-20, 20, dtype=np.int8).reshape(10, 4),
    "text": np.array(["chr1", "chrÄ_random", ""]),
    "empty": np.empty((0, 4, 9), dtype=np.float64),
}


def in_parts(name, array, size):
    parts = (array[i : i + size] for i in range(0, len(array), size))
    return Member(name, array.dtype, array.shape, parts)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_numpy_reads_what_was_written(tmp_path, size):
    write_npz(tmp_path / "a.npz", [in_parts(name, ARRAYS[name], size) for name in ARRAYS])
    with np.load(tmp_path / "a.npz") as found:
        assert list(found) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array, strict=True)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None


def test_parts_and_the_time_make_no_difference(tmp_path, monkeypatch):
    write_npz(tmp_path / "a.npz", [in_parts("int", ARRAYS["int"], 3)])
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_npz(tmp_path / "b.npz", [in_parts("int", ARRAYS["int"], 10)])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_memory_is_that_of_a_part(tmp_path):
    part = np.zeros((1000, 100), dtype=np.float32)
    n = 200  # 80 MB in all
    tracemalloc.start()
    write_npz(
        tmp_path / "a.npz",
        [Member("x", part.dtype, (1000 * n, 100), (part for _ in range(n)))],
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * part.nbytes


@pytest.mark.parametrize("limit", [10, 5_000, 40_100])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full_disk, limit):
    noise = np.random.default_rng(0).random(5_000)
    full_disk(limit)
    with pytest.raises(OutputError, match=r"a\.npz cannot be written: File too large$"):
        with whole_file(tmp_path / "a.npz") as path:
            write_npz(path, [in_parts("x", noise, 1000)])
    full_disk(-1)
    assert list(tmp_path.iterdir()) == []
