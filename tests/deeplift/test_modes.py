"""The laws hold in every way of running a model, and every way gives the same scores.

`test_laws.py` has the laws on the whole zoo, in float64 and rule by rule. Here the list is of
modes; `test_networks.py` holds every mode against the oracle.
"""

import pytest
import torch

from seqlift.deeplift.interpreter import multipliers
from seqlift.deeplift.scores import combine, part
from tests.helpers import (
    assert_same_scores,
    explainer,
    random_sequences,
    rows_of,
    with_shuffles,
    zoo_graph,
)
from tests.modes import COMPILED, EAGER, MODES, ROUNDING, options_of
from tests.zoo import ZOO

# One of each kind of operator. Where the winner of a maximum changes with rounding, bfloat16 may
# give a score to another base, so that it is not held against models with maxima.
NAMES = (
    "F.relu",
    "gelu",
    "residual",
    "dense block",
    "squeeze-excite",
    "batch norm",
    "layer norm",
    "softmax positions",
    "multi-head attention",
    "siamese in one batch",
)
MAXIMA = ("siamese in one batch",)
CASES = [
    pytest.param(mode, name, marks=pytest.mark.gpu if "CUDA" in mode else ())
    for mode in EAGER
    for name in NAMES
    if not (("bfloat16" in mode or "tf32" in mode) and name in MAXIMA)
]
COMPILED_CASES = [
    pytest.param("compiled", "batch norm", marks=pytest.mark.large),
    pytest.param("compiled", "multi-head attention", marks=pytest.mark.large),
    pytest.param("compiled float32", "residual", marks=pytest.mark.large),
    pytest.param("compiled bfloat16", "residual", marks=pytest.mark.large),
    *(
        pytest.param(mode, name, marks=(pytest.mark.large, pytest.mark.gpu))
        for mode in COMPILED
        for name in ("residual", "batch norm", "multi-head attention")
        if "CUDA" in mode
    ),
]
N_REFERENCES = 4
cases = pytest.mark.parametrize(("mode", "name"), CASES)


def explained(mode, name):
    return explainer(name, **options_of(mode))


def tolerance(mode):
    return MODES[mode].tolerance


def pairs(n_regions=3):
    return with_shuffles(n_regions, N_REFERENCES)


def doubled(found):
    return type(found)(*(None if field is None else field.cpu().double() for field in found))


@cases
def test_scores_are_those_of_float64_rule_by_rule(mode, name):
    expected = explainer(name).contribute(*pairs())
    found = doubled(explained(mode, name).contribute(*pairs()))
    assert_same_scores(found, expected, tolerance(mode))


@pytest.mark.parametrize("name", ZOO)
def test_float32_keeps_to_float64(name):
    """Of a region's largest score. No slope may be a quotient of differences that are rounding."""
    expected = explainer(name).contribute(*pairs(12)).scores
    found = explainer(name, precision="float32").contribute(*pairs(12)).scores
    apart = (found.double() - expected).abs().flatten(1).amax(1)
    assert (apart <= 2e-5 * expected.abs().flatten(1).amax(1)).all()


@cases
def test_scores_sum_to_delta(mode, name):
    found = doubled(explained(mode, name).contribute(*pairs()))
    size = found.delta.abs().mean()
    assert found.completeness_error.max() <= tolerance(mode) * size
    total = found.scores.sum((1, 2)) - found.delta.mean(1)
    assert total.abs().max() <= tolerance(mode) * size


@cases
def test_a_sequence_that_is_its_own_reference_gets_nothing(mode, name):
    one_hot = random_sequences(3)
    references = one_hot[:, None].expand(-1, N_REFERENCES, -1, -1)
    found = explained(mode, name).contribute(one_hot, references)
    assert found.scores.abs().max() == 0
    assert found.completeness_error.max() <= tolerance(mode) * found.prediction.abs().max()
    assert found.hypothetical.isfinite().all() and found.hypothetical.abs().max() > 0


@cases
def test_a_base_that_is_the_same_in_both_contributes_nothing(mode, name):
    one_hot, references = pairs()
    references = references[:, :1].expand(-1, N_REFERENCES, -1, -1)
    found = explained(mode, name).contribute(one_hot, references)
    is_same = (one_hot == references[:, 0]).all(1)
    assert 0 < is_same.sum() < is_same.numel()
    assert found.scores.sum(1)[is_same].abs().max() == 0


@cases
def test_a_region_is_scored_the_same_alone_and_among_others(mode, name):
    one_hot, references = pairs()
    together = explained(mode, name).contribute(one_hot, references)
    alone = explained(mode, name).contribute(one_hot[1:2], references[1:2])
    assert_same_scores(alone, rows_of(together, slice(1, 2)), tolerance(mode))


@cases
def test_the_order_of_references_does_not_matter(mode, name):
    one_hot, references = pairs()
    order = torch.tensor([2, 0, 3, 1])
    expected = explained(mode, name).contribute(one_hot, references)
    found = explained(mode, name).contribute(one_hot, references[:, order])
    expected = expected._replace(delta=expected.delta[:, order])
    assert_same_scores(found, expected, tolerance(mode))


LAWS = (
    test_scores_are_those_of_float64_rule_by_rule,
    test_scores_sum_to_delta,
    test_a_sequence_that_is_its_own_reference_gets_nothing,
    test_a_base_that_is_the_same_in_both_contributes_nothing,
    test_a_region_is_scored_the_same_alone_and_among_others,
    test_the_order_of_references_does_not_matter,
)


@pytest.mark.parametrize(("mode", "name"), COMPILED_CASES)
def test_compiled_code_obeys_the_laws(mode, name):
    """All of them in one test, so that a model is compiled once."""
    for law in LAWS:
        law(mode, name)


@pytest.mark.parametrize("name", ZOO)
def test_a_graph_made_ready_is_scored_as_it_was_captured(name):
    one_hot, references = (value.double() for value in pairs())
    repeat = explainer(name).model.repeats_sequence
    captured = multipliers(zoo_graph(name), one_hot, references, repeat=repeat)
    expected = combine(one_hot, [part(one_hot, references, captured)])
    assert_same_scores(explainer(name).contribute(*pairs()), expected, ROUNDING)
