"""Every operator's rule against its literal definition, on random numbers in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply, rule_for
from tests.deeplift.rows import KINKED, SHARP, SINGULAR, SMOOTH, TABLES, Row, Varies
from tests.oracle import deeplift as oracle

REGIONS, REFERENCES = 2, 3


def name(row: Row) -> str:
    return str(row.operator).removeprefix("aten.")


def cases(rows):
    return [pytest.param(row, id=name(row)) for row in rows]


ROWS = [row for table in TABLES.values() for row in table]
every_row = pytest.mark.parametrize("row", cases(ROWS))


def is_varying(leaf: object) -> bool:
    return isinstance(leaf, Varies)


class Call:
    """One row on random numbers: its arguments on two lanes, its result and its multipliers."""

    def __init__(self, row: Row, *, repeat: bool = False) -> None:
        self.row = row
        self.random = np.random.default_rng(0)
        leaves = pytree.tree_leaves(row.args, is_leaf=is_varying)
        self.lanes = [self._lanes(leaf) for leaf in leaves if is_varying(leaf)]
        if repeat:
            self.lanes = [
                Lanes(v.sequence.repeat_interleave(REFERENCES, 0), v.reference) for v in self.lanes
            ]
        self.result = self._outputs(apply(row.operator, *self.arguments(self.lanes), **row.kwargs))
        self.cotangents = [
            torch.from_numpy(np.asarray(self.random.normal(size=y.reference.shape)))
            for y in self.result
        ]
        self.multipliers = torch.autograd.grad(
            [y.reference for y in self.result],
            [v.reference for v in self.lanes],
            self.cotangents,
            materialize_grads=True,  # what assignment overwrites is not used
        )

    def _lanes(self, leaf: Varies) -> Lanes:
        sizes = (REGIONS, REGIONS * REFERENCES) if self.row.has_rows else (None, None)
        sequence, reference = (
            torch.from_numpy(
                self.random.uniform(leaf.low, leaf.high, ((n,) if n else ()) + leaf.shape)
            )
            for n in sizes
        )
        return Lanes(sequence, reference.requires_grad_())

    def arguments(self, values: list[Any]) -> tuple[Any, ...]:
        """Put values in the places of the arguments that vary."""
        remaining = iter(values)
        return pytree.tree_map(
            lambda leaf: next(remaining) if is_varying(leaf) else leaf,
            self.row.args,
            is_leaf=is_varying,
        )

    def _outputs(self, result: Any) -> list[Lanes]:
        """Return every output that carries multipliers."""
        rule = rule_for(self.row.operator)
        if isinstance(result.sequence, Tensor):
            return [result]
        pairs = zip(result.sequence, result.reference, strict=True)
        outputs = [Lanes(sequence, reference) for sequence, reference in pairs]
        return outputs if rule.carries_all else outputs[:1]

    def plain(self, values: list[Tensor]) -> list[Tensor]:
        """Apply the operator itself."""
        found = self.row.operator(*self.arguments(values), **self.row.kwargs)
        found = [found] if isinstance(found, Tensor) else list(found)
        return found[: len(self.result)]

    def pairs(self):
        """Go through (row of the sequence lane, row of the reference lane); None where no rows."""
        if not self.row.has_rows:
            return [(None, None)]
        return [(i // REFERENCES, i) for i in range(REGIONS * REFERENCES)]

    def coefficients(self) -> list[np.ndarray]:
        """Find the matrix of a linear operator from what each unit vector becomes."""
        lead = (1,) if self.row.has_rows else ()
        leaves = pytree.tree_leaves(self.row.args, is_leaf=is_varying)
        shapes = [lead + leaf.shape for leaf in leaves if is_varying(leaf)]
        zeros = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
        start = _flat(self.plain(zeros))
        matrices = []
        for i, zero in enumerate(zeros):
            columns = []
            for place in range(zero.numel()):
                unit = zero.clone()
                unit.view(-1)[place] = 1
                columns.append(_flat(self.plain([*zeros[:i], unit, *zeros[i + 1 :]])) - start)
            matrices.append(np.array(columns).T)
        return matrices


def _flat(tensors: list[Tensor]) -> np.ndarray:
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def _row(tensor: Tensor, row: int | None) -> np.ndarray:
    array = tensor.detach().numpy()
    return array if row is None else array[row]


def _difference(value: Lanes, at_sequence: int | None, at_reference: int | None) -> np.ndarray:
    return _row(value.sequence, at_sequence) - _row(value.reference, at_reference)


@every_row
def test_multipliers_are_those_of_the_definition(row):
    call = Call(row)
    coefficients = call.coefficients() if row.oracle is None else None
    for at_sequence, at_reference in call.pairs():
        xs = [_row(v.sequence, at_sequence) for v in call.lanes]
        rs = [_row(v.reference, at_reference) for v in call.lanes]
        matrices = row.oracle(xs, rs) if coefficients is None else coefficients
        cotangent = np.concatenate([_row(c, at_reference).ravel() for c in call.cotangents])
        for multiplier, matrix in zip(call.multipliers, matrices, strict=True):
            found = _row(multiplier, at_reference).ravel()
            np.testing.assert_allclose(found, cotangent @ matrix, rtol=1e-9, atol=1e-11)


@every_row
def test_values_are_those_of_the_operator(row):
    call = Call(row)
    for lane in ("sequence", "reference"):
        expected = call.plain([getattr(v, lane).detach() for v in call.lanes])
        for found, value in zip(call.result, expected, strict=True):
            torch.testing.assert_close(getattr(found, lane).detach(), value, rtol=1e-13, atol=1e-13)


@every_row
def test_multipliers_times_differences_sum_to_delta(row):
    call = Call(row)
    for rows in call.pairs():
        contributions = [
            (_row(m, rows[1]) * _difference(v, *rows)).sum()
            for m, v in zip(call.multipliers, call.lanes, strict=True)
        ]
        deltas = [
            (_row(c, rows[1]) * _difference(y, *rows)).sum()
            for c, y in zip(call.cotangents, call.result, strict=True)
        ]
        assert sum(contributions) == pytest.approx(sum(deltas), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("row", cases(row for row in ROWS if row.has_rows))
def test_a_repeated_sequence_gives_the_same_multipliers(row):
    once, repeated = Call(row), Call(row, repeat=True)
    for found, expected in zip(repeated.multipliers, once.multipliers, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def derivatives(row: Row, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return multipliers where all inputs change by `step`, and the oracle's derivatives."""
    reference = Call(row).lanes[0].reference
    value = Lanes(reference.detach() + step, reference)
    after = apply(row.operator, value, *row.args[1:], **row.kwargs)
    (found,) = torch.autograd.grad(after.reference.sum(), reference)
    at = reference.detach().numpy().reshape(len(reference), -1)
    return found.numpy().reshape(at.shape), np.array([np.diag(row.oracle([r], [r])[0]) for r in at])


