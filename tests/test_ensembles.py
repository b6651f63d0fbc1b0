"""Several models and both strands: means, spreads, and what turns with the strand."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from seqlift import contributions, load_model
from seqlift.ensembles import of_members
from seqlift.errors import ShapeError, TargetError, UsageError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.sequence.onehot import reverse_complement
from tests.helpers import with_shuffles
from tests.tiny import LENGTH, Tiny, export, run_cli

DEMO = Path(__file__).parents[1] / "data"


class Strands(nn.Module):
    """A profile on two strands and a count, which know the strand."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 5, padding=2)
        self.profile = nn.Conv1d(6, 2, 3, padding=1)
        self.dense = nn.Linear(6, 3)

    def forward(self, x):
        x = torch.tanh(self.conv(x))
        return {"profile": self.profile(x), "tasks": self.dense(x.mean(2))}


def model_of(seed, kind=Strands):
    torch.manual_seed(seed)
    return capture(kind().double().eval(), LENGTH)


def explainer(models, target, **options):
    options = {"precision": "float64", "device": "cpu", "compile": "off"} | options
    return Explainer(models, target=target, **options)


def scored(models, target, one_hot, references, *, reference_error=None, **options):
    found = explainer(models, target, **options)
    return found.contribute(one_hot, references, reference_error=reference_error)


def turned(array: torch.Tensor) -> torch.Tensor:
    """The reverse complement, by the words of `seqlift.sequence.onehot`."""
    return torch.from_numpy(reverse_complement(array.numpy()).copy())


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


# --- models ---------------------------------------------------------------------------------------


def test_the_scores_of_an_ensemble_are_the_mean_of_its_models():
    models = [model_of(seed) for seed in range(3)]
    one_hot, references = with_shuffles(4, 6, LENGTH)
    each = [scored(model, "tasks.1", one_hot, references) for model in models]
    found = scored(models, "tasks.1", one_hot, references)
    for name in ("hypothetical", "scores", "delta", "prediction", "prediction_reference"):
        close(getattr(found, name), torch.stack([getattr(one, name) for one in each]).mean(0))
    close(found.scores.sum((1, 2)), found.delta.mean(1))
    tracks = torch.stack([one.scores.sum(1) for one in each], 1)
    close(found.members, tracks)
    deviation = of_members(found.members.numpy(), 3, 1)["ensemble/standard_deviation"]
    np.testing.assert_allclose(deviation, tracks.numpy().std(1, ddof=1), rtol=1e-9, atol=1e-15)


def test_the_standard_error_is_that_of_the_mean_track():
    models = [model_of(seed) for seed in range(2)]
    one_hot, references = with_shuffles(2, 5, LENGTH)
    found = scored(models, "tasks.0", one_hot, references)
    tracks = torch.stack(
        [scored(models, "tasks.0", one_hot, references[:, k : k + 1]).scores.sum(1)
         for k in range(5)], 1
    )  # fmt: skip
    close(found.standard_error, tracks.std(1) / 5**0.5)


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_whatever_the_batch_and_with_fewer_references(batch_size):
    models = [model_of(seed) for seed in range(2)]
    one_hot, references = with_shuffles(5, 15, LENGTH)
    options = {"strands": "both", "batch_size": batch_size}
    found = scored(models, "tasks.0", one_hot, references, reference_error=0.2, **options)
    counts = found.n_references.tolist()
    assert min(counts) < 15, counts
    for i, n in enumerate(counts):
        alone = scored(models, "tasks.0", one_hot[i : i + 1], references[i : i + 1, :n], **options)
        close(found.scores[i : i + 1], alone.scores)
        close(found.members[i : i + 1], alone.members)


def test_models_of_two_lengths_are_refused():
    torch.manual_seed(0)
    other = capture(Strands().double(), LENGTH + 1)
    with pytest.raises(ShapeError, match=rf"^the models take {LENGTH} and {LENGTH + 1} positions"):
        explainer([model_of(0), other], "tasks.0")


# --- strands --------------------------------------------------------------------------------------


