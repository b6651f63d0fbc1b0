"""A line for every line of the input."""

import csv

import pytest

from seqlift.errors import OutputError
from seqlift.output.atomic import whole_file
from seqlift.output.regions_tsv import RegionRow, RegionsWriter

SCORED = RegionRow(
    row=2,
    chrom="chr1",
    start=100,
    end=200,
    name="peak 1",
    strand="+",
    summit=40,
    window_start=90,
    window_end=190,
    status="scored",
    prediction=1.25,
    prediction_reference_mean=0.1 + 0.2,
    delta_mean=0.95,
    completeness_error_max=1e-7,
    completeness_error_relative=float("nan"),
    n_unknown=0,
    strongest_position=142,
    target="0",
    references="flat",
)
DROPPED = RegionRow(
    5, "chr2", 0, 9, ".", ".", None, None, None, "dropped", "past\tthe end\nof chr2"
)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_row_in_the_order_of_the_input(tmp_path):
    with RegionsWriter(tmp_path / "a.tsv") as writer:
        writer.write(SCORED)
        writer.write(DROPPED)
    first, second = read(tmp_path / "a.tsv")
    assert next(iter(first)) == "row"
    assert first["name"] == "peak 1"
    assert (first["summit"], second["summit"]) == ("40", "-1")
    assert (first["status"], first["reason"]) == ("scored", ".")
    assert first["prediction_reference_mean"] == "0.3"
    assert first["completeness_error_max"] == "1e-07"
    assert first["completeness_error_relative"] == "NA"
    assert [first["target"], first["references"]] == ["0", "flat"]
    assert [second["target"], second["references"]] == [".", "."]
    # A tab in a reason would shift every column after it.
    assert (second["status"], second["reason"]) == ("dropped", "past the end of chr2")
    assert second["window_start"] == second["prediction"] == second["n_unknown"] == "NA"


def test_a_table_without_rows_has_its_header(tmp_path):
    with RegionsWriter(tmp_path / "a.tsv"):
        pass
    assert (
        (tmp_path / "a.tsv")
        .read_text()
        .startswith("row\tchrom\tstart\tend\tname\tstrand\tsummit\t")
    )


def test_rows_out_of_order_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"a\.tsv: row 2 comes after row 5"):
        with RegionsWriter(tmp_path / "a.tsv") as writer:
            writer.write(DROPPED)
            writer.write(SCORED)


def test_an_unknown_status_is_refused(tmp_path):
    row = RegionRow(1, "chr1", 0, 9, ".", ".", None, 0, 9, "fine")
    with RegionsWriter(tmp_path / "a.tsv") as writer:
        with pytest.raises(OutputError, match="'fine' is not a status"):
            writer.write(row)


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"results/a\.tsv cannot be written: No such file"):
        RegionsWriter(tmp_path / "results" / "a.tsv")


@pytest.mark.parametrize("limit", [0, 10, 300, 20_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full_disk, limit):
    full_disk(limit)
    with pytest.raises(OutputError, match=r"a\.tsv cannot be written: File too large$"):
        with whole_file(tmp_path / "a.tsv") as path, RegionsWriter(path) as writer:
            for _ in range(1000):
                writer.write(SCORED)
    full_disk(-1)
    assert list(tmp_path.iterdir()) == []
