"""What holds for every model: completeness, symmetry, and independence of how the work is cut."""

import weakref

import pytest
import torch
from torch import nn

from seqlift.deeplift.interpreter import multipliers
from seqlift.deeplift.methods import METHODS, MethodOptions
from seqlift.deeplift.scores import combine, part
from seqlift.explain import Explainer
from seqlift.library import contributions
from seqlift.model.capture import capture
from tests.helpers import (
    assert_complete,
    assert_same_scores,
    capture_together,
    explainer,
    model,
    random_sequences,
    rows_of,
    with_shuffles,
    zoo_graph,
)
from tests.zoo import CHANNELS, LENGTH, ZOO, build

ROUNDING = 1e-11  # float64, some operators deep, with one near-zero slope on the way
FLOAT32 = 1e-4

# One of each kind of operator, for the checks that take many passes.
SOME = [
    "F.relu",
    "gelu",
    "x**3",
    "one ReLU five times",
    "tanh*sigmoid gate",
    "squeeze-excite",
    "ratio",
    "dense block",
    "max-pool overlap",
    "max-pool then max-pool",
    "lp-pool",
    "batch norm",
    "layer norm",
    "softmax positions",
    "attention pooling",
    "multi-head attention",
    "bidirectional LSTM",
    "conv2d max-pool",
    "siamese in one batch",
    "squeeze",
]

zoo = pytest.mark.parametrize("name", ZOO)
some = pytest.mark.parametrize("name", SOME)


def same_pass(explained: Explainer, one_hot, references, *, repeat: bool):
    """Score in one pass, with or without repeating the sequence."""
    one_hot, references = one_hot.to(explained.dtype), references.to(explained.dtype)
    found = multipliers(explained.model.graphs[0], one_hot, references, repeat=repeat)
    return combine(one_hot, [part(one_hot, references, found)])


@zoo
def test_contributions_sum_to_delta(name, device):
    one_hot, references = with_shuffles()
    assert_complete(explainer(name, device=device).contribute(one_hot, references))


@zoo
def test_contributions_sum_to_delta_against_flat_references(name):
    one_hot, references = with_shuffles()
    flat = torch.full_like(references[:, :1], 0.25, dtype=torch.float64)
    found = explainer(name).contribute(one_hot, flat)
    assert found.completeness_error.max() <= 1e-10 * found.delta.abs().mean()


@zoo
def test_predictions_are_the_models_own(name):
    one_hot, references = with_shuffles()
    found = explainer(name).contribute(one_hot, references)
    with torch.no_grad():
        at_sequence = model(name)(one_hot.double())[:, 0]
        at_reference = model(name)(references.flatten(0, 1).double())[:, 0]
    torch.testing.assert_close(found.prediction, at_sequence, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        found.prediction_reference.flatten(), at_reference, rtol=1e-12, atol=1e-12
    )


@zoo
def test_a_sequence_that_is_its_own_reference_gets_nothing(name):
    one_hot = random_sequences(3)
    found = explainer(name).contribute(one_hot, one_hot[:, None])
    assert found.scores.abs().max() == 0
    assert found.delta.abs().max() == 0
    assert found.completeness_error.max() == 0
    assert found.hypothetical.isfinite().all()
    assert found.hypothetical.abs().max() > 0, "the derivative stands in for the other bases"


@zoo
def test_a_base_that_is_the_same_in_both_contributes_nothing(name):
    one_hot, references = with_shuffles(3, 1)
    found = explainer(name).contribute(one_hot, references)
    is_same = (one_hot == references[:, 0]).all(1)
    assert 0 < is_same.sum() < is_same.numel()
    assert found.scores.sum(1)[is_same].abs().max() == 0


@zoo
def test_repeating_the_sequence_changes_nothing(name):
    one_hot, references = with_shuffles(3, 4)
    explained = explainer(name)
    repeated = same_pass(explained, one_hot, references, repeat=True)
    once = same_pass(explained, one_hot, references, repeat=explained.model.repeats_sequence)
    assert_same_scores(repeated, once, ROUNDING)


@zoo
def test_a_region_is_scored_the_same_alone_and_among_others(name):
    one_hot, references = with_shuffles(3, 4)
    together = explainer(name).contribute(one_hot, references)
    alone = explainer(name).contribute(one_hot[1:2], references[1:2])
    assert_same_scores(alone, rows_of(together, slice(1, 2)), ROUNDING)


@zoo
def test_the_order_of_references_does_not_matter(name):
    one_hot, references = with_shuffles(3, 4)
    order = torch.tensor([2, 0, 3, 1])
    expected = explainer(name).contribute(one_hot, references)
    found = explainer(name).contribute(one_hot, references[:, order])
    expected = expected._replace(delta=expected.delta[:, order])
    assert_same_scores(found, expected, ROUNDING)


