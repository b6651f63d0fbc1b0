"""From a model to one plain ATen graph.

`torch.export` follows the model once with a symbolic batch size; operators that have no rule are
decomposed, those that have one stay whole. The result owns copies of nothing and hooks of nothing:
the user's model is left as it was.
"""

from __future__ import annotations

import os
import re
import traceback
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
from seqlift.model.arranging import (
    Imported,
    SequenceInput,
    arrange_imported,
    arrange_module,
    arrange_program,
    sequence_input,
    taken_by,
)
from seqlift.model.form import PLAIN, InputForm
from seqlift.model.quiet import first_line, quiet
from seqlift.model.recurrence import recurrence_whole
from seqlift.model.trying import as_evaluated, example, running_layout, with_indices

__all__ = ["Captured", "capture", "export", "fixed_length", "predict"]

NOT_THE_USERS = (Path(torch.__file__).parent, Path(__file__).parents[1])


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
    layout : str
        That of the model's own input, see `seqlift.model.form.LAYOUTS`.
    """

    graph: fx.GraphModule
    outputs: tuple[str, ...]
    length: int | None
    dtype: torch.dtype
    layout: str = PLAIN


def capture(
    model: nn.Module | ExportedProgram, length: int | None = None, form: InputForm | None = None
) -> Captured:
    """Capture a model as an ATen graph with a symbolic batch size.

    Parameters
    ----------
    model : nn.Module or torch.export.ExportedProgram
    length : int or None
        Positions; needed for a module and for a program that takes any length.
    form : InputForm or None
        How the model takes its input; None finds it out.

    Returns
    -------
    Captured

    Raises
    ------
    CaptureError
        If torch.export cannot follow the model; holds torch's message and the user's source line.
    ShapeError
        If the model takes no sequence, or a fixed number of rows.
    """
    with quiet(), recurrence_whole():
        program, layout = _plain_program(model, length, form or InputForm())
        found = sequence_input(taken_by(program), InputForm())
        program = _decompose(program)
        module = program.module(check_guards=False)
        module.graph.set_codegen(fx.graph.CodeGen())
        graph = fx.GraphModule(module, module.graph)
        _tidy(graph.graph)
    outputs = _output_names(program)
    fixed = found.length if isinstance(found.length, int) else length
    return Captured(graph, outputs, fixed, _weights_dtype(program), layout)


def export(
    model: nn.Module | ExportedProgram, length: int | None = None, form: InputForm | None = None
) -> ExportedProgram:
    """Export a model as a program that takes a sequence (row, base=4, position) alone.

    Parameters and errors are those of `capture`. Nothing is decomposed.
    """
    with quiet():
        return _plain_program(model, length, form or InputForm())[0]


def _plain_program(
    model: nn.Module | ExportedProgram, length: int | None, form: InputForm
) -> tuple[ExportedProgram, str]:
    """Return a program that takes a sequence alone, and the layout that the model itself takes."""
    if not isinstance(model, ExportedProgram | Imported):
        return _export_module(model, length, form)
    found = sequence_input(taken_by(model), form)
    _require_length(found.length, length)
    fixed = found.length if isinstance(found.length, int) else length
    if isinstance(model, Imported):
        return _export_imported(model, form, found, fixed), found.layout
    _require_rows_and_length(model, found, length)
    arranged = arrange_program(model, form, found)
    return model if arranged is None else _export(arranged, fixed), found.layout


def _export_imported(
    model: Imported, form: InputForm, found: SequenceInput, length: int | None
) -> ExportedProgram:
    """Export a model of another library; what it says of its rows may be of its example alone."""
    cause = None
    try:
        program = _export(arrange_imported(model, form, found), length)
        if not isinstance(found.rows, int) or _has_rows(program):
            return program
    except CaptureError as error:
        if not isinstance(found.rows, int):
            raise
        cause = error
    raise ShapeError(
        f"the model takes exactly {found.rows} sequences at a time; save it again with a batch "
        "of any size (in torch.onnx.export: dynamic_shapes, or dynamic_axes)"
    ) from cause


def _has_rows(program: ExportedProgram) -> bool:
    """Say whether any output has as many rows as there are sequences."""
    outputs = program.graph_signature.user_outputs
    values = [n.meta.get("val") for n in program.graph.nodes if n.name in outputs]
    return any(isinstance(v, Tensor) and not isinstance([*v.shape, 0][0], int) for v in values)


def _export_module(
    model: nn.Module, length: int | None, form: InputForm
) -> tuple[ExportedProgram, str]:
    """Export a module in the layout that is said, or else in the first one in which it runs."""
    form = with_indices(model, length or 1, form)
    layout = form.layout or PLAIN
    try:
        return _export(arrange_module(model, layout, form), length), layout
    except CaptureError:
        found = None if form.layout is not None else running_layout(model, length or 1, form)
        if found in (None, PLAIN):
            raise
    return _export(arrange_module(model, found, form), length), found


def predict(
    model: nn.Module | ExportedProgram, x: Tensor, form: InputForm | None = None
) -> list[Tensor]:
    """Run a model itself, without following it.

    Parameters
    ----------
    model : nn.Module or ExportedProgram
    x : Tensor, shape (row, base=4, position)
    form : InputForm or None

    Returns
    -------
    list of Tensor
        Its outputs in the order of `Captured.outputs`.
    """
    form = form or InputForm()
    with quiet():
        plain = _plain_module(model, x.shape[2], form)
        with torch.no_grad(), as_evaluated(plain):
            found = plain(x)
    return [leaf for leaf in pytree.tree_leaves(found) if isinstance(leaf, Tensor)]


def _plain_module(model: nn.Module | ExportedProgram, length: int, form: InputForm) -> nn.Module:
    if not isinstance(model, ExportedProgram | Imported):
        form = with_indices(model, length, form)
        layout = form.layout or running_layout(model, length, form) or PLAIN
        return arrange_module(model, layout, form)
    found = sequence_input(taken_by(model), form)
    if isinstance(model, Imported):
        return arrange_imported(model, form, found)
    return arrange_program(model, form, found) or model.module(check_guards=False)


def _export(model: nn.Module, length: int | None) -> ExportedProgram:
    if length is None:
        raise ShapeError("the model does not say how many positions it takes; give the length")
    rows = ({0: Dim.DYNAMIC},)
    with as_evaluated(model):
        try:
            return torch.export.export(model, (example(model, length),), dynamic_shapes=rows)
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


def fixed_length(model: nn.Module | ExportedProgram, form: InputForm | None = None) -> int | None:
    """Return the number of positions that a model fixes, or None (modules do not say)."""
    if not isinstance(model, ExportedProgram | Imported):
        return None
    length = sequence_input(taken_by(model), form or InputForm()).length
    return length if isinstance(length, int) else None


def _require_length(fixed: Any, length: int | None) -> None:  # noqa: ANN401
    if isinstance(fixed, int) and length is not None and length != fixed:
        raise ShapeError(f"the model takes {fixed} positions; {length} were given")


def _require_rows_and_length(
    program: ExportedProgram, found: SequenceInput, length: int | None
) -> None:
    if isinstance(found.rows, int):
        raise ShapeError(
            f"the model was exported for a batch of exactly {found.rows}; export it again with "
            'dynamic_shapes=({0: torch.export.Dim("batch")},)'
        )
    if not isinstance(found.length, int):
        _require_allowed(program, found.length, length)


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
