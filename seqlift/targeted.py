"""A captured model cut down to its targets and made ready: from sequences to multipliers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from seqlift.deeplift.coverage import folds_batch, require_covered, require_own_rows
from seqlift.deeplift.footprint import bytes_a_pair
from seqlift.deeplift.interpreter import Multipliers, multipliers_each
from seqlift.deeplift.methods import METHODS, MethodOptions
from seqlift.deeplift.rulesets import Assignment, assign, lowered
from seqlift.errors import ShapeError, UnsupportedOperatorError, UsageError
from seqlift.model.capture import Captured, capture
from seqlift.model.load import LoadedModel
from seqlift.model.passes import join, optimise
from seqlift.model.placement import place
from seqlift.model.targets import Targeted, select_target
from seqlift.model.tensor_float import tensor_float

__all__ = ["PRECISIONS", "Model", "TargetedModel", "as_captured", "as_models"]

Model = nn.Module | ExportedProgram | LoadedModel | Captured

# By name, the type in which values are held. "tf32" and "bfloat16" have less precision in products
# (see `seqlift.model.tensor_float`) and in convolutions (see `seqlift.deeplift.rules.lowered`).
PRECISIONS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "tf32": torch.float32,
    "bfloat16": torch.float32,
}


class TargetedModel:
    """The graphs of a model's targets, with their rules.

    DeepLIFT takes all targets in one graph, in which what they share is computed once; the other
    methods take the graph of one target at a time.

    Parameters
    ----------
    captured : Captured
    targets : sequence of int or str
        See `seqlift.model.targets`.
    activation : str
        "auto" or "keep", see `seqlift.model.targets.select_target`.
    method : str
        A name from `seqlift.deeplift.methods.METHODS`.
    rules : str or mapping
        See `seqlift.deeplift.rulesets.assign`.
    precision : str
        A name from `PRECISIONS`.
    device : torch.device
    mirrored, swapped
        See `seqlift.model.targets.select_target`.

    Attributes
    ----------
    targets, removed_activations, definitions : tuple of str
        Target by target, as they are written to files.
    length : int or None
        Positions.
    dtype : torch.dtype
        Of sequences and scores.

    Raises
    ------
    ModelError
        If operators have no rule, a target is not there, or rows are not independent.
    """

    def __init__(
        self,
        captured: Captured,
        targets: Sequence[int | str],
        *,
        activation: str,
        method: str,
        rules: str | Mapping[str, str],
        precision: str,
        device: torch.device,
        mirrored: bool = False,
        swapped: Mapping[str, str] | None = None,
    ) -> None:
        self._method = METHODS[method]
        how: dict[str, Any] = {"mirrored": mirrored, "swapped": swapped}
        found = [select_target(captured, target, activation, **how) for target in targets]
        for one in found:
            (require_covered if self._method.needs_rules else require_own_rows)(one.graph.graph)
        self.targets = tuple(one.name for one in found)
        self.removed_activations = tuple(one.activation for one in found)
        self.definitions = tuple(one.definition for one in found)
        self.length = captured.length
        self.dtype = PRECISIONS[precision]
        self.device = device
        self.repeats_sequence = any(folds_batch(one.graph.graph) for one in found)
        self._is_deeplift = method == "deeplift"
        self.graphs = self._prepared(found)
        self.rules = Assignment()
        if self._is_deeplift:
            (graph,) = self.graphs
            self.rules = assign(graph.graph, rules)
            if precision == "bfloat16":
                self.rules = lowered(graph.graph, self.rules)

    def _prepared(self, found: Sequence[Targeted]) -> list[fx.GraphModule]:
        graphs = [one.graph for one in found]
        if self._is_deeplift:
            graphs = [join(graphs)]
        graphs = [place(graph, self.dtype, self.device) for graph in graphs]
        for graph in graphs:
            self._require_independent_rows(graph)
        self._bytes_a_pair = max(bytes_a_pair(graph.graph, self.dtype) for graph in graphs)
        return [optimise(graph) for graph in graphs] if self._is_deeplift else graphs

    def _require_independent_rows(self, graph: fx.GraphModule) -> None:
        """Refuse a model whose output for a sequence depends on the others in the batch.

        `coverage.py` finds most such models by their operators; moving rows about takes a try.
        """
        generator = torch.Generator().manual_seed(0)
        letters = torch.randint(0, 4, (3, self.length or 1), generator=generator)
        rows = self.placed(nn.functional.one_hot(letters, 4).transpose(1, 2).contiguous())
        try:
            with torch.no_grad(), tensor_float(False):
                together = _as_columns(graph(rows))
                alone = torch.cat([_as_columns(graph(row)) for row in torch.split(rows, 1)])
        except IndexError as error:  # of an embedding
            raise ShapeError(
                f"the model looks up what is not there ({error}); is an --input of it too large?"
            ) from error
        differs = (together - alone).abs() > 1e-3 * together.abs().amax(0)
        if bool(together.isfinite().all() & differs.any()):
            raise UnsupportedOperatorError(
                "the model's output for a sequence depends on the others in the batch (three "
                "together and each alone differ); every row must be computed by itself"
            )

    def outputs(self, one_hot: Tensor) -> Tensor:
        """Return the targets at sequences of any type, shape (region, target)."""
        with torch.no_grad():
            found = [_as_columns(graph(self.placed(one_hot))) for graph in self.graphs]
        return torch.cat(found, 1)

    def bytes_a_pair(self) -> int:
        """Estimate the memory that a pair of a sequence and a reference takes, from above."""
        return self._bytes_a_pair

    def description(self) -> str:
        """Describe what `multipliers` computes, apart from the values of the weights."""
        graphs = [str(part.graph) for part in self._parts()]
        graphs += [_kind(*held) for part in self._parts() for held in _held(part)]
        rules = [sorted(part) for part in (self.rules.reveal_cancel, self.rules.lowered)]
        steps = sorted(self.rules.steps.items())
        return f"{graphs} {rules} {steps} {self.repeats_sequence} {self.dtype} {self.device.type}"

    def weights(self) -> str:
        """Return a digest of the values of all tensors that the graphs hold."""
        whole = hashlib.sha256()
        for name, value in (held for part in self._parts() for held in _held(part)):
            whole.update(_kind(name, value).encode())
            whole.update(
                value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            )
        return whole.hexdigest()

    def _parts(self) -> Iterator[fx.GraphModule]:
        """Give the graphs, and those that steps of them run."""
        for graph in self.graphs:
            yield from (part for part in graph.modules() if isinstance(part, fx.GraphModule))

    def multipliers(
        self, one_hot: Tensor, references: Tensor, options: MethodOptions
    ) -> list[Multipliers]:
        """Compute the multipliers of one batch, target by target.

        Parameters
        ----------
        one_hot : Tensor, shape (region, base=4, position)
            As `placed` gives it.
        references : Tensor, shape (region, reference, base=4, position)
            The same.
        options : MethodOptions

        Returns
        -------
        list of Multipliers
        """
        if self._is_deeplift:
            (graph,) = self.graphs
            return multipliers_each(
                graph, one_hot, references, repeat=self.repeats_sequence, rules=self.rules
            )
        return [self._method.run(graph, one_hot, references, options) for graph in self.graphs]

    def placed(self, array: Tensor) -> Tensor:
        """Return an array on the device, in the type that is computed in."""
        # The bytes of a one-hot array travel, not its floats; the cast happens on the device.
        return array.to(self.device, non_blocking=True).to(self.dtype)


def _held(part: fx.GraphModule) -> Iterator[tuple[str, Tensor]]:
    """Give the tensors that a graph reads and holds by itself, in the order of reading."""
    for node in part.graph.nodes:
        value = attrgetter(node.target)(part) if node.op == "get_attr" else None
        if isinstance(value, Tensor):
            yield node.target, value


def _kind(name: str, value: Tensor) -> str:
    return f"{name} {value.dtype} {tuple(value.shape)} {value.stride()}"


def as_models(model: Model | Sequence[Model]) -> list[Model]:
    """Return several models as a list, and one as a list of one."""
    # What a capture gives is a tuple too, and a module may be a sequence.
    is_one = isinstance(model, Captured | nn.Module) or not isinstance(model, list | tuple)
    return [cast("Model", model)] if is_one else list(cast("Sequence[Model]", model))


def as_captured(model: Model, length: int | None) -> Captured:
    """Capture a model, unless that has been done.

    Raises
    ------
    UsageError
        If it is no model, but the path of one.
    ModelError
        If it cannot be captured.
    """
    if isinstance(model, Captured):
        return model
    form = model.form if isinstance(model, LoadedModel) else None
    if isinstance(model, LoadedModel):
        model = model.model
    if not isinstance(model, nn.Module | ExportedProgram):
        raise UsageError(
            f"the model is {model!r}, a {type(model).__name__}; expected a torch.nn.Module or what "
            "seqlift.load_model gives"
        )
    return capture(model, length, form)


def _as_columns(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return shape (row, target)."""
    return torch.stack(found if isinstance(found, tuple) else (found,), 1)
