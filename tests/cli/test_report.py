"""`seqlift report`: what the page holds against the files it was made of, and mistakes."""

import base64
import shutil

import h5py
import numpy as np
import pytest

from tests.oracle.track import literal_track
from tests.report.files import data_of, values_of, windows, write_scores
from tests.tiny import names, run_cli

SIZES = {"chr2": 600, "chr10": 130, "chr1": 500}
DATASETS = {"contribution": "projected_shap/seq", "standard-error": "quality/standard_error"}


@pytest.fixture
def scores(folder, scored):
    """The two files of the run and its table, in the current folder."""
    for name in ("out.0.h5", "out.2.h5", "out.regions.tsv"):
        shutil.copy(scored[0] / name, folder)
    return folder


def make(*arguments):
    run = run_cli("report", *arguments, "-o", "page.html")
    assert (run.status, run.stdout) == (0, ""), run.stderr
    return data_of("page.html")


@pytest.mark.parametrize("quantity", DATASETS)
@pytest.mark.parametrize("genome", [True, False])
def test_values_are_those_of_the_track(scores, quantity, genome):
    """Three-way overlaps, duplicates, Ns and windows past both ends are among the regions."""
    data = make("out.0.h5", "out.2.h5", *(["-g", "genome.fa"] if genome else []))
    assert [file["label"] for file in data["files"]] == ["target 0", "target 2"]
    for i, name in enumerate(["out.0.h5", "out.2.h5"]):
        for chrom, size in SIZES.items():
            wanted = literal_track(scores / name, chrom, size, "nearest", DATASETS[quantity])
            found = values_of(data, i, quantity, chrom, size)
            np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
            assert np.nanmax(np.abs(found - wanted)) <= np.nanmax(np.abs(wanted)) / 32_000


def test_sequence_is_that_of_the_genome_and_beyond_the_windows_only_with_it(scores, contigs):
    with_genome = make("out.0.h5", "-g", "genome.fa")
    assert dict(with_genome["contigs"]) == SIZES
    run_cli("report", "out.0.h5", "-o", "other.html")
    without = data_of("other.html")
    assert dict(without["contigs"]) == {"chr1": 305, "chr10": 140, "chr2": 612}
    lengths = []
    for data in (with_genome, without):
        pairs = zip(data["stretches"], data["sequences"], strict=True)
        lengths.append(sum(len(sequence) for _, sequence in pairs))
        for (contig, start, end), sequence in zip(
            data["stretches"], data["sequences"], strict=True
        ):
            chrom = data["contigs"][contig][0]
            letters = contigs[chrom].upper().translate(str.maketrans("RYK", "NNN"))
            padded = letters + "N" * 1000
            assert sequence == padded[start:end]
    assert lengths[0] > lengths[1]


def test_numbers_of_regions_are_those_of_the_file(scores):
    numbers = make("out.0.h5")["files"][0]["numbers"]
    with h5py.File("out.0.h5") as file:
        track = file["projected_shap/seq"][:].sum(1).astype(np.float64)
        for name, dataset in (
            ("prediction", file["quality/prediction"][:]),
            ("reference", file["quality/prediction_reference"][:].mean(1)),
            ("delta", file["quality/delta"][:].mean(1)),
        ):
            np.testing.assert_allclose(numbers[name], dataset, rtol=1e-5)
        error, delta = file["quality/completeness_error"][:], file["quality/delta"][:]
        size = np.abs(delta).sum(1)  # none where a sequence has no other shuffle
        wanted = np.where(size > 0, error.sum(1) / np.where(size > 0, size, 1), 0)
        np.testing.assert_allclose(numbers["completeness"], wanted, rtol=1e-5)
        one_hot = file["raw/seq"][:]
    sums = np.stack([np.abs(track[:, i : i + 20]).sum(1) for i in range(21)])
    np.testing.assert_allclose(numbers["strength"], sums.max(0), rtol=1e-5)
    np.testing.assert_array_equal(numbers["core_start"], sums.argmax(0))
    _require_logos(numbers["logo"], track, one_hot)


