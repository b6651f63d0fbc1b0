"""Layouts of other tools, read back with NumPy and h5py, against the scores file."""

import tracemalloc

import h5py
import numpy as np
import pytest

from seqlift.errors import OutputError
from seqlift.genome.regions import Region
from seqlift.output.atomic import whole_files
from seqlift.output.formats.registry import FORMATS
from seqlift.output.hdf5 import ScoresFile, ScoresWriter

LENGTH = 30
WHOLE = sorted(name for name, form in FORMATS.items() if not form.is_track)


@pytest.fixture
def write_scores(tmp_path, make_batch):
    def write(regions, length=LENGTH, **options):
        batch = make_batch(regions, length=length, dtype=options.get("dtype", "float32"))
        for region, one_hot in zip(regions, batch.one_hot, strict=True):
            one_hot[:, : max(0, -region.start)] = 0  # there is no genome
        with ScoresWriter(tmp_path / "a.h5", length, 3, **options) as writer:
            if regions:
                writer.append(batch)
        return tmp_path / "a.h5"

    return write


@pytest.fixture
def many(make_windows):
    """More windows than are read at a time; some hang over the start of their contig."""
    return [
        Region("chr2", -12, 18),
        *make_windows(70, chrom="chr2"),
        *make_windows(80, chrom="chr10"),
    ]


def export(layout, scores, folder):
    form = FORMATS[layout]
    names = form.names(str(folder / "out"))
    with ScoresFile(scores) as file, whole_files(*names) as paths:
        form.write(file, *paths)
    return names


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_pair_of_npz_is_the_scores_file_bit_by_bit(tmp_path, write_scores, many, dtype):
    scores = write_scores(many, dtype=dtype)
    ohe, shap = export("npz", scores, tmp_path)
    assert ohe.endswith("out.ohe.npz") and shap.endswith("out.shap.npz")
    with h5py.File(scores) as file, np.load(ohe) as letters, np.load(shap) as values:
        assert list(letters) == list(values) == ["arr_0"]
        np.testing.assert_array_equal(letters["arr_0"], file["raw/seq"][:], strict=True)
        np.testing.assert_array_equal(values["arr_0"], file["shap/seq"][:], strict=True)


def test_a_suffix_is_not_written_twice():
    assert FORMATS["npz"].names("a.b.npz") == ("a.b.ohe.npz", "a.b.shap.npz")


def test_the_file_of_bpnet_has_length_before_base(tmp_path, write_scores, many):
    scores = write_scores(many)
    (path,) = export("bpnet", scores, tmp_path)
    with h5py.File(scores) as file, h5py.File(path) as found:
        assert set(found) == {
            "hyp_scores", "input_seqs", "coords_chrom", "coords_start", "coords_end",
        }  # fmt: skip
        require_half(found["hyp_scores"][:].transpose(0, 2, 1), file["shap/seq"][:])
        letters = found["input_seqs"][:].transpose(0, 2, 1)
        np.testing.assert_array_equal(letters, file["raw/seq"][:], strict=True)
        for name in ("chrom", "start", "end"):
            np.testing.assert_array_equal(found[f"coords_{name}"][:], file[f"regions/{name}"][:])


def test_the_file_of_finemo_has_the_windows_places(tmp_path, write_scores, many):
    scores = write_scores(many)
    (path,) = export("finemo", scores, tmp_path)
    with h5py.File(scores) as file, np.load(path) as found:
        require_half(found["contributions"], file["shap/seq"][:])
        np.testing.assert_array_equal(found["sequences"], file["raw/seq"][:], strict=True)
        assert found["chr"].tolist() == [region.chrom for region in many]
        assert found["chr_id"].tolist() == [0] * 71 + [1] * 80
        assert found["start"].tolist() == [region.start for region in many]
        assert found["peak_id"].tolist() == list(range(151))
        assert found["peak_name"].tolist() == [region.name for region in many]


def require_half(found, exact):
    """Hold that values are those of half precision next to the exact ones."""
    assert found.dtype == np.float16
    assert (np.abs(found - exact) <= 2**-11 * np.abs(exact) + 2**-25).all()


@pytest.mark.parametrize("layout", WHOLE)
def test_no_regions_are_written_too(tmp_path, write_scores, layout):
    names = export(layout, write_scores([]), tmp_path)
    opened = [h5py.File(n) if layout == "bpnet" else np.load(n) for n in names]
    shapes = [archive[name].shape for archive in opened for name in archive]
    assert shapes and all(shape[0] == 0 for shape in shapes)
    for archive in opened:
        archive.close()


@pytest.mark.parametrize("layout", ["bpnet", "finemo"])
def test_what_half_precision_cannot_hold_is_refused(tmp_path, write_scores, many, layout):
    scores = write_scores(many)
    with h5py.File(scores, "r+") as file:
        file["shap/seq"][100, 2, 5] = -7e4
    message = (
        f"chr10:320-349 (line {many[100].row}) has a hypothetical contribution of 7e+04; this "
        "format holds half precision, up to 65,504: use --format npz"
    )
    with pytest.raises(OutputError) as caught:
        export(layout, scores, tmp_path)
    assert str(caught.value) == message
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("layout", sorted(FORMATS))
@pytest.mark.parametrize("limit", [10, 12_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path, write_scores, many, full_disk, layout, limit
):
    scores = write_scores(many)
    full_disk(limit)
    with pytest.raises(OutputError, match=r"out\S* cannot be written: File too large$"):
        export(layout, scores, tmp_path)
    full_disk(-1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("layout", sorted(FORMATS))
def test_memory_does_not_grow_with_the_regions(tmp_path, write_scores, make_windows, layout):
    length = 500
    scores = write_scores(make_windows(1500, length=length, step=50), length=length)
    tracemalloc.start()
    export(layout, scores, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = 1500 * 4 * length * 4
    assert peak < whole / 3
