"""Occlusion against a literal loop."""

import pytest
import torch

from tests.deeplift.methods.nets import LENGTH, assert_close, graph_named, run, sequences


def literal(graph, one_hot, reference, window, stride):
    """Occlude one sequence with one reference, window after window; the track."""
    total, count = torch.zeros(LENGTH), torch.zeros(LENGTH)
    total = total.double()
    start = 0
    while True:
        end = min(start + window, LENGTH)
        occluded = one_hot.clone()
        for position in range(start, end):
            if one_hot[:, position].sum() > 0:
                occluded[:, position] = reference[:, position]
        with torch.no_grad():
            loss = graph(one_hot[None]) - graph(occluded[None])
        total[start:end] += loss
        count[start:end] += 1
        if start + window >= LENGTH:
            return total / count
        start += stride


def with_gap():
    """Sequences with an N, and references that have a base there all the same."""
    one_hot, references = sequences(2, 3)
    one_hot[1, :, 7:9] = 0
    assert (references[1, :, :, 7:9].sum() == 6) and (references != one_hot[:, None]).any()
    return one_hot, references


@pytest.mark.parametrize(
    ("window", "stride"),
    [(1, 1), (10, 1), (10, 10), (7, 3), (9, 4), (LENGTH, 1), (LENGTH + 5, 2)],
)
def test_scores_are_those_of_a_literal_loop(window, stride):
    one_hot, references = with_gap()
    graph = graph_named("pooled")
    found = run("occlusion", graph, one_hot, references, window=window, stride=stride)
    for region in range(2):
        for k in range(3):
            track = literal(graph, one_hot[region], references[region, k], window, stride)
            assert_close(found.multipliers[region, k], track * one_hot[region])


def test_only_the_base_that_is_there_has_a_value():
    one_hot, references = with_gap()
    found = run("occlusion", graph_named("smooth"), one_hot, references).multipliers
    assert found[(one_hot == 0).unsqueeze(1).expand_as(found)].abs().max() == 0
    assert (found.sum(2)[0] != 0).all()
    assert found[1, :, :, 7:9].abs().max() == 0


def test_one_window_over_all_is_worth_delta():
    one_hot, references = sequences()
    found = run("occlusion", graph_named("smooth"), one_hot, references, window=LENGTH)
    delta = found.prediction.unsqueeze(1) - found.prediction_reference
    assert_close(found.multipliers.sum(2), delta.unsqueeze(2).expand(-1, -1, LENGTH))


@pytest.mark.parametrize("rows", [1, 5, 7, 100])
def test_rows_at_once_do_not_matter(rows):
    one_hot, references = sequences()
    graph = graph_named("pooled")
    expected = run("occlusion", graph, one_hot, references, window=6, stride=4)
    found = run("occlusion", graph, one_hot, references, window=6, stride=4, rows=rows)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
