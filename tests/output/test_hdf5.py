"""What is written comes back, and what cannot be written or read is said in one line."""

import dataclasses
from itertools import pairwise

import h5py
import numpy as np
import pytest

from seqlift.errors import InputError, OutputError
from seqlift.genome.regions import Region
from seqlift.output import hdf5, schema
from seqlift.output.atomic import whole_file
from seqlift.output.hdf5 import ScoresFile, ScoresWriter

BATCH_FIELDS = {
    "one_hot",
    "hypothetical",
    "scores",
    "delta",
    "completeness_error",
    "prediction",
    "prediction_reference",
    "standard_error",
    "n_references",
}


def part(batch, rows):
    """A few windows out of a batch."""
    arrays = {name: getattr(batch, name)[rows] for name in BATCH_FIELDS}
    return dataclasses.replace(batch, regions=batch.regions[rows], **arrays)


def write(path, batch, sizes=None, **options):
    """Write a batch in parts of the given sizes."""
    length, n_references = batch.one_hot.shape[2], batch.delta.shape[1]
    edges = np.cumsum([0, *(sizes or [len(batch.regions)])])
    with ScoresWriter(path, length, n_references, **options) as writer:
        for start, end in pairwise(edges):
            writer.append(part(batch, slice(start, end)))
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [[150], [1] * 150, [7, 64, 79], [63, 1, 1, 85]])
def test_what_is_written_comes_back_exactly(tmp_path, make_batch, make_windows, sizes, dtype):
    batch = make_batch(make_windows(150), dtype=dtype)
    with ScoresFile(write(tmp_path / "a.h5", batch, sizes, dtype=dtype)) as file:
        assert (file.n_regions, file.length, file.n_references) == (150, 30, 3)
        assert file.regions() == batch.regions
        np.testing.assert_array_equal(file.references_used(), batch.n_references)
        for name in sorted(BATCH_FIELDS - {"n_references"}):
            expected, found = getattr(batch, name), getattr(file, name)()
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_the_tree_is_the_one_that_other_tools_read(tmp_path, make_batch, make_windows):
    path = write(tmp_path / "a.h5", make_batch(make_windows(5)))
    with h5py.File(path) as file:
        assert file["raw/seq"].dtype == np.int8
        assert file["shap/seq"].dtype == file["projected_shap/seq"].dtype == np.float32
        for name in ("raw/seq", "shap/seq", "projected_shap/seq"):
            assert file[name].shape == (5, 4, 30)
        assert set(file["regions"]) == {"chrom", "start", "end", "name", "strand", "summit", "row"}
        assert file["regions/summit"][:].tolist() == [7, -1, -1, -1, 7]
        assert file["quality/standard_error"].shape == (5, 30)
        found = []
        file.visititems(
            lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None
        )
        # gzip and shuffle are in every build of HDF5; anything else would be a plugin.
        packed = {node.name: (node.compression, node.shuffle) for node in found if node.compression}
        assert packed == {"/raw/seq": ("gzip", True)}


def test_rows_come_in_the_order_asked_for(tmp_path, make_batch, make_windows):
    batch = make_batch(make_windows(90))
    rows = np.random.default_rng(1).permutation(90)[:40]
    rows = np.concatenate([rows, rows[:5], [3, 4, 5]])
    with ScoresFile(write(tmp_path / "a.h5", batch)) as file:
        np.testing.assert_array_equal(file.scores(rows), batch.scores[rows])
        assert file.regions(rows) == [batch.regions[row] for row in rows]
        np.testing.assert_array_equal(file.track(rows), file.track()[rows])
        np.testing.assert_array_equal(file.delta(slice(80, 2, -3)), batch.delta[80:2:-3])
        assert file.scores(np.array([], dtype=int)).shape == (0, 4, 30)


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_that_is_not_there(tmp_path, make_batch, make_windows, row):
    with ScoresFile(write(tmp_path / "a.h5", make_batch(make_windows(5)))) as file:
        with pytest.raises(InputError, match=f"there is no region {row}; the file has 5"):
            file.track(np.array([0, row]))


