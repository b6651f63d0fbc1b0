"""`seqlift pilot`: what it prints, what it writes, and what it refuses."""

import csv
import shlex

import pytest

from seqlift.cli.score import score
from tests.tiny import LENGTH, Sorted, export, names, run_cli, seeded, write_fasta

GENOME = ("-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-d", "cpu")
QUICK = ("--regions-sampled", 5, "--against", 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    from seqlift import faithfulness, pilot, pilot_runs, preparing

    monkeypatch.setattr(pilot, "capture", preparing.capture)  # which remembers
    monkeypatch.setattr(faithfulness, "N_DRAWS", 20)
    monkeypatch.setattr(pilot_runs, "ENOUGH", 0.0)


def rows(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def facts(text):
    lines = [line for line in text.splitlines() if line.startswith("#")]
    return dict(line.removeprefix("# ").split(": ", 1) for line in lines)


def agreements(text):
    return {row["setting"]: (row["agreement"], row["corrected"]) for row in rows(text)}


def test_the_table_goes_to_standard_output_and_the_advice_to_standard_error(folder):
    before = names(folder)
    run = run_cli("pilot", *GENOME, *QUICK, "--target", 1)
    assert run.status == 0, run.stderr
    assert names(folder) == before
    found = rows(run.stdout)
    assert [row["setting"] for row in found] == [
        *("flat rescale", "flat genomics"),
        *(f"{n} shuffles" for n in (5, 10, 20, 50)),
        *(f"{n} shuffles base-marginal" for n in (5, 10, 20, 50)),
        "20 shuffles bfloat16",
    ]
    for row in found:
        assert -1 <= float(row["corrected_low"]) <= float(row["corrected_high"]) <= 1
        seconds, rate = float(row["seconds_per_region"]), float(row["regions_per_hour"])
        assert seconds * rate == pytest.approx(3600, rel=2e-3)
        # Eleven rows, all of them to score.
        assert float(row["hours_for_all"]) == pytest.approx(11 * seconds / 3600, rel=2e-3)
        assert (row["completeness_error"] == "NA") == (row["estimator"] == "base-marginal")
    known = facts(run.stdout)
    assert (known["target"], known["input"]) == ("1", "11 rows, 11 to score")
    assert known["compared with"] == "4 dinucleotide shuffles of seed 1, rescale"
    advice = run.stderr.splitlines()
    for level, line in zip((0.95, 0.98, 0.99), advice, strict=True):
        assert line.startswith(f"seqlift: for an agreement of {level}: ")
        assert any(f"{row['options']} (" in line for row in found)


def test_what_is_advised_is_what_score_understands(folder):
    """Every setting's options, typed as they stand, are that setting."""
    for row in rows(run_cli("pilot", *GENOME, *QUICK, "-q", "--background", "regions").stdout):
        typed = ["-m", "model.pt2", "-f", "x.fa", "-o", "x", *shlex.split(row["options"])]
        params = score.make_context("score", typed).params
        for name in ("rules", "estimator", "precision"):
            assert params[name] == row[name]
        is_flat = row["references"] == "flat"
        assert params["references"] == (("flat",) if is_flat else ())  # the default
        assert params["background"] == ("regions" if is_flat else None)
        if not is_flat:
            assert str(params["n_references"]) == row["n_references"]


def test_a_table_and_a_figure_are_written(folder):
    before = names(folder)
    run = run_cli("pilot", *GENOME, *QUICK, "-o", "found")
    assert (run.status, run.stdout) == (0, "")
    assert names(folder) == sorted([*before, "found.png", "found.tsv"])
    assert (folder / "found.png").read_bytes().startswith(b"\x89PNG")
    assert len(rows((folder / "found.tsv").read_text())) == 11
    assert run.stderr.splitlines()[3:] == ["seqlift: wrote found.tsv", "seqlift: wrote found.png"]


def test_the_same_seed_gives_the_same_agreements_whatever_the_order(folder):
    """The rows turned round, and with them the order of equal windows."""
    first = run_cli("pilot", *GENOME, *QUICK, "-q")
    lines = (folder / "peaks.bed").read_text().splitlines(keepends=True)
    (folder / "peaks.bed").write_text("".join(reversed(lines)))
    again = run_cli("pilot", *GENOME, *QUICK, "-q", "-b", 3, "-t", 1)
    for one, other in zip(rows(first.stdout), rows(again.stdout), strict=True):
        for name in ("agreement", "corrected", "corrected_low"):
            tolerance = 2e-2 if one["precision"] == "bfloat16" else 2e-4
            assert float(one[name]) == pytest.approx(float(other[name]), abs=tolerance)
    assert facts(first.stdout)["sample"] == facts(again.stdout)["sample"]
    other = run_cli("pilot", *GENOME, *QUICK, "-q", "-s", 7)
    assert agreements(other.stdout) != agreements(first.stdout)


def test_windows_without_a_shuffle_are_left_out_and_repeated_ones_counted_once(folder):
    run = run_cli("pilot", *GENOME, "--against", 4, "-q")
    # Of eleven rows one is there twice and one is poly-A.
    assert facts(run.stdout)["sample"] == (
        "9 of 10 drawn with seed 0; 1 without another shuffle, 0 with a track that does not vary"
    )
    run = run_cli("pilot", *GENOME, "--against", 4, "-q", "--edges", "drop")
    assert facts(run.stdout)["input"] == "11 rows, 8 to score"  # three pass an end


def test_sequences_come_from_standard_input_too(folder, pooled):
    write_fasta({f"s{i}": ("ACGTTGCATGACC" * 7)[i : i + LENGTH] for i in range(6)}, folder / "s.fa")
    options = ("-m", pooled, "--target", "bound.0", "-d", "cpu", *QUICK, "-q")
    whole = run_cli("pilot", *options, "-f", "s.fa")
    assert whole.status == 0, whole.stderr
    assert facts(whole.stdout)["target"] == "bound.0 (the logit below the final sigmoid)"
    piped = run_cli(
        "pilot", *options, "-f", "-", "--length", LENGTH, stdin=(folder / "s.fa").read_text()
    )
    assert agreements(piped.stdout) == agreements(whole.stdout)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        ("-f peaks.bed", 2, "found -g and -r and -f; expected a genome and regions"),
        ("--against 5", 2, "found an independent set of 5 shuffles; expected an even number"),
        ("--regions-sampled 0", 2, "Invalid value for '--regions-sampled': 0 is not in the range"),
        ("--background 1,2,3", 2, "found "),
        ("--target 9", 1, "target "),
        ("-d tpu", 2, "device 'tpu' "),
        ("-o here/", 2, "the output 'here/' is a folder; give a prefix such as here/pilot"),
        ("-o none/x", 1, "none/ does not exist; make it first"),
        ("-o mine", 1, "mine.tsv exists (use --force)"),
        ("-r none.bed", 1, "none.bed does not exist"),
        ("-g none.fa", 1, "none.fa "),
        ("-m sorted.pt2 -o x", 1, "the model uses an operator without a DeepLIFT rule: "),
        ("-r bad.bed -o x", 1, "bad.bed:2: "),
        ("-r poly.bed -o x", 1, "none of the 1 sampled regions can be compared (1 without "),
    ],
)
def test_mistakes_leave_nothing(folder, arguments, status, error):
    (folder / "mine.tsv").write_text("mine")
    (folder / "bad.bed").write_text("chr1\t100\t140\nchr1\t9\t5\n")
    (folder / "poly.bed").write_text("chr1\t130\t170\n")
    export(seeded(Sorted), folder / "sorted.pt2")
    before = names(folder)
    run = run_cli("pilot", *GENOME, *arguments.split())
    assert (run.status, run.stdout) == (status, "")
    assert run.stderr.startswith(f"seqlift: error: {error}")
    assert run.stderr.count("\n") == 1
    assert names(folder) == before
    assert (folder / "mine.tsv").read_text() == "mine"


def test_force_replaces(folder):
    (folder / "mine.tsv").write_text("mine")
    assert run_cli("pilot", *GENOME, *QUICK, "-o", "mine", "--force", "-q") == (0, "", "")
    assert len(rows((folder / "mine.tsv").read_text())) == 11
