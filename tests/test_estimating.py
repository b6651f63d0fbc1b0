"""How long a run will take is not said from so small a batch that only fixed costs are seen."""

import re

import pytest

from seqlift import estimating
from seqlift.model.capture import capture
from tests.tiny import Tiny, seeded

FIXED, EACH = 0.3, 1e-3  # seconds of a batch, and of a pair


@pytest.mark.parametrize(("each", "at_most"), [(EACH, 1.5), (3.0, 1.2)])
def test_what_a_batch_costs_whatever_its_size_does_not_count_a_thousand_times(
    monkeypatch, each, at_most
):
    tried = []

    def seconds(explainer, n_pairs):
        tried.append(n_pairs)
        return FIXED + each * n_pairs

    monkeypatch.setattr(estimating, "_seconds", seconds)
    monkeypatch.setattr("seqlift.explain.free_bytes", lambda: None)
    said = estimating.estimate(capture(seeded(Tiny), 40), "0", "auto", "rescale")
    found, unit, batch = re.match(r"([\d.e+]+) (s|min) .* batches of (\d+) pairs", said).groups()
    found = float(found) * (60 if unit == "min" else 1)
    wanted = each * 20_000
    assert wanted <= 1.01 * found <= 1.01 * at_most * wanted
    assert max(tried) <= int(batch)
    assert seconds(None, max(tried) / 2) < estimating.SECONDS or max(tried) == 1
