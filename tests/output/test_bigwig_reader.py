"""What our reader says of bigWigs, held against pyBigWig and pybbi; damaged files."""

import os
import struct
import zlib

import bbi
import numpy as np
import pyBigWig
import pytest

from seqlift.errors import InputError
from seqlift.output.bigwig_file import BigWigFile
from seqlift.output.bigwig_reader import BigWigReader

CONTIGS = {"chr2": 60_000, "chr10": 4_000, "chr1": 9_000, "empty": 50}


def ours(path, seed=0):
    """Write runs of values on three contigs, as `seqlift score` does."""
    rng = np.random.default_rng(seed)
    with BigWigFile(path, CONTIGS) as file:
        for contig, start, n in (
            ("chr2", 3, 2500),
            ("chr2", 40_000, 1),
            ("chr10", 0, 4000),
            ("chr1", 9, 8),
        ):
            file.add(contig, start, rng.normal(size=n).astype(np.float32))
    return path


def theirs(path, kind):
    """Write with UCSC's layout of runs, of steps or of regular steps, by pyBigWig."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=700)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(CONTIGS.items()))
        starts = np.cumsum(rng.integers(3, 9, 700))
        if kind == "runs":
            ends = starts + rng.integers(1, 4, 700)
            file.addEntries(["chr2"] * 700, starts.tolist(), ends.tolist(), values.tolist())
        elif kind == "steps":
            file.addEntries("chr2", starts.tolist(), values=values.tolist(), span=2)
        else:
            file.addEntries("chr2", 50, values=values.tolist(), span=3, step=7)
    return path


def read(path):
    """Read everything; one value a base, NaN where there is none."""
    tracks = {name: np.full(size, np.nan, np.float32) for name, size in CONTIGS.items()}
    with BigWigReader(path) as file:
        assert file.contigs == CONTIGS
        for number in range(file.n_blocks):
            block = file.block(number)
            for start, end, value in zip(*block[1:], strict=True):
                tracks[block.contig][start:end] = value
    return tracks


@pytest.mark.parametrize("kind", ["ours", "runs", "steps", "regular"])
def test_values_are_those_of_the_independent_readers(tmp_path, kind):
    path = ours(tmp_path / "a.bw") if kind == "ours" else theirs(tmp_path / "a.bw", kind)
    tracks = read(path)
    with pyBigWig.open(str(path)) as one, bbi.open(str(path)) as other:
        for name, size in CONTIGS.items():
            wanted = np.array(one.values(name, 0, size), np.float32)
            np.testing.assert_array_equal(tracks[name], wanted)
            np.testing.assert_array_equal(
                tracks[name], other.fetch(name, 0, size, missing=np.nan).astype(np.float32)
            )
    values = np.concatenate(list(tracks.values()))
    with BigWigReader(path) as file:
        assert file.minimum == pytest.approx(np.nanmin(values), rel=1e-6)
        assert file.maximum == pytest.approx(np.nanmax(values), rel=1e-6)
        wanted = [name for name, track in tracks.items() if np.isfinite(track).any()]
        assert file.contigs_with_values() == wanted


def test_many_contigs_and_blocks_need_several_levels(tmp_path):
    contigs = {f"contig_{i}": 2000 for i in range(700)}
    with BigWigFile(tmp_path / "a.bw", contigs) as file:
        for i, name in enumerate(contigs):
            file.add(name, 5, np.full(1, i, np.float32))
    with BigWigReader(tmp_path / "a.bw") as file:
        assert file.contigs == contigs
        assert file.n_blocks == 700
        assert [file.block(i).value.item() for i in (0, 300, 699)] == [0, 300, 699]
        assert file.block(300).contig == "contig_300"


def by_hand(order, packed):
    """A bigWig of one value, of either byte order, spelled out from the tables of the paper."""
    block = struct.pack(f"{order}5IBBH", 0, 7, 9, 0, 2, 1, 0, 1)
    block += struct.pack(f"{order}IIf", 7, 9, 1.5)
    data = zlib.compress(block) if packed else block
    contigs = struct.pack(f"{order}IIIIQQ", 0x78CA8C91, 1, 4, 8, 1, 0)
    contigs += struct.pack(f"{order}BBH4sII", 1, 0, 1, b"chr1", 0, 50)
    summary = struct.pack(f"{order}Qdddd", 2, 1.5, 1.5, 3, 4.5)
    contigs_at = 64 + len(summary)
    data_at = contigs_at + len(contigs)
    index_at = data_at + 8 + len(data)
    index = struct.pack(f"{order}IIQ4IQII", 0x2468ACE0, 1, 1, 0, 7, 0, 9, index_at, 1, 0)
    index += struct.pack(f"{order}BBH4IQQ", 1, 0, 1, 0, 7, 0, 9, data_at + 8, len(data))
    places = (contigs_at, data_at, index_at, 0, 0, 0, 64, len(block) if packed else 0, 0)
    header = struct.pack(f"{order}IHHQQQHHQQIQ", 0x888FFC26, 4, 0, *places)
    return header + summary + contigs + struct.pack(f"{order}Q", 1) + data + index


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [True, False])
def test_byte_order_and_packing(tmp_path, order, packed):
    (tmp_path / "a.bw").write_bytes(by_hand(order, packed))
    with BigWigReader(tmp_path / "a.bw") as file:
        assert (file.contigs, file.minimum, file.maximum) == ({"chr1": 50}, 1.5, 1.5)
        contig, start, end, value = file.block(0)
        assert (contig, start.item(), end.item(), value.item()) == ("chr1", 7, 9, 1.5)


def everything(path):
    with BigWigReader(path) as file:
        for number in range(file.n_blocks):
            file.block(number)


def test_every_cut_is_found_or_harmless(tmp_path):
    """Wherever a copy was cut short, reading it says so, but for the zoom levels at the end."""
    whole = by_hand("<", True)
    for size in range(len(whole)):
        (tmp_path / "a.bw").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.bw is (not a bigWig|damaged or cut short)"):
            everything(tmp_path / "a.bw")


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_end_in_one_line_or_in_values(tmp_path, seed):
    rng = np.random.default_rng(seed)
    whole = bytearray(ours(tmp_path / "a.bw").read_bytes())
    for _ in range(300):
        changed = bytearray(whole)
        # Header, indices and a little of the data.
        for at in rng.choice([*range(700), *range(len(whole) - 900, len(whole))], 3):
            changed[at] = rng.integers(256)
        (tmp_path / "b.bw").write_bytes(changed)
        try:
            everything(tmp_path / "b.bw")
        except InputError as error:
            assert "\n" not in str(error)


def test_a_tree_that_is_its_own_child_ends(tmp_path):
    whole = bytearray(by_hand("<", True))
    (index_at,) = struct.unpack_from("<Q", whole, 24)
    node = index_at + 48
    whole[node : node + 4] = struct.pack("<BBH", 0, 0, 1)
    whole[node + 20 : node + 28] = struct.pack("<Q", node)
    (tmp_path / "a.bw").write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        BigWigReader(tmp_path / "a.bw")


@pytest.mark.parametrize("field", [8, 24, 44])  # of the header: contigs, index, summary
@pytest.mark.parametrize("offset", [1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_offsets_that_lead_nowhere(tmp_path, field, offset):
    whole = bytearray(by_hand("<", True))
    whole[field : field + 8] = struct.pack("<Q", offset)
    (tmp_path / "a.bw").write_bytes(whole)
    if (field, offset) == (44, 1):
        BigWigReader(tmp_path / "a.bw").__exit__(None, None, None)  # any bytes are numbers
        return
    with pytest.raises(InputError, match="damaged"):
        BigWigReader(tmp_path / "a.bw")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "a.bw is not a bigWig; give a track that"),
        (b"chr1\t1\t2\n", "a.bw is not a bigWig; give a track that"),
        (struct.pack("<I", 0x8789F2EB) + bytes(60), "a.bw is a bigBed; give a bigWig"),
        (None, "a.bw cannot be read: No such file or directory"),
    ],
)
def test_other_files(tmp_path, monkeypatch, content, error):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "a.bw").write_bytes(content)
    with pytest.raises(InputError) as raised:
        BigWigReader("a.bw")
    assert str(raised.value).startswith(error)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.bw")
    with pytest.raises(InputError, match=r"a\.bw is a pipe or a device; give a file"):
        BigWigReader(tmp_path / "a.bw")
