"""Input that is cut short or changed while a run is under way: an error, never other rows."""

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path

import pysam
import pytest

from seqlift.errors import GenomeError, InputDataWarning, InputError, RegionError, SequenceError
from seqlift.genome.fasta import Genome
from seqlift.windows import FastaSource, GenomeSource, count_items, encode_windows
from tests.tiny import LENGTH, REGIONS, make_contigs, run_cli, write_fasta

CHANGED = r"^peaks\.bed changed while it was being read; start again$"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A genome and its regions, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_fasta(make_contigs(), Path("genome.fa"))
    Path("peaks.bed").write_text(REGIONS)
    return tmp_path


def swapped(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[1::-1] + lines[2:])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "chr1\t300\t310\tmore\t0\t+\n",
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        lambda text: text.replace("chr1\t230", "chr1\t231"),
        lambda text: text.replace("0\t+\n", "0\t-\n", 1),
        lambda text: "\n" + text,
        lambda text: "chr2\t1\t50\tone\t0\t+\n",
        swapped,
    ],
)
def test_regions_that_change_between_two_passes(folder, change):
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        count_items(source)
        Path("peaks.bed").write_text(change(REGIONS))
        with pytest.raises(RegionError, match=CHANGED):
            list(source.items())


def test_regions_that_grow_while_they_are_scored(folder):
    """What is appended behind the reader is seen by it, as with `sort ... > peaks.bed &`."""
    many = "".join(f"chr1\t{i % 400}\t{i % 400 + 20}\n" for i in range(30_000))
    Path("peaks.bed").write_text(many)
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        items = source.items()
        next(items)
        with Path("peaks.bed").open("a") as stream:
            stream.write("chr1\t1\t20\n")
        with pytest.raises(RegionError, match=CHANGED):
            list(items)


def test_regions_on_a_contig_that_was_not_there(folder):
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        Path("peaks.bed").write_text("chr9\t1\t50\n")
        with pytest.raises(RegionError, match=CHANGED):
            next(source.items())


def test_what_does_not_change_a_row_is_no_change(folder):
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        before = list(source.items())
        Path("peaks.bed").write_text(REGIONS + "# a comment\n")
        os.utime("peaks.bed", (1, 1))
        assert list(source.items()) == before
        next(source.items())  # a pass that is given up says nothing


def test_sequences_that_change_between_two_passes(folder):
    Path("s.fa").write_text(f">a\n{'ACGT' * 10}\n>b\n{'TTGA' * 10}\n")
    source = FastaSource("s.fa", LENGTH)
    count_items(source)
    Path("s.fa").write_text(f">a\n{'ACGT' * 10}\n>b\n{'TTGG' * 10}\n")
    with pytest.raises(SequenceError, match=r"^s\.fa changed while it was being read"):
        list(source.items())


def test_a_genome_that_is_rewritten_while_it_is_read(folder):
    """In place, with the same length: its index fits, and only the letters are others."""
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        items = list(source.items())
        encode_windows(source, items[:2], LENGTH)
        data = Path("genome.fa").read_bytes()
        with Path("genome.fa").open("r+b") as stream:
            stream.write(data.replace(b"ACG", b"TTT"))
        with pytest.raises(GenomeError, match=r"^genome\.fa changed while it was being read"):
            encode_windows(source, items[2:], LENGTH)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("remove", [False, True])
def test_a_genome_that_is_replaced_or_removed_is_read_to_its_end(folder, packed, remove):
    name = "genome.fa"
    if packed:
        pysam.tabix_compress("genome.fa", "genome.fa.gz")
        name = "genome.fa.gz"
    with Genome(name) as genome:
        before = genome.fetch("chr1", 0, 500)
        if remove:
            Path(name).unlink()
        else:
            write_fasta({"chr1": "A" * 500}, Path("other"))
            Path("other").replace(name)
        assert genome.fetch("chr1", 0, 500) == before


