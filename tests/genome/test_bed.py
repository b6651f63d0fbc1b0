import gzip
import io
import os
import re
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqlift.errors import InputDataWarning, RegionError
from seqlift.genome.bed import read_regions
from seqlift.genome.regions import Region

Write = Callable[..., str]

BED6 = "chr1\t10\t20\ta\t0\t+\nchr2\t30\t50\tb\t9.5\t-\nchr1\t5\t6\tc\t0\t.\n"
BED6_REGIONS = [
    Region("chr1", 10, 20, "a", "+", None, 1),
    Region("chr2", 30, 50, "b", "-", None, 2),
    Region("chr1", 5, 6, "c", ".", None, 3),
]
BED12 = "chr1\t10\t90\tgene\t0\t-\t12\t80\t255,0,0\t2\t5,6\t0,74\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1\t10\t20\n", Region("chr1", 10, 20, ".", ".", None, 1)),
        ("chr1\t0\t1\n", Region("chr1", 0, 1, ".", ".", None, 1)),
        ("chr1\t10\t20\tpeak 1\n", Region("chr1", 10, 20, "peak 1", ".", None, 1)),
        ("chr1\t10\t20\t\n", Region("chr1", 10, 20, ".", ".", None, 1)),
        ("chr1\t10\t20\tp\t1000\n", Region("chr1", 10, 20, "p", ".", None, 1)),
        ("chr1\t10\t20\tp\t0\t-\n", Region("chr1", 10, 20, "p", "-", None, 1)),
        ("chr1\t10\t20\tp\t0\t-\t1.5\t-1\t0.1\n", Region("chr1", 10, 20, "p", "-", None, 1)),
        ("chr1\t10\t20\tp\t0\t-\t12\t18\t0,0,255\n", Region("chr1", 10, 20, "p", "-", None, 1)),
        ("chr1\t10\t20\tp\t0\t.\t1.5\t-1\t2e3\t0\n", Region("chr1", 10, 20, "p", ".", 0, 1)),
        ("chr1\t10\t20\tp\t0\t.\t1.5\t-1\t-1\t9\n", Region("chr1", 10, 20, "p", ".", 9, 1)),
        ("chr1\t10\t20\tp\t0\t.\t1.5\t-1\t-1\t-1\n", Region("chr1", 10, 20, "p", ".", None, 1)),
        (BED12, Region("chr1", 10, 90, "gene", "-", None, 1)),
        ("染色体\t10\t20\tñ\n", Region("染色体", 10, 20, "ñ", ".", None, 1)),
    ],
)
def test_each_format(write: Write, text: str, expected: Region) -> None:
    assert list(read_regions(write("r.bed", text))) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        BED6,
        BED6.rstrip("\n"),
        BED6.replace("\n", "\r\n"),
        "\ufeff" + BED6,
    ],
    ids=["as it is", "no final newline", "CRLF", "byte order mark"],
)
@pytest.mark.parametrize("packed", ["plain", "gzip", "bgzip"])
def test_wrappings_do_not_change_the_regions(write: Write, text: str, packed: str) -> None:
    assert list(read_regions(write("misleading.txt", text, packed))) == BED6_REGIONS


def test_a_path_may_be_a_path(write: Write) -> None:
    assert list(read_regions(Path(write("r.bed", BED6)))) == BED6_REGIONS


@pytest.mark.parametrize(
    "skipped",
    [
        "# comment",
        "#chrom\tstart\tend",
        'track name="a b" type=narrowPeak',
        "browser position chr1:1-2",
        "",
        " \t",
        "\r",
    ],
)
def test_lines_that_hold_no_region_are_skipped_but_counted(write: Write, skipped: str) -> None:
    regions = read_regions(write("r.bed", f"{skipped}\nchr1\t1\t2\n{skipped}\nchr2\t3\t4\n"))
    assert [(region.chrom, region.row) for region in regions] == [("chr1", 2), ("chr2", 4)]


def test_a_skipped_line_may_follow_a_byte_order_mark(write: Write) -> None:
    regions = list(read_regions(write("r.bed", "\ufefftrack name=x\nchr1\t1\t2\n")))
    assert regions == [Region("chr1", 1, 2, row=2)]


@pytest.mark.parametrize("chrom", ["tig001", "tracked", "browser2", "b"])
def test_names_that_begin_as_a_skipped_line_does(write: Write, chrom: str) -> None:
    assert [r.chrom for r in read_regions(write("r.bed", f"{chrom}\t1\t2\n"))] == [chrom]


@pytest.mark.parametrize("packed", ["plain", "gzip", "bgzip"])
def test_stdin_is_read_and_left_open(
    write: Write, monkeypatch: pytest.MonkeyPatch, packed: str
) -> None:
    stream = io.BytesIO(Path(write("r.bed", BED6, packed)).read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    assert list(read_regions("-")) == BED6_REGIONS
    assert not stream.closed


def test_stdin_is_named_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"chr1\t5\t5\n")))
    with pytest.raises(RegionError, match=r"^stdin:1: end \(5\) is not after start \(5\)$"):
        list(read_regions("-"))


