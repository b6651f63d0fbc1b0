"""`seqlift evaluate`: what it writes, what it says, and what it refuses."""

import csv
import shutil

import pytest

from tests.tiny import Pooled, Tiny, export, names, run_cli, seeded

QUICK = ("-d", "cpu", "--regions-sampled", 4, "--positions", 6)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    from seqlift import evaluate, faithfulness, preparing

    monkeypatch.setattr(evaluate, "capture", preparing.capture)  # which remembers
    monkeypatch.setattr(faithfulness, "N_DRAWS", 20)


@pytest.fixture
def files(folder, scored):
    """Two scores files, of two targets, beside the model."""
    for target in (0, 2):
        shutil.copy(scored[0] / f"out.{target}.h5", folder / f"{target}.h5")
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_table_and_a_figure_are_written(files):
    before = names(files)
    run = run_cli("evaluate", "-m", "model.pt2", "0.h5", "2.h5", "-o", "both", *QUICK)
    assert (run.status, run.stdout) == (0, ""), run.stderr
    assert names(files) == sorted([*before, "both.tsv", "both.png"])
    assert (files / "both.png").read_bytes().startswith(b"\x89PNG")
    table = rows(files / "both.tsv")
    assert {(row["file"], row["target"]) for row in table} == {("0.h5", "0"), ("2.h5", "2")}
    assert {row["method"] for row in table} == {"deeplift"}
    assert {row["references"] for row in table} == {"dinucleotide-shuffle"}
    assert {row["n_references"] for row in table} == {"4"}
    found = {(row["file"], row["measure"]): row for row in table if row["detail"] == "."}
    assert found["0.h5", "mutagenesis-pearson"]["n_regions"] == "4"
    assert found["0.h5", "mutagenesis-pearson"]["n"] == "24"
    said = [float(found[name, "mutagenesis-pearson"]["value"]) for name in ("0.h5", "2.h5")]
    for name, value, line in zip(("0.h5", "2.h5"), said, run.stderr.splitlines(), strict=False):
        assert line.startswith(f"seqlift: {name}: mutagenesis {value:.3f}, hypothetical ")
        assert line.endswith(" (4 regions)")
    assert run.stderr.splitlines()[2:] == ["seqlift: wrote both.tsv", "seqlift: wrote both.png"]


def test_the_same_command_gives_the_same_bytes(files):
    command = ("evaluate", "-m", "model.pt2", "0.h5", *QUICK, "-q")
    for name in ("one", "two"):
        assert run_cli(*command, "-o", name) == (0, "", "")
    for ending in ("tsv", "png"):
        assert (files / f"one.{ending}").read_bytes() == (files / f"two.{ending}").read_bytes()


def test_another_seed_takes_another_sample(files):
    command = ("evaluate", "-m", "model.pt2", "0.h5", *QUICK, "-q")
    for seed in (0, 1):
        assert run_cli(*command, "-o", f"seed{seed}", "--seed", seed).status == 0
    assert (files / "seed0.tsv").read_text() != (files / "seed1.tsv").read_text()


def test_windows_with_ns_past_ends_and_without_a_shuffle_are_looked_at(files):
    """All of them are in the file: padded, masked, poly-A, and the same window twice."""
    from seqlift.output.hdf5 import ScoresFile

    run = run_cli(
        "evaluate", "-m", "model.pt2", "0.h5", "-o", "all", "--regions-sampled", 0,
        "--positions", 0, "-d", "cpu",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    with ScoresFile("0.h5") as file:
        one_hot = {r.start: x for r, x in zip(file.regions(), file.one_hot(), strict=True)}
        assert len(one_hot) < file.n_regions
    found = {row["measure"]: row for row in rows(files / "all.tsv") if row["detail"] == "."}
    assert found["sum-to-delta"]["n_regions"] == str(len(one_hot))
    n_known = sum(int(x.sum()) for x in one_hot.values())
    assert found["mutagenesis-pearson"]["n"] == str(n_known)
    assert n_known < 40 * len(one_hot)
    # A poly-A has equal scores, so it has no correlation of its own.
    assert found["mutagenesis-pearson-region"]["n_regions"] == str(len(one_hot) - 1)


def test_a_factory_is_evaluated_with_its_weights(files):
    import torch

    (files / "factory.py").write_text(
        "from tests.tiny import Tiny\n\ndef make():\n    return Tiny()"
    )
    torch.save(seeded(Tiny).state_dict(), files / "weights.pt")
    model = ("-m", "factory.py:make", "-w", "weights.pt")
    run = run_cli(
        "score", *model, "--length", 40, "-g", "genome.fa", "-r", "peaks.bed", "-o", "own",
        "-n", 2, "-d", "cpu", "-q",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    run = run_cli("evaluate", *model, "own.h5", "-o", "seen", *QUICK)
    assert run.status == 0, run.stderr
    assert (files / "seen.png").exists()


def _another_model(folder):
    export(seeded(Pooled), folder / "other.pt2")


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        ("none.h5 -o x", 1, "none.h5 cannot be read: No such file or directory"),
        (
            "genome.fa -o x",
            1,
            "genome.fa is not an HDF5 file; a scores file of seqlift was expected",
        ),
        ("0.h5 -o peaks", 1, "peaks.tsv exists (use --force)"),
        ("0.h5 -o none/x", 1, "none/ does not exist; make it first"),
        (
            "0.h5 -o here/",
            2,
            "the output 'here/' is a folder; give a prefix such as here/evaluation",
        ),
        ("0.h5 0.h5 -o x", 2, "a file is named twice in 0.h5, 0.h5"),
        (
            "0.h5 -o x --replacement flats",
            2,
            "found reference scheme 'flats'; expected one of dinucleotide-shuffle, "
            "mononucleotide-shuffle, flat, zeros, K-let-shuffle: did you mean 'flat'?",
        ),
        ("0.h5 -o x -d tpu", 2, "device 'tpu' "),
        ("-o x", 2, "Missing argument 'SCORES.h5...'. (see seqlift evaluate --help)"),
        (
            "0.h5 -o x --positions -1",
            2,
            "Invalid value for '--positions': -1 is not in the range x>=0. "
            "(see seqlift evaluate --help)",
        ),
    ],
)
def test_mistakes_leave_nothing(files, arguments, status, error):
    (files / "peaks.tsv").write_text("mine")
    before = names(files)
    run = run_cli("evaluate", "-m", "model.pt2", *arguments.split())
    assert (run.status, run.stdout) == (status, "")
    assert run.stderr.startswith(f"seqlift: error: {error}")
    assert run.stderr.count("\n") == 1
    assert names(files) == before
    assert (files / "peaks.tsv").read_text() == "mine"


def test_another_model_is_refused_in_one_line(files):
    _another_model(files)
    run = run_cli("evaluate", "-m", "other.pt2", "0.h5", "-o", "x", *QUICK)
    assert (run.status, run.stdout) == (1, "")
    assert run.stderr.startswith("seqlift: error: 0.h5 was scored with another model (SHA-256 ")
    assert run.stderr.count("\n") == 1
    assert not (files / "x.tsv").exists()
