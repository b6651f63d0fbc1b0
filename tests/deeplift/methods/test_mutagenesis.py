"""In-silico mutagenesis: against one substitution at a time, over the zoo."""

import math

import pytest
import torch
from torch import nn

from seqlift.deeplift.methods import locality
from seqlift.deeplift.methods.mutagenesis import mutagenesis
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.explain import Explainer
from tests.helpers import model, random_sequences, zoo_graph
from tests.zoo import LENGTH, ZOO

ROWS = MethodOptions(rows=50)


def sequences(n_regions=2, length=LENGTH):
    """Return random sequences, float64; the last has N at both ends and within."""
    one_hot = random_sequences(n_regions, length).double()
    one_hot[-1, :, [0, 7, 8, length - 1]] = 0
    return one_hot


def no_references(one_hot):
    return torch.zeros_like(one_hot).unsqueeze(1)


def by_the_definition(network, one_hot):
    """f(x with a base) − mean over the bases, one position at a time, through the user's module."""
    found = torch.zeros_like(one_hot)
    for region, sequence in enumerate(one_hot):
        for position in range(sequence.shape[1]):
            if not sequence[:, position].any():
                continue
            changed = sequence.repeat(4, 1, 1)  # one row for each base
            changed[:, :, position] = torch.eye(4, dtype=sequence.dtype)
            predictions = network(changed)[:, 0]
            found[region, :, position] = predictions - predictions.mean()
    return found


def assert_same(found, expected, tolerance=1e-12):
    scale = float(expected.abs().max())
    assert scale > 1e-6, "nothing changes: this proves nothing"
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", ZOO)
def test_scores_are_those_of_one_substitution_at_a_time(name, monkeypatch):
    """On windows wherever they can be, and on whole sequences."""
    one_hot = sequences()
    with torch.no_grad():
        expected = by_the_definition(model(name), one_hot)
        predictions = model(name)(one_hot)[:, 0]
    for worth in (math.inf, -1.0):
        monkeypatch.setattr(locality, "WORTH", worth)
        found = mutagenesis(zoo_graph(name), one_hot, no_references(one_hot), ROWS)
        # Predictions may be thousands of times what a substitution changes.
        assert_same(found.multipliers[:, 0], expected, 1e-11)
        torch.testing.assert_close(found.prediction, predictions, rtol=1e-12, atol=1e-14)


def test_predictions_and_shapes_are_those_of_all_methods():
    one_hot = sequences(3)
    references = torch.rand(3, 2, 4, LENGTH, dtype=torch.float64)
    found = mutagenesis(zoo_graph("residual"), one_hot, references, ROWS)
    with torch.no_grad():
        expected = model("residual")(references.flatten(0, 1))[:, 0].reshape(3, 2)
    torch.testing.assert_close(found.prediction_reference, expected, rtol=1e-12, atol=1e-14)
    assert found.multipliers.shape == references.shape
    assert torch.equal(found.multipliers[:, 0], found.multipliers[:, 1])


def test_where_there_is_no_base_there_is_no_score():
    one_hot = sequences()
    one_hot[0] = 0
    graph = zoo_graph("residual")
    found = mutagenesis(graph, one_hot, no_references(one_hot), ROWS).multipliers[:, 0]
    assert (found[0] == 0).all()
    assert (found[1][:, ~one_hot[1].any(0)] == 0).all()
    assert (found[1][:, one_hot[1].any(0)] != 0).any(0).all()


def test_scores_are_centred_over_the_bases():
    one_hot = sequences()
    graph = zoo_graph("max-pool then relu")
    found = mutagenesis(graph, one_hot, no_references(one_hot), ROWS).multipliers[:, 0]
    torch.testing.assert_close(found.sum(1), torch.zeros_like(found.sum(1)), rtol=0, atol=1e-14)


def test_a_linear_model_gives_its_weights_less_their_mean():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 1)).double()
    one_hot = random_sequences(2).double()
    graph = Explainer(network, length=LENGTH, precision="float64", device="cpu").model.graphs[0]
    found = mutagenesis(graph, one_hot, no_references(one_hot), ROWS).multipliers[:, 0]
    weight = network[1].weight.detach().reshape(4, LENGTH)
    assert_same(found, (weight - weight.mean(0)).expand(2, -1, -1))


@pytest.mark.parametrize("name", ["residual", "GRU", "siamese in one batch"])
def test_a_region_does_not_know_its_batch(name):
    one_hot = sequences(5)
    graph = zoo_graph(name)
    together = mutagenesis(graph, one_hot, no_references(one_hot), ROWS)
    for i in (0, 4):
        some = one_hot[i : i + 1]
        alone = mutagenesis(graph, some, no_references(some), MethodOptions(rows=9))
        assert_same(together.multipliers[i : i + 1], alone.multipliers)