@some
@pytest.mark.parametrize(
    ("batch_size", "precision", "tolerance"),
    [(size, "float64", ROUNDING) for size in (1, 3, 7, 10)] + [(3, "float32", FLOAT32)],
)
def test_batch_size_does_not_matter(name, batch_size, precision, tolerance):
    """Batches of 1 and 3 cut a region's 5 references; 10 leaves a smaller last batch."""
    one_hot, references = with_shuffles(3, 5)
    expected = explainer(name, precision).contribute(one_hot, references)
    assert explainer(name, precision).batch_size >= 15, "all at once"
    cut = _with_batch_size(explainer(name, precision), batch_size)
    assert_same_scores(cut.contribute(one_hot, references), expected, tolerance)


@some
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", ROUNDING), ("float32", FLOAT32)])
def test_the_order_of_regions_does_not_matter(name, precision, tolerance):
    one_hot, references = with_shuffles(5)
    order = [3, 0, 4, 2, 1]
    expected = explainer(name, precision).contribute(one_hot, references)
    found = explainer(name, precision).contribute(one_hot[order], references[order])
    assert_same_scores(found, rows_of(expected, order), tolerance)


@some
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", ROUNDING), ("float32", FLOAT32)])
def test_two_threads_score_as_one(name, precision, tolerance):
    one_hot, references = with_shuffles(5)
    before = torch.get_num_threads()
    found = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            found[threads] = explainer(name, precision).contribute(one_hot, references)
        finally:
            torch.set_num_threads(before)
    assert_same_scores(found[2], found[1], tolerance)


@some
def test_float32_scores_are_those_of_float64(name):
    one_hot, references = with_shuffles(5)
    found = explainer(name, "float32").contribute(one_hot, references)
    assert found.scores.dtype == torch.float32
    expected = explainer(name).contribute(one_hot, references)
    as_double = type(found)(*(None if f is None else f.double() for f in found))
    assert_same_scores(as_double, expected, FLOAT32)


def _with_batch_size(explained: Explainer, batch_size: int) -> Explainer:
    other = Explainer.__new__(Explainer)
    other.__dict__.update(explained.__dict__, batch_size=batch_size)
    return other


# --- laws of the target ----------------------------------------------------------------------


class Combined(nn.Module):
    """Outputs of a model, weighted and summed."""

    def __init__(self, model, weights):
        super().__init__()
        self.model = model
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))

    def forward(self, x):
        return (self.model(x) * self.weights).sum(-1)


LINEAR_IN_THE_TARGET = ["F.relu", "max-pool overlap", "layer norm", "GLU", "siamese"]


@pytest.mark.parametrize("name", LINEAR_IN_THE_TARGET)
def test_targets_add_and_scale(name):
    one_hot, references = with_shuffles()
    parts = [explainer(name, target=i).contribute(one_hot, references) for i in (0, 1)]
    both = [(1.0, 1.0), (-2.5, 0.0)]
    combined = capture_together([Combined(build(name), weights) for weights in both])
    for weights, captured in zip(both, combined, strict=True):
        found = Explainer(captured, precision="float64").contribute(one_hot, references)
        for field in ("scores", "hypothetical", "delta"):
            expected = sum(w * getattr(p, field) for w, p in zip(weights, parts, strict=True))
            torch.testing.assert_close(getattr(found, field), expected, rtol=1e-9, atol=1e-13)


def test_a_target_that_does_not_depend_on_the_sequence_gets_nothing():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(x.shape[0], 1)

    one_hot, references = with_shuffles(3, 2)
    found = Explainer(Constant(), length=LENGTH).contribute(one_hot, references)
    assert found.scores.abs().max() == found.delta.abs().max() == 0
    assert (found.prediction == 1).all()


# --- laws of linear models -------------------------------------------------------------------


def linear_model():
    torch.manual_seed(3)
    convolved = nn.Sequential(
        nn.Conv1d(4, CHANNELS, 5, padding=2), nn.BatchNorm1d(CHANNELS), nn.AvgPool1d(3, 2)
    )
    model = nn.Sequential(convolved, nn.Flatten(), nn.LazyLinear(1)).double().eval()
    model(torch.zeros(2, 4, LENGTH, dtype=torch.float64))
    return model


def test_in_a_linear_model_contributions_are_weight_times_difference():
    one_hot, references = with_shuffles()
    model = linear_model()
    units = torch.eye(4 * LENGTH, dtype=torch.float64).unflatten(1, (4, LENGTH))
    with torch.no_grad():
        intercept = model(torch.zeros(1, 4, LENGTH, dtype=torch.float64))
        weight = (model(units) - intercept).reshape(4, LENGTH)
    found = contributions(
        model,
        one_hot,
        references=references,
        precision="float64",
        device="cpu",
        keep_multipliers=True,
    )
    expected = weight.expand_as(found.multipliers)
    torch.testing.assert_close(found.multipliers, expected, rtol=0, atol=1e-13)
    baseline = (weight * references.double()).sum(2).mean(1)
    observed = (weight * one_hot.double()).sum(1)
    torch.testing.assert_close(found.scores.sum(1), observed - baseline, rtol=0, atol=1e-13)


