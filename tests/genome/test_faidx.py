import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqlift.errors import GenomeError
from seqlift.genome.faidx import load_index
from seqlift.genome.fasta import Genome

Write = Callable[..., str]

FASTA = ">a first\nACGTA\nCGTAC\nGT\n>b\nTTTT\n>c\nGGGGG\nGGGGG\n"
FAI = "a\t12\t9\t5\t6\nb\t4\t27\t4\t5\nc\t10\t35\t5\t6\n"
REMEDY = "rebuild it with `samtools faidx g.fa`"


@st.composite
def fastas(draw: st.DrawFn) -> str:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    blank = st.sampled_from(["", end])
    text = draw(blank)
    for i in range(draw(st.integers(1, 5))):
        width = draw(st.integers(1, 9))
        bases = draw(st.text("ACGTNacgtn", max_size=40))
        lines = [bases[j : j + width] for j in range(0, len(bases), width)]
        text += f">s{i}" + draw(st.sampled_from(["", " x y", "\tz"])) + end
        text += "".join(line + end for line in lines)
        # In a sequence of no bases samtools takes the \\r of a blank line for its first line.
        text += draw(blank) if bases else ""
    text += f">last{end}ACGTACGT"
    return text + draw(blank)


def as_samtools(path: str) -> tuple[str, bytes]:
    pysam.faidx(path, "--fai-idx", "theirs.fai", "--gzi-idx", "theirs.gzi")
    gzi = Path("theirs.gzi")
    return Path("theirs.fai").read_text(), gzi.read_bytes() if gzi.exists() else b""


@given(fastas())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_the_index_is_that_of_samtools(write: Write, packed: str, text: str) -> None:
    path = write("g.fa", text, packed)
    for made in Path().glob("g.fa.*"):
        made.unlink()
    load_index(Path(path), is_compressed=packed == "bgzip")
    fai, gzi = as_samtools(path)
    assert Path("g.fa.fai").read_text() == fai
    if packed == "bgzip":
        assert Path("g.fa.gzi").read_bytes() == gzi


def test_the_index_of_many_blocks_is_that_of_samtools(write: Write) -> None:
    line = "ACGTACGTNN" * 6 + "\n"
    path = write("g.fa", ">a\n" + line * 3000 + ">b\n" + line * 2000, "bgzip")
    load_index(Path(path), is_compressed=True)
    fai, gzi = as_samtools(path)
    assert len(gzi) > 8 + 16
    assert Path("g.fa.fai").read_text() == fai
    assert Path("g.fa.gzi").read_bytes() == gzi


def test_an_index_worked_by_hand(write: Write) -> None:
    index = load_index(Path(write("g.fa", FASTA)), is_compressed=False)
    assert Path("g.fa.fai").read_text() == FAI
    assert (index.fai, index.gzi) == (Path("g.fa.fai"), None)
    assert index.contigs[0] == ("a", 12, 9, 5, 6)


@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_nothing_else_is_left_in_the_folder(write: Write, packed: str) -> None:
    with Genome(write("g.fa", FASTA, packed)):
        expected = {"g.fa", "g.fa.fai"} | ({"g.fa.gzi"} if packed == "bgzip" else set())
        assert {path.name for path in Path().iterdir()} == expected


def test_the_index_may_be_read_by_whom_the_umask_lets(write: Write) -> None:
    before = os.umask(0o022)
    load_index(Path(write("g.fa", FASTA)), is_compressed=False)
    os.umask(before)
    assert Path("g.fa.fai").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_an_index_that_exists_is_left_alone(write: Write, packed: str) -> None:
    path = write("g.fa", FASTA, packed)
    pysam.faidx(path)
    before = {p: p.stat().st_mtime_ns for p in Path().iterdir()}
    with Genome(path) as genome:
        assert genome.fetch("a", 0, 12) == "ACGTACGTACGT"
    assert {p: p.stat().st_mtime_ns for p in Path().iterdir()} == before


@pytest.mark.parametrize("packed", ["plain", "bgzip"])
@pytest.mark.parametrize("exists", [True, False])
def test_an_index_elsewhere(write: Write, packed: str, exists: bool) -> None:
    path = write("g.fa", FASTA, packed)
    Path("elsewhere").mkdir()
    if exists:
        gzi = ["--gzi-idx", "elsewhere/my.gzi"] if packed == "bgzip" else []
        pysam.faidx(path, "--fai-idx", "elsewhere/my.fai", *gzi)
    with Genome(path, index="elsewhere/my.fai") as genome:
        assert genome.fetch("c", 8, 10) == "GG"
    assert Path("elsewhere/my.fai").read_text().startswith("a\t12\t")
    assert not list(Path().glob("g.fa.*"))


