"""The parts of the paper workflow by hand-made cases, and its plan; CI runs all of it."""

import importlib
import itertools
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.scripts import scripts_of_workflow

pd = pytest.importorskip("pandas")
torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "workflows" / "paper"
SCRIPTS = WORKFLOW / "workflow/scripts"
MOTIFS = WORKFLOW / "workflow/resources/motifs.tsv"
BACKGROUND = (0.3, 0.2, 0.2, 0.3)


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    yield from scripts_of_workflow(SCRIPTS, monkeypatch)


def module(name):
    return importlib.import_module(name)


def one_hot(*sequences):
    return np.array(
        [[[letter == base for letter in text] for base in "ACGT"] for text in sequences]
    )


# Motifs


def test_the_motifs_are_those_of_the_file_and_sum_to_one():
    motifs = module("pwm").read_motifs(MOTIFS)
    consensus = {
        name: "".join("ACGT"[base] for base in motif.argmax(0)) for name, motif in motifs.items()
    }
    assert consensus == {"GATA1": "TTCTTATCTGT", "TAL1": "CGACCATCTGTT"}
    assert all(np.allclose(motif.sum(0), 1) and motif.min() > 0 for motif in motifs.values())


def test_frequencies_spread_a_thousandth_over_the_four_bases():
    found = module("pwm").frequencies(np.array([[3.0], [1.0], [0.0], [0.0]]))
    assert found[:, 0] == pytest.approx(
        [0.75 * 0.999 + 0.00025, 0.25 * 0.999 + 0.00025] + [0.00025] * 2
    )


def test_scan_scores_every_window_as_a_loop_does():
    pwm = module("pwm")
    rng = np.random.default_rng(0)
    motif = rng.dirichlet(np.ones(4), 3).T
    text = "".join(rng.choice(list("ACGT"), 12))
    expected = [
        sum(
            math.log(motif["ACGT".index(letter), k] / BACKGROUND["ACGT".index(letter)])
            for k, letter in enumerate(text[start : start + 3])
        )
        for start in range(10)
    ]
    found = pwm.scan(one_hot(text), pwm.log_odds(motif, BACKGROUND))
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


@pytest.mark.parametrize(
    ("scores", "n", "width", "starts"),
    [
        ([0, 5, 6, 5, 1, 1, 2], 3, 2, [2, 6, 4]),  # 1 and 3 overlap the best, 5 the second
        ([1, 1, 1, 1], 2, 2, [0, 2]),  # of equals the leftmost
        ([3, 9, 3], 5, 3, [1]),  # no room for a second
        ([-4, -9, -2], 2, 1, [2, 0]),  # matches may be poor
    ],
)
def test_top_matches_do_not_overlap(scores, n, width, starts):
    assert module("pwm").top_matches(np.array(scores), n, width) == starts


# Simulation


@pytest.fixture(scope="module")
def simulated():
    sys.path.insert(0, str(SCRIPTS))
    try:
        simulation, pwm = module("simulation"), module("pwm")
    finally:
        sys.path.remove(str(SCRIPTS))
    motifs = pwm.read_motifs(MOTIFS)
    rows = [simulation.simulate(i, 200, motifs, BACKGROUND, 0) for i in range(400)]
    return simulation, motifs, rows


def test_a_quarter_of_the_sequences_are_of_each_class_and_hold_its_motifs(simulated):
    simulation, _, rows = simulated
    assert Counter(kind for kind, _, _ in rows) == dict.fromkeys(simulation.CLASSES, 100)
    for kind, sequence, sites in rows:
        assert len(sequence) == 200
        assert {motif for motif, _, _ in sites} == set(simulation.CLASSES[kind])


def test_there_are_one_to_three_instances_of_a_motif_poisson_within_these_limits(simulated):
    _, _, rows = simulated
    numbers = Counter(
        n for _, _, sites in rows for n in Counter(motif for motif, _, _ in sites).values()
    )
    assert set(numbers) == {1, 2, 3}
    weights = {n: 2**n / math.factorial(n) for n in (1, 2, 3)}
    for n, weight in weights.items():
        share = weight / sum(weights.values())
        deviation = math.sqrt(share * (1 - share) / 400)
        assert abs(numbers[n] / 400 - share) < 4 * deviation


def test_instances_lie_inside_and_do_not_overlap(simulated):
    _, motifs, rows = simulated
    for _, _, sites in rows:
        spans = sorted((start, end) for _, start, end in sites)
        assert all(0 <= start and end <= 200 for start, end in spans)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        assert all(end - start == motifs[motif].shape[1] for motif, start, end in sites)


def test_letters_follow_the_background_and_the_motifs(simulated):
    _, motifs, rows = simulated
    counts = Counter("".join(sequence for kind, sequence, _ in rows if kind == "none"))
    for base, frequency in zip("ACGT", BACKGROUND, strict=True):
        deviation = math.sqrt(frequency * (1 - frequency) / 20_000)
        assert abs(counts[base] / 20_000 - frequency) < 4 * deviation
    instances = one_hot(
        *(
            text[start:end]
            for _, text, sites in rows
            for name, start, end in sites
            if name == "GATA1"
        )
    )
    deviation = np.sqrt(motifs["GATA1"] * (1 - motifs["GATA1"]) / len(instances))
    assert (np.abs(instances.mean(0) - motifs["GATA1"]) < 4.5 * deviation).all()


def test_a_sequence_depends_on_its_index_and_the_seed_alone(simulated):
    simulation, motifs, rows = simulated
    assert simulation.simulate(7, 200, motifs, BACKGROUND, 0) == rows[7]
    assert simulation.simulate(7, 200, motifs, BACKGROUND, 1)[1] != rows[7][1]
    assert rows[7][1] != rows[11][1]


