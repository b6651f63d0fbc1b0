"""`seqlift score` with `--method`, `--rules`, `--estimator` and `--reference-error`."""

import json

import h5py
import numpy as np
import pytest

import seqlift
from seqlift.cli.options import METHODS as CHOICES
from seqlift.cli.options import RULE_SETS as RULE_CHOICES
from seqlift.deeplift.methods import METHODS, MethodOptions
from seqlift.deeplift.rulesets import RULE_SETS
from seqlift.output.hdf5 import ScoresFile
from tests.tiny import names, run_cli

INPUT = ("score", "-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-o", "out", "-d", "cpu")


def score(*arguments):
    run = run_cli(*INPUT, *arguments)
    assert run.status == 0, run.stderr
    return run


def library(path, **options):
    """Score the sequences of a file again, by the library."""
    with ScoresFile(path) as file:
        model = seqlift.load_model("model.pt2")
        return seqlift.contributions(
            model, file.one_hot(), n_references=6, device="cpu", precision="float64", **options
        )


def assert_same(found, wanted):
    wanted = np.asarray(wanted)
    largest = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * largest)


def test_the_choices_of_the_command_line_are_those_of_the_engine():
    assert sorted(CHOICES) == sorted(METHODS)
    assert CHOICES[0] == "deeplift"
    assert list(RULE_CHOICES) == list(RULE_SETS)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_what_the_library_computes(folder, method):
    options = {"integrated-gradients": ("--steps", 7), "occlusion": ("--window", 4, "--stride", 2)}
    score("--method", method, "-n", 6, *options.get(method, ()))
    expected = library("out.h5", method=method, options=MethodOptions(7, 4, 2))
    with ScoresFile("out.h5") as file:
        assert_same(file.scores(), expected.scores)
        assert_same(file.hypothetical(), expected.hypothetical)
        assert_same(file.delta(), expected.delta)
        attributes = file.attributes
    assert attributes["method"] == method
    assert attributes["reference_scheme"] == (
        "dinucleotide-shuffle" if METHODS[method].uses_references else "zeros"
    )
    given = {key: attributes[key] for key in ("steps", "window", "stride") if key in attributes}
    expected_given = {"integrated-gradients": {"steps": 7}, "occlusion": {"window": 4, "stride": 2}}
    assert given == expected_given.get(method, {})
    assert {"out.h5", "out.bw", "out.regions.tsv", "out.json"} <= set(names(folder))


def test_what_promises_no_sum_does_not_warn_or_fail(folder):
    run = score("--method", "gradient-input", "--on-incomplete", "fail")
    assert "warning" not in run.stderr
    found = json.loads((folder / "out.json").read_text())["targets"]["0"]["completeness"]
    assert found["n_beyond_rounding"] == 0
    assert found["max_error"] > 0.01, "gradient times input does not sum to delta"


@pytest.mark.parametrize("rules", RULE_SETS)
def test_every_set_of_rules_writes_what_the_library_computes(folder, rules):
    score("--rules", rules, "-n", 6)
    expected = library("out.h5", rules=rules)
    with ScoresFile("out.h5") as file:
        assert_same(file.scores(), expected.scores)
        assert file.attributes["rules"] == rules
        scores, delta = file.scores().sum((1, 2)), file.delta().mean(1)
    np.testing.assert_allclose(scores, delta, atol=1e-5 * np.abs(delta).max())


def test_base_marginal_says_that_it_does_not_sum(folder):
    run = score("--estimator", "base-marginal", "-n", 6)
    assert "scores do not sum" in run.stderr
    expected = library("out.h5", estimator="base-marginal")
    with ScoresFile("out.h5") as file:
        assert_same(file.scores(), expected.scores)
        assert file.attributes["estimator"] == "base-marginal"


def test_references_are_drawn_until_the_error_is_small(folder):
    score("--reference-error", "0.15", "-n", 40)
    with ScoresFile("out.h5") as file:
        used, made = file.references_used(), file.n_references
        error, largest = file.standard_error().max(1), np.abs(file.scores().sum(1)).max(1)
        delta = file.delta()
        assert file.attributes["reference_error"] == 0.15
    assert made == 40
    assert len(set(used.tolist())) > 1
    assert (error <= 0.15 * largest)[used < 40].all()
    assert (np.isfinite(delta).sum(1) == used).all()
    header, *rows = (folder / "out.regions.tsv").read_text().splitlines()
    column = header.split("\t").index("n_references")
    assert [int(row.split("\t")[column]) for row in rows] == used.tolist()
    counted = json.loads((folder / "out.json").read_text())["targets"]["0"]["completeness"]
    assert counted["n_pairs"] == used.sum()
    assert counted["n_beyond_rounding"] == 0


def test_the_convolutions_can_be_in_bfloat16(folder):
    score("--precision", "bfloat16", "-n", 6)
    expected = library("out.h5")
    with ScoresFile("out.h5") as file:
        tracks = zip(file.scores().sum(1), expected.scores.sum(1).numpy(), strict=True)
        correlations = [np.corrcoef(a, b)[0, 1] for a, b in tracks if np.abs(b).max() > 0]
        assert file.attributes["precision"] == "bfloat16"
    with h5py.File("out.h5") as raw:
        assert raw["projected_shap/seq"].dtype == np.float32
    assert np.median(correlations) > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "shap"), "'shap' is not one of"),
        (("--method", "lrp", "--rules", "genomics"), "go with the method deeplift, not with lrp"),
        (
            ("--method", "lrp", "--references", "flat"),
            "compares with no references; leave out --re",
        ),
        (("--method", "gradient", "--reference-error", 0.1), "leave out --reference-error"),
        (("--method", "occlusion", "--estimator", "base-marginal"), "needs a method that compares"),
        (
            ("--method", "occlusion", "--window", 3, "--stride", 4),
            "stride 4 is longer than the win",
        ),
        (("--method", "integrated-gradients", "--steps", 0), "0 is not in the range"),
        (("--reference-error", 5), "reference error 5 is no share"),
        (("--reference-error", "5%"), "'5%' is not a valid float"),
        (("--rules", "revealcancel"), "'revealcancel' is not one of"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(folder, arguments, message):
    before = names(folder)
    run = run_cli(*INPUT, *arguments)
    assert run.status == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert names(folder) == before


def test_inspect_shows_the_rule_of_each_node(folder):
    shown = {rules: run_cli("inspect", "model.pt2", "--rules", rules) for rules in RULE_SETS}

    def rule(rules):
        lines = shown[rules].stdout.splitlines()
        return [line.split("\t")[3] for line in lines if line.startswith("relu")]

    assert rule("rescale") == ["rescale"]
    assert rule("genomics") == ["rescale"], "it follows a convolution"
    assert rule("reveal-cancel") == ["reveal-cancel"]
    assert "terms sorted by sign" in shown["reveal-cancel"].stdout
    assert "# rules: genomics" in shown["genomics"].stdout
