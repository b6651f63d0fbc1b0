"""`seqlift score --references`: what each sequence is compared with, through the command line."""

import gzip
import hashlib
import json

import numpy as np
import pytest

import seqlift
from seqlift.output.hdf5 import ScoresFile
from seqlift.sequence.onehot import decode, encode_many
from tests.tiny import LENGTH, N_REFERENCES, REGIONS, cut, names, run_cli

N_ROWS = len(REGIONS.splitlines())


def score(*arguments, output="out", inputs=("-g", "genome.fa", "-r", "peaks.bed")):
    run = run_cli(
        "score", "-m", "model.pt2", *inputs, "-o", output, "-n", N_REFERENCES, "-d", "cpu",
        *arguments,
    )  # fmt: skip
    assert run.status == 0, run.stderr
    return run


def table(path):
    header, *lines = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def assert_close(found, wanted):
    wanted = np.asarray(wanted)
    largest = np.nanmax(np.abs(wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * largest)


def assert_scores_of(path, references, **options):
    """Compare a file with what the library gives for references, by name or as an array."""
    with ScoresFile(path) as file:
        found = seqlift.contributions(
            seqlift.load_model("model.pt2"), file.one_hot(), references=references,
            n_references=N_REFERENCES, device="cpu", **options,
        )  # fmt: skip
        assert_close(file.scores(), found.scores)
        assert_close(file.prediction_reference(), found.prediction_reference)
        return file.attributes


def test_klet_shuffles(folder):
    score("--references", "3-let-shuffle")
    attributes = assert_scores_of("out.h5", "3-let-shuffle")
    assert attributes["reference_scheme"] == "3-let-shuffle"
    assert attributes["n_references"] == N_REFERENCES


@pytest.mark.parametrize(
    ("word", "name"),
    [("1-let-shuffle", "mononucleotide-shuffle"), ("2-let-shuffle", "dinucleotide-shuffle")],
)
def test_other_names_of_the_short_shuffles(folder, word, name):
    score("--references", word, "--logos", 1)
    assert {file for file in names(folder) if file.startswith("out")} == {
        "out.bw", "out.h5", "out.json", "out.logo1.png", "out.regions.tsv",
    }  # fmt: skip
    assert_scores_of("out.h5", name)


def test_words_too_long_to_shuffle(folder):
    run = score("--references", "30-let-shuffle")
    assert "11 of 11 sequences have no other shuffle, so their scores are 0" in run.stderr
    assert {row["status"] for row in table(folder / "out.regions.tsv")} == {"unshufflable"}
    with ScoresFile("out.h5") as file:
        assert not file.scores().any()


def test_a_background(folder):
    score("--references", "flat", "--background", "0.3,0.2,0.2,0.3")
    background = (0.3, 0.2, 0.2, 0.3)
    attributes = assert_scores_of("out.h5", np.tile(np.array(background)[:, None], (1, 1, LENGTH)))
    assert attributes["background"] == list(background)
    score("--references", "flat", output="uniform")
    assert assert_scores_of("uniform.h5", "flat")["background"] == [0.25] * 4


def test_the_background_of_the_regions(folder):
    score("--references", "flat", "--background", "regions")
    with ScoresFile("out.h5") as file:
        counts = file.one_hot().sum((0, 2), dtype=int)
        found = file.attributes["background"]
    np.testing.assert_allclose(found, counts / counts.sum())
    assert_scores_of("out.h5", np.tile((counts / counts.sum())[:, None], (1, 1, LENGTH)))
    settings = json.loads((folder / "out.json").read_text())["settings"]
    assert settings["background"] == found


def test_genomic_windows(folder, contigs):
    score("--references", "genomic")
    score("--references", "genomic", output="again")
    score("--references", "genomic", "--seed", 5, output="other")
    with ScoresFile("out.h5") as one, ScoresFile("again.h5") as same, ScoresFile("other.h5") as no:
        np.testing.assert_array_equal(one.scores(), same.scores())
        differs = (one.prediction_reference() != no.prediction_reference()).any(1)
        # The windows with as few G and C as a poly-A are few, and the nearest come first.
        assert [i for i, differ in enumerate(differs) if not differ] in ([], [4])
        assert one.attributes["reference_scheme"] == "genomic"
        assert one.attributes["n_reference_windows"] > 50
        predictions, one_hot = one.prediction_reference(), one.one_hot()
    # What the model gives for each window of the genome; the references are among them.
    windows = [
        cut(contigs, name, start, start + LENGTH).upper()
        for name, letters in contigs.items()
        for start in range(len(letters) - LENGTH + 1)
    ]
    plain = encode_many([letters for letters in windows if not set(letters) - set("ACGT")])
    possible = seqlift.contributions(
        seqlift.load_model("model.pt2"), plain, references="zeros", device="cpu"
    ).prediction.numpy()
    for own, sequence in zip(predictions, one_hot, strict=True):
        if sequence.any(0).all():
            assert np.abs(possible - own[:, None]).min(1).max() < 1e-5
            assert len(set(own.tolist())) == N_REFERENCES


def test_sequences_of_ones_own(folder):
    letters = {"one": "GGATTACAGC" * 4, "two": "ACGTNTTGCA" * 4}
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in letters.items())
    (folder / "closed.fa.gz").write_bytes(gzip.compress(text.encode()))
    score("--references", "closed.fa.gz")
    attributes = assert_scores_of("out.h5", encode_many(list(letters.values())))
    digest = hashlib.sha256((folder / "closed.fa.gz").read_bytes()).hexdigest()
    wanted = {
        "reference_scheme": "closed.fa.gz",
        "reference_digest": digest,
        "n_references": 2,
    }
    assert {name: attributes[name] for name in wanted} == wanted
    assert {row["references"] for row in table(folder / "out.regions.tsv")} == {"closed"}


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays_of_ones_own(folder, ending):
    own = np.random.default_rng(0).random((N_ROWS, 3, 4, LENGTH))
    save = np.save if ending == ".npy" else np.savez
    save(folder / f"own{ending}", own)
    score("--references", f"own{ending}")
    assert assert_scores_of("out.h5", own)["n_references"] == 3
    save(folder / f"own{ending}", own[0])
    score("--references", f"own{ending}", output="shared")
    assert_scores_of("shared.h5", own[0])


