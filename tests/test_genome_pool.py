"""Windows for genomic references lie outside the regions, anywhere else, and hold no N."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from seqlift import genome_pool
from seqlift.errors import RegionError
from seqlift.genome.fasta import Genome
from seqlift.genome_pool import collect_pool
from seqlift.sequence.onehot import decode, encode_many, from_indices
from seqlift.windows import GenomeSource
from tests.tiny import write_fasta

LENGTH = 12
# By hand: no two windows of 12 letters are alike.
RANDOM = "".join(np.random.default_rng(3).choice([*"ACGT"], 200))
CONTIGS = {
    "one": RANDOM[:100],
    "short": RANDOM[100:111],
    "two": RANDOM[111:140] + "N" * 5 + RANDOM[140:160].lower(),
}


@pytest.fixture
def genome(tmp_path):
    with Genome(write_fasta(CONTIGS, tmp_path / "genome.fa")) as genome:
        yield genome


@pytest.fixture
def collect(tmp_path):
    """Collect a pool beside regions; give its windows as letters."""

    def collect(bed, n=1, seed=0, edges="pad"):
        (tmp_path / "peaks.bed").write_text(bed)
        path = tmp_path / "genome.fa"
        if not path.exists():
            write_fasta(CONTIGS, path)
        with Genome(path) as genome:
            source = GenomeSource(genome, str(tmp_path / "peaks.bed"), LENGTH, edges)
            pool = collect_pool(genome, source.items(), LENGTH, n, seed=seed)
        return [decode(from_indices(bases)) for bases in pool._bases]

    return collect


def windows_outside(taken):
    """Every window that there may be, by looking at each place of the genome."""
    found = []
    for contig, letters in CONTIGS.items():
        for start in range(len(letters) - LENGTH + 1):
            window = letters[start : start + LENGTH].upper()
            is_free = all(
                not (name == contig and start < end and first < start + LENGTH)
                for name, first, end in taken
            )
            if is_free and "N" not in window:
                found.append(window)
    return found


def test_all_windows_outside_are_taken_where_they_are_few(collect):
    # The windows about the midpoints are one:34-46 and two:4-16; a broad region counts as a whole.
    bed = "one\t30\t50\ntwo\t8\t13\n"
    found = collect(bed)
    assert sorted(found) == sorted(windows_outside([("one", 30, 50), ("two", 4, 16)]))
    assert found != sorted(found)


def test_regions_at_the_ends_and_over_one_another(collect):
    bed = "one\t0\t4\none\t3\t40\none\t20\t30\none\t98\t100\ntwo\t0\t54\n"
    wanted = windows_outside([("one", 0, 40), ("one", 93, 105), ("two", 0, 54)])
    assert sorted(collect(bed)) == sorted(wanted)


def test_windows_that_are_dropped_are_not_touched_either(collect):
    wanted = windows_outside([("one", 0, 8), ("one", 20, 32)])
    assert sorted(collect("one\t0\t4\none\t25\t27\n", edges="drop")) == sorted(wanted)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 40)), max_size=6),
    st.integers(1, 30),
)
def test_free_starts_are_those_of_trying_each(stretches, length):
    taken = [(start - 5, start - 5 + size) for start, size in stretches]
    free = genome_pool._free_starts({"c": 100}, {"c": taken}, length)
    found = [start for stretch in free for start in range(stretch.first, stretch.last)]
    assert found == [
        start
        for start in range(100 - length + 1)
        if all(start >= end or start + length <= first for first, end in taken)
    ]


def test_seeds_give_the_order_and_the_choice(collect, monkeypatch):
    bed = "one\t30\t50\n"
    assert collect(bed) == collect(bed)
    assert collect(bed) != collect(bed, seed=1)
    monkeypatch.setattr(genome_pool, "MOST_WINDOWS", 10)
    assert len(collect(bed)) == 10
    assert set(collect(bed)) != set(collect(bed, seed=1))
    assert len(collect(bed, n=15)) == 15
    monkeypatch.setattr(genome_pool, "MOST_LETTERS", 7 * LENGTH)
    assert len(collect(bed)) == 7


@pytest.mark.parametrize("tries", [3, 400])
def test_every_place_has_the_same_chance(collect, monkeypatch, tries):
    """By numbers that are drawn, as in a large genome, and by putting all places in order."""
    monkeypatch.setattr(genome_pool, "MOST_WINDOWS", 1)
    monkeypatch.setattr(genome_pool, "TRIES", tries)
    bed = "one\t30\t50\ntwo\t0\t54\n"
    possible = windows_outside([("one", 30, 50), ("two", 0, 54)])
    drawn = [collect(bed, seed=seed)[0] for seed in range(10 * len(possible))]
    assert set(drawn) <= set(possible)
    assert chisquare([drawn.count(window) for window in possible]).pvalue > 0.001


@pytest.mark.parametrize("in_vain", [5, 500])
def test_a_genome_that_is_mostly_n_is_read_for_where_it_is_not(collect, monkeypatch, in_vain):
    """At first some places are tried, and hardly any of them has a window without N."""
    monkeypatch.setattr(genome_pool, "IN_VAIN", in_vain)
    monkeypatch.setattr(genome_pool, "LETTERS_AT_ONCE", 7)
    monkeypatch.setitem(CONTIGS, "two", RANDOM[111:140] + "N" * 2000 + RANDOM[140:160] + "NRN")
    monkeypatch.setattr(genome_pool, "MOST_WINDOWS", 150)
    assert genome_pool.TRIES * 150 * 2 < 2000
    wanted = windows_outside([("one", 0, 100)])
    assert len(wanted) == 18 + 9
    assert sorted(collect("one\t0\t100\n")) == sorted(wanted)


@pytest.mark.parametrize("at_once", [1, 5, 8, 100])
@pytest.mark.parametrize(
    ("letters", "wanted"),
    [
        ("ACGT", []),
        ("NNNN", [(0, 4)]),
        ("NACGTACGTACGTNNACGR", [(0, 1), (13, 19)]),
        ("ACNGNNACGTACGTACGN", [(2, 6), (17, 18)]),
    ],
)
def test_stretches_of_n(tmp_path, monkeypatch, letters, wanted, at_once):
    monkeypatch.setattr(genome_pool, "LETTERS_AT_ONCE", at_once)
    with Genome(write_fasta({"c": letters}, tmp_path / "g.fa")) as genome:
        taken = {}
        genome_pool._add_unknown(taken, genome, 5)
        free = genome_pool._free_starts(genome.contigs, taken, 5)
    assert free == genome_pool._free_starts({"c": len(letters)}, {"c": wanted}, 5)


def test_no_window_comes_twice(collect, monkeypatch):
    monkeypatch.setattr(genome_pool, "MOST_WINDOWS", 20)
    # 40 draws among 88 places
    found = collect("one\t30\t50\n")
    assert len(set(found)) == len(found) == 20


@pytest.mark.parametrize(
    ("bed", "n", "found"),
    [
        ("one\t0\t100\ntwo\t0\t54\n", 1, "found no window of 12 bp"),
        (
            "one\t0\t85\ntwo\t0\t54\n",
            5,
            "found only 4 windows of 12 bp",
        ),
    ],
)
def test_too_little_is_left(collect, bed, n, found):
    with pytest.raises(RegionError) as caught:
        collect(bed, n=n)
    fewer = "ask for fewer references (-n 4), " if "4" in found else ""
    assert str(caught.value) == (
        f"{found} without N in genome.fa outside the regions; expected at least {n} for genomic "
        f"references: {fewer}use a whole genome or another scheme"
    )


def test_references_are_windows_of_the_pool(collect, tmp_path, genome):
    (tmp_path / "peaks.bed").write_text("one\t30\t50\n")
    source = GenomeSource(genome, str(tmp_path / "peaks.bed"), LENGTH, "pad")
    pool = collect_pool(genome, source.items(), LENGTH, 3, seed=0)
    references = pool.draw(encode_many([CONTIGS["one"][34:46]]), 3, seed=0)[0]
    assert {decode(reference) for reference in references} <= set(collect("one\t30\t50\n"))