def test_a_named_pipe_is_read(write: Write) -> None:
    os.mkfifo("pipe")
    packed = Path(write("r.bed.gz", BED6, "gzip")).read_bytes()
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(packed))
    writer.start()
    assert list(read_regions("pipe")) == BED6_REGIONS
    writer.join()


def test_spaces_are_accepted_with_one_warning(write: Write) -> None:
    path = write("r.bed", "track name=x\nchr1 10 20 a 0 +\nchr2   30 50  b 9.5 -\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regions = list(read_regions(path))
    assert [(r.chrom, r.start, r.end, r.name, r.strand) for r in regions] == [
        ("chr1", 10, 20, "a", "+"),
        ("chr2", 30, 50, "b", "-"),
    ]
    assert [(w.category, str(w.message)) for w in caught] == [
        (InputDataWarning, "r.bed:2: columns are separated by spaces; BED has tabs")
    ]


NARROW = "c\t1\t9\tp\t0\t.\t{}\t{}\t{}\t{}\n"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1\t500\t500", "end (500) is not after start (500)"),
        ("chr1\t500\t400", "end (400) is not after start (500)"),
        ("chr1\t-5\t500", "start (-5) is negative"),
        ("chr1\t5\t-500", "end (-500) is negative"),
        ("chr1\t5\tx", "end ('x') is not an integer"),
        ("chr1\t5.0\t9", "start ('5.0') is not an integer"),
        ("chr1\t1e3\t9", "start ('1e3') is not an integer"),
        ("chr1\t1_0\t90", "start ('1_0') is not an integer"),
        ("chr1\t+5\t9", "start ('+5') is not an integer"),
        ("chr1\t 5\t9", "start (' 5') is not an integer"),
        ("chr1\t\t9", "start ('') is not an integer"),
        ("chr1\t٣\t9", "start ('٣') is not an integer"),
        ("\t5\t9", "chrom is empty"),
        ("chr1", "has 1 column where the lines before have 3"),
        ("chr1\t5", "has 2 columns where the lines before have 3"),
        ("chr1\t5\t9\tname", "has 4 columns where the lines before have 3"),
        (b"\xff\t5\t9", r"chrom ('\\xff') is not UTF-8 text"),
    ],
)
def test_bad_lines(write: Write, line: str | bytes, problem: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    regions = read_regions(write("r.bed", b"# x\nchr9\t1\t2\n" + raw + b"\n"))
    assert next(regions) == Region("chr9", 1, 2, row=2)
    with pytest.raises(RegionError, match=f"^{re.escape(f'r.bed:3: {problem}')}$"):
        list(regions)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1", "has 1 column ('chr1'); BED has at least chrom, start and end"),
        ("chr1 5", "has 2 columns ('chr1'); BED has at least chrom, start and end"),
        ("c\t1\t2" + "\t0" * 10, "has 13 columns; BED has 3 to 12, narrowPeak 10, broadPeak 9"),
        (
            "chrom\tstart\tend",
            "start ('start') is not an integer; begin a header line with #",
        ),
        ("c\t1\t9\tp\t0\t*", "strand ('*') is not +, - or ."),
        ("c\t1\t9\tp\t0\t", "strand ('') is not +, - or ."),
        ("c\t1\t9\tp\t0\t+-", "strand ('+-') is not +, - or ."),
        (b"c\t1\t9\t\xe9", r"name ('\\xe9') is not UTF-8 text"),
        (NARROW.format("x", 1, 1, 1), "column 7 ('x') is not a number, as narrowPeak has there"),
        (NARROW.format(1, "", 1, 1), "column 8 ('') is not a number, as narrowPeak has there"),
        (
            NARROW.format(1, 2, "0,0,0", 1),
            "column 9 ('0,0,0') is not a number, as narrowPeak has there",
        ),
        (
            "c\t1\t9\tp\t0\t.\tx\t1\t0",
            "column 7 ('x') is not a number, as BED9 and broadPeak has there",
        ),
        (
            NARROW.format(1, 1, 1, 8),
            "summit (8) is outside the region of 8 bp; it counts from start",
        ),
        *[
            (
                NARROW.format(1, 1, 1, summit),
                f"summit ('{summit}') is not an integer from 0, or -1 for none; "
                "a file with 10 columns is read as narrowPeak",
            )
            for summit in ("-2", "1.5", "")
        ],
    ],
)
def test_bad_first_lines(write: Write, line: str | bytes, problem: str) -> None:
    with pytest.raises(RegionError, match=f"^{re.escape(f'r.bed:1: {problem}')}$"):
        list(read_regions(write("r.bed", line)))


