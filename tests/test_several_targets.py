"""Several targets share the way forward, and each is scored as it is alone."""

import pytest
import torch
from torch import nn

from seqlift import preparing
from seqlift.deeplift.methods import METHODS
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.passes import join
from seqlift.model.targets import select_target
from seqlift.plan import Plan
from tests.helpers import assert_same_scores, with_shuffles
from tests.tiny import LENGTH

aten = torch.ops.aten


class Heads(nn.Module):
    """One trunk; dense outputs, some behind a sigmoid, and one number of a part of the input."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(
            nn.Conv1d(4, 6, 5), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
            nn.LazyLinear(8), nn.ReLU(),
        )  # fmt: skip
        self.trunk(torch.zeros(2, 4, LENGTH))
        self.numbers = nn.Linear(8, 3)
        self.chance = nn.Linear(8, 2)

    def forward(self, x):
        shared = self.trunk(x)
        return {
            "numbers": self.numbers(shared),
            "chance": torch.sigmoid(self.chance(shared)),
            "content": torch.tanh(x[:, 1:3, :15].mean((1, 2)))[:, None],
        }


TARGETS = ("numbers.2", "chance.0", "numbers.0", "content")


@pytest.fixture(scope="module")
def captured():
    return capture(Heads().double().eval(), LENGTH)


def explainer(captured, target, **options):
    return Explainer(captured, target=target, device="cpu", precision="float64", **options)


def assert_each_as_alone(captured, tolerance=1e-11, reference_error=None, compile="off", **options):
    one_hot, references = with_shuffles(3, 12, LENGTH)
    together = explainer(captured, TARGETS, compile=compile, **options)
    assert together.targets == TARGETS
    assert together.removed_activations == ("", "sigmoid", "", "")
    found = together.contribute_each(one_hot, references, reference_error=reference_error)
    for target, of_one in zip(TARGETS, found, strict=True):
        alone = explainer(captured, target, compile="off", **options)
        expected = alone.contribute(one_hot, references, reference_error=reference_error)
        assert_same_scores(of_one, expected, tolerance)
        assert torch.equal(of_one.n_references, expected.n_references)
    return found


@pytest.mark.parametrize("rules", ["rescale", "reveal-cancel", "genomics"])
def test_each_target_is_scored_as_alone(captured, rules):
    found = assert_each_as_alone(captured, rules=rules)
    assert all(float(one.scores.abs().max()) > 0 for one in found)


@pytest.mark.parametrize("batch_size", [1, 5, 12, 30])
def test_whatever_the_batch_size(captured, batch_size):
    assert_each_as_alone(captured, batch_size=batch_size)


@pytest.mark.parametrize("method", METHODS)
def test_by_every_method(captured, method):
    assert_each_as_alone(captured, method=method)


def test_each_takes_the_references_that_it_needs(captured):
    found = assert_each_as_alone(captured, reference_error=0.3)
    counts = [one.n_references.tolist() for one in found]
    assert len({str(count) for count in counts}) > 1, counts
    assert min(min(count) for count in counts) == 5 < max(max(count) for count in counts)


@pytest.mark.large
def test_in_compiled_code(captured):
    assert_each_as_alone(captured, compile="on", batch_size=36)


def test_in_bfloat16(captured):
    one_hot, references = with_shuffles(3, 12, LENGTH)
    together = Explainer(captured, target=TARGETS, device="cpu", precision="bfloat16")
    exact = explainer(captured, TARGETS).contribute_each(one_hot, references)
    for of_one, expected in zip(together.contribute_each(one_hot, references), exact, strict=True):
        far = (of_one.scores - expected.scores).abs().max() / expected.scores.abs().max()
        assert 0 <= float(far) < 0.02


def test_what_targets_share_stands_once(captured):
    alone = [select_target(captured, target).graph for target in TARGETS]
    joint = join(alone)
    count = {node.target: 0 for node in joint.graph.nodes}
    for node in joint.graph.nodes:
        count[node.target] += 1
    assert count[aten.conv1d.default] == count[aten.max_pool1d.default] == 1
    assert count[aten.linear.default] == 3
    one_hot = with_shuffles(3, 12, LENGTH)[0].double()
    for found, graph in zip(joint(one_hot), alone, strict=True):
        assert torch.equal(found, graph(one_hot))


def test_one_number_under_two_names_is_scored_twice(captured):
    one_hot, references = with_shuffles(3, 12, LENGTH)
    both = explainer(captured, ("numbers.1", "content", "content.0"))
    _, one, other = both.contribute_each(one_hot, references)
    expected = explainer(captured, "content").contribute(one_hot, references)
    assert_same_scores(one, expected, 1e-11)
    assert_same_scores(other, expected, 1e-11)


def test_one_graph_is_left_as_it_is(captured):
    graph = select_target(captured, "content").graph
    assert join([graph]) is graph


def test_many_targets_are_taken_a_few_at_a_time(tmp_path, monkeypatch):
    from seqlift.model.load import LoadedModel

    model = LoadedModel(Heads().eval(), "a model", "")
    monkeypatch.setattr(preparing, "TARGETS_AT_ONCE", 3)
    plan = Plan(
        models=("-",), output=str(tmp_path / "x"), fasta="-", targets=TARGETS, length=LENGTH
    )
    made = preparing.prepare(plan, [model], torch.device("cpu"))
    assert [one.targets for one in made] == [TARGETS[:3], TARGETS[3:]]


def test_a_description_is_of_what_is_computed_and_not_of_weights(captured):
    def describe(target="numbers.0", model=captured, **options):
        return explainer(model, target, **options).model.description()

    assert describe() == describe()
    other = capture(Heads().double().eval(), LENGTH)
    other.graph.get_parameter("trunk.0.weight").data.mul_(2)
    assert describe(model=other) == describe()
    different = [describe("numbers.1"), describe(TARGETS), describe(rules="reveal-cancel")]
    for precision in ("float32", "bfloat16"):
        made = Explainer(captured, target="numbers.0", device="cpu", precision=precision)
        different.append(made.model.description())
    assert len({describe(), *different}) == 6
