"""Each rule of the scoring workflow by itself, as `snakemake --generate-unit-tests` has it.

The files that a rule reads are laid out, no other rule may run, and what it makes is compared with
what the command or the library makes of the same files.
"""

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

from seqlift.pipeline import run
from seqlift.plan import Plan
from tests.test_shards import assert_same
from tests.tiny import N_REFERENCES, Sorted, export, names, run_cli, seeded, write_inputs

pytest.importorskip("snakemake")
yaml = pytest.importorskip("yaml")

pytestmark = pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning")

WORKFLOW = Path(__file__).parents[1] / "workflows/score/workflow"
CONFIG = {
    "model": "model.pt2",
    "genome": "genome.fa",
    "samples": {"peaks": {"regions": "peaks.bed"}},
    "targets": ["2"],
    "n_references": N_REFERENCES,
    "logos": 2,
    "resources": {"threads": 1},
}
ENDINGS = ("h5", "bw", "regions.tsv", "json")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the inputs, their results as whole/out.* and shards/1.*, and their index."""
    folder = write_inputs(tmp_path_factory.mktemp("inputs"))
    plan = Plan(
        models=(str(folder / "model.pt2"),), genome=str(folder / "genome.fa"),
        regions=str(folder / "peaks.bed"), targets=("2",), n_references=N_REFERENCES, device="cpu",
        output=str(folder / "whole/out"),
    )  # fmt: skip
    for name in ("index", "whole", "shards"):
        (folder / name).mkdir()
    run(plan)
    for i in (1, 2):
        run(dataclasses.replace(plan, output=str(folder / f"shards/{i}"), shard=f"{i}/2"))
    pysam.faidx(str(folder / "genome.fa"), "--fai-idx", str(folder / "index/genome.fai"))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, inputs):
    """The working directory: the inputs, and the configuration. Results are laid out by tests."""
    for name in ("model.pt2", "genome.fa", "peaks.bed"):
        shutil.copy2(inputs / name, tmp_path)  # older than its index
    monkeypatch.chdir(tmp_path)
    configure()
    return tmp_path


def configure(**changes):
    Path("config").mkdir(exist_ok=True)
    Path("config/config.yaml").write_text(yaml.safe_dump(CONFIG | changes))


def lay(source, target):
    """Put a result of another rule where this one finds it."""
    target = Path("results") / target
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def run_rule(rule, *targets):
    """Run one rule for its targets, and say how it ended."""
    here = Path(sys.executable).parent  # where seqlift is, whether or not the shell knows
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", WORKFLOW / "Snakefile", "--cores", "1",
         "--force", "--notemp", "--nocolor", "--allowed-rules", rule, "--", *targets],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert f"rule {rule}:" in done.stderr, done.stderr
    return done


def make(rule, *targets):
    done = run_rule(rule, *targets)
    logs = "".join(path.read_text() for path in Path("logs").rglob("*.log"))
    assert done.returncode == 0, done.stderr + logs
    assert all(Path(target).exists() for target in targets)


def fail(rule, target, log):
    """Run a rule that cannot succeed: nothing is left under the name of its result."""
    assert run_rule(rule, target).returncode == 1
    assert not Path(target).exists()
    return Path(log).read_text()


def assert_same_tables(one, other):
    """Compare rows up to the scores, whose rounding depends on how many regions went together."""
    rows = [Path(path).read_text().splitlines() for path in (one, other)]
    assert [row.split("\t")[:11] for row in rows[0]] == [row.split("\t")[:11] for row in rows[1]]


def made_in(folder):
    return [name for name in names(Path("results") / folder) if name != ".snakemake_timestamp"]


def operators(text):
    """Leave out the comments, of which one says how long the model takes here."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_rule_index_genome(folder, inputs):
    make("index_genome", "results/genome_index")
    index = Path("results/genome_index/genome.fai")
    assert index.read_text() == (inputs / "index/genome.fai").read_text()
    assert not Path("genome.fa.fai").exists(), "the genome's folder may be read-only"


def test_rule_index_genome_of_bgzip(folder, inputs):
    pysam.tabix_compress("genome.fa", "genome.fa.gz")
    configure(genome="genome.fa.gz")
    make("index_genome", "results/genome_index")
    assert made_in("genome_index") == ["genome.fai", "genome.gzi"]


def test_rule_index_genome_of_a_file_that_is_no_genome(folder):
    Path("genome.fa").write_text("no genome\n")
    said = fail("index_genome", "results/genome_index", "logs/index_genome.log")
    assert said.startswith("seqlift: error: genome.fa")
    assert said.count("\n") == 1


