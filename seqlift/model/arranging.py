"""Wrap a model that takes another input than (row, base=4, position), bases A C G T, alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from seqlift.errors import ShapeError
from seqlift.model.form import PLAIN, Constant, InputForm, Rearranged, layout_of
from seqlift.model.torchscript import Script

__all__ = [
    "Imported",
    "SequenceInput",
    "arrange_imported",
    "arrange_module",
    "arrange_program",
    "sequence_input",
    "taken_by",
]

ZERO = Constant(torch.tensor(0.0))


class Taken(NamedTuple):
    """An input of a model that says what it takes.

    Attributes
    ----------
    shape : tuple
        Sizes that may vary are symbolic, or None.
    dtype : torch.dtype or None
        None for that of the sequence.
    has_rows : bool
        Whether the first axis is one row a sequence.
    """

    shape: tuple[Any, ...]
    dtype: torch.dtype | None = None
    has_rows: bool = True

    def __str__(self) -> str:
        return f"({', '.join(f'{n}' if isinstance(n, int) else 'any' for n in self.shape)})"


class Imported(nn.Module):
    """The model of another framework, with the names and shapes of its inputs.

    Parameters
    ----------
    model : nn.Module
    inputs : mapping of str to tuple
        Shapes with the row axis; None where a size may vary.
    call : callable
        Given the model and a list of all inputs, calls it.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Mapping[str, tuple[int | None, ...]],
        call: Callable[[nn.Module, list[Tensor]], Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.inputs = dict(inputs)
        self._call = call

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401
        """Take all inputs in their order."""
        return self._call(self.model, list(inputs))


class SequenceInput(NamedTuple):
    """The input that takes the sequence.

    Attributes
    ----------
    place : int
        Among the inputs.
    layout : str
        See `seqlift.model.form.LAYOUTS`.
    length : int, or anything else where it may vary
        Positions.
    rows : the same
    """

    place: int
    layout: str
    length: Any
    rows: Any


def taken_by(model: ExportedProgram | Imported) -> dict[str, Any]:
    """Return what a model takes by name: `Taken`, or the number that it was exported with."""
    if isinstance(model, Imported):
        return {name: Taken(shape) for name, shape in model.inputs.items()}
    values = {node.name: node.meta.get("val") for node in model.graph.nodes}
    names = [str(name) for name in model.graph_signature.user_inputs]
    return {
        name: _taken(value) if isinstance(value := values.get(name, name), Tensor) else value
        for name in names
    }


def _taken(value: Tensor) -> Taken:
    has_rows = value.dim() > 0 and not isinstance(value.shape[0], int)
    return Taken(tuple(value.shape), value.dtype, has_rows)


def sequence_input(taken: Mapping[str, Any], form: InputForm) -> SequenceInput:
    """Find the input that takes the sequence, by its name or its shape.

    Raises
    ------
    ShapeError
        If there is none, or not of the layout that the user says.
    """
    names = list(taken)
    _require_named(form, names)
    wanted = [form.sequence] if form.sequence else [n for n in names if n not in form.constants]
    for name in wanted:
        value = taken[name]
        found = layout_of(value.shape, form.layout) if isinstance(value, Taken) else None
        if found is not None:
            return SequenceInput(names.index(name), *found, value.shape[0])
    alone = "input" if len(names) == 1 else None
    shown = "; ".join(f"{alone or name} of shape {taken[name]}" for name in wanted)
    raise ShapeError(
        f"the model takes {shown or 'no other input'}; expected "
        f"{form.layout or '(any, 4, position), or these axes in another order'}"
    )


def arrange_program(
    program: ExportedProgram, form: InputForm, found: SequenceInput
) -> nn.Module | None:
    """Wrap a program, unless it takes a sequence as it is.

    Raises
    ------
    ShapeError
        If an input beside the sequence has another shape than is given.
    """
    taken = taken_by(program)
    if len(taken) == 1 and found.layout == PLAIN and form.has_plain_bases:
        return None
    _require_whole(taken, form)
    spec = program.call_spec.in_spec
    assert spec is not None

    def call(model: nn.Module, x: Tensor) -> Any:  # noqa: ANN401
        args, kwargs = pytree.tree_unflatten(_all_inputs(taken, form, found, x), spec)
        return model(*args, **kwargs)

    return Rearranged(program.module(check_guards=False), found.layout, form.bases, call)


def arrange_imported(model: Imported, form: InputForm, found: SequenceInput) -> nn.Module:
    """Wrap the model of another framework.

    Raises
    ------
    ShapeError
        If an input beside the sequence has another shape than is given.
    """
    taken = taken_by(model)
    _require_whole(taken, form)

    def call(model: nn.Module, x: Tensor) -> Any:  # noqa: ANN401
        return model(*_all_inputs(taken, form, found, x))

    return Rearranged(model, found.layout, form.bases, call)


def _all_inputs(
    taken: Mapping[str, Any], form: InputForm, found: SequenceInput, x: Tensor
) -> list[Any]:
    return [
        x if i == found.place else _filled(name, value, form, x)
        for i, (name, value) in enumerate(taken.items())
    ]


def _filled(name: str, value: Any, form: InputForm, x: Tensor) -> Any:  # noqa: ANN401
    """Return what a model is given for an input beside the sequence."""
    if not isinstance(value, Taken):
        return value
    # Whatever may vary beside the rows varies with the positions.
    length = max(x.shape[1:])
    sizes = value.shape[1 if value.has_rows else 0 :]
    shape = tuple(n if isinstance(n, int) else length for n in sizes)
    constant = form.constants.get(name, ZERO)
    if constant.shape is not None and constant.shape != shape:
        raise ShapeError(
            f"the input {name} was given with shape {constant.shape}; the model takes {shape} "
            f"{'behind the row axis' if value.has_rows else ''}".rstrip()
        )
    filled = constant.rows(x.shape[0], shape, x).to(value.dtype or x.dtype)
    return filled if value.has_rows else filled[0]


def arrange_module(model: nn.Module, layout: str, form: InputForm) -> nn.Module:
    """Wrap a module for a layout, unless that changes nothing.

    Raises
    ------
    ShapeError
        If the module's forward takes more than is given, or not what is given.
    """
    defaults, takes_any = _arguments(model)
    names = list(defaults)
    if not takes_any:
        _require_named(form, names)
    sequence = form.sequence or next((n for n in names if n not in form.constants), None)
    needed = [name for name, default in defaults.items() if default is inspect.Parameter.empty]
    missing = [n for n in needed if n != sequence and n not in form.constants]
    if missing:
        raise ShapeError(
            f"the model's forward also takes {', '.join(missing)}; give each as --input "
            f"{missing[0]}=0:SHAPE, with the shape behind the row axis such as 2x1000"
        )
    is_first = sequence is None or sequence == names[0]
    is_plain = layout == PLAIN and form.has_plain_bases and not form.constants and is_first
    if is_plain and names and not isinstance(model, Script):  # torch.export wants a named input
        return model

    def call(module: nn.Module, x: Tensor) -> Any:  # noqa: ANN401
        others: dict[str, Any] = {
            name: constant.rows(x.shape[0], constant.shape or (), x)
            for name, constant in form.constants.items()
        }
        return module(x, **others) if is_first else module(**{str(sequence): x}, **others)

    return Rearranged(model, layout, form.bases, call)


def _arguments(model: nn.Module) -> tuple[dict[str, Any], bool]:
    """Return what forward takes by name, each with its default, and whether it takes any name."""
    if isinstance(model, Script):
        return model.defaults, False
    parameters = list(inspect.signature(model.forward).parameters.values())
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: p.default for p in named}, any(p.kind == p.VAR_KEYWORD for p in parameters)


def _require_whole(taken: Mapping[str, Any], form: InputForm) -> None:
    """Refuse fractions for an input of whole numbers, such as an index."""
    for name, constant in form.constants.items():
        dtype = getattr(taken.get(name), "dtype", None)
        if dtype is not None and not dtype.is_floating_point and not constant.is_whole:
            raise ShapeError(
                f"the input {name} takes whole numbers; found {constant.not_whole[0].item():g}; "
                f"give it whole ones, as in --input {name}=1"
            )


def _require_named(form: InputForm, names: Sequence[str]) -> None:
    for name in (*form.constants, *([form.sequence] if form.sequence else [])):
        if name not in names:
            raise ShapeError(f"the model has no input {name!r}; it has {', '.join(names)}")