def test_only_the_part_that_is_missing_is_made(write: Write) -> None:
    path = write("g.fa", FASTA, "bgzip")
    pysam.faidx(path)
    made = Path("g.fa.fai").stat().st_mtime_ns
    Path("g.fa.gzi").unlink()
    with Genome(path) as genome:
        assert genome.fetch("b", 0, 4) == "TTTT"
    assert Path("g.fa.gzi").exists()
    assert Path("g.fa.fai").stat().st_mtime_ns == made


OPEN_AT_ONCE = """
import sys
from seqlift.genome.fasta import Genome
print("ready", flush=True)
sys.stdin.readline()
with Genome("g.fa") as genome:
    print(genome.fetch("b", 1990, 2010))
"""


@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_processes_that_make_the_index_at_once(write: Write, packed: str) -> None:
    write("g.fa", ">a\n" + "ACGTA\n" * 40_000 + ">b\n" + "GATTC\n" * 400, packed)
    start = partial(Popen, [sys.executable, "-c", OPEN_AT_ONCE], text=True, stdin=PIPE, stdout=PIPE)
    with ExitStack() as stack:
        processes = [stack.enter_context(start()) for _ in range(4)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate()[0] for process in processes]
    assert answers == ["GATTCGATTC" + "N" * 10 + "\n"] * 4
    assert Path("g.fa.fai").read_text() == as_samtools("g.fa")[0]
    assert not list(Path().glob("*.tmp"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", "g.fa:1: found 'ACGT' where a header line (>) was expected"),
        ("\n@r\nAC\n+\nII\n", "g.fa:2: found '@r' where a header line (>) was expected"),
        (">a\nAC\n>a x\nGG\n", "g.fa:3: a second sequence is named 'a'; rename one"),
        (">a\n>a\nGG\n", "g.fa:2: a second sequence is named 'a'; rename one"),
        (">\nAC\n", "g.fa:1: a sequence has no name; write one right after >"),
        ("> a\nAC\n", "g.fa:1: a sequence has no name; write one right after >"),
        (b">\xff\nAC\n", r"g.fa:1: the name '\\xff' is not UTF-8 text"),
        (">a\n\n>b\n", "g.fa holds no sequences"),
        ("\n \n", "g.fa holds no sequences"),
        *[
            (
                f">x\nA\n>a\n{lines}\n",
                f"g.fa:{row}: the lines of sequence 'a' are not equally long up to here, or one is "
                "blank; rewrap it, for instance with `seqkit seq -w 60`",
            )
            for lines, row in [
                ("ACG\nACGT", 5),
                ("ACG\nAC\nACG", 6),
                ("ACG\n\nACG", 6),
                ("\nACG", 5),
                ("ACGT\nACG\r\nA", 6),
                ("ACG\r\nACG\nA", 6),
            ]
        ],
    ],
)
@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_malformed_fasta(write: Write, text: str | bytes, message: str, packed: str) -> None:
    path = write("g.fa", text, packed)
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome(path)
    assert not list(Path().glob("g.fa.fai*"))


def make_older(path: str, seconds: float) -> None:
    made = Path("g.fa").stat().st_mtime
    os.utime(path, (made - seconds, made - seconds))


