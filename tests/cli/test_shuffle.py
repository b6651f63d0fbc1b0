"""`seqlift shuffle`: the references of `score`, as FASTA."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlift.genome.records import read_fasta
from seqlift.output.hdf5 import ScoresFile
from seqlift.sequence.onehot import encode_many
from tests.tiny import LENGTH, run_cli

SEQUENCES = {"one": "ACGTACGGTTACGCATCGACTAGCATCGACTAGCATTTAC", "two": "GGATTACA" * 5}


@pytest.fixture
def fasta(folder):
    text = "".join(f">{name}\n{letters}\n" for name, letters in SEQUENCES.items())
    (folder / "sequences.fa").write_text(text)
    return text


def test_they_are_the_references_that_score_makes(folder, fasta):
    """The model's predictions at the shuffles are those that score keeps for its references."""
    made = run_cli("shuffle", "sequences.fa", "-n", 5, "--seed", 9, "-o", "shuffles.fa")
    assert made == (0, "", "")
    shuffles = dict(read_fasta("shuffles.fa"))
    assert list(shuffles) == [f"{name}.{k}" for name in SEQUENCES for k in range(1, 6)]
    scored = run_cli(
        "score", "-m", "model.pt2", "-f", "sequences.fa", "-o", "out", "-n", 5, "--seed", 9,
        "-d", "cpu", "-q",
    )  # fmt: skip
    assert scored.status == 0, scored.stderr
    model = torch.export.load("model.pt2").module(check_guards=False)
    one_hot = torch.from_numpy(encode_many(list(shuffles.values()))).float()
    with ScoresFile("out.h5") as file, torch.no_grad():
        found = model(one_hot)[:, 0].reshape(2, 5)
        np.testing.assert_allclose(file.prediction_reference(), found, atol=1e-6)
        assert len(np.unique(file.prediction_reference())) > 5


def test_standard_input_and_output(folder, fasta):
    to_file = run_cli("shuffle", "sequences.fa", "-n", 3, "-o", "shuffles.fa")
    assert to_file.status == 0
    piped = run_cli("shuffle", "-", "-n", 3, stdin=fasta)
    assert (piped.status, piped.stderr) == (0, "")
    assert piped.stdout == (folder / "shuffles.fa").read_text()


def words(letters, size):
    return sorted(letters[i : i + size] for i in range(LENGTH - size + 1))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ([], 2),
        (["--scheme", "dinucleotide-shuffle"], 2),
        (["--scheme", "mononucleotide-shuffle"], 1),
        (["-k", 1], 1),
        (["--klet", 3], 3),
        (["--scheme", "3-let-shuffle"], 3),
        (["-k", 3, "--scheme", "3-let-shuffle"], 3),
    ],
)
def test_shuffles_keep_what_they_say(folder, fasta, options, size):
    run = run_cli("shuffle", "sequences.fa", *options, "-n", 4)
    assert (run.status, run.stderr) == (0, "")
    shuffles = run.stdout.split()[1::2]
    originals = [letters for letters in SEQUENCES.values() for _ in range(4)]
    for shuffled, original in zip(shuffles, originals, strict=True):
        assert words(shuffled, size) == words(original, size)
    for longer in (size + 1, size + 2):
        assert words(shuffles[0], longer) != words(originals[0], longer)


def test_names_and_numbers_of_shuffles_are_the_same(folder, fasta):
    for k, scheme in ((1, "mononucleotide-shuffle"), (2, "dinucleotide-shuffle")):
        wanted = run_cli("shuffle", "sequences.fa", "--scheme", scheme).stdout
        assert run_cli("shuffle", "sequences.fa", "-k", k).stdout == wanted
        assert run_cli("shuffle", "sequences.fa", "--scheme", f"{k}-let-shuffle").stdout == wanted


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        (["none.fa"], "none.fa does not exist", 1),
        (
            ["peaks.bed"],
            "peaks.bed:1: found 'chr1\\t230\\t290\\tfirst\\t0\\t+' where a header line (>) was "
            "expected",
            1,
        ),
        (["sequences.fa", "-o", "peaks.bed"], "peaks.bed exists (use --force)", 1),
        (["empty.fa", "-o", "a.fa"], "empty.fa holds no sequences", 1),
        (
            ["sequences.fa", "-n", "0"],
            "Invalid value for '-n' / '--n-references': 0 is not in the range x>=1. "
            "(see seqlift shuffle --help)",
            2,
        ),
        (
            ["sequences.fa", "-k", "0"],
            "Invalid value for '-k' / '--klet': 0 is not in the range x>=1. "
            "(see seqlift shuffle --help)",
            2,
        ),
        (
            ["sequences.fa", "-k", "3", "--scheme", "dinucleotide-shuffle"],
            "found -k 3 and --scheme dinucleotide-shuffle; give one of them",
            2,
        ),
        (
            ["sequences.fa", "--scheme", "flat"],
            "found --scheme flat; expected dinucleotide-shuffle, mononucleotide-shuffle or "
            "K-let-shuffle, such as 3-let-shuffle",
            2,
        ),
        ([], "Missing argument 'FASTA'. (see seqlift shuffle --help)", 2),
    ],
)
def test_mistakes_leave_nothing(folder, fasta, arguments, error, status):
    (folder / "empty.fa").write_text("")
    before = sorted(folder.iterdir())
    assert run_cli("shuffle", *arguments) == (status, "", f"seqlift: error: {error}\n")
    assert sorted(folder.iterdir()) == before


def test_a_full_disk(folder, fasta):
    command = [sys.executable, "-m", "seqlift", "shuffle", "sequences.fa"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    error = "standard output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (1, f"seqlift: error: {error}\n")


def test_a_file_that_grows_too_large(folder, fasta):
    before = sorted(folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        run = run_cli("shuffle", "sequences.fa", "-n", 1000, "-o", "out.fa")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (run.status, run.stdout) == (1, "")
    assert run.stderr.startswith("seqlift: error: ")
    assert run.stderr.endswith("out.fa cannot be written: File too large\n")
    assert sorted(folder.iterdir()) == before
