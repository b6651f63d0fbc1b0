"""`seqlift score`: what it writes, and that it is what the library computes."""

import gzip
import hashlib
import json
import os
import re
import threading

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

import seqlift
from seqlift.logo import crop_about_core
from seqlift.output.hdf5 import ScoresFile
from seqlift.sequence.onehot import encode_many
from tests.tiny import LENGTH, N_REFERENCES, NARROW_PEAK, REGIONS, cut, names, run_cli, write_fasta

FIELDS = ("delta", "completeness_error", "prediction", "prediction_reference", "standard_error")
N_ROWS = len(REGIONS.splitlines())


def score(*arguments, genome="genome.fa", regions="peaks.bed", output="out", stdin=""):
    """Score in the current folder with few references, and require that it went well."""
    run = run_cli(
        "score", "-m", "model.pt2", "-g", genome, "-r", regions, "-o", output,
        "-n", N_REFERENCES, "-d", "cpu", *arguments, stdin=stdin,
    )  # fmt: skip
    assert run.status == 0, run.stderr
    return run


def score_fasta(path, *arguments, output="out", stdin=""):
    run = run_cli(
        "score", "-m", "model.pt2", "-f", path, "-o", output, "-n", N_REFERENCES, "-d", "cpu",
        *arguments, stdin=stdin,
    )  # fmt: skip
    assert run.status == 0, run.stderr
    return run