def _require_logos(logo, track, one_hot):
    """The letters and values of each logo are those of its part of the window."""
    width = logo["width"]
    steps = np.frombuffer(base64.b64decode(logo["values"]), "<i2").reshape(len(track), width)
    for i, start in enumerate(logo["start"]):
        part = slice(start, start + width)
        index = np.where(one_hot[i].any(0), one_hot[i].argmax(0), 4)[part]
        assert logo["letters"][i * width : (i + 1) * width] == "".join(
            "ACGTN"[base] for base in index
        )
        known = steps[i] != -32768
        np.testing.assert_array_equal(known, index < 4)
        wanted = track[i][part]
        error = np.abs(np.where(known, steps[i] * logo["scales"][i], 0) - wanted).max()
        assert error <= np.abs(wanted).max() / 32_000


def test_of_many_regions_the_strongest_are_shown_and_all_are_counted(scores):
    everything = make("out.0.h5")["files"][0]["numbers"]["strength"]
    run_cli("report", "out.0.h5", "-o", "few.html", "--regions-shown", 3)
    data = data_of("few.html")
    found = data["files"][0]["numbers"]["strength"]
    assert sorted(found) == sorted(everything)[-3:]
    rows = data["regions"]["row"]
    assert rows == sorted(rows)
    assert data["n_regions"] == len(everything)
    assert sum(data["files"][0]["quality"]["completeness"]["counts"]) == len(everything)


def test_what_became_of_rows_is_told(scores):
    (fates,) = make("out.0.h5", "out.2.h5")["fates"]
    assert fates["table"] == "out.regions.tsv"
    lines = [line.split("\t") for line in (scores / "out.regions.tsv").read_text().splitlines()]
    rows = {(line[0], line[9], line[10]) for line in lines[1:]}
    counts = dict(map(tuple, fates["counts"]))
    for status in ("scored", "padded", "dropped", "unshufflable"):
        assert counts[status] == sum(row[1] == status for row in rows)
    assert counts["padded"] == 3
    assert {line[0] for line in fates["listed"]} == {row[0] for row in rows if row[1] != "scored"}
    assert sum(n for *_, n in fates["reasons"]) == len(fates["listed"])


def test_a_table_of_other_regions_is_passed_over(scores):
    write_scores(scores / "out.5.h5", windows(3))
    assert make("out.5.h5")["fates"] == []


def test_regions_that_all_files_have_are_compared(folder):
    regions = windows(5)
    one_hot = np.eye(4, dtype=np.uint8)[np.random.default_rng(1).integers(0, 4, (5, 40))]
    one_hot = one_hot.transpose(0, 2, 1)
    write_scores(folder / "a.h5", regions, one_hot=one_hot, method="deeplift")
    some = [3, 0, 4]
    write_scores(
        folder / "b.h5", [regions[i] for i in some], one_hot=one_hot[some], method="gradient"
    )
    data = make("a.h5", "b.h5")
    assert data["regions"]["name"] == ["peak_0", "peak_3", "peak_4"]
    assert [file["label"] for file in data["files"]] == ["deeplift", "gradient"]
    with h5py.File("b.h5") as file:
        wanted = file["quality/prediction"][:][[1, 0, 2]]
    np.testing.assert_allclose(data["files"][1]["numbers"]["prediction"], wanted, rtol=1e-5)


def test_alike_files_are_told_apart_by_their_names(folder):
    for name in ("a.h5", "b.h5"):
        write_scores(folder / name, windows(2))
    assert [file["label"] for file in make("a.h5", "b.h5")["files"]] == ["a", "b"]


def test_labels_are_no_longer_than_it_takes(folder):
    some = {"target": "0", "method": "deeplift", "rules": "rescale", "reference_scheme": "flat"}
    for name, changed in (
        ("a.h5", {}),
        ("b.h5", {"method": "gradient", "rules": "None", "reference_scheme": "zeros"}),
        ("c.h5", {"rules": "genomics"}),
    ):
        write_scores(folder / name, windows(2), **{**some, **changed})
    assert [file["label"] for file in make("a.h5", "b.h5")["files"]] == ["deeplift", "gradient"]
    run_cli("report", "a.h5", "b.h5", "c.h5", "-o", "three.html")
    wanted = ["deeplift, rescale", "gradient", "deeplift, genomics"]
    assert [file["label"] for file in data_of("three.html")["files"]] == wanted


