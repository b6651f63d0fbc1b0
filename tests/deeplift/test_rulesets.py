"""Which rule a node gets, which values are carried in two parts, and what that leaves true."""

import functools
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.deeplift.coverage import operator_table
from seqlift.deeplift.interpreter import multipliers
from seqlift.deeplift.rulesets import RULE_SETS, assign, rules_name
from seqlift.errors import UsageError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.targets import select_target
from tests.helpers import (
    assert_complete,
    assert_same_scores,
    capture_together,
    explainer,
    rows_of,
    with_shuffles,
)
from tests.zoo import LENGTH, ZOO

ROUNDING = 1e-11

zoo = pytest.mark.parametrize("name", ZOO)
signed = pytest.mark.parametrize("rules", [rules for rules in RULE_SETS if rules != "rescale"])


def graph_of(model: nn.Module, target: int = 0):
    torch.manual_seed(0)
    captured = capture(model.double().eval(), LENGTH)
    return select_target(captured, target, "keep").graph.graph


def kinds(graph, rules) -> list[str]:
    """Return the rules of the element-wise nodes in their order."""
    table = operator_table(graph, assign(graph, rules))
    return [use.kind for use in table if use.kind in ("rescale", "reveal-cancel")]


@zoo
@signed
def test_contributions_sum_to_delta(name, rules):
    one_hot, references = with_shuffles()
    assert_complete(explainer(name, rules=rules).contribute(one_hot, references))


@zoo
def test_contributions_sum_to_delta_against_flat_references(name):
    one_hot, references = with_shuffles()
    background = torch.tensor([0.3, 0.2, 0.2, 0.3], dtype=torch.float64)[:, None]
    flat = background.expand_as(references[:, :1])
    found = explainer(name, rules="reveal-cancel").contribute(one_hot, flat)
    assert found.completeness_error.max() <= 1e-10 * found.delta.abs().mean()


@zoo
def test_a_sequence_that_is_its_own_reference_gets_nothing(name):
    one_hot, _ = with_shuffles()
    found = explainer(name, rules="reveal-cancel").contribute(one_hot, one_hot[:, None])
    assert found.scores.abs().max() == 0
    assert found.hypothetical.isfinite().all()
    assert found.hypothetical.abs().max() > 0, "the derivative stands in for the other bases"


@zoo
def test_a_region_is_scored_the_same_alone_and_among_others(name):
    one_hot, references = with_shuffles(3, 4)
    explained = explainer(name, rules="reveal-cancel")
    together = explained.contribute(one_hot, references)
    alone = explained.contribute(one_hot[1:2], references[1:2])
    assert_same_scores(alone, rows_of(together, slice(1, 2)), ROUNDING)


@pytest.mark.parametrize("name", ["F.relu", "residual", "batch norm dense", "max-pool overlap"])
def test_repeating_the_sequence_changes_nothing(name):
    one_hot, references = (value.double() for value in with_shuffles(3, 4))
    explained = explainer(name, rules="reveal-cancel")
    once, repeated = (
        multipliers(
            explained.model.graphs[0],
            one_hot,
            references,
            repeat=repeat,
            rules=explained.model.rules,
        ).multipliers
        for repeat in (False, True)
    )
    torch.testing.assert_close(repeated, once, rtol=0, atol=ROUNDING * float(once.abs().max()))


def test_linear_models_have_their_weights_as_multipliers_under_all_rules():
    model = nn.Sequential(
        nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(55, 1)
    )
    model[1].weight.data.normal_()
    model = model.double().eval()
    one_hot, references = with_shuffles(2, 3)
    captured = capture(model, LENGTH)
    expected = Explainer(captured, precision="float64").contribute(one_hot, references)
    for rules in RULE_SETS:
        found = Explainer(captured, precision="float64", rules=rules)
        assert_same_scores(found.contribute(one_hot, references), expected, ROUNDING)


@pytest.mark.parametrize("name", ["F.relu", "gelu", "batch norm", "dense block", "nn.Softplus"])
def test_float32_agrees_with_float64(name):
    one_hot, references = with_shuffles(3, 5)
    for rules in ("reveal-cancel", "genomics"):
        exact = explainer(name, rules=rules).contribute(one_hot, references)
        found = explainer(name, "float32", rules=rules).contribute(one_hot, references)
        as_exact = type(found)(*(v if v is None else v.double() for v in found))
        assert_same_scores(as_exact._replace(n_references=found.n_references), exact, 1e-4)


# --- which rule a node gets --------------------------------------------------------------------


class Layers(nn.Module):
    """A dense or convolutional layer, something between, and a ReLU."""

    def __init__(self, layer, between=None):
        super().__init__()
        self.layer = layer
        self.between = between or (lambda x: x)
        self.last = nn.LazyLinear(1)

    def forward(self, x):
        return self.last(F.relu(self.between(self.layer(x))).flatten(1))


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(LENGTH, 3))
        self.bias = nn.Parameter(torch.randn(3))

    def forward(self, x):
        return x @ self.weight + self.bias


