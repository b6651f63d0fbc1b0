"""The library's call: what it takes, what it promises, what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

import seqlift.deeplift.runner
import seqlift.explain
import seqlift.targeted
from seqlift import contributions
from seqlift.errors import (
    CompletenessWarning,
    SequenceError,
    ShapeError,
    TargetError,
    UnsupportedOperatorError,
    UsageError,
)
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.load import LoadedModel
from seqlift.model.placement import find_device
from seqlift.sequence.onehot import encode_many
from seqlift.sequence.references import SCHEMES, make_references

LENGTH = 20
SEQUENCES = ["ACGTTGCATGACCGTAGATC", "GGCATTACGATCATTAGCCA", "TTGACCAGATACGGCATTAC"]


class Net(nn.Module):
    """Convolution, rectifier, maximum, and two numbers a sequence that multiply."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 5, 4)
        self.dense = nn.Linear(5, 2)

    def forward(self, x):
        hidden = torch.relu(self.conv(x)).amax(-1)
        return self.dense(hidden) * hidden.sum(1, keepdim=True)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(4)
    return Net().eval()


@pytest.fixture(scope="module")
def captured(net):
    """Captured once; `contributions` takes it as it takes a model."""
    return capture(net, LENGTH)


@pytest.fixture(scope="module")
def one_hot():
    return encode_many(SEQUENCES)


@pytest.fixture
def explain(captured, one_hot):
    """`contributions` on the CPU, of the module's model and sequences unless told otherwise."""

    def call(model=captured, sequences=one_hot, **options):
        options = {"device": "cpu", "precision": "float64", "n_references": 4} | options
        return contributions(model, sequences, **options)

    return call


def assert_complete(found, tolerance: float = 1e-12) -> None:
    assert found.delta.abs().min() > 1e-9
    assert found.completeness_error.max() <= tolerance
    difference = found.scores.sum((1, 2)) - found.delta.mean(1)
    assert difference.abs().max() <= tolerance


def assert_same(found, expected, tolerance: float = 1e-12) -> None:
    for field, one, other in zip(found._fields, found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=tolerance, atol=tolerance, equal_nan=True, msg=field
        )


# --- what it promises -----------------------------------------------------------------------------


def test_scores_sum_to_delta(net, one_hot):
    found = contributions(net, one_hot, device="cpu", precision="float64", n_references=4)
    assert_complete(found)
    assert found.scores.dtype == torch.float64
    assert found.delta.shape == found.completeness_error.shape == (3, 4)
    assert found.hypothetical.shape == found.scores.shape == (3, 4, LENGTH)
    assert found.standard_error.shape == (3, LENGTH)
    assert found.multipliers is None


def test_delta_is_what_the_model_says(net, explain, one_hot):
    references = make_references(one_hot, n_references=4, seed=7)
    found = explain(seed=7, target=1)
    model = Net().double()
    model.load_state_dict(net.state_dict())

    def predicted(array):
        with torch.no_grad():
            return model(torch.tensor(array, dtype=torch.float64))[:, 1]

    torch.testing.assert_close(found.prediction, predicted(one_hot))
    at_references = predicted(references.reshape(-1, 4, LENGTH)).reshape(3, 4)
    torch.testing.assert_close(found.prediction_reference, at_references)
    torch.testing.assert_close(found.delta, predicted(one_hot)[:, None] - at_references)


def test_scores_are_hypothetical_scores_of_the_bases_that_are_there(explain, one_hot):
    found = explain()
    torch.testing.assert_close(found.scores, found.hypothetical * torch.from_numpy(one_hot))


def test_multipliers_are_kept_on_request_and_explain_the_scores(explain, one_hot):
    found = explain(keep_multipliers=True, seed=3)
    references = torch.from_numpy(make_references(one_hot, n_references=4, seed=3)).double()
    m, x = found.multipliers, torch.from_numpy(one_hot).double()
    torch.testing.assert_close(
        found.hypothetical, (m - (references * m).sum(2, keepdim=True)).mean(1)
    )
    torch.testing.assert_close(((x[:, None] - references) * m).sum((2, 3)), found.delta)


def test_the_standard_error_is_that_of_the_track_over_references(explain, one_hot):
    found = explain(keep_multipliers=True)
    references = torch.from_numpy(make_references(one_hot, n_references=4, seed=0)).double()
    x = torch.from_numpy(one_hot).double()
    tracks = ((x[:, None] - references) * found.multipliers).sum(2)
    torch.testing.assert_close(found.standard_error, tracks.std(1) / 2)
    assert explain(references="zeros").standard_error.isnan().all()


