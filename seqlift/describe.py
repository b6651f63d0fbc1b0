"""What `seqlift inspect` shows of a model: facts, and a line for every operator."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from seqlift.deeplift.coverage import OperatorUse, folds_batch, operator_table
from seqlift.deeplift.rules.recurrent import OPERATORS_A_STEP
from seqlift.deeplift.rulesets import assign
from seqlift.errors import ShapeError, UsageError
from seqlift.estimating import estimate
from seqlift.model.arranging import Imported, sequence_input, taken_by
from seqlift.model.capture import Captured, capture, fixed_length
from seqlift.model.form import PLAIN
from seqlift.model.load import LoadedModel
from seqlift.model.options import ModelOptions
from seqlift.model.passes import PASSES, optimise
from seqlift.model.passes.positions import receptive_field
from seqlift.model.targets import select_target

__all__ = ["Description", "describe"]


class Description(NamedTuple):
    """A model in words.

    Attributes
    ----------
    facts : dict of str to str
    operators : list of OperatorUse
        In the order of execution.
    is_covered : bool
        Whether every operator has a rule.
    """

    facts: dict[str, str]
    operators: list[OperatorUse]
    is_covered: bool


def describe(
    source: str,
    *,
    weights: str | None = None,
    options: ModelOptions | None = None,
    target: str | None = None,
    target_activation: str = "auto",
    rules: str = "rescale",
    optimized: bool = False,
) -> Description:
    """Load a model and say what it is.

    Parameters
    ----------
    source, weights
        See `seqlift.model.load.load_model`.
    options : ModelOptions or None
    target : str or None
        Show only the operators that this target needs; None shows all.
    target_activation : str
        "auto" or "keep".
    rules : str
        The set of rules that element-wise operators are shown with.
    optimized : bool
        Show the graph as it is run: with a target, batch norm folded and channels last.

    Returns
    -------
    Description

    Raises
    ------
    ModelError
        If the model cannot be loaded or captured.
    """
    options = options or ModelOptions()
    loaded = options.load_one(source, weights)
    length = options.length
    if length is None and fixed_length(loaded.model, loaded.form) is None:
        raise ShapeError("the model does not say how many positions it takes; give --length")
    captured = capture(loaded.model, length, loaded.form)
    graph = captured.graph
    facts = _facts(loaded, captured)
    if target is not None:
        targeted = select_target(captured, target, target_activation)
        graph = targeted.graph
        facts["target"] = f"{targeted.name} ({targeted.definition})"
        facts["receptive field"] = _field(targeted.graph, captured.length or 0)
    if optimized:
        n_before = len(graph.graph.nodes)
        graph = _optimized(graph, target)
        facts["optimized"] = f"{', '.join(PASSES)}: {n_before} nodes to {len(graph.graph.nodes)}"
    operators = operator_table(graph.graph, assign(graph.graph, rules))
    facts["rules"] = rules
    missing = sum(bool(use.problem) for use in operators)
    uncovered = f"no, {missing} of {len(operators)} operators without a rule"
    facts["covered"] = uncovered if missing else "yes"
    facts["sequence lane"] = "once for each reference" if folds_batch(graph.graph) else "once"
    if recurrence := _recurrence(graph.graph):
        facts["recurrent"] = recurrence
    if target is not None and not missing:
        facts["estimate"] = estimate(captured, target, target_activation, rules)
    return Description(facts, operators, missing == 0)


def _field(graph: fx.GraphModule, length: int) -> str:
    """Say which positions a target reads."""
    start, end = receptive_field(graph) or (0, 0)
    whole = " (the whole window)" if end - start == length else f", positions {start} to {end - 1}"
    return f"{end - start} bp{whole}"


def _optimized(graph: fx.GraphModule, target: str | None) -> fx.GraphModule:
    if target is None:
        raise UsageError("a graph is made ready for a target; give --target as well")
    return optimise(graph)


def _recurrence(graph: fx.Graph) -> str:
    """Say what recurrent layers cost, each direction of a layer counted; empty without any."""
    n_layers: dict[int, int] = {}
    n_operators = 0
    for node in graph.nodes:
        if node.target in OPERATORS_A_STEP:
            value, *_, depth, _, _, is_bidirectional, batch_first = node.args
            n_steps = int(value.meta["val"].shape[1 if batch_first else 0])
            times = depth * (2 if is_bidirectional else 1)
            n_layers[n_steps] = n_layers.get(n_steps, 0) + times
            n_operators += times * n_steps * OPERATORS_A_STEP[node.target]
    if not n_layers:
        return ""
    layers = (f"{n} {'layers' if n > 1 else 'layer'} x {steps:,}" for steps, n in n_layers.items())
    return f"{' + '.join(layers)} steps, about {n_operators:,} operators a batch"


def _facts(loaded: LoadedModel, captured: Captured) -> dict[str, str]:
    end = captured.graph.graph.output_node().args[0]
    leaves: list[Any] = list(end) if isinstance(end, (tuple, list)) else [end]
    facts = {
        "model": loaded.source,
        "sha256": loaded.digest,
        "format": loaded.format,
        "parameters": f"{_count(loaded.model):,}",
        "weights": str(captured.dtype).removeprefix("torch."),
        "input": f"(batch, 4, {captured.length})",
        "layout": captured.layout,
        "bases": loaded.form.bases.upper(),
        **_taken(loaded),
    }
    for name, leaf in zip(captured.outputs, leaves, strict=True):
        facts[f"output {name}"] = _shape(leaf)
    return facts


def _taken(loaded: LoadedModel) -> dict[str, str]:
    """Say what the model itself takes, where that is known and not a plain sequence alone."""
    if not isinstance(loaded.model, ExportedProgram | Imported):
        return {}
    taken = taken_by(loaded.model)
    found = sequence_input(taken, loaded.form)
    if len(taken) == 1 and found.layout == PLAIN:
        return {}
    facts = {}
    for place, (name, value) in enumerate(taken.items()):
        if place == found.place:
            facts[f"takes {name}"] = f"the sequence, as {found.layout}"
            continue
        is_given = name in loaded.form.constants
        facts[f"takes {name}"] = f"{value}, " + ("as given" if is_given else "all zeros")
    return facts


def _count(model: nn.Module | ExportedProgram) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _shape(leaf: object) -> str:
    value = leaf.meta.get("val") if isinstance(leaf, fx.Node) else None
    if not isinstance(value, Tensor):
        return "not a tensor"
    sizes = ("batch" if i == 0 else str(size) for i, size in enumerate(value.shape))
    return f"({', '.join(sizes)})"