def both_by_hand(model, target, there, one_hot, references):
    forward = scored(model, target, one_hot, references)
    reverse = scored(model, there, turned(one_hot), turned(references))
    return forward, reverse


@pytest.mark.parametrize(
    ("target", "there", "swapped"),
    [
        ("tasks.0", "tasks.0", {}),
        ("tasks.0", "tasks.2", {"tasks.0": "tasks.2"}),
        ("tasks.2", "tasks.0", {"tasks.0": "tasks.2"}),
        ("tasks.0-tasks.2", "tasks.2-tasks.0", {"tasks.0": "tasks.2"}),
        ("mean:tasks.0,tasks.1", "mean:tasks.2,tasks.1", {"tasks.2": "tasks.0"}),
        ("profile", "profile", {}),
        ("0.position:3", f"0.position:{LENGTH - 4}", {}),
        ("0.positions:2-5", f"0.positions:{LENGTH - 6}-{LENGTH - 3}", {}),
        ("0.position:3", f"1.position:{LENGTH - 4}", {"0": "1"}),
    ],
)
def test_both_strands_are_the_mean_with_the_reverse_complement(target, there, swapped):
    model = model_of(1)
    one_hot, references = with_shuffles(3, 4, LENGTH)
    found = scored(model, target, one_hot, references, strands="both", swapped=swapped)
    forward, reverse = both_by_hand(model, target, there, one_hot, references)
    close(found.scores, (forward.scores + reverse.scores.flip(1, 2)) / 2)
    close(found.hypothetical, (forward.hypothetical + reverse.hypothetical.flip(1, 2)) / 2)
    close(found.delta, (forward.delta + reverse.delta) / 2)
    tracks = forward.scores.sum(1), reverse.scores.sum(1).flip(1)
    close(found.members, torch.stack(tracks, 1))
    asymmetry = of_members(found.members.numpy(), 1, 2)["quality/strand_asymmetry"]
    apart = (tracks[0] - tracks[1]).abs().sum(1) / (tracks[0].abs() + tracks[1].abs()).sum(1)
    np.testing.assert_allclose(asymmetry, apart, rtol=1e-10)


class OneChannel(Strands):
    """A profile of one channel, the same as a row, and two tasks with an axis too many."""

    def forward(self, x):
        x = torch.tanh(self.conv(x))
        profile = self.profile(x)[:, :1]
        tasks = self.dense(x.mean(2)).unsqueeze(2)
        return {"profile": profile, "row_profile": profile.squeeze(1), "tasks": tasks}


@pytest.mark.parametrize(
    ("target", "there", "swapped"),
    [
        ("profile.3", f"profile.{LENGTH - 4}", {}),
        ("row_profile.0", f"row_profile.{LENGTH - 1}", {}),
        ("mean:profile.3,profile.5", f"mean:profile.{LENGTH - 4},profile.{LENGTH - 6}", {}),
        ("profile.3-profile.9", f"profile.{LENGTH - 4}-profile.{LENGTH - 10}", {}),
        ("tasks.1", "tasks.1", {"tasks.1": "tasks.1"}),
        ("tasks.1", "tasks.2", {"tasks.1": "tasks.2"}),
        ("tasks.position:0", "tasks.position:2", {}),
    ],
)
def test_an_index_of_a_profile_is_a_position_on_both_strands(target, there, swapped):
    model = model_of(1, OneChannel)
    one_hot, references = with_shuffles(3, 4, LENGTH)
    found = scored(model, target, one_hot, references, strands="both", swapped=swapped)
    forward, reverse = both_by_hand(model, target, there, one_hot, references)
    close(found.scores, (forward.scores + reverse.scores.flip(1, 2)) / 2)


def test_an_index_that_may_be_a_task_or_a_position_is_refused():
    with pytest.raises(TargetError) as caught:
        explainer(model_of(1, OneChannel), "mean:tasks.0,tasks.1", strands="both")
    assert str(caught.value) == (
        "target tasks.0 on both strands: output tasks of shape (batch, 3, 1) may be a profile; say "
        "tasks.position:0 if that is a position, or --swap-targets tasks.0=tasks.0 if it is a task"
    )


