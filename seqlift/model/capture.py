"""From a model to one plain ATen graph.

`torch.export` follows the model once with a symbolic batch size; operators that have no rule are
decomposed, those that have one stay whole. The result owns copies of nothing and hooks of nothing:
the user's model is left as it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import sympy  # type: ignore[import-untyped]
import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.registry import registered
from seqlift.errors import CaptureError, SeqliftError, ShapeError
from seqlift.model.quiet import first_line, quiet
from seqlift.model.recurrence import recurrence_whole

__all__ = ["Captured", "capture", "fixed_length", "input_shape"]

BASES = 4
NOT_THE_USERS = (Path(torch.__file__).parent, Path(__file__).parents[1])
# Two rows are the smallest batch that torch.export does not take for a constant.
EXAMPLE_ROWS = 2


def _rrelu(
    value: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **_: object
) -> Tensor:
    if training:
        raise CaptureError(
            "the model calls rrelu with training=True, so its output is random; "
            "use training=self.training"
        )
    return nn.functional.leaky_relu(value, (lower + upper) / 2)


def _squeeze(value: Tensor, axes: Any = None) -> Tensor:  # noqa: ANN401  an int, a list or nothing
    """Drop the axes that always have size one; a batch of one sequence stays a batch."""
    asked = range(value.dim()) if axes is None else [axes] if isinstance(axes, int) else axes
    for axis in sorted((axis % max(value.dim(), 1) for axis in asked), reverse=True):
        if value.dim() and isinstance(value.shape[axis], int) and value.shape[axis] == 1:
            value = value.select(axis, 0)
    return value


# Operators that torch takes apart into pieces without a rule, or that take a batch of one apart.
OWN_DECOMPOSITIONS = {
    torch.ops.aten.rrelu.default: _rrelu,
    torch.ops.aten.squeeze.default: _squeeze,
    torch.ops.aten.squeeze.dim: _squeeze,
    torch.ops.aten.squeeze.dims: _squeeze,
}


class Captured(NamedTuple):
    """A model as a graph.

    Attributes
    ----------
    graph : fx.GraphModule
        One placeholder (row, base=4, position); its output is a flat tuple.
    outputs : tuple of str
        A name for each output: its key or its position.
    length : int or None
        Positions that the model takes; None if it takes any.
    dtype : torch.dtype
        Of the model's weights.
    """

    graph: fx.GraphModule
    outputs: tuple[str, ...]
    length: int | None
    dtype: torch.dtype


def capture(model: nn.Module | ExportedProgram, length: int | None = None) -> Captured:
    """Capture a model as an ATen graph with a symbolic batch size.

    Parameters
    ----------
    model : nn.Module or torch.export.ExportedProgram
        Takes one tensor of shape (row, base=4, position).
    length : int or None
        Positions; needed for a module and for a program that takes any length.

    Returns
    -------
    Captured

    Raises
    ------
    CaptureError
        If torch.export cannot follow the model; holds torch's message and the user's source line.
    ShapeError
        If the model takes another input than (row, 4, length), or a fixed number of rows.
    """
    with quiet(), recurrence_whole():
        program = model if isinstance(model, ExportedProgram) else _export(model, length)
        _require_input(program, length)
        program = _decompose(program)
        module = program.module(check_guards=False)
        module.graph.set_codegen(fx.graph.CodeGen())
        graph = fx.GraphModule(module, module.graph)
        _tidy(graph.graph)
    outputs = _output_names(program)
    fixed = input_shape(program)[2]
    return Captured(
        graph, outputs, fixed if isinstance(fixed, int) else length, _weights_dtype(program)
    )


@contextlib.contextmanager
def _as_evaluated(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and back exactly as it was."""
    flags = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention has no parts to give rules to
    for module in flags:
        module.training = False  # model.eval() may be overridden, or forbidden
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, flag in flags.items():
            module.training = flag


def _export(model: nn.Module, length: int | None) -> ExportedProgram:
    if length is None:
        raise ShapeError("the model does not say how many positions it takes; give the length")
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    example = torch.zeros(EXAMPLE_ROWS, BASES, length, dtype=like.dtype, device=like.device)
    with _as_evaluated(model):
        try:
            return torch.export.export(model, (example,), dynamic_shapes=({0: Dim.DYNAMIC},))
        except Exception as error:  # torch raises many kinds; all mean the same here
            raise _not_followed(error) from error


