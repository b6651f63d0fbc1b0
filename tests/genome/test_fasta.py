import gzip
import hashlib
import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seqlift.errors import GenomeError, RegionError
from seqlift.genome.fasta import Genome

Write = Callable[..., str]

PACKED = ["plain", "bgzip"]


def draw_letters(n: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGTacgtNnRYx*-", k=n))


# Long enough for several bgzip blocks; lengths that do and do not fill the last line.
SEQUENCES = {
    "chr1": draw_letters(150_007, 1),
    "chr2": draw_letters(600, 2),
    "tiny": "g",
    "HLA-A*01:01": draw_letters(61, 3),
}


def as_fasta(sequences: dict[str, str], end: str = "\n", width: int = 60) -> str:
    return "".join(
        f">{name} described{end}"
        + "".join(sequence[i : i + width] + end for i in range(0, len(sequence), width))
        for name, sequence in sequences.items()
    )


def slice_padded(sequence: str, start: int, end: int) -> str:
    return "".join(
        sequence[i].upper() if 0 <= i < len(sequence) else "N" for i in range(start, end)
    )


@pytest.fixture(params=[(packed, end) for packed in PACKED for end in ("\n", "\r\n")])
def genome(write: Write, request: pytest.FixtureRequest) -> Genome:
    packed, end = request.param
    opened = Genome(write("g.fa", as_fasta(SEQUENCES, end), packed))
    request.addfinalizer(opened.close)
    return opened


@given(
    st.sampled_from(list(SEQUENCES)),
    st.integers(-300, 151_000) | st.integers(-70, 130),
    st.integers(0, 200) | st.sampled_from([60, 61, 2114, 160_000]),
)
@example("chr1", -1, 150_009)
@example("chr1", 150_007, 1)
@example("tiny", 0, 1)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_fetching_is_slicing(genome: Genome, chrom: str, start: int, length: int) -> None:
    expected = slice_padded(SEQUENCES[chrom], start, start + length)
    assert genome.fetch(chrom, start, start + length) == expected


def test_contigs_are_in_the_order_of_the_file(genome: Genome) -> None:
    assert list(genome.contigs.items()) == [(name, len(s)) for name, s in SEQUENCES.items()]
    assert genome.name == "g.fa"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (-2, 3, "NNACG"),
        (2, 6, "GTNN"),
        (-1, 5, "NACGTN"),
        (-9, -7, "NN"),
        (4, 6, "NN"),
        (2, 2, ""),
        (9, 9, ""),
    ],
)
@pytest.mark.parametrize("packed", PACKED)
def test_outside_the_chromosome_is_n(
    write: Write, packed: str, start: int, end: int, expected: str
) -> None:
    with Genome(write("g.fa", ">a\nacgt\n>b\ncc\n", packed)) as genome:
        assert genome.fetch("a", start, end) == expected


def test_an_end_before_the_start(genome: Genome) -> None:
    with pytest.raises(RegionError, match=r"^chr1: end \(4\) is before start \(5\)$"):
        genome.fetch("chr1", 5, 4)


@pytest.mark.parametrize("name", ["g.fa", "g.fa.gz", "g.bgz", "g.zip", "G.FA.GZ"])
@pytest.mark.parametrize("packed", PACKED)
def test_compression_is_told_by_content(write: Write, name: str, packed: str) -> None:
    with Genome(write(name, ">a\nacgt\n", packed)) as genome:
        assert genome.fetch("a", 0, 4) == "ACGT"


