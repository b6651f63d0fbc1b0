"""The parts of the benchmark by hand-made cases, and its plan; CI runs all of it."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import scripts_of_workflow

torch = pytest.importorskip("torch")
nn = torch.nn

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "workflows" / "benchmark"
SCRIPTS = WORKFLOW / "workflow/scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    yield from scripts_of_workflow(SCRIPTS, monkeypatch)


def module(name):
    return importlib.import_module(name)


# Networks


def test_the_twin_of_the_demo_model_predicts_the_same():
    from seqlift.cli.demo import MODEL, data_folder

    sequences = module("sequences").demo_windows(4, 200, seed=0).float()
    demo = torch.export.load(data_folder() / MODEL).module(check_guards=False)
    expected = demo(sequences)
    assert expected.std() > 0.1
    torch.testing.assert_close(module("models").demo().eval()(sequences), expected)


@pytest.mark.parametrize(
    ("network", "length", "n_outputs"),
    [({"kind": "bpnet", "n_filters": 3, "n_layers": 2}, 150, 1), ({"kind": "basset"}, 600, 164)],
)
def test_a_network_is_made_by_its_settings(network, length, n_outputs):
    model = module("models").make(network).eval()
    assert model(torch.zeros(2, 4, length)).shape == (2, n_outputs)


# Sequences


def test_instances_are_put_in_whole_and_apart():
    sequences, np = module("sequences"), pytest.importorskip("numpy")
    letters, counts = np.full((3, 200), 3), np.array([[2, 1], [0, 3], [0, 0]])
    motifs = np.eye(4)[np.array([[0] * 12, [1, 2] * 6])]
    sequences.insert(letters, counts, motifs, np.random.default_rng(0))
    text = ["".join("ACGT"[letter] for letter in row) for row in letters]
    found = [[row.count("A" * 12), row.count("CG" * 6)] for row in text]
    assert found == counts.tolist()
    assert [row.count("T") for row in text] == (200 - 12 * counts.sum(1)).tolist()


def test_sequences_come_from_their_seed():
    draw = module("sequences").motif_sequences
    (a, m), (b, n), (c, _) = draw(2, 200, 0), draw(2, 200, 0), draw(2, 200, 1)
    assert torch.equal(a, b) and torch.equal(m, n) and not torch.equal(a, c)


# The limit

LAYERS = [
    nn.Conv1d(4, 6, 5),
    nn.Conv1d(4, 6, 5, padding=2),
    nn.Conv1d(3, 2, 3, padding=4, dilation=4),
    nn.Conv1d(3, 2, 4, padding=1),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_two_passes_of_the_limit_are_the_layer_s(layer):
    """With a layer's own input they give its output without bias, and its gradient."""
    layer = layer.double()

    def make(n_channels, n):
        x = torch.randn(2, n_channels, 1, n, dtype=torch.float64)
        return x.contiguous(memory_format=torch.channels_last)

    (x, weight, padding, dilation), back = module("limit").passes(layer, 40, make)
    rows = x.squeeze(2).requires_grad_()
    expected = nn.functional.conv1d(rows, layer.weight, None, 1, layer.padding, layer.dilation)
    found = nn.functional.conv2d(x, weight, None, 1, (0, padding), (1, dilation))
    torch.testing.assert_close(found.squeeze(2), expected)
    x, weight, padding, dilation = back
    found = nn.functional.conv2d(x, weight, None, 1, (0, padding), (1, dilation))
    (gradient,) = torch.autograd.grad(expected, rows, x.squeeze(2))
    torch.testing.assert_close(found.squeeze(2), gradient)


def test_the_limit_counts_the_work_of_all_passes():
    model = nn.Sequential(nn.Conv1d(4, 2, 3), nn.ReLU(), nn.Conv1d(2, 5, 1))
    # 8 positions of 4·2·3 products and 8 of 2·5, with an addition each, in 1 + 2 passes and 2 back.
    assert module("limit").n_operations(model, 10, 2) == (1 + 2 * 2) * 2 * (8 * 24 + 8 * 10)


