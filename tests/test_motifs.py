"""Motifs that name stretches, and MEME files that do not."""

import warnings

import numpy as np
import pytest

from seqlift.errors import InputDataWarning, InputError, UsageError
from seqlift.motifs import NO_MATCH, Motifs, preferences, read_motifs

memelite = pytest.importorskip("memelite")


def collection(n=40, seed=0):
    """Motifs of 8 to 15 bp, each column with one likely base."""
    rng = np.random.default_rng(seed)
    matrices = []
    for _ in range(n):
        width = rng.integers(8, 16)
        matrix = np.full((4, width), 0.04)
        matrix[rng.integers(0, 4, width), np.arange(width)] = 0.88
        matrices.append(matrix)
    return Motifs([f"M{i:03}.1 TF{i}" for i in range(n)], matrices)


def as_contributions(matrix):
    return np.log(matrix / 0.25)


@pytest.fixture(scope="module")
def motifs():
    return collection()


def test_a_motif_is_named_on_either_strand(motifs):
    stretches = [as_contributions(matrix) for matrix in motifs.matrices]
    forward = motifs.name([preferences(s, 1) for s in stretches], threads=1)
    assert [match.name for match in forward] == [f"TF{i}" for i in range(40)]
    assert [match.motif for match in forward] == [f"M{i:03}.1" for i in range(40)]
    assert {match.strand for match in forward} == {"+"}
    backward = motifs.name([preferences(np.flip(s), 1) for s in stretches], threads=1)
    assert [match.motif for match in backward] == [match.motif for match in forward]
    assert {match.strand for match in backward} == {"-"}
    assert all(match.p_value < 1e-2 for match in forward + backward)


def test_negative_stretches_are_named_by_what_makes_them_negative(motifs):
    repressed = -as_contributions(motifs.matrices[7])
    assert motifs.name([preferences(repressed, -1)])[0].name == "TF7"
    assert motifs.name([preferences(repressed, 1)])[0].name != "TF7"


def test_what_is_like_no_motif_has_no_name(motifs):
    rng = np.random.default_rng(1)
    noise = [preferences(rng.normal(size=(4, 12)), 1) for _ in range(200)]
    named = [match for match in motifs.name(noise) if match != NO_MATCH]
    # Corrected for the number of motifs, one in twenty would have one.
    assert len(named) <= 20
    flat = preferences(np.zeros((4, 6)), 1)
    assert motifs.name([flat]) == [NO_MATCH]
    assert motifs.name([]) == []


def test_what_is_found_for_one_stretch_depends_on_no_other(motifs):
    rng = np.random.default_rng(2)
    queries = [preferences(rng.normal(size=(4, w)), 1) for w in (5, 30, 9)]
    queries += [preferences(as_contributions(matrix), 1) for matrix in motifs.matrices[:5]]
    together = motifs.name(queries)
    assert [motifs.name([query])[0] for query in queries] == together
    assert motifs.name(queries[::-1], threads=1) == together[::-1]


def test_preferences_are_probabilities_in_no_unit():
    values = np.random.default_rng(0).normal(size=(4, 9))
    found = preferences(values, 1)
    np.testing.assert_allclose(found.sum(0), 1)
    np.testing.assert_allclose(preferences(values * 1e-6, 1), found)
    assert (found.argmax(0) == values.argmax(0)).all()


def meme(titles):
    header = "MEME version 4\n\nALPHABET= ACGT\n\n"
    rows = "0.7 0.1 0.1 0.1\n0.25 0.25 0.25 0.25\n"
    return header + "".join(
        f"MOTIF {title}\nletter-probability matrix: alength= 4 w= 2\n{rows}\n" for title in titles
    )


def test_titles_are_read_with_and_without_a_name(tmp_path):
    path = tmp_path / "motifs.meme"
    path.write_text(meme([f"M{i} A::B ({i})" for i in range(29)] + ["alone"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_motifs(str(path))
    assert (found.titles[3], found.titles[-1]) == ("M3 A::B (3)", "alone")
    matched = found._match(0.0, 0.0, 3)
    assert (matched.name, matched.motif, matched.strand) == ("A::B_(3)", "M3", "+")
    assert found._match(0.0, 1.0, 29)[:2] == ("alone", "alone")


def test_few_motifs_are_warned_about(tmp_path):
    path = tmp_path / "one.meme"
    path.write_text(meme(["MA1 X"]))
    with pytest.warns(InputDataWarning, match=r"one\.meme has 1 motif; tomtom's p-values need 25"):
        read_motifs(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no motifs"),
        ("chr1\t0\t100\n", "has no motifs"),
        (meme(["M1 X"]).replace("0.7", "7"), "motif M1 X is not of probabilities"),
        (meme(["M1 X"]).replace("0.7", "-0.7"), "motif M1 X is not of probabilities"),
        (meme(["M1 X"]).replace("0.7", "a"), "is not in the minimal MEME format"),
        (meme(["M1 X"]).replace("0.7 ", ""), "is not in the minimal MEME format"),
        (meme(["M1 X"]).replace(" w= 2", ""), "is not in the minimal MEME format"),
    ],
)
def test_files_that_are_no_motifs_are_refused(tmp_path, text, message):
    path = tmp_path / "bad.meme"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_motifs(str(path))


def test_a_missing_file_and_a_missing_library_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_motifs(str(tmp_path / "none.meme"))
    monkeypatch.setitem(__import__("sys").modules, "memelite.io", None)
    with pytest.raises(UsageError, match=r"pip install 'seqlift\[seqlets\]'"):
        read_motifs(str(tmp_path / "none.meme"))
