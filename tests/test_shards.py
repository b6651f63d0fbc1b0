"""Shards of a run, joined, are the run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from seqlift.errors import InputError, OutputError, UsageError
from seqlift.merge import merge
from seqlift.pipeline import run
from seqlift.plan import Plan
from seqlift.shards import Shard
from tests.tiny import REGIONS, names, remembered_captures, write_fasta, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning")

N_ROWS = len(REGIONS.splitlines())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    with remembered_captures():
        yield write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def score(inputs, tmp_path, monkeypatch):
    """Score the tiny regions under a name; results go to an empty folder, the current one."""
    monkeypatch.chdir(tmp_path)

    def make(name, **options):
        own = {"models": (str(inputs / "model.pt2"),), "n_references": 5, "device": "cpu"}
        given = {"genome": str(inputs / "genome.fa"), "regions": str(inputs / "peaks.bed")}
        run(Plan(output=name, **own | given | options))
        return f"{name}.json"

    return make


def datasets(path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None
        )
    return found


def assert_same(one, other) -> None:
    """The same names, texts and whole numbers, and floats within rounding."""
    expected, found = datasets(one), datasets(other)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert values.dtype == found[name].dtype
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 20])
def test_shards_are_disjoint_and_cover_everything_in_order(n_rows, n):
    shards = [Shard(i, n).rows(n_rows) for i in range(1, n + 1)]
    assert [row for rows in shards for row in rows] == list(range(n_rows))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["3", "0/3", "4/3", "1/0", "a/b", "-1/3", "1/3/5", "1.5/3", ""])
def test_what_is_no_shard(text):
    with pytest.raises(UsageError, match=r"^found shard .*; expected "):
        Shard.parse(text)


RUNS = {
    "two targets": ({"targets": ("0", "2")}, 3),
    "as many shards as rows, and more": ({}, N_ROWS + 2),
    "genomic references": ({"references": ("genomic",)}, 2),
    "several schemes": ({"references": ("dinucleotide-shuffle", "flat")}, 2),
    "dropped windows": ({"edges": "drop"}, 4),
    "both strands": ({"strands": "both", "stranded": True}, 2),
    "float64, the mean where windows overlap": ({"precision": "float64", "overlap": "mean"}, 3),
}


@pytest.mark.parametrize("kind", RUNS)
def test_joined_shards_are_the_undivided_run(score, inputs, kind):
    options, n = RUNS[kind]
    score("whole", logos=2, **options)
    shards = [score(f"part{i}", shard=f"{i}/{n}", **options) for i in range(1, n + 1)]
    assert not list(Path().glob("part*.bw"))
    overlap = options.get("overlap", "nearest")
    genome = str(inputs / "genome.fa")
    summary = merge(shards[::-1], "joined", genome=genome, overlap=overlap, logos=2)
    of_whole = [name for name in names(".") if name.startswith("whole.")]
    assert [name for name in names(".") if name.startswith("joined.")] == [
        name.replace("whole", "joined") for name in of_whole
    ]
    for name in of_whole:
        if name.endswith(".h5"):
            assert_same(name, name.replace("whole", "joined"))
        if name.endswith((".bw", ".png")) and kind == "two targets":  # bit by bit, as the scores
            assert Path(name).read_bytes() == Path(name.replace("whole", "joined")).read_bytes()
    whole, joined = (Path(f"{n}.regions.tsv").read_text().splitlines() for n in ("whole", "joined"))
    assert [line.split("\t")[:11] for line in whole] == [line.split("\t")[:11] for line in joined]
    expected = json.loads(Path("whole.json").read_text())
    assert summary["counts"] == expected["counts"]
    for result, of_target in expected["targets"].items():
        mine = summary["targets"][result]
        assert mine["completeness"]["n_pairs"] == of_target["completeness"]["n_pairs"]
        assert mine["track"].n_bases == of_target["track"]["n_bases"]


def test_sequences_of_a_fasta(score):
    write_fasta({f"s{i}": "ACGTTGCATG" * 4 for i in range(5)}, Path("some.fa"))
    options = {"genome": None, "regions": None, "fasta": "some.fa"}
    score("whole", **options)
    shards = [score(f"part{i}", shard=f"{i}/2", **options) for i in (1, 2)]
    merge(shards, "joined")
    assert_same("whole.h5", "joined.h5")
    with pytest.raises(UsageError, match="sequences of a FASTA were scored, which have no track"):
        merge(shards, "again", genome="some.fa")


def test_a_genome_whose_folder_is_not_ones_own(score, inputs):
    """Its index lies elsewhere, and none is made beside it."""
    Path("read-only").mkdir()
    Path("read-only/genome.fa").write_bytes((inputs / "genome.fa").read_bytes())
    options = {"genome": "read-only/genome.fa", "fai": "own.fai"}
    shards = [score(f"part{i}", shard=f"{i}/2", **options) for i in (1, 2)]
    merge(shards, "joined", **options)
    assert names("read-only") == ["genome.fa"]


def test_what_cannot_be_joined(score, inputs):
    genome = str(inputs / "genome.fa")
    shards = [score(f"part{i}", shard=f"{i}/3") for i in (1, 2, 3)]
    before = names(".")

    def refused(some, match, error=InputError, **options):
        with pytest.raises(error, match=match):
            merge(some, "joined", **{"genome": genome} | options)
        assert [name for name in names(".") if name.startswith("joined")] == []

    refused(shards[:2], r"^found 2 of 3 shards; shard 3/3 is missing: score it with --shard 3/3")
    refused([*shards, shards[0]], r"part1.json are both shard 1/3; give one$")
    refused(shards, "^a genome was scored, whose bigWig needs its contigs; give -g", UsageError,
            genome=None)  # fmt: skip
    write_fasta({"chr1": "ACGT" * 50}, Path("other.fa"))
    refused(
        shards, "^other.fa has other contigs than the genome that was scored", genome="other.fa"
    )
    refused(["part1.h5"], "part1.h5 is no JSON|cannot be read")
    refused(["absent.json"], "^absent.json cannot be read: No such file or directory$")
    score("whole")
    refused(["whole.json"], "^whole.json is not the summary of a shard")
    refused(
        [score("half", shard="1/2"), *shards[1:]], r"^part2.json is shard 2/3 and half.json 1/2"
    )
    other = score("seed", shard="2/3", seed=1)
    refused(
        [shards[0], other, shards[2]], "^seed.json has seed 1 and part1.json 0; expected shards"
    )
    Path("other.bed").write_text(REGIONS.replace("230", "231", 1))
    other = score("bed", shard="2/3", regions="other.bed")
    refused([shards[0], other, shards[2]], r"^bed.json has input_digest .* and part1.json ")
    # The same files elsewhere, as on another machine.
    Path("peaks.bed").write_text(REGIONS)
    moved = score("here", shard="2/3", regions="peaks.bed")
    merge([shards[0], moved, shards[2]], "moved", genome=genome)
    with pytest.raises(OutputError, match="exists"):
        merge(shards, "whole", genome=genome)
    Path("part2.h5").unlink()
    refused(shards, "^part2.h5 cannot be read: No such file or directory$")
    assert set(before) - {"part2.h5"} <= set(names("."))


def test_logos_of_a_shard_are_refused(score):
    with pytest.raises(UsageError, match=r"^the strongest regions of a shard are not those of"):
        score("part", shard="1/2", logos=3)
