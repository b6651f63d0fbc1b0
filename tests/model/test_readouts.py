"""Targets by the names people use, each against a literal computation, one sequence at a time."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqlift.errors import TargetError, UsageError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.readouts import parse_readout
from seqlift.model.target_lists import columns_of, expand
from seqlift.model.targets import select_target

LENGTH, STRANDS, WIDTH = 9, 2, 5


class Profile(nn.Module):
    """A BPNet in small: logits over strands and positions, and log counts."""

    def __init__(self, ending=lambda profile, counts: (profile, counts)):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=1)
        self.profile = nn.Conv1d(6, STRANDS, LENGTH - WIDTH + 1)
        self.counts = nn.Linear(6, STRANDS)
        self.ending = ending

    def forward(self, x):
        x = torch.tanh(self.conv(x))
        return self.ending(self.profile(x), self.counts(x.mean(2)))


class Classes(nn.Module):
    """A splice model in small: three classes at every position, as Keras lays them out."""

    def __init__(self, dim=2):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 3, padding=1)
        self.dim = dim

    def forward(self, x):
        found = torch.softmax(self.conv(x), 1)
        return found if self.dim == 1 else found.transpose(1, 2)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(6)


def sequences(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 4, LENGTH, dtype=torch.float64)


def captured_of(model):
    return capture(model.double().eval(), LENGTH)


def value(captured, target, x, activation="auto") -> np.ndarray:
    return select_target(captured, target, activation).graph(x).detach().numpy()


# --- literal definitions --------------------------------------------------------------------------


def softmax(values: list[float]) -> list[float]:
    exps = [math.exp(v - max(values)) for v in values]
    return [e / sum(exps) for e in exps]


def centred(logits: np.ndarray) -> list[float]:
    values = [float(v) for v in logits.ravel()]
    return [v - sum(values) / len(values) for v in values]


def weighted(logits: np.ndarray) -> float:
    """Σ softmax(m)·m over strands and positions, m = l − mean(l)."""
    m = centred(logits)
    return sum(s * v for s, v in zip(softmax(m), m, strict=True))


@pytest.mark.parametrize("target", ["profile", "profile-bpnet", "0.profile", "0.profile-bpnet"])
def test_a_profile_is_the_softmax_weighted_sum_of_its_centred_logits(target):
    model, x = Profile(), sequences()
    logits = captured_of(model).graph(x)[0].detach().numpy()
    np.testing.assert_allclose(value(captured_of(model), target, x), [*map(weighted, logits)])


def pair(model, rows=1):
    """A captured model with sequences, references and the logits at both."""
    captured = captured_of(model)
    letters = torch.randint(0, 4, (2 * rows, LENGTH))
    one_hot = nn.functional.one_hot(letters, 4).transpose(1, 2).double()
    x, r = one_hot[:rows], one_hot[rows:]
    return captured, x, r[:, None], model(x)[0].detach().numpy(), model(r)[0].detach().numpy()


def scored(captured, target, x, references):
    explainer = Explainer(captured, target=target, precision="float64", device="cpu")
    return explainer.contribute(x, references, keep_multipliers=True)


def test_profile_holds_its_weights_at_the_sequence():
    """Delta is Σ s(x)·(m(x) − m(r)), and the scores are those of that linear function."""
    captured, x, references, logits, at_reference = pair(Profile(), rows=3)
    found = scored(captured, "profile", x, references)
    for i in range(3):
        m, m0 = centred(logits[i]), centred(at_reference[i])
        delta = sum(s * (a - b) for s, a, b in zip(softmax(m), m, m0, strict=True))
        assert float(found.delta[i, 0]) == pytest.approx(delta, rel=1e-12)
    assert float(found.completeness_error.max()) < 1e-12
    weights = [softmax(centred(logits[i])) for i in range(3)]
    assert_scores_of_weighted_logits(found, weights, captured, x, references)


def assert_scores_of_weighted_logits(found, weights, captured, x, references):
    """Hold scores against those of the network with a constant weight for each centred logit."""
    for i, numbers in enumerate(weights):
        weight = torch.tensor(numbers, dtype=torch.float64).reshape(1, STRANDS, WIDTH)

        def ending(p, c, w=weight):
            return (((p - p.mean((1, 2), True)) * w).sum((1, 2)),)

        linear = Profile(ending).double()
        linear.load_state_dict(captured_weights(captured, linear))
        expected = scored(captured_of(linear), "0", x[i : i + 1], references[i : i + 1])
        torch.testing.assert_close(found.scores[i], expected.scores[0], rtol=1e-9, atol=1e-11)


def captured_weights(captured, model):
    held = captured.graph.state_dict()
    return {name: held[name] for name in model.state_dict()}


def test_profile_bpnet_is_one_elementwise_step():
    """The multiplier of a centred logit is Δ(m·softmax m)/Δm."""
    captured, x, references, logits, at_reference = pair(Profile(), rows=3)
    found = scored(captured, "profile-bpnet", x, references)
    delta = [weighted(a) - weighted(b) for a, b in zip(logits, at_reference, strict=True)]
    np.testing.assert_allclose(found.delta[:, 0], delta, rtol=1e-11)
    assert float(found.completeness_error.max()) < 1e-11
    weights = []
    for a, b in zip(logits, at_reference, strict=True):
        m, m0 = np.array(centred(a)), np.array(centred(b))
        weights.append((m * softmax(list(m)) - m0 * softmax(list(m0))) / (m - m0))
    assert_scores_of_weighted_logits(found, weights, captured, x, references)


def test_counts_are_the_sum_of_log_counts():
    model, x = Profile(), sequences()
    counts = captured_of(model).graph(x)[1].detach().numpy()
    for target in ("counts", "1.counts"):
        np.testing.assert_allclose(value(captured_of(model), target, x), counts.sum(1))


@pytest.mark.parametrize(
    "names",
    [("profile", "counts"), ("logits_profile_predictions", "logcount_predictions"), ("a", "b")],
)
def test_heads_are_found_by_name_or_size(names):
    model = Profile(
        lambda profile, counts: dict(zip(names, (profile.flatten(1), counts[:, :1]), strict=True))
    )
    captured, x = captured_of(model), sequences()
    logits, counts = (leaf.detach().numpy() for leaf in captured.graph(x))
    np.testing.assert_allclose(value(captured, "counts", x), counts[:, 0])
    np.testing.assert_allclose(value(captured, "profile", x), [*map(weighted, logits)])
    np.testing.assert_allclose(value(captured, f"{names[0]}.profile", x), [*map(weighted, logits)])


def test_positions_of_a_profile():
    captured, x = captured_of(Profile(lambda p, c: (p[:, :1], c))), sequences()
    logits = captured.graph(x)[0].detach().numpy()[:, 0]
    np.testing.assert_allclose(value(captured, "position:3", x), logits[:, 3])
    np.testing.assert_allclose(value(captured, "0.position:0", x), logits[:, 0])
    np.testing.assert_allclose(value(captured, "positions:1-3", x), logits[:, 1:4].sum(1))
    np.testing.assert_allclose(value(captured, "positions:4-4", x), logits[:, 4])


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("activation", ["auto", "keep"])
def test_positions_of_classes_before_and_after_the_softmax(dim, activation):
    model, x = Classes(dim), sequences()
    captured = captured_of(model)
    found = model.conv(x) if activation == "auto" else torch.softmax(model.conv(x), 1)
    found = found.detach().numpy()
    np.testing.assert_allclose(value(captured, "2.position:5", x, activation), found[:, 2, 5])
    np.testing.assert_allclose(value(captured, "0.position:5", x, activation), found[:, 0, 5])
    expected = found[:, 1, 2:5].sum(1)
    np.testing.assert_allclose(value(captured, "0.1.positions:2-4", x, activation), expected)
    assert select_target(captured, "1.position:0", activation).activation == (
        "softmax" if activation == "auto" else ""
    )


class Tasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4 * LENGTH, 7)

    def forward(self, x):
        return torch.sigmoid(self.dense(x.flatten(1)))


@pytest.mark.parametrize("target", ["profile", "profile-bpnet", "counts", "position:3"])
def test_a_row_of_tasks_is_neither_a_profile_nor_counts_unless_it_is_named(target):
    captured, x = captured_of(Tasks()), sequences()
    with pytest.raises(TargetError, match="is not one number a sequence of this model; it has 0 t"):
        select_target(captured, target)
    logits = select_target(captured, "3").graph(x).detach().numpy()
    if target == "position:3":
        np.testing.assert_allclose(value(captured, "0.position:3", x), logits)
    else:
        assert value(captured, f"0.{target}", x).shape == (3,)


@pytest.mark.parametrize("activation", ["auto", "keep"])
def test_means_sums_and_differences(activation):
    model, x = Tasks(), sequences()
    captured = captured_of(model)
    found = model.dense(x.flatten(1))
    found = (found if activation == "auto" else found.sigmoid()).detach().numpy()
    expected = {
        "3-5": found[:, 3] - found[:, 5],
        "mean:0..4": found[:, :5].mean(1),
        "sum:0,2,6": found[:, [0, 2, 6]].sum(1),
        "mean:0,1-2": found[:, :2].mean(1) - found[:, 2],
        "mean:0..1-mean:2..3": found[:, :2].mean(1) - found[:, 2:4].mean(1),
        "sum:1..1": found[:, 1],
    }
    for target, numbers in expected.items():
        np.testing.assert_allclose(value(captured, target, x, activation), numbers, err_msg=target)


def test_names_with_a_minus_are_names_first():
    captured = captured_of(Profile(lambda p, c: {"a-b": c[:, 0], "a": c[:, 1], "b": p[:, 0, 0]}))
    x = sequences()
    whole, a, b = (leaf.detach().numpy() for leaf in captured.graph(x))
    np.testing.assert_allclose(value(captured, "a-b", x), whole)
    np.testing.assert_allclose(value(captured, "b-a", x), b - a)
    np.testing.assert_allclose(value(captured, "a-b-a", x), whole - a)


@pytest.mark.parametrize(
    ("target", "definition"),
    [
        ("profile", "output 0: sum over strands and positions of s*m, where m is the logits minus "
         "their mean and s is softmax(m), held constant at the sequence"),
        ("1.0-1.1", "output 1, number 0 minus output 1, number 1"),
        ("mean:1.0,1.1", "mean of (output 1, number 0; output 1, number 1)"),
        ("0.1.positions:2-3", "output 0: sum of positions 2 to 3 of class 1"),
        ("0.0.position:4", "output 0: position 4 of class 0"),
    ],
)  # fmt: skip
def test_a_target_is_defined_in_words(target, definition):
    assert select_target(captured_of(Profile()), target).definition == definition


def test_the_activation_that_is_taken_off_is_part_of_the_definition():
    captured = captured_of(Tasks())
    assert select_target(captured, "3").definition == "the output before the sigmoid, number 3"
    assert select_target(captured, "3", "keep").definition == "the output, number 3"


@pytest.mark.parametrize(
    "target",
    "position:0 0.2.position:0 0.0.position:5 0.0.positions:4-5 0.0.positions:3-2 1.2 mean: mean:7 "
    "sum:1.0,x 1.0- -1.0 1.0--1.1 profile.0 2.profile position: 0.0.position:-1".split(),
)
def test_what_is_no_number_of_the_model(target):
    with pytest.raises(TargetError) as caught:
        select_target(captured_of(Profile()), target)
    assert str(caught.value) == (
        f"target {target!r} is not one number a sequence of this model; it has output 0 of shape "
        "(batch, 2, 5), read as 0.counts, profile, profile-bpnet, [CLASS.]position:P or "
        "[CLASS.]positions:A-B; 1.0 to 1.1"
    )


def test_readouts_are_written_in_one_way():
    for text in ("01", "1.0", "+1", "profile-", "position:01", "x.position:1", "positions:3", ""):
        assert parse_readout(text) is None


def test_lists_and_ranges():
    found = list(columns_of("3,0..2,logits.4..5,a"))
    assert found == ["3", "0", "1", "2", "logits.4", "logits.5", "a"]
    assert expand([0, "2..3", "counts", "sum:0..3"]) == ("0", "2", "3", "counts", "sum:0..3")
    assert list(columns_of("0.1..2")) == ["0.1", "0.2"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["0..2", "1"], "target 1 is named twice; leave one out"),
        (["4..2"], "the range 4..2 of targets has 0 numbers; expected FIRST..LAST"),
        (["0..99999,0..9"], "the ranges up to 0..9 have 100,010 targets; expected at most 100,000"),
        (["0..100000"], "the range 0..100000 of targets has 100,001 numbers"),
    ],
)
def test_lists_that_make_no_sense(targets, message):
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        expand(targets)
