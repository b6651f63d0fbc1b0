"""The scoring workflow as Snakemake sees it; that it runs is for CI, on the demo data."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqlift.cli.score import score

pytest.importorskip("snakemake")
yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "workflows" / "score"
SCHEMA_FILE = WORKFLOW / "workflow/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text())["properties"]
TEMPLATE = yaml.safe_load((WORKFLOW / "config/config.yaml").read_text())
# The workflow has to ask a cluster for a GPU by name, draws logos for its report, and has one
# reference scheme where the command takes several.
OWN_DEFAULTS = {"device", "logos", "models", "references", "weights"}
CHOICES = {option.name: getattr(option.type, "choices", None) for option in score.params}
DEFAULTS = score.make_context("score", ["-m", "model.pt2", "-o", "prefix"]).params


@pytest.fixture
def folder(tmp_path):
    """A working directory with the demo data and the demo configuration."""
    for source in (ROOT / "data", WORKFLOW / ".test"):
        shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), *arguments]
    command += ["--snakefile", str(WORKFLOW / "workflow/Snakefile")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def configure(folder, **changes):
    path = folder / "config/config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def commands(done):
    """The shell commands of a dry run with -p, one a line."""
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines() if "seqlift " in line]


def value_of(option, command):
    return command.split(f"{option} ")[1].split()[0]


def test_plans_one_scoring_job_for_each_target_of_a_sample(folder):
    regions = {"regions": "ctcf.chr20.narrowPeak"}
    configure(folder, samples={"both": regions, "one": regions | {"targets": [1]}}, targets=[0, 1])
    done = commands(run_snakemake(folder, "--dry-run", "--printshellcmds"))
    scored = [value_of("--output", line) for line in done if "seqlift score" in line]
    inspected = [value_of("--target", line) for line in done if "seqlift inspect" in line]
    assert sorted(scored) == [f"results/scores/{job}" for job in ("both.0", "both.1", "one.1")]
    assert sorted(inspected) == ["0", "1"]


def test_options_and_a_factory_reach_the_command_line(folder):
    (folder / "nets.py").touch()
    (folder / "the weights.safetensors").touch()
    configure(
        folder, model="nets.py:make", weights="the weights.safetensors", seed=0, device="cuda:0"
    )
    done = run_snakemake(folder, "--dry-run", "--printshellcmds")
    scoring = [line for line in commands(done) if "seqlift score" in line]
    model = "nets.py:make --weights 'the weights.safetensors'"
    assert len(scoring) == 2
    assert all(f"--model {model} " in line for line in scoring)
    assert all("--seed 0 " in line and "--device cuda:0 " in line for line in scoring)
    assert sum(f"seqlift inspect {model} " in line for line in commands(done)) == 2
    assert done.stdout.count("gpu=1") == 2


def test_shards_are_scored_apart_and_joined(folder):
    configure(folder, shards=3)
    done = commands(run_snakemake(folder, "--dry-run", "--printshellcmds"))
    scored = [line for line in done if "seqlift score" in line]
    assert (
        sorted(value_of("--shard", line) for line in scored)
        == ["1/3"] * 2 + ["2/3"] * 2 + ["3/3"] * 2
    )
    assert all("--resume --force" in line and "--logos" not in line for line in scored)
    joined = [line for line in done if "seqlift merge" in line]
    folder_of = "results/shards/ctcf.0"
    assert any(f"{folder_of}/1.json {folder_of}/2.json {folder_of}/3.json" in x for x in joined)
    assert all("--logos 2" in line for line in joined)


def test_several_models_and_folds(folder):
    for name in ("a.pt", "b.pt"):
        (folder / name).touch()
    models = {
        "folds": {"model": "bpnet", "weights": ["a.pt", "b.pt"]},
        "one": {"model": "ctcf-p73.pt2"},
    }
    configure(folder, model=None, models=models)
    done = commands(run_snakemake(folder, "--dry-run", "--printshellcmds"))
    scored = [line for line in done if "seqlift score" in line]
    assert sorted(value_of("--output", line) for line in scored) == [
        f"results/scores/{model}.{run}" for model in ("folds", "one") for run in ("ctcf.0", "p73.1")
    ]
    assert sum("--model bpnet --weights a.pt --weights b.pt " in line for line in scored) == 2
    inspected = [line for line in done if "seqlift inspect" in line]
    assert sum("seqlift inspect bpnet --weights a.pt --target" in line for line in inspected) == 2


def test_a_file_of_references_is_an_input_and_a_scheme_is_none(folder):
    configure(folder, references="genomic")
    assert commands(run_snakemake(folder, "--dry-run", "--printshellcmds"))
    configure(folder, references="own.fa")
    done = run_snakemake(folder, "--dry-run")
    assert done.returncode == 1
    assert "own.fa" in done.stdout + done.stderr
    (folder / "own.fa").touch()
    scoring = commands(run_snakemake(folder, "--dry-run", "--printshellcmds"))
    assert any("--references own.fa" in line for line in scoring)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"refrences": "flat"},
            "configuration, at the top: Additional properties are not allowed ('refrences' was",
        ),
        ({"samples": {"a": {"region": "x"}}}, "configuration, samples.a: "),
        ({"samples": {"a.b": {"regions": "x"}}}, "configuration, samples: 'a.b' does not match"),
        ({"models": {"a": {"model": "x"}}}, "configuration, at the top: give either model or mod"),
        ({"model": None}, "configuration, at the top: give either model or models"),
        (
            {"resources": {"threads": "many"}},
            "configuration, resources.threads: 'many' is not of type 'integer'",
        ),
    ],
)
def test_a_wrong_configuration_is_named_in_one_line(folder, changes, message):
    configure(folder, **changes)
    done = run_snakemake(folder, "--dry-run")
    assert done.returncode == 1
    said = done.stdout + done.stderr  # a dry run logs to stdout
    assert [line for line in said.splitlines() if line.startswith(message)]
    assert "Failed validating" not in said  # the dump of the schema


def test_lint_finds_nothing(folder):
    done = run_snakemake(folder, "--lint")
    assert done.returncode == 0
    assert "in a good condition" in done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(SCHEMA.keys() & CHOICES.keys() - {"targets"}))
def test_values_are_those_of_the_command_line(name):
    assert SCHEMA[name].get("enum") == (list(CHOICES[name]) if CHOICES[name] else None)
    if name not in OWN_DEFAULTS and "default" in SCHEMA[name]:
        assert SCHEMA[name]["default"] == DEFAULTS[name]


def test_architectures_are_known_everywhere_by_the_same_names():
    from seqlift.cli.options import MODEL_HELP
    from seqlift.model.architectures import ARCHITECTURES

    names = (WORKFLOW / "workflow/rules/common.smk").read_text()
    (listed,) = [line for line in names.splitlines() if line.startswith("ARCHITECTURES = ")]
    assert eval(listed.partition("= ")[2]) == tuple(ARCHITECTURES)
    assert f"({', '.join(ARCHITECTURES)})" in MODEL_HELP


def test_the_template_shows_every_value_with_its_default():
    assert set(TEMPLATE) == set(SCHEMA)
    has_default = {name for name, value in SCHEMA.items() if "default" in value} - {"model"}
    shown = {name: value for name, value in TEMPLATE.items() if name in has_default}
    in_full = {name: SCHEMA[name]["default"] for name in has_default}
    parts = SCHEMA["resources"]["properties"]
    assert shown == in_full | {"resources": {name: part["default"] for name, part in parts.items()}}
