"""The target at many sequences that each differ from a given one in a single base.

One substitution changes only a window of each convolution's values. So the given sequence is run
once, and of each changed one only the windows; where an operator needs whole values, or the windows
have grown to most of them, they are written into copies of the unchanged ones and the rest of the
graph is run as usual. The result is that of the whole model up to rounding.

References
----------
Nair et al. 2022, fastISM, Bioinformatics 38:2397; Schreiber et al. 2022, yuzu (accelerating
in-silico saturation mutagenesis by compressed sensing), which also carries only what changes.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.deeplift.methods.local_operators import BROADCASTING
from seqlift.deeplift.methods.local_plan import (
    WORTH,
    Plan,
    on_device,
    plan_windows,
    share,
    without_windows,
)
from seqlift.deeplift.methods.local_site import Step
from seqlift.deeplift.methods.local_windows import Reach, Rows, cut, flat
from seqlift.deeplift.methods.replay import Replay
from seqlift.deeplift.rules.convolution import convolution

__all__ = ["Unchanged", "make_plan", "predict_substituted", "run_unchanged"]

aten = torch.ops.aten


class _Forward(Replay):
    """Runs operators as they are, convolutions in their quick layout."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is aten.conv1d.default:
            return convolution(*args, **kwargs)
        return super().call_function(target, args, kwargs)


def make_plan(graph: fx.GraphModule, one_hot: Tensor) -> Plan:
    """Plan how a graph is run on substitutions: on windows where that pays.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    one_hot : Tensor, shape (1, base=4, position)
        Any sequence, of the graph's type and on its device.

    Returns
    -------
    Plan
    """
    forward = _Forward(graph, garbage_collect_values=False)
    forward.run(one_hot)
    plan = plan_windows(graph, forward.env)
    pays = share(plan, forward.env) <= WORTH
    return on_device(plan if pays else without_windows(plan), one_hot.device)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """What a run of the unchanged sequences leaves.

    Attributes
    ----------
    prediction : Tensor, shape (region,)
    values : dict of fx.Node to Tensor
        What is carried as windows, as `local_windows.flat` gives it.
    """

    prediction: Tensor
    values: dict[fx.Node, Tensor]


class _Recorder(_Forward):
    """Keeps the values that are carried as windows."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.graph)
        self.steps = plan.steps
        self.kept: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.steps and isinstance(value, Tensor):
            self.kept[n] = flat(value, self.steps[n].windows.axis)
        return value


def run_unchanged(plan: Plan, one_hot: Tensor) -> Unchanged:
    """Run the unchanged sequences, and keep what changes will be written into.

    Parameters
    ----------
    plan : Plan
    one_hot : Tensor, shape (region, base=4, position)

    Returns
    -------
    Unchanged
    """
    recorder = _Recorder(plan)
    return Unchanged(recorder.run(one_hot, initial_env=dict(plan.fixed)), recorder.kept)


class _Substituted(_Forward):
    """Runs windows where the plan has them, and whole values elsewhere."""

    def __init__(self, plan: Plan, unchanged: Unchanged, rows: Rows) -> None:
        super().__init__(plan.graph)
        self.plan, self.unchanged, self.rows = plan, unchanged, rows
        self.last_whole: tuple[fx.Node | None, Any] = (None, None)

    def run_node(self, n: fx.Node) -> Any:
        step = self.plan.steps.get(n)
        if step is not None and n.op == "call_function":
            return self._on_windows(n, step)
        is_size = n.target is aten.sym_size.int and n.args[0] in self.plan.steps
        return self._size(*n.args) if is_size else super().run_node(n)  # type: ignore[arg-type]

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        return fx.node.map_arg((n.args, n.kwargs), self._whole)

    def _on_windows(self, node: fx.Node, step: Step) -> Any:
        first = next(source for source in node.all_input_nodes if source in self.plan.steps)

        def read(source: fx.Node) -> Any:
            if (source, node) in self.plan.direct:
                return self.env[source]
            if source in self.plan.steps:
                return self._stretch(source, step.reach, step.fill)
            if node.target in BROADCASTING:
                return self._constant(self.env[source], step, self.env[first].dim())
            return self.env[source]

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), read)
        return step.run(*args, **kwargs)

    def _whole(self, node: fx.Node) -> Any:
        if node not in self.plan.steps:
            return self.env[node]
        # Where a residual leaves and where it comes back read the same value.
        if self.last_whole[0] is not node:
            windows = self.plan.steps[node].windows
            reach = Reach(torch.zeros_like(windows.start), windows.length)
            self.last_whole = (node, self._stretch(node, reach, 0.0))
        return self.last_whole[1]

    def _stretch(self, node: fx.Node, reach: Reach, fill: float) -> Tensor:
        windows = self.plan.steps[node].windows
        return cut(self.unchanged.values[node], self.env[node], windows, self.rows, reach, fill)

    def _constant(self, value: Any, step: Step, rank: int) -> Any:
        """Return a constant, or stretches of it where it has a number for each position."""
        windows = step.windows
        from_end = windows.axis - rank
        if not isinstance(value, Tensor) or value.dim() < -from_end:
            return value
        if value.shape[from_end] != windows.length:
            return value
        one_row = value.reshape((1,) * (rank - value.dim()) + value.shape)
        rows = Rows(torch.zeros_like(self.rows.region), self.rows.position)
        return cut(flat(one_row, windows.axis), None, windows, rows, step.reach, 0.0)

    def _size(self, source: fx.Node, axis: int) -> int:
        value, windows = self.env[source], self.plan.steps[source].windows
        return windows.length if axis % value.dim() == windows.axis else value.shape[axis]


def predict_substituted(plan: Plan, unchanged: Unchanged, rows: Rows, columns: Tensor) -> Tensor:
    """Return the target with the column of one position replaced.

    Parameters
    ----------
    plan : Plan
    unchanged : Unchanged
        Of the sequences that `rows` counts.
    rows : Rows
        All of them are in the model at once.
    columns : Tensor, shape (row, base=4)
        What stands at the row's position.

    Returns
    -------
    Tensor, shape (row,)
    """
    substituted = _Substituted(plan, unchanged, rows)
    return substituted.run(columns.unsqueeze(2), initial_env=dict(plan.fixed))  # type: ignore[no-any-return]
