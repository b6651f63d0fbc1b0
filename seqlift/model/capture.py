"""From a model to one plain ATen graph.

`torch.export` follows the model once with a symbolic batch size; operators that have no rule are
decomposed, those that have one stay whole. The result owns copies of nothing and hooks of nothing:
the user's model is left as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from seqlift.deeplift.registry import registered
from seqlift.errors import CaptureError, ShapeError

__all__ = ["Captured", "capture", "input_shape"]

BASES = 4
# Two rows are the smallest batch that torch.export does not take for a constant.
EXAMPLE_ROWS = 2


def _rrelu(
    value: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **_: object
) -> Tensor:
    if training:
        raise CaptureError(
            "the model calls rrelu with training=True, so its output is random; use training=self.training"
        )
    return nn.functional.leaky_relu(value, (lower + upper) / 2)


# Operators that torch takes apart into pieces without a rule.
OWN_DECOMPOSITIONS = {torch.ops.aten.rrelu.default: _rrelu}


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
    program = model if isinstance(model, ExportedProgram) else _export(model, length)
    _require_input(program, length)
    program = _decompose(program)
    outputs = _output_names(program)
    module = program.module(check_guards=False)
    module.graph.set_codegen(fx.graph.CodeGen())
    graph = fx.GraphModule(module, module.graph)
    graph.graph.eliminate_dead_code()
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
    model.eval()
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
            raise CaptureError(f"torch.export cannot follow the model: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    """Return the first line of torch's message and the last line of the user's source it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else type(error).__name__
    place = _user_frame(error)
    return f"{message} (at {place})" if place else message


def _user_frame(error: BaseException) -> str | None:
    frames = []
    step = error.__traceback__
    while step is not None:
        frames.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    ours = ("/torch/", "/seqlift/", "<")
    outside = [f"{name}:{line}" for name, line in frames if not any(part in name for part in ours)]
    return outside[-1] if outside else None


def _decompose(program: ExportedProgram) -> ExportedProgram:
    table = torch.export.default_decompositions()
    for whole in registered():
        table.pop(whole, None)
    table.update(OWN_DECOMPOSITIONS)
    return program.run_decompositions(table)


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
            f"the model takes {len(names)} inputs ({', '.join(map(str, names))}); expected one, the sequence; "
            "wrap it so that the others are constants"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise ShapeError(
            f"the model's input {names[0]} is not a tensor; expected (row, 4, position)"
        )
    return tuple(value.shape)


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
    if not isinstance(shape[2], int) and length is None:
        raise ShapeError("the model takes any number of positions; give the length")


def _output_names(program: ExportedProgram) -> tuple[str, ...]:
    """Name each output by its path in whatever the model returns: a key, a position, or both."""
    spec = program.call_spec.out_spec
    assert spec is not None
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    return tuple(".".join(_key(step) for step in path) or "0" for path in paths)


def _key(step: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(step, attribute):
            return str(getattr(step, attribute))
    return str(step)


def _weights_dtype(program: ExportedProgram) -> torch.dtype:
    weights = (*program.state_dict.values(), *program.constants.values())
    floating = (v.dtype for v in weights if isinstance(v, Tensor) and v.is_floating_point())
    return next(floating, torch.float32)