# --- one model, written in several ways ------------------------------------------------------

SAME = [
    ("F.relu", "torch.relu"),
    ("F.relu", "Tensor.relu_"),
    ("F.relu", "nn.ReLU"),
    ("F.relu", "nn.MyReLU"),
    ("F.relu", "ReLU(inplace)"),
    ("gelu", "nn.GELU"),
    ("silu", "nn.SiLU"),
    ("mish", "nn.Mish"),
    ("elu", "nn.ELU"),
    ("selu", "nn.SELU"),
    ("leaky-relu", "nn.LeakyReLU"),
    ("relu6", "nn.ReLU6"),
    ("softplus", "nn.Softplus"),
    ("softsign", "nn.Softsign"),
    ("hardswish", "nn.Hardswish"),
    ("hardtanh", "nn.Hardtanh"),
    ("hardsigmoid", "nn.Hardsigmoid"),
    ("sigmoid", "nn.Sigmoid"),
    ("log-sigmoid", "nn.LogSigmoid"),
    ("tanh", "nn.Tanh"),
    ("square", "x**2"),
    ("amax", "global max"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_how_a_model_is_written_does_not_matter(one, other):
    one_hot, references = with_shuffles()
    expected = explainer(one).contribute(one_hot, references)
    assert_same_scores(explainer(other).contribute(one_hot, references), expected, ROUNDING)


def test_captured_alone_or_as_one_of_many_outputs_is_the_same():
    one_hot, references = with_shuffles()
    alone = Explainer(capture(build("residual"), LENGTH), precision="float64")
    expected = explainer("residual").contribute(one_hot, references)
    assert_same_scores(alone.contribute(one_hot, references), expected, ROUNDING)


# --- the user's model ------------------------------------------------------------------------


def snapshot(model: nn.Module) -> dict[str, object]:
    """Describe everything of a model that a library could leave changed."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "values": {k: v.detach().clone().numpy().tobytes() for k, v in tensors.items()},
        "grad": {k: (v.requires_grad, v.grad, v.device, v.dtype) for k, v in tensors.items()},
        "objects": {k: id(v) for k, v in tensors.items()},
        "attributes": {k: _attributes(m) for k, m in model.named_modules()},
    }


def _attributes(module: nn.Module) -> dict[str, object]:
    """Values for plain data, identities for all else: torch may put back an equal tuple."""

    def described(value):
        if isinstance(value, dict):
            return {k: described(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [described(v) for v in value]
        if isinstance(value, weakref.ref):
            value = value()
        return value if isinstance(value, (int, float, str)) else id(value)

    return {k: described(v) for k, v in vars(module).items()}


@pytest.mark.parametrize(
    ("name", "fast_path"),
    [
        ("batch norm", True),
        ("dropout", True),
        ("ReLU(inplace)", True),
        ("multi-head attention", True),
        ("multi-head attention", False),
        ("GRU", True),
    ],
)
def test_the_users_model_is_left_as_it_was(name, fast_path):
    one_hot, references = with_shuffles(2, 2)
    model = build(name)
    model.train(True)
    model.last.train(False)  # flags that differ from module to module
    next(model.parameters()).requires_grad_(False)
    before = snapshot(model)
    usual = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast_path)
    try:
        contributions(model, one_hot, references=references, device="cpu")
        assert torch.backends.mha.get_fastpath_enabled() == fast_path
    finally:
        torch.backends.mha.set_fastpath_enabled(usual)
    assert snapshot(model) == before
    assert torch.is_grad_enabled()


def test_scores_do_not_depend_on_the_callers_gradient_mode():
    one_hot, references = with_shuffles()
    expected = explainer("F.relu").contribute(one_hot, references)
    with torch.no_grad():
        found = explainer("F.relu").contribute(one_hot, references)
    assert_same_scores(found, expected, 0)
    assert not found.scores.requires_grad


def test_a_model_in_training_mode_is_explained_as_evaluated():
    one_hot, references = with_shuffles()
    model = build("dropout")
    model.train(True)
    trained = Explainer(model, length=LENGTH, precision="float64")
    expected = explainer("dropout").contribute(one_hot, references)
    assert_same_scores(trained.contribute(one_hot, references), expected, ROUNDING)


@pytest.mark.parametrize("name", [name for name in ZOO if name != "assignment"])
def test_the_gradient_is_the_original_modules(name):
    """Autograd cannot go through a module that assigns; `test_gradients.py` has differences."""
    one_hot = with_shuffles()[0].double()
    zeros = torch.zeros_like(one_hot)[:, None]
    run = METHODS["gradient-input"].run
    found = run(zoo_graph(name), one_hot, zeros, MethodOptions()).multipliers[:, 0]
    source = one_hot.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(name)(source)[:, 0].sum(), source)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING * scale)