def windows():
    """The windows of the regions, by hand: (chrom, start, end)."""
    columns = [line.split("\t") for line in REGIONS.splitlines()]
    middles = [
        (chrom, int(start) + (int(end) - int(start)) // 2) for chrom, start, end, *_ in columns
    ]
    return [(chrom, middle - LENGTH // 2, middle + LENGTH // 2) for chrom, middle in middles]


def table(path):
    header, *lines = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def read_all(path):
    """Every dataset of a scores file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def assert_equal_files(one, other):
    one, other = read_all(one), read_all(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="session")
def expected(originals, contigs):
    """What the library gives for the same sequences, by target."""
    model = seqlift.load_model(originals / "model.pt2")
    one_hot = encode_many([cut(contigs, *window) for window in windows()])
    return one_hot, {
        target: seqlift.contributions(
            model, one_hot, target=target, n_references=N_REFERENCES, device="cpu"
        )
        for target in (0, 2)
    }


def assert_close(found, wanted):
    """Equal but for rounding in float32, which may depend on how many rows a batch has."""
    wanted = np.asarray(wanted)
    largest = np.nanmax(np.abs(wanted)) if wanted.size else 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * largest)


def test_files_are_named_after_the_prefix_and_the_targets(scored):
    folder, run = scored
    tracks = [f"out.{target}.{end}" for target in (0, 2) for end in ("bw", "h5")]
    logos = [f"out.{target}.logo{k}.png" for target in (0, 2) for k in (1, 2)]
    results = sorted([*tracks, *logos, "out.json", "out.regions.tsv"])
    assert names(folder) == results
    wrote = [line.split()[2] for line in run.stderr.splitlines() if " wrote " in line]
    assert sorted(wrote) == [str(folder / name) for name in results]


def test_the_summary_on_stderr(scored):
    folder, run = scored
    assert run.stdout == ""
    first, second, *others = run.stderr.splitlines()
    assert first == (
        "seqlift: warning: 1 of 11 sequences have no other shuffle, so their scores are 0; "
        f"see status unshufflable in {folder}/out.regions.tsv"
    )
    assert re.fullmatch(
        r"seqlift: scored 11 of 11 rows \(3 padded, 1 unshufflable\), \S+ a second, "
        r"model busy \d+%",
        second,
    )
    assert len(others) == 2 + 10
    assert all(line.startswith("seqlift: ") for line in others)


@pytest.mark.parametrize("target", [0, 2])
def test_scores_are_those_of_the_library(scored, expected, target):
    one_hot, found = expected
    with ScoresFile(scored[0] / f"out.{target}.h5") as file:
        np.testing.assert_array_equal(file.one_hot(), one_hot)
        assert_close(file.hypothetical(), found[target].hypothetical)
        assert_close(file.scores(), found[target].scores)
        for field in FIELDS:
            # The errors are rounding themselves, and are small beside the predictions.
            scale = np.abs(found[target].prediction_reference.numpy()).max()
            np.testing.assert_allclose(
                getattr(file, field)(), getattr(found[target], field), rtol=0, atol=1e-5 * scale
            )


def test_targets_share_their_references(scored, expected):
    """Delta of one target against its own references says nothing; predictions at them do."""
    _, found = expected
    for target in (0, 2):
        with ScoresFile(scored[0] / f"out.{target}.h5") as file:
            assert_close(file.prediction_reference(), found[target].prediction_reference)
            assert_close(
                file.prediction()[:, None] - file.prediction_reference(), found[target].delta
            )


def test_shapes_and_types_of_the_scores_file(scored):
    found = read_all(scored[0] / "out.0.h5")
    wide, narrow = (N_ROWS, 4, LENGTH), (N_ROWS, N_REFERENCES)
    shapes = {
        "raw/seq": (wide, np.int8),
        "shap/seq": (wide, np.float32),
        "projected_shap/seq": (wide, np.float32),
        "quality/delta": (narrow, np.float32),
        "quality/completeness_error": (narrow, np.float32),
        "quality/prediction": ((N_ROWS,), np.float32),
        "quality/prediction_reference": (narrow, np.float32),
        "quality/standard_error": ((N_ROWS, LENGTH), np.float32),
        "quality/n_references": ((N_ROWS,), np.int64),
    }
    numbers = {name for name in found if not name.startswith("regions/")}
    assert numbers == shapes.keys()
    for name, (shape, dtype) in shapes.items():
        assert (found[name].shape, found[name].dtype) == (shape, dtype), name
    np.testing.assert_array_equal(found["projected_shap/seq"], found["shap/seq"] * found["raw/seq"])


def test_regions_of_the_scores_file_are_the_windows(scored):
    with ScoresFile(scored[0] / "out.0.h5") as file:
        regions = file.regions()
    assert [(r.chrom, r.start, r.end) for r in regions] == windows()
    assert [(r.name, r.strand) for r in regions] == [
        (line.split("\t")[3], line.split("\t")[5]) for line in REGIONS.splitlines()
    ]
    assert [r.row for r in regions] == list(range(1, N_ROWS + 1))
    assert {r.summit for r in regions} == {LENGTH // 2}


def test_attributes_say_how_the_file_was_made(scored, originals):
    with ScoresFile(scored[0] / "out.2.h5") as file:
        found = file.attributes
    digest = hashlib.sha256((originals / "model.pt2").read_bytes()).hexdigest()
    assert found["command_line"] == (
        f"seqlift score -m model.pt2 -g genome.fa -r peaks.bed -o {scored[0]}/out "
        "--target 0 --target 2 -n 4 --logos 2 -d cpu"
    )
    wanted = {
        "format": "seqlift-scores",
        "format_version": 2,
        "seqlift_version": seqlift.__version__,
        "model": "model.pt2",
        "model_digest": digest,
        "layout": "N4L",
        "bases": "ACGT",
        "inputs": "",
        "genome": "genome.fa",
        "regions": "peaks.bed",
        "target": "2",
        "removed_activation": "",
        "target_activation": "auto",
        "rules": "rescale",
        "reference_scheme": "dinucleotide-shuffle",
        "n_references": N_REFERENCES,
        "seed": 0,
        "precision": "float32",
        "device": "cpu",
        "method": "deeplift",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    sizes = "chr2\t600\nchr10\t130\nchr1\t500\n"
    assert found["genome_digest"] == hashlib.sha256(sizes.encode()).hexdigest()


def test_the_summary_file(scored):
    found = json.loads((scored[0] / "out.json").read_text())
    assert found["counts"] == {
        "rows": 11,
        "scored": 11,
        "padded": 3,
        "dropped": 0,
        "unshufflable": 1,
    }
    assert found["targets"].keys() == {"0", "2"}
    assert found["settings"]["reference_scheme"] == "dinucleotide-shuffle"
    for target in ("0", "2"):
        with ScoresFile(scored[0] / f"out.{target}.h5") as file:
            error, delta = file.completeness_error(), file.delta()
        completeness = found["targets"][target]["completeness"]
        assert completeness["n_pairs"] == 11 * N_REFERENCES
        assert completeness["n_beyond_rounding"] == 0
        assert completeness["max_error"] == pytest.approx(error.max())
        assert completeness["mean_error_over_mean_delta"] == pytest.approx(
            error.sum(dtype=float) / np.abs(delta).sum(dtype=float)
        )
    stages = {"prepare_model", "check_input", "prepare_references", "score", "write_tracks"}
    stages |= {"draw_logos"}
    assert found["seconds"].keys() == stages
    assert all(seconds >= 0 for seconds in found["seconds"].values())


def test_the_table_has_every_row_in_order_for_every_target(scored):
    rows = table(scored[0] / "out.regions.tsv")
    assert [(row["row"], row["target"]) for row in rows] == [
        (str(i), target) for i in range(1, N_ROWS + 1) for target in ("0", "2")
    ]
    status = {row["name"]: row["status"] for row in rows}
    assert {name: kind for name, kind in status.items() if kind != "scored"} == {
        "poly-A": "unshufflable",
        "start": "padded",
        "end": "padded",
        "last": "padded",
    }
    reasons = {row["name"]: row["reason"] for row in rows}
    assert reasons["start"] == "starts 10 bp before the start of chr10 (130 bp)"
    assert reasons["end"] == "ends 12 bp past the end of chr2 (600 bp)"
    assert reasons["poly-A"] == "no other shuffle exists, so all scores are 0"
    assert reasons["first"] == "."
    unknown = {row["name"]: int(row["n_unknown"]) for row in rows if row["n_unknown"] != "0"}
    assert unknown == {"start": 10, "end": 12, "run-of-N": 12, "IUPAC": 3, "last": 10}


def test_the_numbers_of_the_table_are_those_of_the_scores_file(scored):
    rows = [row for row in table(scored[0] / "out.regions.tsv") if row["target"] == "2"]
    with ScoresFile(scored[0] / "out.2.h5") as file:
        delta, error, track = file.delta(), file.completeness_error(), file.track()
        prediction, references = file.prediction(), file.prediction_reference()
    for i, row in enumerate(rows):
        assert float(row["prediction"]) == pytest.approx(prediction[i], rel=1e-5)
        wanted = pytest.approx(references[i].mean(), rel=1e-5)
        assert float(row["prediction_reference_mean"]) == wanted
        assert float(row["delta_mean"]) == pytest.approx(delta[i].mean(), rel=1e-5)
        assert float(row["completeness_error_max"]) == pytest.approx(error[i].max(), rel=1e-5)
        if row["name"] == "poly-A":
            assert row["strongest_position"] == "NA"
        else:
            strongest = int(row["window_start"]) + np.nanargmax(np.abs(track[i]))
            assert int(row["strongest_position"]) == strongest


def test_logos_are_drawn_of_the_strongest_cores(scored):
    with ScoresFile(scored[0] / "out.0.h5") as file:
        tracks, regions = file.track(), file.regions()
    order = np.argsort([-crop_about_core(track).strength for track in tracks], kind="stable")
    assert [regions[i].name for i in order[:2]] != [regions[i].name for i in range(2)]
    for k in (1, 2):
        assert imread(scored[0] / f"out.0.logo{k}.png").ndim == 3


def test_logos_are_those_of_the_logo_command(scored, tmp_path):
    """The first is the region with the strongest core, named by the other command."""
    run = run_cli("logo", scored[0] / "out.0.h5", "-o", tmp_path / "best.png", "--width", LENGTH)
    place = run.stderr.split(": ")[-1].strip()
    with ScoresFile(scored[0] / "out.0.h5") as file:
        tracks, regions = file.track(), file.regions()
    best = regions[int(np.argmax([crop_about_core(track).strength for track in tracks]))]
    assert place == f"{best.chrom}:{best.start + 1}-{best.end}"
    run = run_cli(
        "logo", scored[0] / "out.0.h5", "-o", tmp_path / "named.png", "--region", best.name,
        "--title", f"{best.name}, target 0",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    assert (tmp_path / "named.png").read_bytes() == (scored[0] / "out.0.logo1.png").read_bytes()


def test_fasta_gives_the_scores_of_the_same_windows(folder, scored, contigs):
    labels = [line.split("\t")[3] for line in REGIONS.splitlines()]
    sequences = {label: cut(contigs, *w) for label, w in zip(labels, windows(), strict=True)}
    write_fasta(sequences, folder / "sequences.fa")
    run = score_fasta("sequences.fa")
    assert "bigWig" not in run.stderr
    made = {"out.h5", "out.json", "out.regions.tsv"}
    assert {name for name in names(folder) if name.startswith("out")} == made
    with ScoresFile("out.h5") as found, ScoresFile(scored[0] / "out.0.h5") as wanted:
        assert [(r.chrom, r.start, r.end, r.name) for r in found.regions()] == [
            (label, 0, LENGTH, label) for label in labels
        ]
        np.testing.assert_array_equal(found.one_hot(), wanted.one_hot())
        np.testing.assert_array_equal(found.scores(), wanted.scores())
        assert found.attributes["sequences"] == "sequences.fa"
    assert json.loads((folder / "out.json").read_text())["targets"]["0"]["track"] is None


def test_input_may_come_from_pipes_and_be_compressed(folder):
    (folder / "peaks.bed.gz").write_bytes(gzip.compress(REGIONS.encode()))
    score(output="plain")
    score(regions="peaks.bed.gz", output="packed")
    score(regions="-", output="stdin", stdin=REGIONS)
    os.mkfifo("pipe")
    threading.Thread(target=(folder / "pipe").write_text, args=(REGIONS,), daemon=True).start()
    score(regions="pipe", output="pipe-out")
    for output in ("packed", "stdin", "pipe-out"):
        assert_equal_files("plain.h5", f"{output}.h5")
        assert (folder / f"{output}.bw").read_bytes() == (folder / "plain.bw").read_bytes()


def test_fasta_may_come_from_stdin(folder):
    text = ">one\nACGTACGGTTACGCATCGACTAGCATCGACTAGCATTTAC\n"
    (folder / "one.fa").write_text(text)
    score_fasta("one.fa", output="file")
    score_fasta("-", output="stdin", stdin=text)
    assert_equal_files("file.h5", "stdin.h5")


def test_names_in_another_style_are_matched_on_request(folder):
    (folder / "bare.bed").write_text(REGIONS.replace("chr", ""))
    score(output="plain")
    score("--contig-style", "match", regions="bare.bed", output="matched")
    assert (folder / "matched.bw").read_bytes() == (folder / "plain.bw").read_bytes()
    assert_equal_files("plain.h5", "matched.h5")
    assert table(folder / "matched.regions.tsv")[0]["chrom"] == "1"


def test_windows_past_an_edge_can_be_left_out(folder):
    score(output="plain")
    run = score("--edges", "drop", output="dropped")
    assert "seqlift: scored 8 of 11 rows (3 dropped, 1 unshufflable)" in run.stderr
    rows = table(folder / "dropped.regions.tsv")
    assert [row["row"] for row in rows] == [str(i) for i in range(1, N_ROWS + 1)]
    dropped = [row for row in rows if row["status"] == "dropped"]
    assert [row["name"] for row in dropped] == ["start", "end", "last"]
    assert dropped[1]["reason"] == "ends 12 bp past the end of chr2 (600 bp)"
    assert {row["prediction"] for row in dropped} == {"NA"}
    assert {row["target"] for row in dropped} == {"."}
    with ScoresFile("plain.h5") as plain, ScoresFile("dropped.h5") as found:
        kept = [i for i, r in enumerate(plain.regions()) if r.name not in ("start", "end", "last")]
        assert [r.row for r in found.regions()] == [i + 1 for i in kept]
        assert_close(found.scores(), plain.scores()[kept])


def test_the_window_of_a_narrow_peak_lies_about_its_summit(folder):
    (folder / "peak.narrowPeak").write_text(NARROW_PEAK.replace("\t110\n", "\t90\n"))
    score(regions="peak.narrowPeak")
    with ScoresFile("out.h5") as file:
        (region,) = file.regions()
    assert (region.start, region.end, region.summit) == (470, 510, 20)


def test_existing_results_are_replaced_on_request(folder):
    score(output="out")
    before = (folder / "out.h5").stat().st_ino
    score("--force", "--seed", 5, output="out")
    assert (folder / "out.h5").stat().st_ino != before
    with ScoresFile("out.h5") as file:
        assert file.attributes["seed"] == 5


def test_seeds_make_the_references(folder):
    for seed, output in ((0, "zero"), (0, "again"), (1, "one")):
        score("--seed", seed, output=output)
    assert_equal_files("zero.h5", "again.h5")
    zero, one = read_all("zero.h5"), read_all("one.h5")
    np.testing.assert_array_equal(zero["quality/prediction"], one["quality/prediction"])
    differs = (zero["quality/prediction_reference"] != one["quality/prediction_reference"]).any(1)
    assert [i for i, differ in enumerate(differs.tolist()) if not differ] == [4]  # the poly-A


def test_float64_throughout(folder, expected):
    score("--precision", "float64")
    with h5py.File("out.h5") as file:
        assert file["shap/seq"].dtype == np.float64
        assert file["quality/delta"].dtype == np.float64
        error, delta = file["quality/completeness_error"][:], file["quality/delta"][:]
        assert error.max() < 1e-12 * np.abs(delta).max()
        largest = np.abs(file["projected_shap/seq"][:]).max()
        wanted = expected[1][0].scores
        np.testing.assert_allclose(file["projected_shap/seq"][:], wanted, atol=1e-5 * largest)


@pytest.mark.parametrize("scheme", ["flat", "zeros"])
def test_schemes_that_make_one_reference(folder, contigs, scheme):
    run = score("--references", scheme, "--logos", 0)
    assert "unshufflable" not in run.stderr
    with ScoresFile("out.h5") as file:
        assert file.n_references == 1
        assert file.attributes["n_references"] == 1
        assert np.isnan(file.standard_error()).all()
        found = seqlift.contributions(
            seqlift.load_model("model.pt2"), file.one_hot(), references=scheme, device="cpu"
        )
        assert_close(file.scores(), found.scores)
    # With one reference there is no standard error to write, and that is no error.
    made = run_cli(
        "tracks", "out.h5", "-g", "genome.fa", "-o", "se.bw", "--quantity", "standard-error"
    )
    assert made.status == 0, made.stderr


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_a_precision_that_is_slower_here_is_warned_of_once(folder, monkeypatch, devices):
    monkeypatch.setattr("seqlift.explainer_options.is_quick_in_bfloat16", lambda: False)
    run = score("--precision", "bfloat16", "--device", devices)
    assert run.status == 0
    (line,) = [line for line in run.stderr.splitlines() if "AMX" in line]
    assert line.startswith("seqlift: warning: precision bfloat16 takes longer than float32")
    assert "AMX" not in score("--device", devices, "--force").stderr


def test_lower_precision_is_said_with_what_it_did(folder):
    run = score("--precision", "bfloat16")
    (line,) = [line for line in run.stderr.splitlines() if "completeness" in line]
    found = json.loads((folder / "out.json").read_text())
    error = found["targets"]["0"]["completeness"]["mean_error_over_mean_delta"]
    wanted = f"completeness error {error:.1e} of delta on average, in bfloat16"
    assert line == f"seqlift: target 0: {wanted}"
    assert found["settings"]["precision"] == "bfloat16"


def test_quiet_says_nothing_but_warnings(folder):
    run = score("--quiet")
    assert [line.split(":")[1] for line in run.stderr.splitlines()] == [" warning"]
    (folder / "good.bed").write_text(REGIONS.splitlines(keepends=True)[0])
    assert score("-q", regions="good.bed", output="good").stderr == ""


def test_a_warning_about_the_input_is_shown_once(folder):
    (folder / "spaces.bed").write_text("chr1 230 290\nchr2 60 100\n")
    run = score("--quiet", regions="spaces.bed")
    assert run.stderr == (
        "seqlift: warning: spaces.bed:1: columns are separated by spaces; BED has tabs\n"
    )


def test_incompleteness_can_be_an_error(folder, monkeypatch):
    """No rule of ours is incomplete, so the tolerance is taken away."""
    import torch

    monkeypatch.setattr(
        "seqlift.results.is_incomplete", lambda found, _: torch.ones_like(found.delta).bool()
    )
    message = (
        "target 0: contributions of 44 of 44 pairs of sequence and reference miss their delta by "
        "more than rounding (largest error "
    )
    before = names(folder)
    arguments = ("score", "-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-n", 4, "-q")
    run = run_cli(*arguments, "-o", "out", "--on-incomplete", "fail", "--logos", 1)
    assert run.status == 1
    *_, last = run.stderr.splitlines()
    assert last.startswith(f"seqlift: error: {message}")
    assert last.endswith("; nothing was written (--on-incomplete fail)")
    assert names(folder) == before
    warned = run_cli(*arguments, "-o", "warned")
    assert warned.status == 0
    assert f"seqlift: warning: {message}" in warned.stderr
    ignored = run_cli(*arguments, "-o", "ignored", "--on-incomplete", "ignore")
    assert ignored.status == 0
    assert message not in ignored.stderr
    counted = json.loads((folder / "ignored.json").read_text())["targets"]["0"]["completeness"]
    assert counted["n_beyond_rounding"] == 44


def test_outputs_with_names_and_a_length_of_ones_own(folder, pooled):
    run = run_cli(
        "score", "-m", pooled, "-g", "genome.fa", "-r", "peaks.bed", "-o", "out", "-n", 2,
        "--length", 60, "--target", "counts.1", "--target", "bound",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    with ScoresFile("out.counts.1.h5") as counts, ScoresFile("out.bound.h5") as bound:
        assert counts.length == bound.length == 60
        assert bound.attributes["removed_activation"] == "sigmoid"
        assert counts.attributes["removed_activation"] == ""
        # The logit of a sum of maxima of ReLUs: beyond what a probability can be.
        logit = bound.prediction()
    kept = run_cli(
        "score", "-m", pooled, "-g", "genome.fa", "-r", "peaks.bed", "-o", "kept", "-n", 2,
        "--length", 60, "--target", "bound", "--target-activation", "keep",
    )  # fmt: skip
    assert kept.status == 0, kept.stderr
    with ScoresFile("kept.h5") as file:
        np.testing.assert_allclose(file.prediction(), 1 / (1 + np.exp(-logit)), rtol=1e-5)


def test_fasta_gives_the_length_where_the_model_leaves_it_open(folder, pooled):
    (folder / "one.fa").write_text(">a\nACGTTGCAACCGATTGA\n>b\nTTGACGGATTACAGCAT\n")
    run = run_cli("score", "-m", pooled, "-f", "one.fa", "-o", "out", "--target", "bound", "-n", 2)
    assert run.status == 0, run.stderr
    with ScoresFile("out.h5") as file:
        assert file.length == 17


def test_a_factory_with_weights(folder):
    from safetensors.torch import save_file

    from tests.tiny import Tiny, seeded

    save_file(seeded(Tiny).state_dict(), "weights.safetensors")
    run = run_cli(
        "score", "-m", "tests.tiny:Tiny", "-w", "weights.safetensors", "--length", LENGTH,
        "-g", "genome.fa", "-r", "peaks.bed", "-o", "factory", "-n", N_REFERENCES,
    )  # fmt: skip
    assert run.status == 0, run.stderr
    score(output="program")
    with ScoresFile("factory.h5") as one, ScoresFile("program.h5") as other:
        assert_close(one.scores(), other.scores())