def test_a_track_is_the_score_of_the_base_and_nothing_at_n(tmp_path, make_batch, make_windows):
    batch = make_batch(make_windows(70))
    is_unknown = batch.one_hot.sum(axis=1) == 0
    assert is_unknown.any()
    with ScoresFile(write(tmp_path / "a.h5", batch)) as file:
        track, error = file.track(), file.track(quantity="standard-error")
        with pytest.raises(InputError, match="'delta' is not kept per base"):
            file.track(quantity="delta")
    np.testing.assert_array_equal(np.isnan(track), is_unknown)
    bases = batch.one_hot.argmax(axis=1)
    expected = np.take_along_axis(batch.scores, bases[:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(track[~is_unknown], expected[~is_unknown])
    np.testing.assert_array_equal(error, np.where(is_unknown, np.nan, batch.standard_error))


def test_a_file_without_windows(tmp_path, make_batch):
    with ScoresWriter(tmp_path / "a.h5", 30, 3):
        pass
    with ScoresFile(tmp_path / "a.h5") as file:
        assert (file.n_regions, file.length, file.n_references) == (0, 30, 3)
        assert file.regions() == []
        assert file.track().shape == (0, 30)


def test_sequences_of_a_fasta_have_their_own_coordinates(tmp_path, make_batch):
    regions = [Region("read é|1", 0, 30, row=1), Region("plasmid", 0, 30, row=3)]
    with ScoresFile(write(tmp_path / "a.h5", make_batch(regions))) as file:
        assert file.regions() == regions


def test_attributes_are_kept_and_can_be_set_at_the_end(tmp_path):
    attributes = {
        "command": "seqlift score",
        "seed": 0,
        "rules": ["rescale"],
        "n_done": 0,
        "ratio": 0.5,
    }
    with ScoresWriter(tmp_path / "a.h5", 10, 1, attributes=attributes) as writer:
        writer.set_attributes({"n_done": 12})
    with ScoresFile(tmp_path / "a.h5") as file:
        own = {"format": schema.FORMAT, "format_version": schema.FORMAT_VERSION}
        assert file.attributes == attributes | own | {"n_done": 12}


def test_a_small_file_is_small(tmp_path, make_batch):
    batch = make_batch([Region("chr1", 0, 2000)], length=2000)
    # 72 kB of numbers; a chunk of 64 windows would have 4.6 MB.
    assert write(tmp_path / "a.h5", batch).stat().st_size < 200_000


@pytest.mark.parametrize("n_regions", [20, 400])
def test_no_more_than_a_chunk_and_a_batch_is_held(
    tmp_path, make_batch, make_windows, monkeypatch, n_regions
):
    held = []
    real = hdf5.np.concatenate

    def watched(arrays):
        held.append(sum(map(len, arrays)))
        return real(arrays)

    monkeypatch.setattr(hdf5.np, "concatenate", watched)
    write(tmp_path / "a.h5", make_batch(make_windows(n_regions)), [10] * (n_regions // 10))
    assert max(held) < schema.rows_at_once(30) + 10


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_scores_that_are_not_finite_are_refused_with_their_region(
    tmp_path, make_batch, make_windows, bad
):
    batch = make_batch(make_windows(4), dtype=np.float64)
    batch.hypothetical[2, 1, 5] = bad
    with pytest.raises(
        OutputError, match=r"^chr1:23-52 \(line 3\): the scores are not finite in float32"
    ):
        write(tmp_path / "a.h5", batch)


def test_a_batch_of_another_length_is_refused(tmp_path, make_batch, make_windows):
    with pytest.raises(
        OutputError, match=r"/raw/seq of a batch has shape \(2, 4, 30\); it needs \(2, 4, 31\)"
    ):
        with ScoresWriter(tmp_path / "a.h5", 31, 3) as writer:
            writer.append(make_batch(make_windows(2)))


@pytest.mark.parametrize("limit", [0, 1, 500, 5_000, 40_000, 150_000, 200_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path, make_batch, make_windows, full_disk, limit
):
    batch = make_batch(make_windows(200))
    full_disk(limit)
    with pytest.raises(OutputError, match=r"a\.h5 cannot be written: File too large$"):
        with whole_file(tmp_path / "a.h5") as path:
            write(path, batch, [50] * 4)
    full_disk(-1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_writer_leaves_nothing(tmp_path, make_batch, make_windows):
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.h5") as path:
        with ScoresWriter(path, 30, 3) as writer:
            writer.append(make_batch(make_windows(100)))
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(
        OutputError, match=r"results/a\.h5 cannot be written: No such file or directory"
    ):
        ScoresWriter(tmp_path / "results" / "a.h5", 30, 3)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def make_foreign(path):
    with h5py.File(path, "w") as file:
        file["raw/seq"] = file["shap/seq"] = file["projected_shap/seq"] = np.zeros((1, 4, 10))


def make_newer(path):
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99


def remove_scores(path):
    with h5py.File(path, "r+") as file:
        del file["projected_shap/seq"]


def make_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (make_directory, "is a directory"),
        (lambda path: path.write_text("chr1\t0\t1\n"), "is not an HDF5 file"),
        (lambda path: path.write_bytes(b""), "is not an HDF5 file"),
        (truncate, r"is damaged or cut short \(.*truncated file.*\); make it again"),
        (make_foreign, "was not written by seqlift: it has no /regions; score the regions"),
        (make_newer, "has format version 99; this seqlift reads up to 2: update it"),
        (remove_scores, "has no /projected_shap/seq; it is damaged"),
    ],
)
def test_files_that_are_not_ours_are_one_line(tmp_path, make_batch, make_windows, spoil, message):
    path = write(tmp_path / "a.h5", make_batch(make_windows(5)))
    spoil(path)
    with pytest.raises(InputError, match=message) as caught:
        ScoresFile(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_inside_is_found_when_it_is_read(tmp_path, make_batch, make_windows):
    path = write(tmp_path / "a.h5", make_batch(make_windows(5)))
    with h5py.File(path) as file:
        chunk = file["raw/seq"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with ScoresFile(path) as file:
        with pytest.raises(InputError, match=r"cannot be read \(.*\); it is damaged"):
            file.one_hot()


def test_a_file_of_the_first_version_is_read(tmp_path, make_batch, make_windows):
    """It does not say how many references were used: all were."""
    path = write(tmp_path / "a.h5", make_batch(make_windows(5)))
    with h5py.File(path, "r+") as file:
        del file["quality/n_references"]
        file.attrs["format_version"] = 1
    with ScoresFile(path) as file:
        assert file.references_used([4, 0]).tolist() == [3, 3]
        assert file.references_used().tolist() == [3] * 5
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(InputError, match="no /quality/n_references"):
        ScoresFile(path)