def test_the_limit_runs_every_pass_on_every_row(monkeypatch):
    limit = module("limit")
    rows = []
    monkeypatch.setattr(limit, "conv2d", lambda x, *_, **__: rows.append((x.shape[1], len(x))))
    limit.limit(nn.Sequential(nn.Conv1d(4, 2, 3)), 10, 3, 2, 4, "float32")()
    # Of 3 sequences with 2 references 9 rows go forward and 6 back, 4 at a time.
    assert rows == [(4, 4), (4, 4), (4, 1), (2, 4), (2, 2)]


# Accuracy and time


def test_a_deviation_is_a_share_of_its_region_s_largest_value():
    found, expected = torch.tensor([[1.0, 9.0], [4.0, 0.0]]), torch.tensor([[0.0, 10.0], [4.0, 1]])
    assert module("accuracy").deviations(found, expected).tolist() == pytest.approx([1 / 10, 1 / 4])


def test_agreement_is_of_tracks_and_of_the_worst_region():
    expected = torch.randn(3, 4, 20)
    found = expected.clone()
    found[1] = -found[1]
    lines = module("accuracy").agreement(found, expected)
    assert lines == {
        "worst_deviation": pytest.approx(2),
        "median_deviation": 0,
        "correlation": pytest.approx(-1),
    }


def test_correlations_are_pearson_s():
    tracks = torch.randn(3, 20), torch.randn(3, 20)
    pairs = zip(*tracks, strict=True)
    expected = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])
    found = module("accuracy").correlations(*tracks)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-6)


def test_incompleteness_is_the_worst_region_s():
    error, delta = torch.tensor([[0.1, 0.1], [0.0, 0.0]]), torch.tensor([[-3.0, 1.0], [1.0, 1.0]])
    assert module("accuracy").incompleteness(error, delta) == pytest.approx(0.05)


def test_works_take_turns():
    order = []
    works = {name: (lambda name=name: order.append(name)) for name in "ab"}
    done = [key[:2] for key in module("timing").in_turn(works, 2)]
    assert order == list("abab") and done == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_a_command_that_fails_ends_the_run():
    commands = module("commands")
    spent, peak = commands.run([sys.executable, "-c", "bytearray(10**8)"], 1)
    assert 0 < spent < 30 and 0.1 < peak < 10
    with pytest.raises(SystemExit, match="ended with 3"):
        commands.run([sys.executable, "-c", "raise SystemExit(3)"], 1)


# Peers


@pytest.mark.bench
@pytest.mark.parametrize("name", ["tangermeme", "captum", "shap"])
@pytest.mark.filterwarnings("ignore")
def test_a_peer_s_track_is_ours(name):
    pytest.importorskip(name)
    from seqlift.explain import Explainer

    torch.manual_seed(0)
    model = module("models").BPNet(4, 2).eval()
    one_hot, references = (module("sequences").random_sequences(n, 150, n) for n in (2, 6))
    references = references.unflatten(0, (2, 3))
    ours = Explainer(model, length=150, device="cpu").contribute(one_hot, references)
    expected = ours.scores.sum(1)
    track = module("contenders").PEERS[name](model, one_hot.float(), references.float(), 4)
    atol = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(track.float(), expected, rtol=0, atol=atol)


def test_plain_autograd_is_exact_where_a_model_is_linear():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 9, 2))
    one_hot = torch.randn(2, 4, 9)
    references = torch.randn(2, 3, 4, 9)
    track = module("contenders").autograd(model, one_hot, references, 4)
    expected = (one_hot[:, None] - references).mean(1) * model[1].weight[0].reshape(4, 9)
    torch.testing.assert_close(track, expected.sum(1))


# The plan


def run_snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), *arguments]
    command += ["--snakefile", str(WORKFLOW / "workflow/Snakefile")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "configuration", ["config/config.yaml", "config/cuda.yaml", ".test/config/config.yaml"]
)
def test_measurements_take_all_cores_so_that_they_run_alone(tmp_path, configuration):
    pytest.importorskip("snakemake")
    configuration = str(WORKFLOW / configuration)
    done = run_snakemake(tmp_path, "--dry-run", "--cores", "5", "--configfile", configuration)
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"^rule time_.*?(?=^\[|\Z)", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(jobs) >= 7 and all("threads: 5" in job for job in jobs)


def test_the_snakefile_is_clean(tmp_path):
    pytest.importorskip("snakemake")
    done = run_snakemake(tmp_path, "--lint")
    assert done.returncode == 0, done.stderr