def test_a_model_of_both_strands_has_no_asymmetry():
    """The demo's network takes the reverse complement through the same layers."""
    model = load_model(DEMO / "ctcf-p73.pt2")
    one_hot, references = with_shuffles(3, 4, 200)
    found = Explainer(model, precision="float64", device="cpu", strands="both").contribute(
        one_hot, references
    )
    asymmetry = of_members(found.members.numpy(), 1, 2)["quality/strand_asymmetry"]
    assert float(asymmetry.max()) < 1e-9


@pytest.mark.large
def test_strands_of_an_ensemble_in_compiled_code():
    models = [model_of(seed) for seed in range(2)]
    one_hot, references = with_shuffles(4, 6, LENGTH)
    options = {"strands": "both", "batch_size": 12}
    plain = scored(models, "tasks.0", one_hot, references, **options)
    compiled = scored(models, "tasks.0", one_hot, references, **options | {"compile": "on"})
    torch.testing.assert_close(compiled.scores, plain.scores, rtol=1e-9, atol=1e-12)


def test_a_swap_for_what_is_not_there_is_named():
    message = r"^target 'tasks.0', taking tasks.9 for tasks.0, .* on the reverse strand, is not one"
    with pytest.raises(TargetError, match=message):
        explainer(model_of(0), "tasks.0", strands="both", swapped={"tasks.0": "tasks.9"})


def test_swaps_that_do_nothing_are_refused():
    with pytest.raises(UsageError, match=r"^targets are swapped on the reverse strand; say"):
        explainer(model_of(0), "tasks.0", swapped={"tasks.0": "tasks.1"})
    with pytest.raises(UsageError, match=r"^none of the targets has tasks\.1 or tasks\.2"):
        explainer(model_of(0), "tasks.0", strands="both", swapped={"tasks.1": "tasks.2"})


def test_unknown_strands():
    with pytest.raises(UsageError, match="strands 'reverse' are unknown; expected one of forward"):
        explainer(model_of(0), "tasks.0", strands="reverse")


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    for i in range(2):
        torch.manual_seed(i)
        export(Tiny(), folder / f"fold{i}.pt2")
        torch.save(Tiny().state_dict(), folder / f"fold{i}.pt")
    random = np.random.default_rng(0)
    letters = "".join(random.choice(list("ACGT"), 400))
    (folder / "genome.fa").write_text(f">chr1\n{letters}\n")
    lines = [f"chr1\t{50 + 60 * i}\t{90 + 60 * i}\tr{i}\t0\t{'+-'[i % 2]}" for i in range(5)]
    (folder / "regions.bed").write_text("\n".join(lines) + "\n")
    return folder


def score(folder, monkeypatch, prefix, *options) -> h5py.File:
    monkeypatch.chdir(folder)
    given = ["-g", "genome.fa", "-r", "regions.bed", "-n", "4", "-d", "cpu", "--force", "-q"]
    done = run_cli("score", *given, "-o", prefix, *options)
    assert done.status == 0, done.stderr
    return h5py.File(folder / f"{prefix}.h5")


def test_folds_are_averaged_and_their_deviation_is_written(folder, monkeypatch):
    both = score(folder, monkeypatch, "both", "-m", "fold0.pt2", "-m", "fold1.pt2")
    each = [score(folder, monkeypatch, f"f{i}", "-m", f"fold{i}.pt2") for i in range(2)]
    tracks = np.stack([one["projected_shap/seq"][()].sum(1) for one in each])
    np.testing.assert_allclose(both["projected_shap/seq"][()].sum(1), tracks.mean(0), atol=1e-6)
    deviation = both["ensemble/standard_deviation"][()]
    np.testing.assert_allclose(deviation, tracks.std(0, ddof=1), atol=1e-6)
    assert both.attrs["n_models"] == 2
    assert both.attrs["model"] == "fold0.pt2,fold1.pt2"
    assert "ensemble" not in each[0]