def test_float32_is_close_to_float64(explain):
    found, expected = explain(precision="float32"), explain()
    assert found.scores.dtype == torch.float32
    scale = float(expected.scores.abs().max())
    torch.testing.assert_close(found.scores.double(), expected.scores, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8, 100, None])
def test_nothing_depends_on_the_batch(explain, batch_size):
    found = explain(batch_size=batch_size, keep_multipliers=True)
    assert_same(found, explain(batch_size=12, keep_multipliers=True))


def test_sequences_do_not_depend_on_each_other(explain, one_hot):
    together = explain()
    for row, sequence in enumerate(one_hot):
        alone = explain(sequences=sequence[None])
        torch.testing.assert_close(alone.scores[0], together.scores[row])


def test_the_seed_makes_the_references(explain):
    assert_same(explain(seed=5), explain(seed=5), tolerance=0)
    assert not torch.equal(explain(seed=5).delta, explain(seed=6).delta)


def test_results_are_on_the_device(captured, one_hot, device):
    found = contributions(captured, one_hot, device=device, n_references=2, precision="float64")
    assert found.scores.device.type == device
    assert_complete(found)


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool, ">f4"])
def test_sequences_of_any_numpy_type(explain, one_hot, dtype):
    assert_same(explain(sequences=one_hot.astype(dtype)), explain(), tolerance=0)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.int32, torch.float16, torch.bfloat16, torch.float64]
)
def test_sequences_of_any_torch_type(explain, one_hot, dtype):
    sequences = torch.from_numpy(one_hot).to(dtype)
    assert_same(explain(sequences=sequences), explain(), tolerance=0)


def test_sequences_that_a_training_loop_left_behind(explain, one_hot):
    sequences = torch.from_numpy(one_hot).float().requires_grad_()
    assert_same(explain(sequences=sequences), explain(), tolerance=0)
    assert sequences.grad is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_by_name(explain, one_hot, scheme):
    found = explain(references=scheme)
    expected = explain(references=make_references(one_hot, scheme, 4, seed=0))
    assert_same(found, expected, tolerance=0)
    assert found.delta.shape == (3, 4 if SCHEMES[scheme].is_random else 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, ">f8", np.longdouble, bool])
def test_references_as_arrays(explain, one_hot, dtype):
    references = make_references(one_hot, n_references=4, seed=0)
    assert_same(explain(references=references.astype(dtype)), explain(), tolerance=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float64])
def test_references_as_tensors(explain, one_hot, dtype):
    references = torch.from_numpy(make_references(one_hot, n_references=4, seed=0)).to(dtype)
    assert_same(explain(references=references), explain(), tolerance=0)


def test_references_that_all_sequences_share(explain):
    shared = encode_many(["TTTTTACGACGATCAGCATC", "ACACACACACGTGTGTGTGT"])
    repeated = np.repeat(shared[None], 3, axis=0)
    assert_same(explain(references=shared), explain(references=repeated), tolerance=0)
    assert_complete(explain(references=shared))


