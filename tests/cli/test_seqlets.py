"""`seqlift seqlets` on the demo: CTCF is found and named among all motifs of JASPAR."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from seqlift.output.hdf5 import ScoresFile
from seqlift.sequence.onehot import decode
from tests.oracle.pwm import best_match, read_pwm
from tests.tiny import names, run_cli

pytestmark = pytest.mark.large  # the demo's shuffles are scored twice

DATA = Path(__file__).parents[2] / "data"
LEAST = 20  # of 23 peaks


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The scores of the demo's peaks, and of shuffles of them, as the command makes them."""
    place = tmp_path_factory.mktemp("demo")
    run = run_cli(
        "score", "-m", DATA / "ctcf-p73.pt2", "-g", DATA / "chr20.fa.gz", "-r",
        DATA / "ctcf.chr20.narrowPeak", "-o", place / "ctcf", "-d", "cpu", "-q",
    )  # fmt: skip
    assert run == (0, "", "")
    return place


@pytest.fixture(scope="module")
def called(demo):
    """The lines of the BED, with the model that the file names."""
    run = run_cli("seqlets", demo / "ctcf.h5", "-o", demo / "s.bed", "--shuffles", 345, "-d", "cpu")
    assert run.status == 0, run.stderr
    lines = (demo / "s.bed").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")], run


def jaspar(path, *, without=()):
    """Write JASPAR's vertebrate motifs in MEME form."""
    database = pytest.importorskip("pyjaspar").jaspardb(release="JASPAR2022")
    found = database.fetch_motifs(collection="CORE", tax_group="vertebrates")
    with path.open("w") as file:
        file.write("MEME version 4\n\nALPHABET= ACGT\n\n")
        for motif in found:
            if motif.matrix_id in without:
                continue
            counts = np.array([motif.counts[base] for base in "ACGT"]).T
            rows = counts / counts.sum(1, keepdims=True)
            file.write(f"MOTIF {motif.matrix_id} {motif.name}\n")
            file.write(f"letter-probability matrix: alength= 4 w= {len(rows)}\n")
            file.writelines(" ".join(f"{p:.6f}" for p in row) + "\n" for row in rows)
    return path


@pytest.fixture(scope="module")
def by_hand(demo):
    """The null as help has it: from `shuffle` and `score`."""
    with ScoresFile(demo / "ctcf.h5") as file:
        words = [decode(one_hot) for one_hot in file.one_hot()]
    text = "".join(f">{i}\n{word}\n" for i, word in enumerate(words))
    assert run_cli("shuffle", "-", "-n", 15, "-o", demo / "null.fa", stdin=text).status == 0
    scored = run_cli(
        "score", "-m", DATA / "ctcf-p73.pt2", "-f", demo / "null.fa", "-o", demo / "null", "-d",
        "cpu", "-q",
    )  # fmt: skip
    assert scored == (0, "", "")
    return demo / "null.h5"


def test_most_peaks_have_a_seqlet_on_the_motif(demo, called):
    rows, run = called
    assert len({row[9] for row in rows}) >= LEAST
    assert f"{len(rows)} seqlets, in" in run.stderr
    matches = best_matches(demo)
    on_motif = {
        row[9]
        for row in rows
        if int(row[1]) < matches[row[9]][1] and matches[row[9]][0] < int(row[2])
    }
    assert len(on_motif) >= LEAST


def best_matches(demo):
    """Where the best match to MA0139 starts and ends in each region, and on which strand."""
    pwm, found = read_pwm(DATA / "MA0139.1.meme"), {}
    with ScoresFile(demo / "ctcf.h5") as file:
        for region, one_hot in zip(file.regions(), file.one_hot(), strict=True):
            start, end, strand, _ = best_match(decode(one_hot), pwm)
            found[str(region.row)] = region.start + start, region.start + end, strand
    return found


def test_ctcf_is_named_among_all_motifs(demo, called, by_hand, tmp_path):
    """Three motifs of JASPAR are CTCF's; without the long ones it is MA0139, and not CTCFL."""
    pytest.importorskip("memelite")
    every = jaspar(tmp_path / "jaspar.meme")
    short = jaspar(tmp_path / "short.meme", without=("MA1929.1", "MA1930.1"))
    for motifs, column, wanted in ((every, 3, "CTCF"), (short, 10, "MA0139.1")):
        run = run_cli(
            "seqlets", demo / "ctcf.h5", "-o", tmp_path / "s.bed", "--motifs", motifs, "--null",
            by_hand, "--force", "-q",
        )  # fmt: skip
        assert run == (0, "", "")
        lines = (tmp_path / "s.bed").read_text().splitlines()
        rows = [line.split("\t") for line in lines if not line.startswith("#")]
        assert [row[:3] for row in rows] == [row[:3] for row in called[0]]
        named = [row for row in rows if row[column] == wanted]
        assert len({row[9] for row in named}) >= LEAST
        matches = best_matches(demo)
        on_strand = [row for row in named if row[5] == matches[row[9]][2]]
        assert len(on_strand) >= LEAST


def test_shuffles_scored_by_hand_are_the_null(demo, called, by_hand):
    run = run_cli("seqlets", demo / "ctcf.h5", "--null", by_hand, "-o", "-")
    rows = [line.split("\t") for line in run.stdout.splitlines() if not line.startswith("#")]
    assert rows == called[0]


def test_the_bed_is_read_by_seqlift_itself(demo, called, tmp_path):
    run = run_cli(
        "score", "-m", DATA / "ctcf-p73.pt2", "-g", DATA / "chr20.fa.gz", "-r", demo / "s.bed",
        "-o", tmp_path / "again", "-n", 1, "-d", "cpu", "-q",
    )  # fmt: skip
    assert run == (0, "", "")
    with ScoresFile(tmp_path / "again.h5") as file:
        assert file.n_regions == len(called[0])


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["none.h5", "-o", "s.bed"], 1, "none.h5 cannot be read: No such file or directory"),
        (["ctcf.h5", "-o", "ctcf.h5"], 1, "ctcf.h5 exists (use --force)"),
        (["ctcf.h5", "-o", "no/s.bed"], 1, "no/ does not exist; make it first"),
        (["ctcf.h5", "-o", "s.bed", "--null", "ctcf.bw"], 1,
         "ctcf.bw is not an HDF5 file; a scores file of seqlift was expected"),
        (["ctcf.h5", "-o", "s.bed", "--fdr", "2"], 2,
         "found --fdr 2; expected more than 0 and at most 1"),
        (["ctcf.h5", "-o", "s.bed", "-m", "other.pt2"], 1, "other.pt2 is not what ctcf.h5 was "),
        (["ctcf.h5", "-o", "s.bed", "-m", "none.pt2"], 1, "none.pt2 does not exist; expected a "),
        (["ctcf.h5", "-o", "s.bed", "--motifs", "none.meme"], 1, "none.meme cannot be read: No "),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(
    demo, tmp_path, monkeypatch, arguments, status, error
):
    for name in ("ctcf.h5", "ctcf.bw"):
        shutil.copy2(demo / name, tmp_path)
    (tmp_path / "other.pt2").write_bytes(b"another")
    if "none.meme" in arguments:
        pytest.importorskip("memelite")
    monkeypatch.chdir(tmp_path)
    before = names(tmp_path)
    run = run_cli("seqlets", *arguments)
    assert (run.status, run.stdout) == (status, "")
    assert run.stderr.startswith(f"seqlift: error: {error}")
    assert run.stderr.count("\n") == 1
    assert names(tmp_path) == before
