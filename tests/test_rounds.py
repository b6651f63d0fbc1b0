"""References drawn in rounds, and the base-marginal estimator."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlift.deeplift.scores import is_incomplete
from seqlift.errors import UsageError
from seqlift.explain import ROUND, Explainer
from seqlift.library import contributions
from tests.helpers import LENGTH, assert_same_scores, explainer, rows_of, with_shuffles

N_REFERENCES = 37  # the last round is a short one
LIMIT = 0.2  # random networks tell little apart, so references differ much


@pytest.fixture(scope="module")
def scored():
    one_hot, references = with_shuffles(6, N_REFERENCES)
    explained = explainer("residual")
    found = explained.contribute(one_hot, references, reference_error=LIMIT)
    return explained, one_hot, references, found


def relative(found):
    return found.standard_error.amax(1) / found.scores.sum(1).abs().amax(1)


def test_a_region_uses_whole_rounds_until_its_error_is_below_the_limit(scored):
    explained, one_hot, references, found = scored
    used = found.n_references.tolist()
    assert len(set(used)) > 1, "all regions alike would show nothing"
    for i, n in enumerate(used):
        assert n % ROUND == 0 or n == N_REFERENCES
        assert relative(found)[i] <= LIMIT or n == N_REFERENCES
        if n > ROUND:
            before = explained.contribute(one_hot[i : i + 1], references[i : i + 1, : n - ROUND])
            assert relative(before)[0] > LIMIT


def test_scores_are_those_of_the_references_that_were_used(scored):
    explained, one_hot, references, found = scored
    for i, n in enumerate(found.n_references.tolist()):
        expected = explained.contribute(one_hot[i : i + 1], references[i : i + 1, :n])
        row = rows_of(found, slice(i, i + 1))
        for field in ("delta", "completeness_error", "prediction_reference"):
            assert getattr(row, field)[:, n:].isnan().all()
            assert getattr(row, field).shape == (1, N_REFERENCES)
        assert_same_scores(row._replace(delta=row.delta[:, :n]), expected, 1e-12)
        assert abs(row.scores.sum() - row.delta[:, :n].mean()) < 1e-12


def test_references_that_were_not_used_are_not_incomplete(scored):
    *_, found = scored
    assert not is_incomplete(found).any()
    broken = found._replace(completeness_error=torch.full_like(found.completeness_error, torch.nan))
    assert is_incomplete(broken).sum() == found.n_references.sum()


def test_batches_do_not_matter(scored):
    _, one_hot, references, _ = scored
    small = Explainer(
        nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(60, 1)).double(),
        length=LENGTH,
        precision="float64",
        batch_size=2,
    )
    by_two = small.contribute(one_hot, references, reference_error=LIMIT)
    small.batch_size = 1000
    at_once = small.contribute(one_hot, references, reference_error=LIMIT)
    assert by_two.n_references.tolist() == at_once.n_references.tolist()
    assert_same_scores(
        by_two._replace(delta=by_two.delta.nan_to_num()),
        at_once._replace(delta=at_once.delta.nan_to_num()),
        1e-11,
    )


def test_equal_references_are_enough_at_once(scored):
    explained, one_hot, references, _ = scored
    same = references[:, :1].expand(-1, 20, -1, -1)
    found = explained.contribute(one_hot, same, reference_error=0.001)
    assert found.n_references.tolist() == [ROUND] * len(one_hot)


def test_one_reference_has_no_error_to_stop_at(scored):
    explained, one_hot, references, _ = scored
    found = explained.contribute(one_hot, references[:, :1], reference_error=0.5)
    assert found.n_references.tolist() == [1] * len(one_hot)


# --- base-marginal ---------------------------------------------------------------------------


def test_base_marginal_expects_the_sequences_own_composition():
    one_hot, references = with_shuffles(3, 4)
    one_hot = one_hot.clone()
    one_hot[0, :, 5] = 0  # N
    explained = explainer("residual")
    found = explained.contribute(one_hot, references, keep_multipliers=True)
    marginal = Explainer.__new__(Explainer)
    marginal.__dict__.update(explained.__dict__, estimator="base-marginal", _runners={})
    scored = marginal.contribute(one_hot, references)
    for i in range(3):
        bases = one_hot[i].double()
        composition = bases.sum(1) / bases.sum()
        m = found.multipliers[i]
        expected = m - (composition[:, None] * m).sum(1, keepdim=True) * bases.sum(0)
        torch.testing.assert_close(scored.hypothetical[i], expected.mean(0), rtol=0, atol=1e-12)
        tracks = (expected * bases).sum(1)
        torch.testing.assert_close(scored.standard_error[i], tracks.std(0) / 2, rtol=0, atol=1e-12)
    torch.testing.assert_close(scored.delta, found.delta)
    # The multipliers are as complete as ever.
    torch.testing.assert_close(scored.completeness_error, found.completeness_error)


def test_base_marginal_agrees_with_many_shuffles_at_a_few():
    """What it is for. A network of the size of its interactions, so that shuffles differ."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv1d(4, 16, 7), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(368, 1)
    )
    one_hot, _ = with_shuffles(8, 1, length=100)
    options = {"device": "cpu", "precision": "float64"}
    many = contributions(model, one_hot, n_references=200, seed=1, **options)

    def agreement(estimator):
        few = contributions(model, one_hot, n_references=2, estimator=estimator, **options)
        tracks = zip(few.scores.sum(1), many.scores.sum(1), strict=True)
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in tracks])

    assert agreement("base-marginal") > agreement("plain")


def test_what_cannot_be_is_one_line():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 1))
    with pytest.raises(UsageError, match="estimator 'marginal' is unknown"):
        Explainer(model, length=LENGTH, estimator="marginal")
    with pytest.raises(UsageError, match="needs a method that compares"):
        Explainer(model, length=LENGTH, estimator="base-marginal", method="gradient")
    one_hot, _ = with_shuffles(1, 2)
    for given in ("flat", "zeros"):
        with pytest.raises(UsageError, match="of the sequence's own composition"):
            contributions(model, one_hot, references=given, estimator="base-marginal")
    for limit in (0.0, -1.0, 2.0, float("nan")):
        with pytest.raises(UsageError, match="is no share"):
            contributions(model, one_hot, reference_error=limit)
    with pytest.raises(UsageError, match="method 'shap' is unknown"):
        Explainer(model, length=LENGTH, method="shap")
