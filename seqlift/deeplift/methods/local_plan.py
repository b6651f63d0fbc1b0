"""Which values of a graph are carried as windows, and whether that pays."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from seqlift.deeplift.methods.local_operators import BROADCASTING, LOCAL, PIECES, VIEWS
from seqlift.deeplift.methods.local_site import Site, Step, named
from seqlift.deeplift.methods.local_windows import Reach, Windows, union

__all__ = ["WORTH", "Plan", "on_device", "plan_windows", "share", "without_windows"]

MOST = 0.8  # of a value: wider windows are no saving
WORTH = 0.8  # of the whole model's work: where more is left, windows do not pay
COPYING = 10  # what writing a number costs, in multiplications


@dataclass(frozen=True, slots=True)
class Plan:
    """How each node of a graph is run on sequences with one base substituted.

    Attributes
    ----------
    graph : fx.GraphModule
    steps : dict of fx.Node to Step
        How the operators that write windows are run; all others are run on whole values. The
        graph's input is always among them.
    fixed : dict of fx.Node to object
        Values that depend on neither the sequence nor the number of rows.
    direct : set of (fx.Node, fx.Node)
        A value and its reader, where the reader needs just the windows that there are.
    """

    graph: fx.GraphModule
    steps: dict[fx.Node, Step]
    fixed: dict[fx.Node, Any]
    direct: set[tuple[fx.Node, fx.Node]]


def plan_windows(graph: fx.GraphModule, values: Mapping[fx.Node, Any]) -> Plan:
    """Find out which values change only within windows.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    values : mapping of fx.Node to object
        Of every node for one sequence, whose letters do not matter.

    Returns
    -------
    Plan
    """
    plan = Plan(graph, {}, _fixed(graph.graph, values), set())
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            plan.steps[node] = _substitution(values[node].shape[2])
        elif step := _step(node, plan, values):
            plan.steps[node] = step
            plan.direct.update(
                (source, node)
                for source in node.all_input_nodes
                if source in plan.steps and plan.steps[source].windows.are(step.reach)
            )
    return plan


def without_windows(plan: Plan) -> Plan:
    """Return a plan that runs everything but the input on whole values."""
    inputs = {node: step for node, step in plan.steps.items() if node.op == "placeholder"}
    return Plan(plan.graph, inputs, plan.fixed, set())


def on_device(plan: Plan, device: torch.device) -> Plan:
    """Return a plan for values on a device; plans are made on the CPU."""

    def placed(step: Step) -> Step:
        windows = replace(step.windows, start=step.windows.start.to(device))
        return replace(
            step, windows=windows, reach=Reach(step.reach.start.to(device), step.reach.width)
        )

    return Plan(plan.graph, {n: placed(s) for n, s in plan.steps.items()}, plan.fixed, plan.direct)


def _substitution(length: int) -> Step:
    start = torch.arange(length)
    return Step(Windows(2, length, start, 1), Reach(start, 1), torch.ops.aten.alias.default)


def _fixed(graph: fx.Graph, values: Mapping[fx.Node, Any]) -> dict[fx.Node, Any]:
    found: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        is_candidate = node.op in ("get_attr", "call_function")
        if is_candidate and all(source in found for source in node.all_input_nodes):
            found[node] = values[node]
    return found


def _step(node: fx.Node, plan: Plan, values: Mapping[fx.Node, Any]) -> Step | None:
    """Return how a node is run on windows, or None."""
    sources = [source for source in node.all_input_nodes if source in plan.steps]
    if not sources or node.op != "call_function":
        return None
    if node.target is operator.getitem:  # what it picks from is in windows already
        windows = plan.steps[sources[0]].windows
        return Step(windows, Reach(windows.start, windows.width), operator.getitem)
    if not isinstance(node.target, OpOverload) or node.target not in LOCAL:
        return None
    fits = _reads_windows(node, plan) and _is_one_value(node, values)
    if not fits or not _are_alike(sources, plan, values):
        return None
    result = values[node]
    site = Site(
        fx.node.map_arg(named(node), lambda source: values[source]),
        union([plan.steps[source].windows for source in sources]),
        values[sources[0]].shape,
        (result if isinstance(result, Tensor) else result[0]).shape,
        _rows(node) == _rows(sources[0]) != "",
        node.target,
    )
    step = LOCAL[node.target](site)
    return step if step and step.windows.width <= MOST * step.windows.length else None


def _rows(node: fx.Node) -> str:
    """Return torch's expression for the size of a value's first dimension, or an empty string."""
    example = node.meta.get("val")
    return str(example.shape[0]) if isinstance(example, Tensor) and example.dim() else ""


def _reads_windows(node: fx.Node, plan: Plan) -> bool:
    """Say whether windows are where the operator may have them, and all else is constant."""
    if node.target in VIEWS:
        return node.args[0] in plan.steps
    others = [source for source in node.all_input_nodes if source not in plan.steps]
    if node.target in BROADCASTING or any(source not in plan.fixed for source in others):
        return all(source in plan.fixed for source in others)
    first = node.args[0] if isinstance(node.args[0], list | tuple) else [node.args[0]]
    return all((source in plan.steps) == (source in first) for source in node.all_input_nodes)


def _is_one_value(node: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    """Say whether a node returns one tensor, or several of which only those with windows are used.

    The others are positions in another value, or statistics.
    """
    if isinstance(values[node], Tensor):
        return True
    picks = [user for user in node.users if user.target is operator.getitem]
    all_have = node.target in PIECES or all(pick.args[1] == 0 for pick in picks)
    return all_have and len(picks) == len(node.users)


def _are_alike(sources: list[fx.Node], plan: Plan, values: Mapping[fx.Node, Any]) -> bool:
    """Say whether values have their positions along the same axis."""
    windows = [plan.steps[source].windows for source in sources]
    places = [
        (values[source].dim(), each.axis, each.length)
        for source, each in zip(sources, windows, strict=True)
    ]
    return len(set(places)) == 1


# --- what it costs -------------------------------------------------------------------------------


def share(plan: Plan, values: Mapping[fx.Node, Any]) -> float:
    """Estimate which part of the whole model's work is left.

    Parameters
    ----------
    plan : Plan
    values : mapping of fx.Node to object
        Of every node for one sequence.

    Returns
    -------
    float
        1 where windows save as much as it costs to cut them out.
    """
    whole = left = 0.0
    for node in plan.graph.graph.nodes:
        if node in plan.fixed or not isinstance(values[node], Tensor):
            continue
        work = values[node].numel() * (COPYING + _multiplications(node, values))
        step = plan.steps.get(node)
        whole += work
        left += work * (step.windows.width / step.windows.length if step else 1)
        left += COPYING * sum(_copied(plan, values, s, node) for s in node.all_input_nodes)
    return left / whole


def _copied(plan: Plan, values: Mapping[fx.Node, Any], source: fx.Node, reader: fx.Node) -> float:
    """Return how many numbers are written to make what an operator reads from windows."""
    value = values[source]
    if source not in plan.steps or (source, reader) in plan.direct or not _is_tensor(value):
        return 0.0
    if reader not in plan.steps:
        return float(value.numel())
    windows, reach = plan.steps[source].windows, plan.steps[reader].reach
    return float(value.numel()) / windows.length * reach.width


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _multiplications(node: fx.Node, values: Mapping[fx.Node, Any]) -> int:
    """Return how many multiplications each number of a result takes, where they are many."""
    if not isinstance(node.target, OpOverload):
        return 0
    name = named(node).get("weight")
    weight = values[name] if isinstance(name, fx.Node) else None
    return weight[0].numel() if isinstance(weight, Tensor) and weight.dim() > 1 else 0