def test_arrays_of_ones_own_beside_rows_that_are_dropped(folder):
    own = np.random.default_rng(0).random((N_ROWS, 2, 4, LENGTH))
    np.save(folder / "own.npy", own)
    score("--references", "own.npy", "--edges", "drop")
    with ScoresFile("out.h5") as file:
        rows = [region.row - 1 for region in file.regions()]
    assert rows != list(range(len(rows)))
    assert_scores_of("out.h5", own[rows])


def test_references_for_sequences(folder):
    """Without a genome all but genomic references can be had."""
    (folder / "s.fa").write_text(f">a\n{'GGATTACAGC' * 4}\n>b\n{'ACGTTTTGCA' * 4}\n")
    np.save(folder / "own.npy", np.full((1, 4, LENGTH), 0.25))
    words = ["3-let-shuffle", "flat", "own.npy"]
    repeated = [argument for word in words for argument in ("--references", word)]
    score(*repeated, "--background", "regions", inputs=("-f", "s.fa"))
    assert [file for file in names(folder) if file.startswith("out")] == [
        "out.3-let-shuffle.h5", "out.flat.h5", "out.json", "out.own.h5", "out.regions.tsv",
    ]  # fmt: skip


# --- several side by side -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tmp_path_factory, originals):
    """One run with two targets and three schemes; its folder and what it said."""
    place = tmp_path_factory.mktemp("compared")
    inputs = ("-g", originals / "genome.fa", "-r", originals / "peaks.bed")
    run = run_cli(
        "score", "-m", originals / "model.pt2", *inputs, "-o", place / "out", "--target", 0,
        "--target", 2, "-n", N_REFERENCES, "-d", "cpu", "--logos", 1,
        "--references", "dinucleotide-shuffle", "--references", "flat",
        "--references", "9-let-shuffle",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    return place, run


SIDE_BY_SIDE = ("dinucleotide-shuffle", "flat", "9-let-shuffle")


def test_every_target_and_scheme_has_its_files(compared):
    folder, run = compared
    wanted = {"out.regions.tsv", "out.json"} | {
        f"out.{target}.{scheme}.{end}"
        for target in (0, 2)
        for scheme in SIDE_BY_SIDE
        for end in ("h5", "bw", "logo1.png")
    }
    assert set(names(folder)) == wanted
    wrote = [line.split()[2] for line in run.stderr.splitlines() if " wrote " in line]
    assert sorted(wrote) == sorted(str(folder / name) for name in wanted)
    assert "seqlift: target 2.flat: completeness error " in run.stderr


@pytest.mark.parametrize("scheme", SIDE_BY_SIDE)
def test_schemes_side_by_side_are_those_of_runs_of_their_own(compared, folder, scheme):
    score("--references", scheme, "--target", 2)
    with ScoresFile("out.h5") as alone, ScoresFile(compared[0] / f"out.2.{scheme}.h5") as beside:
        np.testing.assert_array_equal(beside.one_hot(), alone.one_hot())
        for quantity in ("scores", "hypothetical", "prediction_reference"):
            found, wanted = getattr(beside, quantity)(), getattr(alone, quantity)()
            if wanted.any():
                assert_close(found, wanted)
            assert found.any() == wanted.any()
        own = {name: beside.attributes[name] for name in ("reference_scheme", "n_references")}
        assert own == {"reference_scheme": scheme, "n_references": alone.n_references}


def test_the_table_has_a_line_for_each_target_and_scheme(compared):
    rows = table(compared[0] / "out.regions.tsv")
    assert [(row["row"], row["target"], row["references"]) for row in rows] == [
        (str(i), target, scheme)
        for i in range(1, N_ROWS + 1)
        for target in ("0", "2")
        for scheme in SIDE_BY_SIDE
    ]
    stuck = [row for row in rows if row["status"] == "unshufflable"]
    found = {row["name"] for row in stuck if row["references"] == "dinucleotide-shuffle"}
    assert found == {"poly-A"}
    assert "flat" not in {row["references"] for row in stuck}
    assert len({row["name"] for row in stuck if row["references"] == "9-let-shuffle"}) > 5


def test_the_summary_names_every_scheme(compared):
    folder, run = compared
    found = json.loads((folder / "out.json").read_text())
    keys = [f"{target}.{scheme}" for target in (0, 2) for scheme in SIDE_BY_SIDE]
    assert sorted(found["targets"]) == sorted(keys)
    entry = found["targets"]["2.flat"]
    assert (entry["target"], entry["references"]) == ("2", "flat")
    assert entry["completeness"]["n_pairs"] == N_ROWS
    assert entry["track"]["n_bases"] > 0
    assert found["settings"]["references"] == {
        "dinucleotide-shuffle": {
            "reference_scheme": "dinucleotide-shuffle",
            "n_references": N_REFERENCES,
        },
        "flat": {"reference_scheme": "flat", "n_references": 1, "background": [0.25] * 4},
        "9-let-shuffle": {"reference_scheme": "9-let-shuffle", "n_references": N_REFERENCES},
    }
    said = [line for line in run.stderr.splitlines() if "no other shuffle" in line]
    assert said[0].startswith(
        "seqlift: warning: 1 of 11 sequences have no other shuffle (dinucleotide-shuffle), so "
    )
    assert "(9-let-shuffle)" in said[1]
    assert len(said) == 2
    stuck = {
        row["row"] for row in table(folder / "out.regions.tsv") if row["status"] == "unshufflable"
    }
    assert found["counts"]["unshufflable"] == len(stuck)


def test_existing_results_of_any_scheme_are_kept(folder):
    (folder / "out.flat.bw").write_text("")
    before = names(folder)
    run = run_cli(
        "score", "-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-o", "out",
        "--references", "zeros", "--references", "flat",
    )  # fmt: skip
    assert (run.status, run.stderr) == (1, "seqlift: error: out.flat.bw exists (use --force)\n")
    assert names(folder) == before


# --- mistakes -------------------------------------------------------------------------------------

FREQUENCIES = "expected four frequencies of A, C, G, T that are not negative and have a sum of 1"


def write_own(folder):
    """Files that do not fit, and one that does."""
    (folder / "short.fa").write_text(f">a\n{'ACGT' * 10}\n>b\n{'ACGT' * 9}\n")
    (folder / "good.fa").write_text(f">a\n{'ACGT' * 10}\n")
    (folder / "other").mkdir()
    (folder / "other" / "good.fa").write_text(f">a\n{'ACGT' * 10}\n")
    np.save(folder / "rows.npy", np.zeros((N_ROWS - 1, 2, 4, LENGTH)))
    np.save(folder / "turned.npy", np.zeros((2, LENGTH, 4)))
    np.save(folder / "nan.npy", np.full((2, 4, LENGTH), np.nan))
    (folder / "all.bed").write_text("chr1\t0\t500\nchr2\t0\t600\nchr10\t0\t95\n")


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        (
            "--references dinucleotide",
            "found reference scheme 'dinucleotide'; expected one of dinucleotide-shuffle, "
            "mononucleotide-shuffle, flat, zeros, K-let-shuffle, genomic, or a FASTA, .npy or "
            ".npz file: did you mean 'dinucleotide-shuffle'?",
            2,
        ),
        (
            "--references 0-let-shuffle",
            "found reference scheme '0-let-shuffle'; expected a k of at least 1",
            2,
        ),
        (
            "--references flat --references flat",
            "found --references flat and --references flat, which are the same or would have files "
            "of the same name; give each scheme once",
            2,
        ),
        (
            "--references good.fa --references other/good.fa",
            "found --references good.fa and --references other/good.fa, which are the same or "
            "would have files of the same name; give each scheme once",
            2,
        ),
        (
            "--background 0.3,0.2,0.2,0.3",
            "found --background with --references dinucleotide-shuffle; it is for flat alone: add "
            "--references flat",
            2,
        ),
        (
            "--references flat --background 30,20,20,30",
            f"found background (30, 20, 20, 30); {FREQUENCIES}: divide them by their sum",
            2,
        ),
        (
            "--references flat --background genome",
            f"found background 'genome'; {FREQUENCIES}, such as 0.3,0.2,0.2,0.3",
            2,
        ),
        ("--references missing.fa", "missing.fa does not exist", 1),
        (
            "--references short.fa",
            "short.fa: sequence 'b' has 36 bp; the model takes 40, and references must be as long",
            1,
        ),
        (
            "--references rows.npy",
            "rows.npy: found references of shape (10, 2, 4, 40); expected (11, n_references, 4, "
            "40), or (n_references, 4, 40) for all sequences alike, n_references at least 1: "
            "reshape or transpose them",
            1,
        ),
        (
            "--references turned.npy",
            "turned.npy: found references of shape (2, 40, 4); expected (11, n_references, 4, 40), "
            "or (n_references, 4, 40) for all sequences alike, n_references at least 1: reshape or "
            "transpose them",
            1,
        ),
        (
            "--references nan.npy",
            "nan.npy: found nan in the references at index (0, 0, 0); expected finite numbers: "
            "replace it, by 0 where there is no base",
            1,
        ),
        (
            "--references peaks.bed",
            "peaks.bed:1: found 'chr1\\t230\\t290\\tfirst\\t0\\t+' where a header line (>) was "
            "expected",
            1,
        ),
        (
            "--references genomic -n 100000",
            "found only N windows of 40 bp without N in genome.fa outside the regions; expected at "
            "least 100000 for genomic references: ask for fewer references (-n N), use a whole "
            "genome or another scheme",
            1,
        ),
        (
            "--references genomic -r all.bed",
            "found no window of 40 bp without N in genome.fa outside the regions; expected at "
            "least 20 for genomic references: use a whole genome or another scheme",
            1,
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_left(folder, monkeypatch, arguments, error, status):
    def fail(*_):
        raise AssertionError("a sequence was scored")

    monkeypatch.setattr("seqlift.explain.Explainer.contribute_each", fail)
    write_own(folder)
    before = names(folder)
    regions = [] if "-r" in arguments.split() else ["-r", "peaks.bed"]
    run = run_cli(
        "score", "-m", "model.pt2", "-g", "genome.fa", *regions, "-o", "out", *arguments.split()
    )
    n_windows = "".join(c for c in run.stderr.partition(" windows")[0] if c.isdigit())
    wanted = error.replace("only N w", f"only {n_windows} w").replace("-n N", f"-n {n_windows}")
    assert (run.status, run.stdout, run.stderr) == (status, "", f"seqlift: error: {wanted}\n")
    assert names(folder) == before


def test_genomic_references_for_sequences(folder):
    (folder / "s.fa").write_text(f">a\n{'ACGT' * 10}\n")
    run = run_cli("score", "-m", "model.pt2", "-f", "s.fa", "-o", "out", "--references", "genomic")
    assert (run.status, run.stderr) == (
        2,
        "seqlift: error: found --references genomic without a genome; windows are taken from it "
        "outside the regions: give -g and -r in place of -f\n",
    )


def test_the_error_says_how_many_windows_there_are(folder, contigs):
    """And that many can be had."""
    (folder / "most.bed").write_text("chr1\t0\t500\nchr2\t0\t555\nchr10\t0\t130\n")
    arguments = ("score", "-m", "model.pt2", "-g", "genome.fa", "-r", "most.bed", "-o", "out")
    run = run_cli(*arguments, "--references", "genomic")
    # 45 bases are left, in which 6 windows of 40 fit.
    assert "found only 6 windows of 40 bp" in run.stderr
    assert "(-n 6)" in run.stderr
    run = run_cli(*arguments, "--references", "genomic", "-n", 6)
    assert run.status == 0, run.stderr
    with ScoresFile("out.h5") as file:
        assert file.attributes["n_reference_windows"] == 6


def test_shuffled_sequences_can_be_given_as_references(folder):
    """What `seqlift shuffle` writes of one sequence is what the run would have made of it."""
    (folder / "s.fa").write_text(">a\n" + "GGATTACAGCATCGGCTTAACGATTGCCATAGGCTTAGCA\n")
    made = run_cli("shuffle", "s.fa", "-k", 3, "-n", N_REFERENCES, "-o", "shuffles.fa")
    assert made.status == 0, made.stderr
    for word, output in (("shuffles.fa", "file"), ("3-let-shuffle", "scheme")):
        score("--references", word, inputs=("-f", "s.fa"), output=output)
    with ScoresFile("file.h5") as file, ScoresFile("scheme.h5") as scheme:
        np.testing.assert_array_equal(file.scores(), scheme.scores())
        assert decode(file.one_hot()[0]) == "GGATTACAGCATCGGCTTAACGATTGCCATAGGCTTAGCA"
