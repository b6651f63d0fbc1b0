"""Nobody can add a rule without a test."""

import pytest
import torch

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply, register, registered, rule_for
from tests.deeplift.rows import HELD, INERT, TABLES

aten = torch.ops.aten


def test_every_registered_operator_has_a_row():
    tested = {row.operator for table in TABLES.values() for row in table}
    tested |= {*HELD, *(operator for operator, _ in INERT)}
    missing = sorted(map(str, set(registered()) - tested))
    assert not missing, f"add rows to tests/deeplift/rows.py for {', '.join(missing)}"


@pytest.mark.parametrize("kind", TABLES)
def test_every_row_stands_in_the_table_of_its_kind(kind):
    for row in TABLES[kind]:
        rule = rule_for(row.operator)
        assert rule is not None, f"{row.operator} has a row but no rule"
        assert rule.kind == kind, row.operator


def test_every_rule_says_what_it_does_and_where_it_is_from():
    for operator, rule in registered().items():
        assert rule.formula, operator
        assert rule.source, operator


@pytest.mark.parametrize(("operator", "rest"), INERT, ids=lambda v: str(v).removeprefix("aten."))
def test_an_inert_operator_depends_on_shapes_alone(operator, rest):
    """Its result on each lane is that of the operator, and carries nothing back."""
    assert rule_for(operator).kind == "inert"
    value = Lanes(torch.rand(2, 3), torch.rand(8, 3, requires_grad=True))
    found = apply(operator, value, *rest)
    for lane in ("sequence", "reference"):
        result, expected = getattr(found, lane), operator(getattr(value, lane).detach(), *rest)
        if isinstance(expected, torch.Tensor):
            assert not result.requires_grad
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
        else:
            assert result == expected


@pytest.mark.parametrize("operator", HELD)
@pytest.mark.parametrize("repeat", [False, True])
def test_a_held_value_is_that_of_the_sequence_on_both_lanes(operator, repeat):
    assert rule_for(operator).kind == "held"
    value = Lanes(torch.rand(2, 3), torch.rand(8, 3, requires_grad=True))
    each = value.sequence.repeat_interleave(4, 0)
    value = Lanes(each, value.reference) if repeat else value
    found = apply(operator, value)
    torch.testing.assert_close(found.sequence, value.sequence)
    torch.testing.assert_close(found.reference, each)
    assert not found.reference.requires_grad
    plain = value.reference.clone()
    torch.testing.assert_close(operator(plain), plain)
    assert not operator(plain).requires_grad


@pytest.fixture
def registration():
    return register([aten.relu.default], "linear", formula="m = 1", source="this test")


def test_a_second_rule_for_an_operator_is_refused(registration):
    before = rule_for(aten.relu.default)
    with pytest.raises(ValueError, match=r"aten\.relu\.default has a rule already \(rescale\)"):
        registration(lambda operator, value: value)
    assert rule_for(aten.relu.default) is before


@pytest.mark.parametrize("wrong", [torch.relu, torch.nn.ReLU, aten.relu, "aten.relu.default"])
def test_what_is_not_an_operator_overload_is_refused(wrong):
    with pytest.raises(TypeError, match="is not an operator overload"):
        register([wrong], "linear", formula="m = 1", source="this test")(lambda *_: None)
    assert rule_for(wrong) is None


def test_the_table_that_is_handed_out_is_a_copy():
    registered().clear()
    assert rule_for(aten.relu.default) is not None


def test_an_operator_without_lanes_is_applied_plainly():
    assert apply(aten.add.Tensor, torch.tensor(1), torch.tensor(2)) == 3