@pytest.mark.parametrize("index", ["g.fa.fai", "my.fai"])
def test_an_index_older_than_its_fasta(write: Write, index: str) -> None:
    write("g.fa", FASTA)
    Path(index).write_text(FAI)
    make_older(index, 60)
    options = "--fai-idx my.fai " if index == "my.fai" else ""
    message = (
        f"g.fa is newer than its index {index}; rebuild it with `samtools faidx {options}g.fa`"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome("g.fa", index=None if index == "g.fa.fai" else index)
    assert Path(index).read_text() == FAI


def test_a_gzi_older_than_its_fasta(write: Write) -> None:
    pysam.faidx(write("g.fa", FASTA, "bgzip"))
    make_older("g.fa.gzi", 60)
    with pytest.raises(GenomeError, match=rf"^g\.fa is newer than its index g\.fa\.gzi; {REMEDY}$"):
        Genome("g.fa")


def test_the_same_second_is_not_older(write: Write) -> None:
    write("g.fa", FASTA)
    Path("g.fa.fai").write_text(FAI)
    os.utime("g.fa", ns=(10**18 + 900_000_000, 10**18 + 900_000_000))
    os.utime("g.fa.fai", ns=(10**18 + 100_000_000, 10**18 + 100_000_000))
    with Genome("g.fa") as genome:
        assert genome.fetch("b", 0, 4) == "TTTT"
    assert Path("g.fa.fai").stat().st_mtime_ns == 10**18 + 100_000_000


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (FASTA.replace("GT\n", "GTA\n"), "at sequence 'b'"),
        (FASTA.replace(">a first", ">a"), "at sequence 'a'"),
        (FASTA.replace(">b", ">d"), "at sequence 'b'"),
        (FASTA.replace("TTTT", "TTT"), "at sequence 'c'"),
        (FASTA + "GG\n", "at the end of the file"),
        (FASTA[:-3], "at the end of the file"),
        (FASTA + ">d\nAC\n", "at the end of the file"),
        (">d\nAC\n" + FASTA, "at sequence 'a'"),
        (FASTA.replace("\n", "\r\n"), "at sequence 'a'"),
        (FASTA.replace(">b\nTTTT\n", ""), "at sequence 'b'"),
    ],
)
def test_an_index_of_another_fasta(write: Write, text: str, where: str) -> None:
    write("g.fa", text)
    Path("g.fa.fai").write_text(FAI)
    message = (
        f"g.fa does not fit its index g.fa.fai ({where}); delete the index to have it made again"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome("g.fa")


def test_the_index_of_another_bgzip_fasta(write: Write) -> None:
    Genome(write("g.fa", FASTA * 1, "bgzip")).close()
    write("g.fa", FASTA[:30] + "\n", "bgzip")
    message = (
        "g.fa does not fit its index g.fa.fai (at the end of sequence 'c'); "
        "delete the index to have it made again"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome("g.fa")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("a\t12\t9\t5", r"'a\t12\t9\t5'"),
        ("a\t12\t9\t5\t6\t7", r"'a\t12\t9\t5\t6\t7'"),
        ("a\t12\tx\t5\t6", r"'a\t12\tx\t5\t6'"),
        ("a\t-12\t9\t5\t6", r"'a\t-12\t9\t5\t6'"),
        ("a\t12\t9\t0\t1", r"'a\t12\t9\t0\t1'"),
        ("a\t12\t9\t7\t6", r"'a\t12\t9\t7\t6'"),
        ("\t12\t9\t5\t6", r"'\t12\t9\t5\t6'"),
        ("", "''"),
    ],
)
def test_malformed_index(write: Write, line: str, shown: str) -> None:
    write("g.fa", FASTA)
    Path("g.fa.fai").write_text(f"z\t4\t99\t4\t5\n{line}\n")
    message = f"g.fa.fai:2: {shown} is not a line of a .fai; {REMEDY}"
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome("g.fa")


def test_an_empty_index(write: Write) -> None:
    write("g.fa", FASTA)
    Path("g.fa.fai").touch()
    with pytest.raises(GenomeError, match=rf"^g\.fa\.fai is empty; {REMEDY}$"):
        Genome("g.fa")


def test_an_index_with_a_name_twice(write: Write) -> None:
    write("g.fa", FASTA)
    Path("g.fa.fai").write_text(FAI + "a\t1\t50\t1\t2\n")
    with pytest.raises(GenomeError, match=r"^g\.fa\.fai:4: a second sequence is named 'a'$"):
        Genome("g.fa")


def test_an_index_that_pyfaidx_made_of_a_sequence_without_bases(write: Write) -> None:
    write("g.fa", ">a\n>b\nACGT\n>c\n")
    Path("g.fa.fai").write_text("a\t0\t3\t0\t0\nb\t4\t6\t4\t5\nc\t0\t14\t0\t0\n")
    with Genome("g.fa") as genome:
        assert genome.contigs == {"a": 0, "b": 4, "c": 0}
        assert genome.fetch("a", -1, 1) == "NN"
        assert genome.fetch("b", 0, 4) == "ACGT"


def test_the_index_appears_only_when_it_is_whole(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_replace = Path.replace
    seen = []

    def look_and_replace(self: Path, target: Path) -> Path:
        seen.append((self.read_text(), self.parent == target.parent, target.exists()))
        return really_replace(self, target)

    monkeypatch.setattr(Path, "replace", look_and_replace)
    load_index(Path(write("g.fa", FASTA)), is_compressed=False)
    assert seen == [(FAI, True, False)]
    assert Path("g.fa.fai").read_text() == FAI


@pytest.mark.parametrize("packed", ["plain", "bgzip"])
def test_a_folder_that_cannot_be_written(
    write: Write, packed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("g.fa", FASTA, packed)
    really_open = Path.open

    def refuse(self: Path, mode: str = "r", *args: object) -> object:
        if "x" in mode or "w" in mode:
            raise OSError(30, "Read-only file system")
        return really_open(self, mode, *args)

    monkeypatch.setattr(Path, "open", refuse)
    index = "g.fa.gzi" if packed == "bgzip" else "g.fa.fai"
    message = (
        f"{index} is missing and cannot be written (Read-only file system); run "
        "`samtools faidx g.fa` as someone who may write there, or give another place with "
        "--fai FILE"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome(path)


def test_a_folder_that_does_not_exist(write: Write) -> None:
    path = write("g.fa", FASTA)
    message = r"^none/g\.fai is missing and cannot be written \(No such file or directory\); "
    with pytest.raises(GenomeError, match=message):
        Genome(path, index="none/g.fai")