def test_labels_are_those_of_the_three_tasks(simulated):
    simulation, _, _ = simulated
    assert simulation.TASKS == ("both", "GATA1", "TAL1")
    found = simulation.labels(["none", "GATA1", "TAL1", "both"])
    assert found.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]


# Measures


def test_auroc_counts_pairs_in_order():
    auroc = module("measures").auroc
    assert auroc([3, 2], [1, 2]) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_a_network_that_has_not_learned_a_task_is_named_with_what_to_do():
    complain = module("measures").complain
    assert complain({"both": 0.98, "GATA1": 0.99}, 0.98, 20) == ""
    assert complain({"both": 0.5, "GATA1": 0.99, "TAL1": 0.97}, 0.98, 20) == (
        "AUROC on the 20 held-out sequences is below 0.98 for both 0.5000, TAL1 0.9700: "
        "train longer (training: epochs, patience) or with another seed"
    )


def test_totals_sum_the_track_under_each_match():
    track = np.array([[1.0, 2, 3, 4], [10, 20, 30, 40]])
    found = module("measures").totals(track, [0, 1, 1], [0, 1, 3], [2, 4, 4])
    assert found.tolist() == [3, 90, 40]


def test_missed_are_strong_matches_with_a_total_of_zero_or_less():
    count = module("measures").count_missed
    totals = np.array([1.0, 0.0, -2.0, -3.0, 5.0])
    log_odds = np.array([7.0, 8.0, 9.0, 6.9, 7.1])  # the fourth is not strong
    assert count(totals, log_odds, 7) == (4, 2)


def test_wilson_interval_is_that_of_the_textbook():
    # Of 10 none, the upper limit is z² / (n + z²).
    assert module("measures").wilson_interval(0, 10) == pytest.approx((0, 1.96**2 / (10 + 1.96**2)))
    low, high = module("measures").wilson_interval(5, 10)
    assert low + high == pytest.approx(1)


def test_noise_compares_positions_outside_motifs_with_those_under_them():
    track = np.array([[4.0, -2.0, 1.0, -1.0]])
    found = module("measures").noise(track, np.array([[True, True, False, False]]))
    assert found["mean_abs_ratio"] == pytest.approx(1 / 3)
    assert found["sd_ratio"] == pytest.approx(1 / 3)


# Digits


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")
    return module("digits")


def test_pixel_scores_are_multipliers_times_difference_from_the_reference(digits):
    images = torch.tensor([[[3.0, 0], [1, 2], [0, 0], [0, 0]]])
    references = torch.ones(1, 2, 4, 2)
    multipliers = torch.stack([torch.full((4, 2), 1.0), torch.full((4, 2), 3.0)])[None]
    found = digits.pixel_scores(multipliers, images, references)
    assert found.tolist() == [[4, -2, 0, 2, -2, -2, -2, -2]]


def test_erasing_takes_the_largest_positive_differences_and_no_others(digits):
    images = torch.full((2, 4, 1), 0.5)
    difference = torch.tensor([[3.0, 1, 2, -1], [-1, 0, 4, -2]])
    erased, n_erased = digits.erase(images, difference, 2)
    assert erased.flatten(1).tolist() == [[0, 0.5, 0, 0.5], [0.5, 0.5, 0, 0.5]]
    assert n_erased.tolist() == [2, 1]


def test_digits_are_pictures_again_inside_the_network(digits):
    (images, _), (held_out, _) = digits.load(0.5, 0)
    assert images.shape[1:] == held_out.shape[1:] == (4, 16)
    assert len(images) + len(held_out) == 1797
    network = digits.DigitNetwork().eval()
    as_pictures = network.layers(images[:3].reshape(3, 1, 8, 8))
    torch.testing.assert_close(network(images[:3]), as_pictures)


# The workflow


def run_snakemake(folder, *arguments, timeout=60):
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), *arguments]
    command += ["--snakefile", str(WORKFLOW / "workflow/Snakefile")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def test_plans_every_method_with_its_references(tmp_path):
    pytest.importorskip("snakemake")
    done = run_snakemake(tmp_path, "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stderr
    commands = [line for line in done.stdout.splitlines() if "seqlift score" in line]
    flat = [line for line in commands if "--references flat --background 0.3,0.2,0.2,0.3" in line]
    shuffled = [
        line for line in commands if "--references dinucleotide-shuffle --n-references 10" in line
    ]
    assert (len(commands), len(flat), len(shuffled)) == (12, 4, 4)
    for rules in ("rescale", "reveal-cancel", "genomics"):
        assert sum(f"--method deeplift --rules {rules} " in line for line in flat) == 1
    assert all("--target 0 --target 1 --target 2" in line for line in commands)


def test_lint_finds_nothing(tmp_path):
    pytest.importorskip("snakemake")
    done = run_snakemake(tmp_path, "--lint")
    assert "in a good condition" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["config/config.yaml", ".test/config/config.yaml"])
def test_both_configurations_are_of_the_schema(tmp_path, name):
    pytest.importorskip("snakemake")
    done = run_snakemake(tmp_path, "--dry-run", "--configfile", str(WORKFLOW / name))
    assert done.returncode == 0, done.stderr


def test_published_figures_stand_beside_methods_that_are_measured(tmp_path):
    pytest.importorskip("snakemake")
    published = pd.read_csv(
        WORKFLOW / "workflow/resources/published.tsv", sep="\t", comment="#", index_col=0
    )
    assert published.loc["rescale.flat"].tolist() == [4.47, 7.04]
    assert published.loc["genomics.flat"].tolist() == [0, 0]
    planned = run_snakemake(tmp_path, "--dry-run").stdout
    assert all(f"results/matches/{name}.totals.tsv.gz" in planned for name in published.index)
