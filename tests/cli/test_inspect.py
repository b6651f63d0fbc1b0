"""`seqlift inspect`: facts, a table that programs can read, and a status."""

import hashlib
import inspect as python_inspect

import pytest

from tests.tiny import LENGTH, Pooled, Sorted, Tiny, export, run_cli, seeded

COLUMNS = ["node", "operator", "line", "rule", "formula"]


def parse(stdout):
    """Facts and table."""
    lines = stdout.splitlines()
    facts = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    header, *rows = (line.split("\t") for line in lines if not line.startswith("# "))
    assert header == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}
    return facts, [dict(zip(header, row, strict=True)) for row in rows]


def line_of(model, text):
    lines, first = python_inspect.getsourcelines(model)
    offset = next(i for i, line in enumerate(lines) if text in line)
    return f"{python_inspect.getsourcefile(model)}:{first + offset}"


def test_a_covered_model(originals):
    run = run_cli("inspect", originals / "model.pt2")
    assert (run.status, run.stderr) == (0, "")
    facts, table = parse(run.stdout)
    n_parameters = sum(p.numel() for p in Tiny().parameters())
    assert facts == {
        "model": str(originals / "model.pt2"),
        "sha256": hashlib.sha256((originals / "model.pt2").read_bytes()).hexdigest(),
        "format": "exported program",
        "parameters": f"{n_parameters}",
        "weights": "float32",
        "input": f"(batch, 4, {LENGTH})",
        "layout": "N4L",
        "bases": "ACGT",
        "output 0": "(batch, 3)",
        "rules": "rescale",
        "covered": "yes",
        "sequence lane": "once",
    }
    rules = {row["operator"].split(".")[1]: row["rule"] for row in table}
    assert rules["relu"] == "rescale"
    assert rules["conv1d"] == rules["linear"] == "linear"
    assert "none" not in rules.values()
    relu = next(row for row in table if row["operator"] == "aten.relu.default")
    assert relu["line"] == line_of(Tiny, "torch.relu")
    assert relu["formula"]


@pytest.fixture(scope="module")
def uncovered(tmp_path_factory):
    return export(seeded(Sorted), tmp_path_factory.mktemp("sorted") / "sorted.pt2")


def test_a_model_that_is_not_covered(uncovered):
    run = run_cli("inspect", uncovered)
    assert (run.status, run.stderr) == (1, "")
    facts, table = parse(run.stdout)
    assert facts["covered"] == f"no, 1 of {len(table)} operators without a rule"
    (bad,) = [row for row in table if row["rule"] == "none"]
    assert bad["operator"] == "aten.sort.default"
    assert bad["formula"] == "has no rule"
    assert bad["line"] == line_of(Sorted, ".sort(")


def test_a_target_shows_what_it_needs_alone(pooled):
    operators = {}
    for target in ([], ["--target", "counts.0"]):
        run = run_cli("inspect", pooled, "--length", 50, *target)
        assert run.status == 0, run.stderr
        operators[len(target)] = {row["operator"] for row in parse(run.stdout)[1]}
    assert operators[0] - operators[2] >= {"aten.sigmoid.default", "aten.sum.dim_IntList"}
    assert operators[2] >= {"aten.relu.default", "aten.amax.default"}


def test_named_outputs_and_the_logit(pooled):
    run = run_cli("inspect", pooled, "--length", 50, "--target", "bound")
    assert run.status == 0, run.stderr
    facts, table = parse(run.stdout)
    assert facts["input"] == "(batch, 4, 50)"
    assert (facts["output counts"], facts["output bound"]) == ("(batch, 2)", "(batch)")
    assert facts["target"] == "bound (output bound before the sigmoid, number 0)"
    assert "aten.sigmoid.default" not in {row["operator"] for row in table}
    kept = run_cli(
        "inspect", pooled, "--length", 50, "--target", "bound", "--target-activation", "keep"
    )
    facts, table = parse(kept.stdout)
    assert facts["target"] == "bound (output bound, number 0)"
    (sigmoid,) = [row for row in table if row["operator"] == "aten.sigmoid.default"]
    assert sigmoid["line"] == line_of(Pooled, "torch.sigmoid")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["none.pt2"],
            "none.pt2 does not exist; expected a model's file, package.module:factory, or one of "
            "bpnet, basepairnet, chrombpnet, basset, deepsea, beluga",
        ),
        (
            ["MODEL", "--target", "9"],
            "target '9' is not one number a sequence of this model; it has 0 to 2",
        ),
        (["MODEL", "--length", "9"], "the model takes 40 positions; 9 were given"),
        (["POOLED"], "the model does not say how many positions it takes; give --length"),
    ],
)
def test_mistakes(originals, pooled, arguments, error):
    paths = {"MODEL": originals / "model.pt2", "POOLED": pooled}
    run = run_cli("inspect", *(paths.get(word, word) for word in arguments))
    assert run == (1, "", f"seqlift: error: {error}\n")
