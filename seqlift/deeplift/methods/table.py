"""The methods by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, fx

from seqlift.deeplift.coverage import folds_batch
from seqlift.deeplift.interpreter import Multipliers, multipliers
from seqlift.deeplift.methods import mutagenesis
from seqlift.deeplift.methods.gradients import (
    deconvolution,
    gradient,
    gradient_input,
    guided_backprop,
)
from seqlift.deeplift.methods.integrated import integrated_gradients
from seqlift.deeplift.methods.lrp import lrp
from seqlift.deeplift.methods.occlusion import occlusion
from seqlift.deeplift.methods.options import MethodOptions

__all__ = ["METHODS", "Method", "Run"]

Run = Callable[[fx.GraphModule, Tensor, Tensor, MethodOptions], Multipliers]


class Method(NamedTuple):
    """One way to score the bases of a sequence.

    Attributes
    ----------
    description : str
        One line, for people.
    run : callable
        ``run(graph, one_hot, references, options) -> Multipliers`` for one_hot of shape (region,
        base=4, position) and references of shape (region, reference, base=4, position), both of
        the graph's floating-point type and on its device.
    uses_references : bool
        Whether scores depend on the references; if not, one reference of zeros does.
    compares : bool
        Whether a base is scored against the reference, hyp[b] = m[b] − Σ_c ref[c]·m[c]; if not,
        hyp = m.
    sums_to_delta : bool
        Whether scores sum to f(x) − f(reference) within rounding.
    needs_rules : bool
        Whether each operator must have a rule; if not, its value or derivative will do.
    source : str
        Paper and section.
    """

    description: str
    run: Run
    uses_references: bool
    compares: bool
    sums_to_delta: bool
    needs_rules: bool
    source: str


def _deeplift(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Compute DeepLIFT's multipliers, each element-wise operator by the rescale rule."""
    return multipliers(graph, one_hot, references, repeat=folds_batch(graph.graph))


def _local(description: str, run: Run, source: str, *, needs_rules: bool = False) -> Method:
    """Describe a method that goes back from the sequence and compares with nothing."""
    return Method(
        description,
        run,
        uses_references=False,
        compares=False,
        sums_to_delta=False,
        needs_rules=needs_rules,
        source=source,
    )


METHODS: dict[str, Method] = {
    "deeplift": Method(
        "differences from the reference, propagated by rules",
        _deeplift,
        uses_references=True,
        compares=True,
        sums_to_delta=True,
        needs_rules=True,
        source="Shrikumar et al. 2017, section 3",
    ),
    "gradient": _local(
        "|∂f/∂x|, the saliency: how much a base matters, without direction",
        gradient,
        "Simonyan et al. 2013, section 3",
    ),
    "gradient-input": _local(
        "∂f/∂x · x",
        gradient_input,
        "Shrikumar et al. 2016",
    ),
    "guided-backprop": _local(
        "∂f/∂x with ReLUs that pass back max(g, 0) where x > 0",
        guided_backprop,
        "Springenberg et al. 2014",
    ),
    "deconvolution": _local(
        "∂f/∂x with ReLUs that pass back max(g, 0)",
        deconvolution,
        "Zeiler & Fergus 2013, section 2.1",
    ),
    "integrated-gradients": Method(
        "mean of ∂f/∂x on the line from the reference, times x − reference",
        integrated_gradients,
        uses_references=True,
        compares=True,
        sums_to_delta=False,
        needs_rules=False,
        source="Sundararajan et al. 2017, section 3",
    ),
    "lrp": _local(
        "relevance by the ε-rule: secants through zero, y/x for each activation",
        lrp,
        "Bach et al. 2015, equation 58; Ancona et al. 2018, proposition 1",
        needs_rules=True,
    ),
    "in-silico-mutagenesis": _local(
        "f(x with a base) − mean over the four bases, at each position",
        mutagenesis.mutagenesis,
        "Zhou & Troyanskaya 2015; centred over the bases as in tangermeme",
    ),
    "occlusion": Method(
        "f(x) − f(x with the reference in a window), mean over the windows of a base",
        occlusion,
        uses_references=True,
        compares=False,
        sums_to_delta=False,
        needs_rules=False,
        source="Zeiler & Fergus 2013, section 4.2",
    ),
}