def test_both_strands_and_their_asymmetry_are_written(folder, monkeypatch):
    found = score(folder, monkeypatch, "strands", "-m", "fold0.pt2", "--strands", "both")
    asymmetry = found["quality/strand_asymmetry"][()]
    assert asymmetry.shape == (5,)
    assert (asymmetry > 0).all()
    assert (asymmetry <= 1).all()
    summary = json.loads((folder / "strands.json").read_text())["targets"]["0"]
    assert summary["strand_asymmetry_median"] == pytest.approx(float(np.median(asymmetry)))


SWAPS = {  # of the profile p and the tasks t: at the sequence, and at its reverse complement
    "tasks.0": (lambda p, t: t[:, 0], lambda p, t: t[:, 2]),
    "mean:tasks.0,tasks.1": (
        lambda p, t: (t[:, 0] + t[:, 1]) / 2,
        lambda p, t: (t[:, 2] + t[:, 1]) / 2,
    ),
    "sum:tasks.0..1": (lambda p, t: t[:, 0] + t[:, 1], lambda p, t: t[:, 2] + t[:, 1]),
    "tasks.0-tasks.2": (lambda p, t: t[:, 0] - t[:, 2], lambda p, t: t[:, 2] - t[:, 0]),
    "0.position:3": (lambda p, t: p[:, 0, 3], lambda p, t: p[:, 1, LENGTH - 4]),
    "profile.0.position:3-profile.1.position:5": (
        lambda p, t: p[:, 0, 3] - p[:, 1, 5],
        lambda p, t: p[:, 1, LENGTH - 4] - p[:, 0, LENGTH - 6],
    ),
    "mean:profile.0.positions:3-4,tasks.1": (
        lambda p, t: (p[:, 0, 3] + p[:, 0, 4] + t[:, 1]) / 2,
        lambda p, t: (p[:, 1, LENGTH - 4] + p[:, 1, LENGTH - 5] + t[:, 1]) / 2,
    ),
}


@pytest.mark.parametrize("target", SWAPS)
def test_heads_are_swapped_inside_targets(folder, monkeypatch, target):
    torch.manual_seed(1)
    model = Strands().eval()
    torch.save(model.state_dict(), folder / "strands.pt")
    given = ["-m", "tests.test_ensembles:Strands", "-w", "strands.pt", "--length", f"{LENGTH}"]
    swaps = ["tasks.0=tasks.2", "profile.0=profile.1", "0=1"]
    found = score(
        folder, monkeypatch, "swapped", *given, "--strands", "both", "--target", target,
        *[word for swap in swaps for word in ("--swap-targets", swap)],
    )  # fmt: skip
    one_hot = found["raw/seq"][()].astype(np.float32)
    turned_over = one_hot[:, ::-1, ::-1].copy()
    ahead, behind = (
        read(*(v.detach().numpy() for v in model(torch.from_numpy(x)).values()))
        for read, x in zip(SWAPS[target], (one_hot, turned_over), strict=True)
    )
    prediction = found["quality/prediction"][()]
    np.testing.assert_allclose(prediction, (ahead + behind) / 2, atol=1e-6)
    total = found["projected_shap/seq"][()].sum((1, 2))
    np.testing.assert_allclose(total, found["quality/delta"][()].mean(1), atol=1e-5)
    assert found.attrs["swapped"] == ",".join(swaps)


def test_an_index_that_may_be_either_is_one_line(folder, monkeypatch):
    torch.manual_seed(1)
    torch.save(OneChannel().state_dict(), folder / "one.pt")
    given = ["-m", "tests.test_ensembles:OneChannel", "-w", "one.pt", "--length", LENGTH]
    monkeypatch.chdir(folder)
    run = run_cli("score", *given, "-g", "genome.fa", "-r", "regions.bed", "-o", "x", "-d", "cpu",
                  "--strands", "both", "--target", "tasks.1")  # fmt: skip
    assert (run.status, run.stderr.count("\n")) == (1, 1)
    assert run.stderr.startswith("seqlift: error: target tasks.1 on both strands: output tasks of ")
    found = score(folder, monkeypatch, "one", *map(str, given), "--strands", "both",
                  "--target", "tasks.1", "--swap-targets", "tasks.1=tasks.1")  # fmt: skip
    assert found["quality/strand_asymmetry"].shape == (5,)