@pytest.mark.parametrize("row", cases([*SMOOTH, *SINGULAR, *SHARP, *KINKED]))
def test_the_derivative_stands_in_where_nothing_changes(row):
    found, derivative = derivatives(row, 0.0)
    np.testing.assert_allclose(found, derivative, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("row", cases([*SMOOTH, *SINGULAR]))
@pytest.mark.parametrize("step", [1e-15, -1e-12, 1e-9])
def test_the_derivative_stands_in_where_little_changes(row, step):
    """A quotient of such small numbers would be off by 1e-16/step."""
    found, derivative = derivatives(row, step)
    np.testing.assert_allclose(found, derivative, rtol=1e-7, atol=1e-8)


# --- the oracle itself -----------------------------------------------------------------------


def test_windows_of_the_oracle():
    assert oracle.windows_along(5, 2, 2) == [[0, 1], [2, 3]]
    assert oracle.windows_along(5, 2, 2, ceil=True) == [[0, 1], [2, 3], [4]]
    assert oracle.windows_along(4, 3, 2, padding=1) == [[0, 1], [1, 2, 3]]
    assert oracle.windows_along(5, 2, 1, dilation=3) == [[0, 3], [1, 4]]
    assert oracle.adaptive_windows(5, 2) == [[0, 1, 2], [2, 3, 4]]
    assert oracle.windows_of_axes((2, 2), [0]) == [[0, 2], [1, 3]]


def test_cross_maximum_of_the_oracle():
    """Winners differ: 3 beats the reference's 2, so all of Δy = 1 goes to the winner at x."""
    matrix = oracle.cross_maximum([[0, 1]], np.array([3.0, 1.0]), np.array([0.0, 2.0]))
    np.testing.assert_array_equal(matrix, [[1 / 3, 0]])
    matrix = oracle.cross_maximum([[0, 1]], np.array([1.0, 0.0]), np.array([0.0, 3.0]))
    np.testing.assert_array_equal(matrix, [[0, 2 / 3]])
    # Position 0 does not change. Where it wins at both it has the limit of Δ/Δ, and else nothing.
    matrix = oracle.cross_maximum([[0, 1]], np.array([2.0, 1.0]), np.array([2.0, 0.0]))
    np.testing.assert_array_equal(matrix, [[1, 0]])
    matrix = oracle.cross_maximum([[0, 1]], np.array([2.0, 1.0]), np.array([2.0, 3.0]))
    np.testing.assert_array_equal(matrix, [[0, 1 / 2]])
