"""Whatever ends a run, it can be gone on from, and ends in the files of one that was not ended."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlift import scoring
from seqlift.errors import IncompleteError, InputError, OutputError, ResumeWarning
from seqlift.parts import read_parts
from seqlift.pipeline import run
from seqlift.plan import Plan
from tests.test_shards import datasets
from tests.tiny import (
    LENGTH,
    REGIONS,
    Tiny,
    export,
    make_contigs,
    names,
    remembered_captures,
    seeded,
    write_fasta,
    write_inputs,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::seqlift.errors.ReferenceWarning", "ignore::seqlift.errors.ResumeWarning"
)

TEXT = REGIONS * 3
N_ROWS = len(TEXT.splitlines())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    with remembered_captures():
        yield write_inputs(tmp_path_factory.mktemp("inputs"), TEXT)


@pytest.fixture
def score(inputs, tmp_path, monkeypatch):
    """Score the tiny regions in batches of three; the inputs are copies in the current folder."""
    for path in inputs.iterdir():
        shutil.copy2(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)

    def make(name="out", **options):
        own = {"models": ("model.pt2",), "n_references": 5, "device": "cpu", "targets": ("0", "2")}
        given = {"genome": "genome.fa", "regions": "peaks.bed", "output": name}
        return run(Plan(**own | given | options))

    return make


class Stopped(BaseException):
    """As if the process were ended; `except Exception` does not see it."""


@pytest.fixture
def stop_after(monkeypatch):
    """End the next run when so many batches have been scored."""
    real = scoring.Journal.write

    def make(n, error=Stopped):
        written = 0

        def write(self, explained):
            nonlocal written
            real(self, explained)
            written += 1
            if written == n:
                monkeypatch.setattr(scoring.Journal, "write", real)
                raise error

        monkeypatch.setattr(scoring.Journal, "write", write)

    return make


def assert_same_files(one, other) -> None:
    """Bit by bit, but for what says when and how it was made."""
    endings = [name.removeprefix(f"{one}.") for name in names(".") if name.startswith(f"{one}.")]
    assert endings == [
        name.removeprefix(f"{other}.") for name in names(".") if name.startswith(f"{other}.")
    ]
    assert {"0.h5", "2.bw", "regions.tsv"} <= set(endings)
    for ending in endings:
        a, b = Path(f"{one}.{ending}"), Path(f"{other}.{ending}")
        if ending.endswith(".h5"):
            expected, found = datasets(a), datasets(b)
            assert expected.keys() == found.keys()
            for name, values in expected.items():
                assert values.tobytes() == found[name].tobytes() or values.dtype.kind == "O"
                assert values.tolist() == found[name].tolist() or values.dtype.kind == "f"
        elif ending != "json":
            assert a.read_bytes() == b.read_bytes(), ending


@pytest.mark.parametrize("options", [{}, {"stranded": True}])
def test_a_run_that_is_ended_and_gone_on_from(score, stop_after, options):
    options = {"logos": 2, **options}
    whole = score("whole", **options)
    for n in (1, 4, 2):
        stop_after(n)
        with pytest.raises(Stopped), pytest.warns(ResumeWarning) as heard:
            score(resume=True, **options)
        assert [name for name in names(".") if name.startswith("out")] == ["out.unfinished"]
    # Seven batches of three rows.
    assert str(heard[-1].message) == (
        f"out.unfinished keeps the 21 of {N_ROWS} rows that were done; go on from there with "
        "--resume"
    )
    found = score(resume=True, **options)
    assert_same_files("whole", "out")
    assert "out.2.logo2.png" in names(".")
    assert found["counts"] == whole["counts"]
    for target, expected in whole["targets"].items():
        assert found["targets"][target] == expected


def test_a_shard_is_gone_on_from(score, stop_after):
    score("whole", shard="2/2")
    stop_after(2)
    with pytest.raises(Stopped):
        score(shard="2/2")
    with pytest.raises(OutputError, match='shard was "2/2" and is "1/2"'):
        score(shard="1/2", resume=True)
    score(shard="2/2", resume=True)
    expected, found = datasets("whole.0.h5"), datasets("out.0.h5")
    assert {k: v.tolist() for k, v in expected.items() if v.dtype.kind != "f"} == {
        k: v.tolist() for k, v in found.items() if v.dtype.kind != "f"
    }
    assert all((v == found[k])[v == v].all() for k, v in expected.items() if v.dtype.kind == "f")


def test_without_resume_what_is_left_is_not_overwritten(score, stop_after):
    stop_after(3)
    with pytest.raises(Stopped):
        score()
    left = names("out.unfinished")
    with pytest.raises(
        OutputError,
        match=r"^out.unfinished is what an unfinished run left; go on from there with --resume, or",
    ):
        score()
    assert names("out.unfinished") == left
    score(force=True)
    assert "out.unfinished" not in names(".")


CHANGES = {
    "seed": ({"seed": 1}, "seed was 0 and is 1"),
    "references": ({"n_references": 6}, "n_references was 5 and is 6"),
    "target": ({"targets": ("0", "1")}, r'targets was \["0", "2"\] and is \["0", "1"\]'),
    "method": ({"method": "gradient-input"}, 'method was "deeplift" and is "gradient-input"'),
    "precision": ({"precision": "float64"}, 'precision was "float32" and is "float64"'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_option_is_named(score, stop_after, change):
    options, says = CHANGES[change]
    stop_after(2)
    with pytest.raises(Stopped):
        score()
    left = names("out.unfinished")
    with pytest.raises(OutputError, match=f"^out.unfinished cannot be gone on from: {says}; give"):
        score(resume=True, **options)
    assert names("out.unfinished") == left
    with pytest.warns(ResumeWarning, match=f"^out.unfinished is begun anew: {says}"):
        score(resume=True, force=True, **options)
    assert "out.unfinished" not in names(".")


def test_changed_files_are_named(score, stop_after):
    stop_after(2)
    with pytest.raises(Stopped):
        score()
    kept = {path: Path(path).read_bytes() for path in ("model.pt2", "peaks.bed", "genome.fa")}

    def refused(match, error=OutputError):
        with pytest.raises(error, match=match):
            score(resume=True)
        for path, content in kept.items():
            Path(path).write_bytes(content)
        Path("genome.fa.fai").unlink(missing_ok=True)  # which is older now

    with Path("peaks.bed").open("a") as file:
        file.write("chr1\t100\t200\tnew\t0\t+\n")
    refused("^out.unfinished cannot be gone on from: input_digest was ")
    other = seeded(Tiny)
    other.dense.bias.data += 1
    export(other, Path("model.pt2"))
    refused("^out.unfinished cannot be gone on from: model_digest was ")
    # Another sequence under the same names and lengths of contigs.
    genome = make_contigs()
    genome["chr1"] = genome["chr1"][::-1]
    write_fasta(genome, Path("genome.fa"))
    Path("genome.fa.fai").unlink(missing_ok=True)
    refused("^the sequences of rows 1 to 3 are not those that out.unfinished was begun", InputError)
    score(resume=True)


class Controlled(Tiny):
    def forward(self, x, control):
        return super().forward(x) * (1 + control.sum(1))[:, None]


def test_an_array_of_another_input_that_has_changed_is_named(score, stop_after):
    tensors = torch.zeros(2, 4, LENGTH), torch.zeros(2, 3)
    export(seeded(Controlled), Path("controlled.pt2"), inputs=tensors)
    options = {"models": ("controlled.pt2",), "inputs": ("control=control.npy",)}
    np.save("control.npy", np.ones(3, np.float32))
    stop_after(2)
    with pytest.raises(Stopped):
        score(**options)
    np.save("control.npy", np.float32([1, 1, 2]))
    with pytest.raises(OutputError, match=r"cannot be gone on from: inputs_digest was .control="):
        score(resume=True, **options)
    np.save("control.npy", np.ones(3, np.float32))
    score(resume=True, **options)
    score("part1", shard="1/2", **options)
    np.save("control.npy", np.float32([1, 1, 2]))
    score("part2", shard="2/2", **options)
    with pytest.raises(InputError, match=r"^part2.json has inputs_digest 'control="):
        read_parts(["part1.json", "part2.json"])


def test_what_does_not_change_the_scores_may_change(score, stop_after):
    score("whole")
    stop_after(2)
    with pytest.raises(Stopped):
        score(threads=1)
    score(threads=2, batch_size=7, overlap="nearest", resume=True)
    assert "out.unfinished" not in names(".")


def test_only_what_a_run_keeps_is_ever_removed(score):
    Path("out.unfinished").mkdir()
    Path("out.unfinished/mine.npz").write_text("mine")
    with pytest.raises(OutputError, match="is what an unfinished run left"):
        score()
    score(force=True)
    assert names("out.unfinished") == ["mine.npz"]
    Path("other.unfinished").write_text("mine")
    with pytest.raises(OutputError, match=r"^other.unfinished is a file, where an unfinished run"):
        score("other", force=True)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "gone"])
def test_a_damaged_batch_is_scored_again(score, stop_after, damage):
    score("whole")
    stop_after(5)
    with pytest.raises(Stopped):
        score()
    third = sorted(Path("out.unfinished").glob("*.npz"))[2]
    data = bytearray(third.read_bytes())
    data[len(data) // 2] ^= 1
    changes = {"cut": data[: len(data) // 2], "bit": data, "empty": b""}
    if damage == "gone":
        third.unlink()
    else:
        third.write_bytes(changes[damage])
    score(resume=True)
    assert_same_files("whole", "out")


def test_a_run_that_fails_for_good_leaves_nothing_to_go_on_from(score, stop_after):
    stop_after(2, IncompleteError("contributions do not sum"))
    with pytest.raises(IncompleteError):
        score()
    assert "out.unfinished" not in names(".")


def start(folder, prefix, *options) -> subprocess.Popen:
    words = "-m model.pt2 -g genome.fa -r long.bed --target 0 --target 2 -n 5 -d cpu -q"
    return subprocess.Popen(
        [sys.executable, "-m", "seqlift", "score", *words.split(), "-o", prefix, *options],
        cwd=folder,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
    )


def kill_at_random(folder, n_kills, rng) -> int:
    """Start a run, kill it at a random moment, go on, and so on; then let it end."""
    unfinished = folder / "killed.unfinished"

    def n_done() -> int:
        return len(list(unfinished.glob("*.npz"))) if unfinished.exists() else 0

    kills = 0
    while True:
        before = n_done()
        process = start(folder, "killed", "--resume")
        # Let at least one more batch be done, or the runs would never end.
        while process.poll() is None and kills < n_kills:
            if n_done() > before:
                time.sleep(rng.random() * 0.4)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        _, stderr = process.communicate(timeout=300)
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, stderr


@pytest.mark.large
def test_killed_at_random_moments(inputs, tmp_path):
    n_kills = 20
    for path in inputs.iterdir():
        shutil.copy2(path, tmp_path)
    # Batches of 512 rows.
    (tmp_path / "long.bed").write_text(REGIONS * (n_kills * 150))
    kills = kill_at_random(tmp_path, n_kills, random.Random(5))
    assert kills > n_kills // 2  # the last runs may have ended before
    whole = start(tmp_path, "whole")
    _, stderr = whole.communicate(timeout=300)
    assert whole.returncode == 0, stderr
    left = [name for name in names(tmp_path) if name.startswith("killed")]
    assert left == [
        name.replace("whole", "killed") for name in names(tmp_path) if name.startswith("whole")
    ]
    for ending in ("0.h5", "2.h5"):
        expected, found = (datasets(tmp_path / f"{n}.{ending}") for n in ("whole", "killed"))
        for name, values in expected.items():
            assert (values == found[name])[values == values].all(), name
    for ending in ("0.bw", "2.bw", "regions.tsv"):
        assert (tmp_path / f"whole.{ending}").read_bytes() == (
            tmp_path / f"killed.{ending}"
        ).read_bytes()