def test_a_flat_background(explain):
    background = np.broadcast_to(np.array([0.3, 0.2, 0.2, 0.3])[:, None], (4, LENGTH))
    found = explain(references=background[None])
    assert_complete(found)
    assert found.delta.shape == (3, 1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_unknown_bases_score_nothing_and_completeness_holds(explain, scheme):
    sequences = encode_many([f"NN{SEQUENCES[0][2:9]}N{SEQUENCES[0][10:]}", SEQUENCES[1]])
    found = explain(sequences=sequences, references=scheme)
    assert_complete(found)
    assert not found.scores[0, :, [0, 1, 9]].any()
    assert not found.standard_error[0, [0, 1, 9]].nan_to_num().any()


def test_the_forms_of_a_model(net, captured, explain):
    expected = explain()
    assert_same(explain(model=net), expected)
    assert_same(explain(model=LoadedModel(net, "net", "0")), expected)


def test_a_final_sigmoid_is_taken_off_unless_it_is_to_be_kept(net, explain):
    model = capture(nn.Sequential(net, nn.Sigmoid()), LENGTH)
    assert_same(explain(model=model), explain())
    kept = explain(model=model, target_activation="keep")
    torch.testing.assert_close(kept.prediction, explain().prediction.sigmoid())
    assert_complete(kept)


def test_targets_are_chosen_by_index(explain):
    assert not torch.allclose(explain(target=0).scores, explain(target=1).scores)


class Constant(nn.Module):
    def forward(self, x):
        return torch.ones(x.shape[0], 1) + 0 * x.new_zeros(x.shape[0], 1)


def test_a_constant_output_has_no_contributions(explain):
    found = explain(model=Constant())
    assert not found.scores.any()
    assert found.prediction.tolist() == [1.0] * 3


# --- the explainer --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 4, 5])
def test_fewer_pairs_at_a_time_than_references(captured, one_hot, batch_size):
    sequences, references = (
        torch.from_numpy(array) for array in (one_hot, make_references(one_hot, seed=0))
    )

    def score(size):
        explainer = Explainer(captured, precision="float64", device="cpu", batch_size=size)
        return explainer.contribute(sequences, references, keep_multipliers=True)

    assert_same(score(batch_size), score(1000))


def test_the_batch_is_chosen_by_length(captured):
    explainer = Explainer(captured, device="cpu")
    assert explainer.batch_size == seqlift.explain.POSITIONS_ON_CPU // LENGTH


def test_an_explainer_says_what_it_explains(net):
    model = nn.Sequential(net, nn.Softmax(1))
    explainer = Explainer(model, target="1", length=LENGTH, device="cpu")
    found = (explainer.targets, explainer.removed_activations, explainer.length)
    assert found == (("1",), ("softmax",), LENGTH)


def test_an_explainer_refuses_another_length(captured):
    explainer = Explainer(captured, device="cpu")
    with pytest.raises(ShapeError) as caught:
        explainer.contribute(torch.zeros(1, 4, 19), torch.zeros(1, 2, 4, LENGTH))
    assert str(caught.value) == (
        "sequences of 19 and references of 20 positions were given; the explainer was made for 20"
    )


# --- completeness ---------------------------------------------------------------------------------


def off_by(error: float, monkeypatch) -> None:
    """Make the multipliers of the first position wrong, whatever its base."""
    true = seqlift.targeted.multipliers_each

    def wrong(*args, **kwargs):
        found = true(*args, **kwargs)
        found[0].multipliers[..., 0] += error
        return found

    monkeypatch.setattr(seqlift.targeted, "multipliers_each", wrong)


def test_contributions_that_are_incomplete_are_warned_of(explain, monkeypatch):
    off_by(10.0, monkeypatch)
    with pytest.warns(CompletenessWarning) as caught:
        found = explain(references="zeros")
    worst = int(found.completeness_error.argmax())
    (warning,) = caught
    assert str(warning.message) == (
        "contributions of 3 of 3 sequences do not sum to delta "
        f"(worst: off by 10 where delta is {float(found.delta[worst]):.2g})"
    )
    assert warning.filename == __file__


def test_rounding_is_not_warned_of(explain, monkeypatch):
    off_by(1e-7, monkeypatch)
    explain(references="zeros", precision="float32")  # pytest would turn a warning into an error


def test_what_is_rounding_depends_on_the_precision(explain, monkeypatch):
    off_by(1e-7, monkeypatch)
    with pytest.warns(CompletenessWarning):
        explain(references="zeros", precision="float64")


def test_numbers_that_are_no_numbers_are_warned_of(explain):
    class Overflowing(nn.Module):
        def forward(self, x):
            return (1000 * x).exp().sum((1, 2))

    with pytest.warns(CompletenessWarning, match="contributions of 3 of 3 sequences"):
        explain(model=Overflowing())


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rules": "genomic"},
            "rules 'genomic' are unknown; expected one of rescale, reveal-cancel, genomics",
        ),
        (
            {"precision": "float16"},
            "precision 'float16' is unknown; it is one of float32, float64, tf32, bfloat16",
        ),
        (
            {"target_activation": "logit"},
            "target activation 'logit' is unknown; it is one of auto, keep",
        ),
        ({"batch_size": 0}, "batch size 0 is not at least 1"),
        ({"device": "gpu"}, "device 'gpu' is unknown; expected cpu, cuda or cuda:N"),
        ({"device": ""}, "device '' is unknown; expected cpu, cuda or cuda:N"),
        ({"device": "meta"}, "device 'meta' is not supported; expected cpu, cuda or cuda:N"),
        (
            {"device": "cuda:99"},
            f"device 'cuda:99' is not here; torch sees {torch.cuda.device_count()} CUDA devices",
        ),
        (
            {"references": "dinucleotide"},
            "found reference scheme 'dinucleotide'; expected one of dinucleotide-shuffle, "
            "mononucleotide-shuffle, flat, zeros, K-let-shuffle: did you mean "
            "'dinucleotide-shuffle'?",
        ),
        (
            {"model": "net.pt2"},
            "the model is 'net.pt2', a str; expected a torch.nn.Module or what "
            "seqlift.load_model gives",
        ),
    ],
)
def test_options_that_do_not_exist(explain, options, message):
    with pytest.raises(UsageError) as caught:
        explain(**options)
    assert str(caught.value) == message