def test_long_values_are_shown_short_and_on_one_line(write: Write) -> None:
    with pytest.raises(RegionError) as caught:
        list(read_regions(write("r.bed", "chr1\t" + "x\x0b" * 500 + "\t9\n")))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


def test_several_bad_lines_are_told_together(write: Write) -> None:
    path = write("r.bed", "c\t1\t2\nc\t5\t5\nc\t6\t7\nc\tx\t9\nc\t1\nc\t8\t9\n")
    regions = read_regions(path)
    assert [region.row for region in islice(regions, 2)] == [1, 3]
    message = "r.bed:2: end (5) is not after start (5); and 2 more: lines 4, 5"
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        list(regions)


def test_good_regions_behind_a_bad_line_come_before_the_error(write: Write) -> None:
    regions = read_regions(write("r.bed", "c\t5\t5\nc\t6\t7\nc\t9\t9\n"))
    assert next(regions) == Region("c", 6, 7, row=2)
    message = "r.bed:1: end (5) is not after start (5); and 1 more: line 3"
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        next(regions)


def test_the_tenth_bad_line_ends_the_reading(write: Write) -> None:
    message = "and 9 more: lines 2, 3, 4, 5, 6, 7, 8, 9, 10 (stopped there)"
    with pytest.raises(RegionError, match=f"; {re.escape(message)}$"):
        list(read_regions(write("r.bed", "c\t5\t5\n" * 50)))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\ntrack x\n"])
@pytest.mark.parametrize("packed", ["plain", "gzip", "bgzip"])
def test_no_regions(write: Write, text: str, packed: str) -> None:
    with pytest.raises(RegionError, match=r"^r\.bed holds no regions$"):
        list(read_regions(write("r.bed", text, packed)))


def test_files_that_cannot_be_opened(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RegionError, match=r"^missing\.bed does not exist$"):
        list(read_regions("missing.bed"))
    Path("folder").mkdir()
    with pytest.raises(RegionError, match=r"^folder is a directory, not a file$"):
        list(read_regions("folder"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RegionError, match=r"^r\.bed cannot be read \(Permission denied\)$"):
        list(read_regions("r.bed"))


@pytest.mark.parametrize("packed", ["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x87\x89\xf2\xeb\0\0\0\4", "a binary file; expected a BED file, plain or gzip"),
        ("c\t1\t2\n".encode("utf-16-le"), "a binary file; expected a BED file, plain or gzip"),
        ("c\t1\t2\n".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("\ufeffc\t1\t2\n".encode("utf-16-be"), "UTF-16 text; save it as UTF-8"),
    ],
)
def test_binary_files(write: Write, data: bytes, what: str, packed: str) -> None:
    message = f"r.bb is {what}"
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        list(read_regions(write("r.bb", data, packed)))


def numbered(n: int) -> str:
    return "".join(f"chr1\t{i * 7919 % 10007}\t{i * 7919 % 10007 + 1}\n" for i in range(n))


def test_truncated_gzip_is_read_up_to_where_it_ends(write: Write) -> None:
    path = write("r.bed.gz", gzip.compress(numbered(5000).encode())[:8000])
    n_read = 0
    with pytest.raises(RegionError) as caught:
        for region in read_regions(path):
            n_read = region.row
    assert 1000 < n_read < 5000
    message = f"r.bed.gz is truncated: it ends after line {n_read}; copy it again"
    assert str(caught.value) == message


def test_gzip_cut_in_its_header(write: Write) -> None:
    message = "r.bed.gz is truncated: it ends after line 0; copy it again"
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        list(read_regions(write("r.bed.gz", gzip.compress(b"c\t1\t2\n")[:6])))


def test_bgzip_without_its_last_block_is_truncated(write: Write) -> None:
    path = Path(write("r.bed.gz", "c\t1\t2\n", "bgzip"))
    path.write_bytes(path.read_bytes()[:-28])
    message = "r.bed.gz is truncated: it ends after line 1; copy it again"
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        list(read_regions(path))


@pytest.mark.parametrize(
    ("at", "what"),
    [(-8, "CRC check failed"), (10, "Error -3 while decompressing data")],
    ids=["checksum", "data"],
)
def test_damaged_gzip(write: Write, at: int, what: str) -> None:
    data = bytearray(gzip.compress(numbered(50).encode()))
    data[at] ^= 0xFF
    row = 50 if at < 0 else 0
    message = rf"^r\.gz is damaged after line {row} \({what}.*\); copy it again$"
    with pytest.raises(RegionError, match=message):
        list(read_regions(write("r.gz", bytes(data))))


def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    def peak(n: int) -> int:
        path = write("r.bed", numbered(n))
        tracemalloc.start()
        n_read = sum(1 for _ in read_regions(path))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_read == n
        return most

    assert peak(20_000) < 1.2 * peak(2_000)