def test_a_genome_that_is_replaced_before_it_is_opened(folder, monkeypatch):
    from seqlift.genome import fasta

    real = fasta.load_index

    def load_and_replace(*arguments, **options):
        found = real(*arguments, **options)
        write_fasta({name: "A" * len(s) for name, s in make_contigs().items()}, Path("other"))
        Path("other").replace("genome.fa")
        return found

    monkeypatch.setattr(fasta, "load_index", load_and_replace)
    with Genome("genome.fa") as genome, pytest.raises(GenomeError, match="changed while it was"):
        genome.fetch("chr1", 0, 10)


def test_a_genome_that_is_cut(folder):
    with Genome("genome.fa") as genome:
        os.truncate("genome.fa", 700)
        with pytest.raises(GenomeError, match=r"^genome\.fa "):
            genome.fetch("chr1", 400, 500)


def test_an_index_is_not_older_than_a_fasta_from_a_clock_that_was_ahead(folder):
    ahead = 4_000_000_000
    os.utime("genome.fa", (ahead, ahead))
    for _ in range(2):
        with Genome("genome.fa") as genome:
            assert len(genome.fetch("chr1", 0, 10)) == 10
    assert Path("genome.fa.fai").stat().st_mtime == ahead


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "plain"])
def test_regions_cut_at_any_byte(folder, kind):
    """They are refused, or they are the first lines, each of them whole."""
    text = f"chr1\t1\t2\tx\t0\t+\n{REGIONS}"  # the first line says how many columns there are
    if kind == "bgzip":
        with pysam.BGZFile("whole", "wb") as stream:
            stream.write(text.encode())
    else:
        Path("whole").write_bytes(
            text.encode() if kind == "plain" else gzip.compress(text.encode())
        )
    whole = Path("whole").read_bytes()
    with Genome("genome.fa") as genome:
        taken = []
        for size in range(17 * (kind == "plain"), len(whole)):
            Path("peaks.bed").write_bytes(whole[:size])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    count_items(GenomeSource(genome, "peaks.bed", LENGTH, "pad"))
            except InputError as error:
                assert str(error).isprintable()
            else:
                taken.append(size)
    if kind != "plain":
        assert not taken
    else:
        ends = {i for i, byte in enumerate(whole) if byte == ord("\n")}
        assert set(taken) <= ends | {end + 1 for end in ends}


def test_a_number_that_may_have_been_cut_is_a_warning(folder):
    Path("peaks.bed").write_text("chr1\t0\t50\nchr1\t10\t20")  # of 200
    with Genome("genome.fa") as genome, pytest.warns(InputDataWarning, match="was the file cut"):
        source = GenomeSource(genome, "peaks.bed", LENGTH, "pad")
        assert len(list(source.items())) == 2


def test_a_run_on_regions_that_change_leaves_nothing(folder, monkeypatch):
    pytest.importorskip("torch")
    from seqlift import pipeline
    from tests.tiny import Tiny, export, names, seeded

    export(seeded(Tiny), Path("model.pt2"))
    before = names(folder)
    real = pipeline.count_items

    def count_and_change(source):
        found = real(source)
        Path("peaks.bed").write_text(swapped(REGIONS))
        return found

    monkeypatch.setattr(pipeline, "count_items", count_and_change)
    run = run_cli(*"score -m model.pt2 -g genome.fa -r peaks.bed -o out -q --target 0".split())
    assert run.status == 1
    line = "seqlift: error: peaks.bed changed while it was being read; start again"
    assert run.stderr.splitlines()[-1] == line
    # Nothing of what is left can be gone on from: it was begun with another file.
    assert set(names(folder)) - set(before) <= {"genome.fa.fai", "out.unfinished"}
    again = "score -m model.pt2 -g genome.fa -r peaks.bed -o out -q --target 0 --resume".split()
    monkeypatch.setattr(pipeline, "count_items", real)
    run = run_cli(*again)
    assert run.status == 1
    assert "out.unfinished cannot be gone on from: input_digest was" in run.stderr