def test_no_references_are_refused(explain):
    with pytest.raises(UsageError, match="found 0 references; expected at least 1"):
        explain(n_references=0)


@pytest.mark.parametrize("target", [2, "logits"])
def test_absent_targets_are_refused(explain, target):
    with pytest.raises(TargetError, match=r"it has 0 to 1$"):
        explain(target=target)


@pytest.mark.parametrize(
    "sequences",
    [
        np.zeros((2, LENGTH, 4), np.uint8),
        np.full((2, 4, LENGTH), 0.25),
        np.ones((2, 4, LENGTH), np.uint8),
        np.zeros((4, LENGTH), np.uint8),
        np.zeros((1, 2, 4, LENGTH), np.uint8),
        np.array(SEQUENCES),
        torch.full((1, 4, LENGTH), torch.nan),
        np.zeros((0, 4, LENGTH), np.uint8),
    ],
    ids=["transposed", "flat", "two-bases", "one", "four-axes", "letters", "nan", "none"],
)
def test_what_is_not_one_hot_is_refused(explain, sequences):
    with pytest.raises(SequenceError) as caught:
        explain(sequences=sequences)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(2, 4, 4, LENGTH), (3, 4, 4, 19), (4, LENGTH), (3, 0, 4, LENGTH), (3, 4, LENGTH, 4)]
)
def test_references_of_another_shape_are_refused(explain, shape):
    with pytest.raises(SequenceError, match="found references of shape"):
        explain(references=np.zeros(shape))


def test_references_that_are_not_finite_are_refused(explain):
    with pytest.raises(SequenceError, match="found nan in the references"):
        explain(references=torch.full((1, 4, LENGTH), torch.nan))


def test_another_length_than_the_models_is_refused(explain, one_hot):
    with pytest.raises(ShapeError, match="explainer was made for 20"):
        explain(sequences=one_hot[..., :-1])


def test_operators_without_a_rule_are_refused(explain):
    class Sorting(nn.Module):
        def forward(self, x):
            return x.sort(-1).values.sum((1, 2))

    with pytest.raises(UnsupportedOperatorError, match=r"aten\.sort"):
        explain(model=Sorting())


def test_the_default_device_is_there():
    assert find_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_job_of_few_regions_is_compiled_where_that_is_asked_for(captured, one_hot, monkeypatch):
    """Batches are for more; one that was filled up for that would be run rule by rule."""
    compiled = []
    monkeypatch.setattr(
        seqlift.deeplift.runner, "compile_function", lambda f, *_: compiled.append(f) or f
    )
    explained = Explainer(captured, device="cpu", precision="float64", compile="on")
    references = torch.from_numpy(make_references(one_hot, n_references=4, seed=0))
    found = explained.contribute(torch.from_numpy(one_hot), references)
    assert len(compiled) == 1
    more = explained.contribute(
        torch.from_numpy(one_hot).repeat(3, 1, 1), references.repeat(3, 1, 1, 1)
    )
    assert len(compiled) == 2, "a larger batch is another program"
    torch.testing.assert_close(more.scores[:3], found.scores)
    plain = Explainer(captured, device="cpu", precision="float64", compile="off")
    expected = plain.contribute(torch.from_numpy(one_hot), references)
    torch.testing.assert_close(found.scores, expected.scores)


def test_compiled_code_is_kept_for_these_weights_alone():
    """The description names a program, the digest what it is run on; both are those of a job."""

    def told_apart_by(change):
        torch.manual_seed(4)
        net = Net().eval()
        with torch.no_grad():
            change(net)
        model = Explainer(net, length=LENGTH, compile="off").model
        return model.description(), model.weights()

    same = told_apart_by(lambda net: None)
    assert told_apart_by(lambda net: None) == same
    for part in ("conv.weight", "conv.bias", "dense.weight", "dense.bias"):
        changed = told_apart_by(lambda net, part=part: net.get_parameter(part)[0].mul_(1.001))
        assert changed[0] == same[0]
        assert changed[1] != same[1], part


def test_compiled_code_is_kept_for_weights_of_these_shapes_alone():
    descriptions = {
        Explainer(
            nn.Sequential(nn.Conv1d(4, width, 4), nn.Conv1d(width, 1, LENGTH - 3), nn.Flatten()),
            length=LENGTH,
            compile="off",
        ).model.description()
        for width in (5, 6)
    }
    assert len(descriptions) == 2
