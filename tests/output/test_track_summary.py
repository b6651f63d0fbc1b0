"""Streaming numbers against numpy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from seqlift.output.track_summary import QUANTILES, TrackTally

values_of_any_size = st_numpy.arrays(
    np.float32, st.integers(1, 200), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)


@settings(max_examples=30)
@given(values=values_of_any_size, n_parts=st.integers(1, 5))
def test_the_same_numbers_as_numpy_however_the_values_come(values, n_parts):
    tally = TrackTally()
    for part in np.array_split(values, n_parts):
        tally.add(part)
    summary = tally.summary()
    assert summary.n_bases == len(values)
    assert summary.minimum == values.min()
    assert summary.maximum == values.max()
    tolerance = 1e-12 * float(np.abs(values).max())
    assert summary.mean == pytest.approx(values.mean(dtype=np.float64), abs=tolerance)


@settings(max_examples=50)
@given(values=values_of_any_size)
def test_quantiles_are_at_most_a_bin_off(values):
    tally = TrackTally()
    tally.add(values)
    for fraction, found in zip(QUANTILES, tally.summary().quantiles.values(), strict=True):
        exact = float(np.quantile(values, fraction, method="lower"))
        # The smallest normal float32 is where bins stop being relative.
        assert abs(found - exact) <= max(abs(exact) / 127, 2e-38)


def test_no_values_have_no_numbers():
    summary = TrackTally().summary()
    assert summary.n_bases == 0
    assert np.isnan([summary.minimum, summary.maximum, summary.mean]).all()
    assert np.isnan(list(summary.quantiles.values())).all()