def test_regions_on_the_minus_strand_are_read_as_their_reverse_complement(folder, monkeypatch):
    plain = score(folder, monkeypatch, "plain", "-m", "fold0.pt2")
    stranded = score(folder, monkeypatch, "stranded", "-m", "fold0.pt2", "--stranded")
    np.testing.assert_array_equal(stranded["raw/seq"], plain["raw/seq"])  # genome orientation
    one_hot = plain["raw/seq"][()].astype(np.uint8)
    is_minus = np.arange(5) % 2 == 1
    found, expected = (f["projected_shap/seq"][()] for f in (stranded, plain))
    np.testing.assert_allclose(found[~is_minus], expected[~is_minus], atol=1e-7)
    model = load_model(folder / "fold0.pt2").model.module(check_guards=False)
    turned_over = reverse_complement(one_hot[is_minus]).astype(np.float32)
    prediction = model(torch.from_numpy(turned_over))[:, 0].detach().numpy()
    np.testing.assert_allclose(stranded["quality/prediction"][is_minus], prediction, atol=1e-6)
    total = found[is_minus].sum((1, 2))
    np.testing.assert_allclose(total, stranded["quality/delta"][is_minus].mean(1), atol=1e-5)
    assert (found[is_minus][one_hot[is_minus] == 0] == 0).all()


def test_models_and_weights_that_do_not_pair(folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = ["-g", "genome.fa", "-r", "regions.bed", "-o", "x", "-m", "fold0.pt2", "-m", "a.py:A"]
    done = run_cli("score", *given, *[w for i in range(3) for w in ("-w", f"{i}.pt")])
    assert done.status == 2
    assert done.stderr == (
        "seqlift: error: found 2 models and 3 files of weights; expected as many of both, or one "
        "of either\n"
    )


def test_folds_of_one_factory(folder, monkeypatch):
    options = ["-m", "tests.tiny:Tiny", "-w", "fold0.pt", "-w", "fold1.pt", "--length", f"{LENGTH}"]
    found = score(folder, monkeypatch, "weights", *options)
    assert found.attrs["n_models"] == 2
    assert found.attrs["model"] == "tests.tiny:Tiny,tests.tiny:Tiny"
    assert len(set(found.attrs["model_digest"].split(","))) == 2


@pytest.mark.large
def test_several_devices_give_the_same(folder, monkeypatch):
    options = ["-m", "fold0.pt2", "-m", "fold1.pt2", "--strands", "both", "--stranded"]
    one = score(folder, monkeypatch, "one", *options)
    two = score(folder, monkeypatch, "two", *options, "-d", "cpu,cpu")
    for name in ("projected_shap/seq", "ensemble/standard_deviation", "quality/strand_asymmetry"):
        np.testing.assert_allclose(two[name][()], one[name][()], rtol=1e-5, atol=1e-7)


def test_the_library_takes_several_models_and_both_strands():
    torch.manual_seed(4)
    models = [Strands().double().eval() for _ in range(2)]
    one_hot, references = with_shuffles(2, 3, LENGTH)
    given = {"references": references, "precision": "float64", "device": "cpu", "target": "tasks.1"}
    found = contributions(models, one_hot, strands="both", **given)
    expected = scored([capture(m, LENGTH) for m in models], "tasks.1", one_hot, references,
                      strands="both")  # fmt: skip
    close(found.scores, expected.scores)
    assert found.members.shape == (2, 4, LENGTH)


class Blind(Tiny):
    def forward(self, x):
        return super().forward(0 * x)


def test_a_model_that_does_not_see_its_input_is_warned_of(folder, monkeypatch):
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    export(Blind(), folder / "blind.pt2")
    given = ["-g", "genome.fa", "-r", "regions.bed", "-n", "2", "-d", "cpu", "-q"]
    run = run_cli("score", "-m", "blind.pt2", *given, "-o", "blind")
    assert run.status == 0
    assert run.stderr == (
        "seqlift: warning: the model says the same of the first 4 sequences as of N alone: are the "
        "layout and the order of bases right (--layout, --bases), and is it trained?\n"
    )
