"""Read a captured graph with two lanes and return multipliers.

Each operator is replaced by the straight line from its value at the reference to its value at the
sequence; one backward pass over the reference lane multiplies the slopes (the chain rule for
multipliers, Shrikumar et al. 2017, section 3.4).
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.registry import apply
from seqlift.deeplift.rules.lowered import lowered_convolution
from seqlift.deeplift.rules.revealcancel import reveal_cancel
from seqlift.deeplift.rules.signed import STEPS
from seqlift.deeplift.rulesets import Assignment
from seqlift.deeplift.streams import Streams, by_sign, merge_all, merged

__all__ = ["Multipliers", "multipliers", "multipliers_each"]

aten = torch.ops.aten

RESCALE = Assignment()


class Multipliers(NamedTuple):
    """What one pass gives for each sequence and each of its references.

    Attributes
    ----------
    multipliers : Tensor, shape (region, reference, base=4, position)
        Δtarget/Δinput, in units of the target.
    prediction : Tensor, shape (region,)
        The target at the sequence.
    prediction_reference : Tensor, shape (region, reference)
        The target at each reference.
    """

    multipliers: Tensor
    prediction: Tensor
    prediction_reference: Tensor


class _TwoLanes(fx.Interpreter):
    """Runs every node by its rule."""

    def __init__(self, graph: fx.GraphModule, rules: Assignment) -> None:
        super().__init__(graph)
        self.rules = rules
        self._name = ""

    def run_node(self, n: fx.Node) -> Any:
        self._name = n.name
        if n.name not in self.rules.lowered:
            return super().run_node(n)
        after, rounded = lowered_convolution(n.target, *self.fetch_args_kwargs_from_env(n))
        self._put_instead(n.args[0], rounded)
        return after

    def _put_instead(self, node: Any, value: Lanes) -> None:
        """Let the other readers of a value read it as a convolution has rounded it."""
        if node.op != "call_function":
            return
        self.env[node] = value
        if node.target is aten.permute.default and len(node.users) == 1:
            axes = node.args[1]
            back = sorted(range(len(axes)), key=axes.__getitem__)
            self._put_instead(node.args[0], each_lane(aten.permute.default, value, back))

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = super().placeholder(target, args, kwargs)
        return by_sign(value) if self._name in self.rules.steps else value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._name in self.rules.reveal_cancel:
            return reveal_cancel(target, args, kwargs)
        step = self.rules.steps.get(self._name)
        if step is None:
            return _keep_layout(apply(target, *merge_all(args), **merge_all(kwargs)))
        if step == "weighted":
            args, kwargs = merge_all(args), merge_all(kwargs)
        return STEPS[step](target, args, kwargs)


class _KeepLayout(torch.autograd.Function):
    """A value whose gradient is laid out in memory as the value is."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.strides = value.stride()
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        if gradient.stride() == ctx.strides:
            return gradient
        return gradient.new_empty_strided(gradient.shape, ctx.strides).copy_(gradient)


def _keep_layout(value: Any) -> Any:
    """Let gradients follow values with channels last (see `rules/convolution.py`).

    The gradient of a mean or a slice has a layout of its own, and one such gradient would send all
    convolutions before it on the slow way.
    """
    reference = value.reference if isinstance(value, Lanes) else None
    if not isinstance(reference, Tensor) or reference.dim() != 3:
        return value
    # Expanded and overlapping views have strides of their own, which no gradient can have.
    has_channels_last = reference.transpose(1, 2).is_contiguous() and not reference.is_contiguous()
    if not has_channels_last or not reference.requires_grad:
        return value
    return Lanes(value.sequence, _KeepLayout.apply(reference))  # type: ignore[no-untyped-call]


def multipliers(
    graph: fx.GraphModule,
    one_hot: Tensor,
    references: Tensor,
    *,
    repeat: bool = False,
    rules: Assignment = RESCALE,
) -> Multipliers:
    """Compute the multipliers of one batch.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,), every operator with a rule (see
        `coverage.py`).
    one_hot : Tensor, shape (region, base=4, position)
        In the graph's floating-point type and on its device.
    references : Tensor, shape (region, reference, base=4, position)
        The same.
    repeat : bool
        Run the sequence once for each reference instead of once; needed where the model folds the
        batch into another dimension. The result is the same.
    rules : Assignment
        The rule of each element-wise node; rescale unless it says otherwise.

    Returns
    -------
    Multipliers

    References
    ----------
    Shrikumar et al. 2017, sections 3.1 to 3.4; the two lanes are our own.
    """
    (found,) = multipliers_each(graph, one_hot, references, repeat=repeat, rules=rules)
    return found


def multipliers_each(
    graph: fx.GraphModule,
    one_hot: Tensor,
    references: Tensor,
    *,
    repeat: bool = False,
    rules: Assignment = RESCALE,
) -> list[Multipliers]:
    """Compute the multipliers of one batch for each of a graph's outputs.

    Both lanes are run once; the way back is gone for each output.

    Parameters
    ----------
    graph : fx.GraphModule
        As `multipliers` takes it, with one output or a tuple of them.
    one_hot, references, repeat, rules
        See `multipliers`.

    Returns
    -------
    list of Multipliers
    """
    n_references = references.shape[1]
    at_reference = references.flatten(0, 1).detach().requires_grad_()
    at_sequence = one_hot.repeat_interleave(n_references, 0) if repeat else one_hot
    with torch.enable_grad():
        ends = _TwoLanes(graph, rules).run(Lanes(at_sequence.detach(), at_reference))
        ends = ends if isinstance(ends, tuple) else (ends,)
        ends = [merged(end) if isinstance(end, Streams) else end for end in ends]
        # What the way back needs is kept until it has been gone for the last output.
        last = len(ends) - 1  # by number: two targets may be one value
        found = [_gradient(end, at_reference, keep=i < last) for i, end in enumerate(ends)]
    return [_as_multipliers(end, m, references) for end, m in zip(ends, found, strict=True)]


def _as_multipliers(end: Any, found: Tensor, references: Tensor) -> Multipliers:
    n_regions, n_references = references.shape[:2]
    prediction = end.sequence if isinstance(end, Lanes) else end
    at_references = end.reference if isinstance(end, Lanes) else end
    return Multipliers(
        found.reshape(references.shape),
        prediction.detach().reshape(n_regions, -1)[:, 0],
        at_references.detach().reshape(n_regions, n_references),
    )


def _gradient(end: Any, source: Tensor, *, keep: bool) -> Tensor:
    if not isinstance(end, Lanes) or not end.reference.requires_grad:
        return torch.zeros_like(source)  # a target that does not depend on the sequence
    (found,) = torch.autograd.grad(end.reference.sum(), source, retain_graph=keep)
    return found