def test_quiet_says_nothing_and_the_page_needs_no_network_to_be_made(scores):
    assert run_cli("report", "-q", "out.0.h5", "-o", "p.html") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["none.h5"], 1, "none.h5 cannot be read: No such file or directory"),
        (["genome.fa"], 1, "genome.fa is not an HDF5 file; a scores file of seqlift was expected"),
        (["out.0.h5", "-o", "page.png"], 2, "page.png does not end in .html"),
        (["out.0.h5", "-o", "none/a.html"], 1, "none/ does not exist; make it first"),
        (["out.0.h5", "-o", "old.html"], 1, "old.html exists (use --force)"),
        (["out.0.h5", "-g", "none.fa"], 1, "none.fa does not exist"),
        (
            ["out.0.h5", "-g", "other.fa"],
            1,
            "other.fa has another sequence at chr1:241-280 than was scored; "
            "give the genome that was scored",
        ),
        (
            ["out.0.h5", "long.h5"],
            1,
            "the regions of long.h5 have 50 bp and those of out.0.h5 40; make a report of each",
        ),
        (
            ["out.0.h5", "far.h5"],
            1,
            "far.h5 and out.0.h5 have no regions in common; make a report of each",
        ),
        (
            ["far.h5", "changed.h5"],
            1,
            "changed.h5 has another sequence than far.h5 at chr1:1001-1040; "
            "both must be of the same genome",
        ),
        (["empty.h5"], 1, "empty.h5 has no regions; there is nothing to report"),
        (
            ["wide.h5", "--regions-shown", "9999"],
            2,
            "60 regions of 524,288 bp from 1 files are more than a browser opens; "
            "--regions-shown 18 fits",
        ),
        (
            ["bad.h5"],
            1,
            "bad.regions.tsv has no column 'row'; it should be the table that seqlift score wrote: "
            "move it away or make it again",
        ),
    ],
)
def test_mistakes_leave_nothing(scores, arguments, status, error):
    (scores / "old.html").write_text("old")
    other = "".join(f">{name}\n{'ACGTA' * 200}\n" for name in SIZES)
    (scores / "other.fa").write_text(other)
    write_scores(scores / "far.h5", windows(3))
    write_scores(scores / "bad.h5", windows(3))
    (scores / "bad.regions.tsv").write_text("a\tb\n")
    one_hot = np.zeros((3, 4, 40), np.uint8)
    write_scores(scores / "changed.h5", windows(3), one_hot=one_hot)
    write_scores(scores / "long.h5", windows(3, length=50))
    _write_wide(scores / "wide.h5")
    _write_empty(scores / "far.h5", scores / "empty.h5")
    before = names(scores)
    where = [] if "-o" in arguments else ["-o", "page.html"]
    run = run_cli("report", *arguments, *where)
    assert (run.status, run.stdout) == (status, "")
    assert run.stderr.startswith(f"seqlift: error: {error}")
    assert run.stderr.count("\n") == 1
    assert [name for name in names(scores) if not name.endswith(".fai")] == [
        name for name in before if not name.endswith(".fai")
    ]
    assert (scores / "old.html").read_text() == "old"


def _write_empty(source, path):
    with h5py.File(source) as old, h5py.File(path, "w") as new:
        new.attrs.update(old.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                new.create_dataset(name, data=item[:0], dtype=item.dtype)

        old.visititems(copy)


def _write_wide(path):
    """As a file of long windows: what is not written reads as zeros and takes no room."""
    write_scores(path, windows(60))
    with h5py.File(path, "r+") as file:
        for name in ("raw/seq", "shap/seq", "projected_shap/seq", "quality/standard_error"):
            shape = (60, *file[name].shape[1:-1], 524_288)
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(name, shape, dtype, chunks=True)