def warmed_up(model):
    model(torch.zeros(2, 4, LENGTH))
    return model


LAYERS = {
    "convolution": (Layers(nn.Conv1d(4, 3, 3)), "rescale"),
    "dense": (Layers(nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 3))), "reveal-cancel"),
    "dense by hand": (Layers(ByHand()), "reveal-cancel"),
    "convolution, batch norm": (
        Layers(nn.Sequential(nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3))),
        "rescale",
    ),
    "dense, batch norm, dropout, view": (
        Layers(
            nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 6), nn.BatchNorm1d(6), nn.Dropout()),
            lambda x: x.unflatten(1, (2, 3)),
        ),
        "reveal-cancel",
    ),
    "dense, scaled and shifted": (
        Layers(nn.Linear(LENGTH, 3), lambda x: 2 - x / 3),
        "reveal-cancel",
    ),
    "dense, then a pool": (
        Layers(nn.Linear(LENGTH, 6), lambda x: F.avg_pool1d(x, 2)),
        "rescale",
    ),
    "dense, squared": (Layers(nn.Linear(LENGTH, 3), lambda x: x * x - 1), "rescale"),
    "sum of two layers": (
        Layers(nn.Linear(LENGTH, LENGTH), lambda x: x + x.flip(-1)),
        "rescale",
    ),
    "product of two values": (
        Layers(nn.Linear(LENGTH, 3), lambda x: x.transpose(1, 2) @ x),
        "rescale",
    ),
}


@functools.cache
def graphs_of_layers():
    torch.manual_seed(0)
    models = [warmed_up(model).double().eval() for model, _ in LAYERS.values()]
    found = [select_target(captured, 0, "keep") for captured in capture_together(models)]
    return dict(zip(LAYERS, (targeted.graph.graph for targeted in found), strict=True))


@pytest.mark.parametrize("layers", LAYERS)
def test_genomics_looks_back_to_the_layer(layers):
    assert kinds(graphs_of_layers()[layers], "genomics") == [LAYERS[layers][1]]


class TwoReLUs(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 3, 3)
        self.second = nn.Linear(22, 5)

    def forward(self, x):
        return torch.log1p(F.relu(self.second(F.relu(self.first(x))))).mean((1, 2))


@functools.cache
def graph_of_two_relus():
    return graph_of(TwoReLUs())


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("rescale", ["rescale", "rescale", "rescale"]),
        # log1p is not defined everywhere
        ("reveal-cancel", ["reveal-cancel", "reveal-cancel", "rescale"]),
        ("genomics", ["rescale", "reveal-cancel", "rescale"]),
        ({"relu": "reveal-cancel"}, ["reveal-cancel", "rescale", "rescale"]),
        ({"aten.relu": "reveal-cancel"}, ["reveal-cancel", "reveal-cancel", "rescale"]),
        ({"relu_1": "reveal-cancel"}, ["rescale", "reveal-cancel", "rescale"]),
        (
            {"aten.relu.default": "reveal-cancel", "relu": "rescale"},
            ["rescale", "reveal-cancel", "rescale"],
        ),
        ({"default": "genomics", "relu_1": "rescale"}, ["rescale"] * 3),
        (
            {"default": "reveal-cancel", "relu": "rescale"},
            ["rescale", "reveal-cancel", "rescale"],
        ),
    ],
)
def test_a_set_or_a_mapping_gives_each_node_its_rule(rules, expected):
    assert kinds(graph_of_two_relus(), rules) == expected


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("revealcancel", "rules 'revealcancel' are unknown"),
        ({"relu": "genomics"}, "rule 'genomics' of 'relu' is unknown"),
        ({"relu_7": "rescale"}, "did you mean 'relu"),
        ({"aten.log1p": "reveal-cancel"}, "log1p (aten.log1p.default) cannot have"),
    ],
)
def test_what_cannot_be_is_one_line(rules, message):
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        assign(graph_of_two_relus(), rules)
    assert "\n" not in str(caught.value)


def test_a_mapping_is_written_to_files_as_one_line():
    assert rules_name("genomics") == "genomics"
    assert (
        rules_name({"default": "genomics", "relu": "rescale"}) == "default=genomics, relu=rescale"
    )


def test_parts_are_carried_only_where_reveal_cancel_reads_them():
    graph = graph_of_two_relus()
    assert assign(graph, "rescale").steps == {}
    assert set(assign(graph, "genomics").steps.values()) == {"weighted"}
    assert list(assign(graph, "genomics").steps) == ["linear"]


def test_rules_are_kept_to_the_method_that_has_them():
    with pytest.raises(UsageError, match="go with the method deeplift"):
        Explainer(TwoReLUs(), length=LENGTH, rules="genomics", method="gradient")