def test_an_unknown_contig(genome: Genome) -> None:
    message = (
        "1 is not in g.fa (it has 'chr1', 'chr2', 'tiny', … 4 sequences); "
        "use --contig-style match to read chr1 for 1"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        genome.fetch("1", 0, 1)


def test_contig_style_match(write: Write) -> None:
    with Genome(write("g.fa", ">20\nACGT\n>MT\nGG\n"), contig_style="match") as genome:
        assert [genome.fetch(chrom, 0, 2) for chrom in ("chr20", "20", "chrM")] == [
            "AC",
            "AC",
            "GG",
        ]
        assert genome.match_contigs(["chr20", "MT"]) == {"chr20": "20", "MT": "MT"}
        with pytest.raises(GenomeError, match=r"^chr7 is not in g\.fa \(it has '20', 'MT'\)$"):
            genome.fetch("chr7", 0, 1)


def test_the_digest_is_that_of_two_columns_of_the_index(genome: Genome) -> None:
    columns = [line.split("\t")[:2] for line in Path("g.fa.fai").read_text().splitlines()]
    text = "".join(f"{name}\t{length}\n" for name, length in columns)
    assert genome.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_tells_names_and_lengths_and_order(write: Write) -> None:
    def digest(text: str) -> str:
        Path("g.fa.fai").unlink(missing_ok=True)
        with Genome(write("g.fa", text)) as genome:
            return genome.digest()

    texts = [">a\nAC\n>b\nG\n", ">b\nG\n>a\nAC\n", ">a\nACC\n>b\nG\n", ">aa\nAC\n>b\nG\n"]
    assert len({digest(text) for text in texts}) == len(texts)
    assert digest(">a x\nA\nC\n>b\nG\n") == digest(texts[0])


@pytest.mark.parametrize("packed", PACKED)
def test_a_closed_genome_says_so(write: Write, packed: str) -> None:
    with Genome(write("g.fa", ">a\nacgt\n", packed)) as genome:
        pass
    with pytest.raises(GenomeError, match=r"^g\.fa cannot be read at a:1-2 \(.+\)$"):
        genome.fetch("a", 0, 2)


def test_plain_gzip_is_refused_with_what_to_do(write: Write) -> None:
    message = (
        "g.fa.gz is gzip, which cannot be read at random; recompress it with "
        "`gunzip g.fa.gz` and `bgzip g.fa`"
    )
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome(write("g.fa.gz", ">a\nACGT\n", "gzip"))


@pytest.mark.parametrize("n_lost", [1, 28, 40, 2000])
def test_truncated_bgzip(write: Write, n_lost: int) -> None:
    path = Path(write("g.fa.gz", as_fasta(SEQUENCES), "bgzip"))
    path.write_bytes(path.read_bytes()[:-n_lost])
    message = "g.fa.gz is truncated (it lacks bgzip's last block); copy it again"
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome(path)


def test_truncated_gzip(write: Write) -> None:
    with pytest.raises(GenomeError, match=r"^g\.fa\.gz is gzip, which cannot be read at random; "):
        Genome(write("g.fa.gz", gzip.compress(b">a\nACGT\n")[:-4]))


@pytest.mark.parametrize("data", [b"", b"\n", b">a\n"])
def test_no_sequences(write: Write, data: bytes) -> None:
    with pytest.raises(GenomeError, match=r"^g\.fa (is empty|holds no sequences)$"):
        Genome(write("g.fa", data))


def test_files_that_cannot_be_opened(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GenomeError, match=r"^g\.fa does not exist$"):
        Genome("g.fa")
    Path("folder").mkdir()
    with pytest.raises(GenomeError, match=r"^folder is a directory, not a file$"):
        Genome("folder")
    os.mkfifo("pipe")
    message = "pipe is a pipe or a device; a genome must be a file on a disk"
    with pytest.raises(GenomeError, match=f"^{message}$"):
        Genome("pipe")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    write("g.fa", ">a\nAC\n")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(GenomeError, match=r"^g\.fa cannot be read \(Permission denied\)$"):
        Genome("g.fa")


def test_a_binary_file(write: Write) -> None:
    message = "g.2bit is a binary file; expected a FASTA file, plain or gzip"
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        Genome(write("g.2bit", b"\x43\x27\x41\x1a\0\0\0\0\1\0\0\0"))


@pytest.mark.parametrize("start", [0, 70_000])
def test_damage_in_the_middle_of_bgzip(
    write: Write, start: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(write("g.fa.gz", as_fasta(SEQUENCES), "bgzip"))
    with Genome(path) as genome:
        data = bytearray(path.read_bytes())
        for i in range(40, len(data) - 2000, 101):
            data[i] ^= 0x5A
        path.write_bytes(data)
        message = (
            rf"^g\.fa\.gz cannot be read at chr1:{start + 1}-{start + 1000}( \(|: the file is)"
        )
        with pytest.raises(GenomeError, match=message):
            genome.fetch("chr1", start, start + 1000)
    assert capfd.readouterr().err == ""


def test_a_file_cut_while_it_is_open(write: Write) -> None:
    with Genome(write("g.fa", as_fasta(SEQUENCES))) as genome:
        os.truncate("g.fa", 1000)
        message = (
            "g.fa cannot be read at chr1:140001-140010: "
            "the file is damaged, or changed after its index was made"
        )
        with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
            genome.fetch("chr1", 140_000, 140_010)


@pytest.mark.parametrize("packed", PACKED)
def test_the_locale_does_not_matter(write: Write, packed: str) -> None:
    name = write("g.fa", ">chr-\u00e9\nACGTA\n", packed)
    read = "import sys; from seqlift.genome.fasta import Genome; genome = Genome(sys.argv[1]); "
    run = subprocess.run(
        [sys.executable, "-c", read + "print(genome.fetch('chr-\\xe9', 1, 4))", name],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "CGT\n", run.stderr


def test_importing_reads_neither_pyfaidx_nor_pysam_nor_torch() -> None:
    code = """
        import sys
        import seqlift.genome.fasta
        assert not {"pyfaidx", "pysam", "torch", "numpy"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
