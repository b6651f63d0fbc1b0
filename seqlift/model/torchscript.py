"""TorchScript as a module that torch.export can follow.

A TorchScript file holds a graph of torch's own operators, which runs outside of Python, where
nothing can follow it. Here its graph, with all modules inlined and all weights as constants, is run
operator by operator. Branches are taken as the example's sizes say, as torch.export does itself.
"""

# ruff: noqa: ANN401  (a graph's values are anything)

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlift.errors import CaptureError, ModelLoadError
from seqlift.model.quiet import first_line, quiet
from seqlift.model.script_risks import WITH, find_risk_of_loading, find_risky_operator

__all__ = ["Script", "load_script"]


def _divide(value: Any, other: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return value / other
    return value // other if rounding_mode == "floor" or value * other >= 0 else -(-value // other)


# Operators on numbers and lists, which torch has for TorchScript alone; and those on tensors that
# tracing writes for arithmetic with sizes.
ON_NUMBERS: dict[str, Callable[..., Any]] = {
    "aten::__and__": operator.and_,
    "aten::__contains__": operator.contains,
    "aten::__not__": operator.not_,
    "aten::__or__": operator.or_,
    "aten::Bool": bool,
    "aten::Float": float,
    "aten::Int": lambda value: value if isinstance(value, torch.SymInt) else int(value),
    "aten::IntImplicit": lambda value: value,
    "aten::ScalarImplicit": lambda value: value,
    "aten::add": lambda value, other, alpha=1: value + alpha * other,
    "aten::ceil": math.ceil,
    "aten::div": _divide,
    "aten::eq": operator.eq,
    "aten::floor": math.floor,
    "aten::floor_divide": operator.floordiv,
    "aten::floordiv": operator.floordiv,
    "aten::ge": operator.ge,
    "aten::gt": operator.gt,
    "aten::le": operator.le,
    "aten::lt": operator.lt,
    "aten::mul": operator.mul,
    "aten::ne": operator.ne,
    "aten::neg": operator.neg,
    "aten::pow": operator.pow,
    "aten::remainder": operator.mod,
    "aten::sub": lambda value, other, alpha=1: value - alpha * other,
    "prim::max": max,
    "prim::min": min,
}

# On lists and tuples, of tensors too, and on whatever there is.
ON_LISTS: dict[str, Callable[..., Any]] = {
    "aten::__getitem__": operator.getitem,
    "aten::append": lambda values, value: values.append(value) or values,
    "aten::len": len,
    "aten::list": list,
}
ON_ANY: dict[str, Callable[..., Any]] = {
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    # Torch's own would make the size of the batch a constant.
    "aten::numel": lambda value: value.numel(),
    "aten::size": lambda value, axis=None: list(value.shape) if axis is None else value.shape[axis],
    # Convolutions under the name that tracing gives them.
    "aten::_convolution": lambda *values: _convolution(*values),
}

# What the language has beside operators, given a list of all inputs.
ON_VALUES: dict[str, Callable[[list[Any]], Any]] = {
    "prim::DictConstruct": lambda values: dict(zip(values[::2], values[1::2], strict=True)),
    "prim::ListConstruct": list,
    "prim::NumToTensor": lambda values: values[0],
    "prim::TupleConstruct": tuple,
    "prim::Uninitialized": lambda values: None,
    "prim::device": lambda values: values[0].device,
    "prim::dtype": lambda values: values[0].dtype,
    "prim::unchecked_cast": lambda values: values[0],
}

EMPTY = inspect.Parameter.empty


class Script(nn.Module):
    """A TorchScript module, run operator by operator.

    Parameters
    ----------
    script : torch.jit.ScriptModule
    """

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        frozen = torch.jit.freeze(script.eval())
        graph = frozen.graph
        torch._C._jit_pass_inline(graph)
        self._block = graph
        # By name, what each input is where it is not given; `inspect.Parameter.empty` for none.
        self.defaults = {
            argument.name: argument.default_value if argument.has_default_value() else EMPTY
            for argument in frozen.forward.schema.arguments[1:]
        }
        self._constants: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._keep_tensors(graph)

    def _keep_tensors(self, block: Any) -> None:
        """Register the constant tensors, so that they move and are counted as weights are."""
        for node in block.nodes():
            for inner in node.blocks():
                self._keep_tensors(inner)
            value = node.output().toIValue() if node.kind() == "prim::Constant" else None
            if isinstance(value, Tensor) and value.dim() == 0 and not value.is_floating_point():
                # What tracing makes of an integer; sizes are computed with it.
                self._numbers[node.output().debugName()] = int(value)
            elif isinstance(value, Tensor):
                name = f"weight_{len(self._constants)}"
                self._constants[node.output().debugName()] = name
                self.register_buffer(name, value.detach())

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Run the script's graph."""
        graph = self._block
        given = self.defaults | dict(zip(self.defaults, inputs, strict=False)) | named
        names = (value.debugName() for value in graph.inputs())
        values: dict[str, Any] = dict(zip(names, (None, *given.values()), strict=True))
        (found,) = self._run(graph, values)
        return found

    def _run(self, block: Any, values: dict[str, Any]) -> list[Any]:
        for node in block.nodes():
            inputs = [values[value.debugName()] for value in node.inputs()]
            results = self._run_node(node, inputs, values)
            for output, result in zip(node.outputs(), results, strict=True):
                values[output.debugName()] = result
        return [values[value.debugName()] for value in block.outputs()]

    def _run_node(self, node: Any, inputs: list[Any], values: dict[str, Any]) -> list[Any]:
        kind = node.kind()
        if kind == "prim::If":
            return self._run(list(node.blocks())[0 if inputs[0] else 1], values)
        if kind == "prim::Loop":
            return self._loop(node, inputs, values)
        if kind in ("prim::ListUnpack", "prim::TupleUnpack"):
            return list(inputs[0])
        if node.outputsSize() == 0:  # assertions and the like
            return []
        return [self._value(node, kind, inputs)]

    def _loop(self, node: Any, inputs: list[Any], values: dict[str, Any]) -> list[Any]:
        most, goes_on, *carried = inputs
        (block,) = node.blocks()
        names = [value.debugName() for value in block.inputs()]
        turn = 0
        while goes_on and turn < most:
            values.update(zip(names, [turn, *carried], strict=True))
            goes_on, *carried = self._run(block, values)
            turn += 1
        return carried

    def _value(self, node: Any, kind: str, inputs: list[Any]) -> Any:
        if kind == "prim::Constant":
            output = node.output().debugName()
            if output in self._numbers:
                return self._numbers[output]
            name = self._constants.get(output)
            return node.output().toIValue() if name is None else getattr(self, name)
        if kind in ON_VALUES:
            return ON_VALUES[kind](inputs)
        return _call(node, kind, inputs)


def _convolution(
    value: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int, *rest: Any,
) -> Tensor:  # fmt: skip
    if weight.dim() == 3 and not transposed:
        return nn.functional.conv1d(value, weight, bias, stride, padding, dilation, groups)
    return torch.ops.aten.convolution.default(  # type: ignore[no-any-return]
        value, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


def _call(node: Any, kind: str, inputs: list[Any]) -> Any:
    if kind in ON_ANY:
        return ON_ANY[kind](*inputs)
    if kind in ON_LISTS and isinstance(inputs[0], list | tuple):
        return ON_LISTS[kind](*inputs)
    if kind in ON_NUMBERS and not any(isinstance(leaf, Tensor) for leaf in _leaves(inputs)):
        return ON_NUMBERS[kind](*inputs)
    schema = None if node.schema() == "(no schema)" else torch._C.parse_schema(node.schema())
    space, _, name = kind.partition("::")
    packet = getattr(getattr(torch.ops, space), name, None)
    if schema is None or packet is None or space not in ("aten", "prim"):
        raise CaptureError(f"the TorchScript operator {kind} cannot be followed")
    overload = getattr(packet, schema.overload_name or "default")
    given = dict(zip((argument.name for argument in schema.arguments), inputs, strict=True))
    positional = [given[a.name] for a in schema.arguments if not a.kwarg_only]
    named = {a.name: given[a.name] for a in schema.arguments if a.kwarg_only}
    tensors = [a.type.kind() == "TensorType" for a in schema.arguments if not a.kwarg_only]
    for i, is_tensor in enumerate(tensors):
        if is_tensor and isinstance(positional[i], bool | int):
            positional[i] = torch.tensor(positional[i])
    return overload(*positional, **named)


def _leaves(values: list[Any]) -> list[Any]:
    return [leaf for value in values for leaf in (value if isinstance(value, list) else [value])]


def load_script(path: Path) -> Script:
    """Load a TorchScript file.

    Raises
    ------
    ModelLoadError
        If it is damaged, has an operator that is not allowed, or holds what cannot be frozen.
    """
    try:
        risk = find_risk_of_loading(path)
        if not risk:
            with quiet():
                script = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            risk = find_risky_operator(script.inlined_graph)
    except Exception as error:  # torch raises many kinds
        raise _unreadable(path, error) from error
    if risk in WITH:
        raise ModelLoadError(
            f"{path} is TorchScript with an object of its own ({risk!r}), as a block like `with "
            "torch.no_grad():` makes, which is not followed; leave it out, or export the model "
            "with torch.export instead"
        )
    if risk:
        raise ModelLoadError(
            f"{path} is TorchScript with {risk!r}, which is not on the list of operators "
            "that only compute (others could write files, or crash); export the model with "
            "torch.export instead"
        )
    try:
        with quiet():
            return Script(script)
    except Exception as error:  # torch raises many kinds; all mean the same here
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ModelLoadError:
    return ModelLoadError(f"{path} cannot be read as TorchScript: {first_line(error)}")
