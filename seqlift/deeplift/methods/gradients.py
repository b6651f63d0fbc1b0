"""Methods that go back from the target once, at the sequence: nothing is compared.

Their multipliers are the same for any reference; references serve the predictions alone.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.replay import Replay, differentiate, predict

__all__ = ["at_sequence", "deconvolution", "gradient", "gradient_input", "guided_backprop"]

aten = torch.ops.aten


class _WithGuidedReLU(Replay):
    """Passes back what is positive, where the input is positive."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is aten.relu.default:
            return _Guided.apply(*args)  # type: ignore[no-untyped-call]
        return super().call_function(target, args, kwargs)


class _WithDeconvolvedReLU(Replay):
    """Passes back what is positive, whatever the input."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is aten.relu.default:
            return _Deconvolved.apply(*args)  # type: ignore[no-untyped-call]
        return super().call_function(target, args, kwargs)


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.relu()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors
        return torch.where(value > 0, gradients[0].relu(), 0)


class _Deconvolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.relu()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].relu()


def at_sequence(
    graph: fx.GraphModule,
    one_hot: Tensor,
    references: Tensor,
    options: MethodOptions,
    replay: type[Replay] = Replay,
) -> Multipliers:
    """Go back once from the target at each sequence, the same for all its references.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    one_hot : Tensor, shape (region, base=4, position)
    references : Tensor, shape (region, reference, base=4, position)
        Only their predictions are used.
    options : MethodOptions
        `rows` is used.
    replay : type of Replay
        How operators are run, and so what their backward pass is.

    Returns
    -------
    Multipliers
    """
    found, prediction = differentiate(graph, one_hot, options.rows, replay)
    at_references = predict(graph, references.flatten(0, 1), options.rows)
    return Multipliers(
        found.unsqueeze(1).expand_as(references),
        prediction,
        at_references.unflatten(0, references.shape[:2]),  # type: ignore[no-untyped-call]
    )


def gradient(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute |∂f/∂x|, the saliency of each base, whichever base is there.

    Parameters
    ----------
    graph, one_hot, references, options
        See `at_sequence`.

    Returns
    -------
    Multipliers
        Not negative: says how much a base matters, not in which direction.

    References
    ----------
    Simonyan et al. 2013, arXiv:1312.6034, section 3.
    """
    found = at_sequence(graph, one_hot, references, options)
    return found._replace(multipliers=found.multipliers.abs())


def gradient_input(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute ∂f/∂x, which times one-hot is gradient × input.

    Parameters
    ----------
    graph, one_hot, references, options
        See `at_sequence`.

    Returns
    -------
    Multipliers

    References
    ----------
    Shrikumar et al. 2016, arXiv:1605.01713; Ancona et al. 2018, arXiv:1711.06104, table 1.
    """
    return at_sequence(graph, one_hot, references, options)


def guided_backprop(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Go back through ReLUs with max(g, 0) where x > 0 and 0 elsewhere.

    Every other operator, other activations among them, passes its derivative back; ReLU6 and
    leaky ReLU count as others, as in captum.

    Parameters
    ----------
    graph, one_hot, references, options
        See `at_sequence`.

    Returns
    -------
    Multipliers

    References
    ----------
    Springenberg et al. 2014, arXiv:1412.6806, guided backpropagation.
    """
    return at_sequence(graph, one_hot, references, options, _WithGuidedReLU)


def deconvolution(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Go back through ReLUs with max(g, 0), whatever x; else as `guided_backprop`.

    Parameters
    ----------
    graph, one_hot, references, options
        See `at_sequence`.

    Returns
    -------
    Multipliers

    References
    ----------
    Zeiler & Fergus 2013, arXiv:1311.2901, section 2.1; as a backward pass, Springenberg et al.
    2014, figure 1.
    """
    return at_sequence(graph, one_hot, references, options, _WithDeconvolvedReLU)
