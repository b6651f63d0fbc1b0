"""What a run must not depend on: names, line ends, locale, time zone, clock, number of contigs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pyBigWig
import pytest

from tests.tiny import REGIONS, make_contigs, run_cli, write_fasta

ROOT = Path(__file__).parents[2]
SCORE = "score -m model.pt2 -g genome.fa -r peaks.bed --target 0 -q -o".split()
# As contigs are called: chr2 and its like, and names that look like regions or lists.
ODD = {"chr2": "HLA-A*01:01:01:01", "chr10": "chr1:1-100", "chr1": "a,b|c=d é"}


def read_scores(path: str) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        found = {}
        file.visititems(
            lambda name, node: found.update({name: node[:]}) if hasattr(node, "shape") else None
        )
        return found


def assert_same_results(one: str, other: str) -> None:
    assert Path(f"{one}.bw").read_bytes() == Path(f"{other}.bw").read_bytes()
    assert Path(f"{one}.regions.tsv").read_bytes() == Path(f"{other}.regions.tsv").read_bytes()
    found, expected = read_scores(f"{one}.h5"), read_scores(f"{other}.h5")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.fixture
def plain(folder):
    """The results of a run as everybody does it."""
    run = run_cli(*SCORE, "plain")
    assert run.status == 0, run.stderr
    return "plain"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Pacific/Kiritimati"},
        pytest.param(
            {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "LANG": "tr_TR", "TZ": "none"},
            marks=pytest.mark.large,
        ),
    ],
    ids=["C", "de_DE"],
)
def test_locale_and_time_zone(plain, environment):
    """The first cannot even spell the name of a region; where de_DE is missing it is like C."""
    text = Path("peaks.bed").read_text().replace("first", "erste-für")
    Path("peaks.bed").write_text(text, encoding="utf-8")
    assert run_cli(*SCORE, "here").status == 0
    subprocess.run(
        [sys.executable, "-m", "seqlift", *SCORE, "there"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
        capture_output=True,
    )
    assert_same_results("there", "here")


def test_a_clock_that_goes_backwards(plain, monkeypatch):
    backwards = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    monkeypatch.setattr(time, "time_ns", lambda: next(backwards) * 10**9)
    Path("genome.fa.fai").unlink()
    assert run_cli(*SCORE, "backwards").status == 0
    assert_same_results("backwards", plain)


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: ("\ufeff" + text.replace("\n", "\r\n")).encode(),
    ],
    ids=["CRLF", "mark", "both"],
)
def test_line_ends_and_marks(plain, write):
    Path("peaks.bed").write_bytes(write(REGIONS))
    data = Path("genome.fa").read_bytes().replace(b"\n", b"\r\n")
    Path("genome.fa").write_bytes(data)
    Path("genome.fa.fai").unlink()
    assert run_cli(*SCORE, "other").status == 0
    assert_same_results("other", plain)


def test_utf_16_is_refused(folder):
    Path("peaks.bed").write_text(REGIONS, encoding="utf-16")
    run = run_cli(*SCORE, "out")
    assert run == (1, "", "seqlift: error: peaks.bed is UTF-16 text; save it as UTF-8\n")


def test_names_of_contigs_do_not_matter(plain):
    """A contig may be called like a region of another; what is behind the name is no part of it."""
    odd = {name.split()[0]: old for old, name in ODD.items()}
    contigs = make_contigs()
    write_fasta({ODD[name]: letters for name, letters in contigs.items()}, Path("genome.fa"))
    Path("genome.fa.fai").unlink()
    lines = [line.split("\t") for line in REGIONS.splitlines()]
    words = {old: name for name, old in odd.items()}
    Path("peaks.bed").write_text(
        "".join("\t".join([words[chrom], *rest]) + "\n" for chrom, *rest in lines)
    )
    run = run_cli(*SCORE, "odd")
    assert run.status == 0, run.stderr
    found, expected = read_scores("odd.h5"), read_scores("plain.h5")
    np.testing.assert_array_equal(found["projected_shap/seq"], expected["projected_shap/seq"])
    chroms = [words[name.decode()] for name in expected["regions/chrom"]]
    assert [name.decode() for name in found["regions/chrom"]] == chroms
    with pyBigWig.open("odd.bw") as track, pyBigWig.open("plain.bw") as other:
        assert track.chroms() == {words[name]: size for name, size in other.chroms().items()}
        for name, size in other.chroms().items():
            values = track.values(words[name], 0, size), other.values(name, 0, size)
            np.testing.assert_array_equal(*values)
    for text, place in [
        ("chr1:1-100:5-20", "chr1:1-100:5-20"),
        ("HLA-A*01:01:01:01:200-230", "HLA-A*01:01:01:01:200-230"),
    ]:
        run = run_cli("logo", "odd.h5", "--region", text, "-o", "a.png", "--force")
        assert run.status == 0, run.stderr
        assert place in run.stdout + run.stderr
    # The contig chr1:1-100 is not the stretch 1 to 100 of a contig chr1, which there is none of.
    run = run_cli("logo", "odd.h5", "--region", "chr1:1-100", "-o", "a.png", "--force")
    assert run.status == 1
    assert run.stderr == "seqlift: error: no region of odd.h5 holds chr1:1-100 whole\n"


def test_an_assembly_of_thousands_of_contigs(folder):
    rng = np.random.default_rng(1)
    contigs = {f"scaffold_{i}": "".join(rng.choice([*"ACGT"], 60)) for i in range(3000)}
    write_fasta(contigs, Path("genome.fa"))
    Path("genome.fa.fai").unlink()
    names = list(contigs)[::-100]  # neither the order of the genome nor of the alphabet
    Path("peaks.bed").write_text("".join(f"{name}\t20\t40\n" for name in names))
    run = run_cli(*SCORE, "many")
    assert run.status == 0, run.stderr
    with pyBigWig.open("many.bw") as track:
        assert track.chroms() == dict.fromkeys(contigs, 60)
        for i, name in enumerate(names):
            values = np.array(track.values(name, 0, 60))
            assert np.isfinite(values[10:50]).all() and np.isnan(values[:10]).all()
            expected = read_scores("many.h5")["projected_shap/seq"][i].sum(0)
            np.testing.assert_array_equal(values[10:50].astype(np.float32), expected)
    Path("peaks.bed").write_text("".join(f"contig_{i}\t20\t40\n" for i in range(3000)))
    run = run_cli(*SCORE, "none")
    assert run.status == 1
    assert run.stderr.count("\n") == 1 and len(run.stderr) < 500