def _not_followed(error: Exception) -> SeqliftError:
    """Wrap torch's error: its first line, and the last line of the user's source on the way."""
    if isinstance(error, SeqliftError):  # torch has added the graph to the message
        return type(error)(first_line(error) + _place(error))
    if "size()[0]" in first_line(error):  # torch's name for the number of rows
        return CaptureError(
            "the model works for a fixed number of sequences at a time; write its shapes with "
            "x.shape[0] or -1, and no conditions on it"
        )
    return CaptureError(f"torch.export cannot follow the model: {first_line(error)}{_place(error)}")


def _place(error: Exception) -> str:
    """Return the last line of the user's source on the way to an error, or an empty string."""
    frames = [(f.filename, str(f.lineno)) for f in traceback.extract_tb(error.__traceback__)]
    frames += re.findall(r'File "([^"]+)", line (\d+)', str(error))
    ours = (*(f"{folder}{os.sep}" for folder in NOT_THE_USERS), "<")
    outside = [":".join(frame) for frame in frames if not frame[0].startswith(ours)]
    return f" (at {outside[-1]})" if outside else ""


def _tidy(graph: fx.Graph) -> None:
    """Drop what no output needs, and the assertions that .float() and .to() leave behind."""
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _decompose(program: ExportedProgram) -> ExportedProgram:
    table = torch.export.default_decompositions()
    for whole in registered():
        table.pop(whole, None)  # type: ignore[no-untyped-call]
    table.update(OWN_DECOMPOSITIONS)  # type: ignore[no-untyped-call]
    try:
        return program.run_decompositions(table)  # type: ignore[no-any-return]
    except Exception as error:
        raise _not_followed(error) from error


def input_shape(program: ExportedProgram) -> tuple[Any, ...]:
    """Return the shape of a program's only input; sizes that may vary are symbolic.

    Raises
    ------
    ShapeError
        If it does not take exactly one tensor.
    """
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise ShapeError(
            f"the model takes {len(names)} inputs ({', '.join(map(str, names))}); expected one, "
            "the sequence; wrap it so that the others are constants"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise ShapeError(
            f"the model's input {names[0]} is not a tensor; expected (row, 4, position)"
        )
    return tuple(value.shape)


def fixed_length(model: nn.Module | ExportedProgram) -> int | None:
    """Return the number of positions that a model fixes, or None (modules do not say)."""
    if not isinstance(model, ExportedProgram):
        return None
    shape = input_shape(model)
    return shape[2] if len(shape) == 3 and isinstance(shape[2], int) else None


def _require_input(program: ExportedProgram, length: int | None) -> None:
    shape = input_shape(program)
    shown = "(" + ", ".join(f"{n}" if isinstance(n, int) else "any" for n in shape) + ")"
    if len(shape) != 3 or shape[1] != BASES:
        raise ShapeError(f"the model takes input of shape {shown}; expected (any, 4, position)")
    if isinstance(shape[0], int):
        raise ShapeError(
            f"the model was exported for a batch of exactly {shape[0]}; export it again with "
            'dynamic_shapes=({0: torch.export.Dim("batch")},)'
        )
    if isinstance(shape[2], int) and length is not None and length != shape[2]:
        raise ShapeError(f"the model takes {shape[2]} positions; {length} were given")
    if not isinstance(shape[2], int):
        _require_allowed(program, shape[2], length)


def _require_allowed(program: ExportedProgram, size: torch.SymInt, length: int | None) -> None:
    """Hold a length against what the model was exported for: a range, or multiples of a number."""
    if length is None:
        raise ShapeError("the model takes any number of positions; give the length")
    expression = size.node.expr
    (symbol,) = expression.free_symbols
    allowed = program.range_constraints[symbol]
    found = sympy.solve(expression - length, symbol)
    if not any(n.is_integer and allowed.lower <= n <= allowed.upper for n in found):
        form = "" if expression == symbol else f"{expression} positions, {symbol} "
        raise ShapeError(
            f"the model takes {form}from {allowed.lower} to {allowed.upper}"
            f"{'' if form else ' positions'}; {length} were given"
        )


def _output_names(program: ExportedProgram) -> tuple[str, ...]:
    """Name each output by its path in whatever the model returns: a key, a position, or both."""
    spec = program.call_spec.out_spec
    assert spec is not None
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    return tuple(".".join(_key(step) for step in path) or "0" for path in paths)


def _key(step: object) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(step, attribute):
            return str(getattr(step, attribute))
    return str(step)


def _weights_dtype(program: ExportedProgram) -> torch.dtype:
    weights = (*program.state_dict.values(), *program.constants.values())
    floating = (v.dtype for v in weights if isinstance(v, Tensor) and v.is_floating_point())
    return next(floating, torch.float32)