def test_rule_inspect(folder):
    table = "results/model/2.operators.tsv"
    make("inspect", table)
    expected = operators(run_cli("inspect", "model.pt2", "--target", "2").stdout)
    assert operators(Path(table).read_text()) == expected
    assert len(expected) > 3


def test_rule_inspect_of_a_model_that_cannot_be_explained(folder):
    export(seeded(Sorted), folder / "model.pt2")
    configure(targets=["0"])
    said = fail("inspect", "results/model/0.operators.tsv", "logs/inspect/0.log")
    assert "aten.sort.default" in said


@pytest.fixture
def prepared(folder, inputs):
    lay(inputs / "index", "genome_index")
    Path("results/model").mkdir()
    Path("results/model/2.operators.tsv").touch()


def test_rule_score(prepared, inputs):
    lay(inputs / "model.pt2", "scores/peaks.2.logo9.png")  # of a job that was killed
    make("score", *(f"results/scores/peaks.2.{ending}" for ending in ENDINGS))
    assert_same("results/scores/peaks.2.h5", inputs / "whole/out.h5")
    assert_same_tables("results/scores/peaks.2.regions.tsv", inputs / "whole/out.regions.tsv")
    assert Path("results/scores/peaks.2.bw").read_bytes()[:4] == b"\x26\xfc\x8f\x88"
    assert made_in("scores") == sorted(f"peaks.2.{ending}" for ending in ENDINGS)
    assert made_in("logos/peaks.2") == ["peaks.2.logo1.png", "peaks.2.logo2.png"]


def test_rule_score_shard(prepared, inputs):
    configure(shards=2)
    made = [f"results/shards/peaks.2/2.{ending}" for ending in ("h5", "regions.tsv", "json")]
    make("score_shard", *made)
    assert_same(made[0], inputs / "shards/2.h5")
    assert_same_tables(made[1], inputs / "shards/2.regions.tsv")
    assert made_in("shards/peaks.2") == sorted(Path(path).name for path in made)


def test_rule_merge(folder, inputs):
    configure(shards=2)
    lay(inputs / "index", "genome_index")
    lay(inputs / "shards", "shards/peaks.2")
    make("merge", *(f"results/scores/peaks.2.{ending}" for ending in ENDINGS))
    assert_same("results/scores/peaks.2.h5", inputs / "whole/out.h5")
    assert_same_tables("results/scores/peaks.2.regions.tsv", inputs / "whole/out.regions.tsv")
    assert made_in("scores") == sorted(f"peaks.2.{ending}" for ending in ENDINGS)
    assert made_in("logos/peaks.2") == ["peaks.2.logo1.png", "peaks.2.logo2.png"]


def test_rule_logo(folder, inputs):
    lay(inputs / "whole/out.h5", "scores/peaks.2.h5")
    make("logo", "results/logos/peaks.2.png")
    options = ("--hypothetical", "--standard-error")
    done = run_cli("logo", inputs / "whole/out.h5", "-o", "expected.png", *options)
    assert done.status == 0
    assert Path("results/logos/peaks.2.png").read_bytes() == Path("expected.png").read_bytes()


def test_rule_summarise(folder, inputs):
    samples = {name: {"regions": "peaks.bed"} for name in ("a", "b")}
    configure(samples=samples)
    found = json.loads((inputs / "whole/out.json").read_text())
    found["targets"]["2"]["track"]["minimum"] = None  # of a track without a base
    for name in samples:
        lay(inputs / "whole/out.json", f"scores/{name}.2.json")
    Path("results/scores/b.2.json").write_text(json.dumps(found))
    make("summarise", "results/summary.tsv")
    with Path("results/summary.tsv").open() as file:
        a, b = csv.DictReader(file, delimiter="\t")
    assert (a.pop("sample"), b.pop("sample"), b.pop("minimum")) == ("a", "b", "NA")
    assert float(a.pop("minimum")) < 0
    assert a == b
    counts, track = found["counts"], found["targets"]["2"]["track"]
    assert a["target"] == "2"
    assert (int(a["rows"]), int(a["scored"])) == (counts["rows"], counts["scored"])
    assert float(a["maximum"]) == track["maximum"]
    assert a["model_digest"] == found["settings"]["model_digest"]


def test_every_rule_is_run_by_itself():
    text = "".join(path.read_text() for path in sorted(WORKFLOW.glob("rules/*.smk")))
    rules = set(re.findall(r"^ *rule (\w+):$", text, re.MULTILINE))
    assert rules == {name.removeprefix("test_rule_") for name in globals()} & rules
    assert "score" in rules
