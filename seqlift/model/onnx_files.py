"""ONNX models, by the converter onnx2torch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, fx, nn

from seqlift.errors import ModelLoadError
from seqlift.model.arranging import Imported
from seqlift.model.onnx_check import Check
from seqlift.model.onnx_sizes import WithSizes
from seqlift.model.quiet import first_line, quiet

# The newest version of ONNX's operators that the converter knows nearly all of.
OPERATORS = 17
# What changed later in types alone, which the converter need not know.
SAME_SINCE = {
    "Cast", "Constant", "ConstantOfShape", "Conv", "Dropout", "Elu", "Equal", "Flatten",
    "GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool", "Reshape", "Shape", "Softplus",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip

__all__ = ["is_onnx", "load_onnx"]


def is_onnx(path: Path) -> bool:
    """Say whether a file starts as ONNX does: with the version of its format and another field."""
    with path.open("rb") as file:
        start = file.read(3)
    fields = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)  # those of a model, in its encoding
    return len(start) == 3 and start[0] == 0x08 and start[1] < 0x40 and start[2] in fields


def load_onnx(path: Path) -> Imported:
    """Convert an ONNX model to a torch module.

    Raises
    ------
    ModelLoadError
        If the extra is not installed, the file is damaged, it has operators that the converter
        does not know, or what that makes of it computes something else.
    """
    onnx = _import(path)
    try:
        with quiet():
            model = onnx.load(path)
            onnx.checker.check_model(model)
            weights = {tensor.name for tensor in model.graph.initializer}
            inputs = {v.name: _shape(v) for v in model.graph.input if v.name not in weights}
            module = _checked(model, inputs)
    except NotImplementedError as error:
        raise ModelLoadError(
            f"{path} cannot be converted from ONNX: {first_line(error)}; save it with older "
            f"operators (torch.onnx.export(..., opset_version={OPERATORS})), or with torch.export"
        ) from error
    except Exception as error:  # the parser and the converter raise many kinds
        raise ModelLoadError(
            f"{path} cannot be converted from ONNX: {first_line(error) or type(error).__name__}"
        ) from error
    if module is None:
        raise ModelLoadError(
            f"{path} would be converted from ONNX to a model that computes other values; export it "
            "with torch.export instead"
        )
    return Imported(module, inputs, _Call([value.name for value in model.graph.output]))


class _Call:
    """Calls a converted model; several outputs are a dict by name, where they have names."""

    def __init__(self, names: list[str]) -> None:
        self._names = [] if any(name.isdecimal() for name in names) else names

    def __call__(self, module: nn.Module, values: list[Tensor]) -> Any:  # noqa: ANN401
        found = module(*values)
        if isinstance(found, (list, tuple)) and self._names:
            return dict(zip(self._names, found, strict=True))
        return found


def _checked(model: Any, inputs: dict[str, tuple[int | None, ...]]) -> nn.Module | None:  # noqa: ANN401
    """Convert a model as ONNX computes it, without folding where that is what changes it."""
    check = Check(model, inputs)
    module = WithSizes(_convert(_folded(model))).eval()
    if check.passes(module):
        return module
    with contextlib.suppress(NotImplementedError):
        module = WithSizes(_convert(model)).eval()
    return module if check.passes(module) else None


def _folded(model: Any) -> Any:  # noqa: ANN401
    """Compute what follows from the sizes that are known, which the converter cannot."""
    import onnxslim

    try:
        copy = type(model)()
        copy.CopyFrom(model)  # which it would change
        return onnxslim.slim(copy)
    except Exception:  # of many kinds; most models can be converted as they are
        return model


def _convert(model: Any) -> fx.GraphModule:  # noqa: ANN401
    """Convert a model, first to an older version of the operators where theirs are too new."""
    import onnx2torch
    from onnx.version_converter import convert_version

    try:
        return onnx2torch.convert(model)  # type: ignore[no-any-return]
    except NotImplementedError as error:
        for older in (lambda: convert_version(model, OPERATORS), lambda: _as_older(model)):
            with contextlib.suppress(Exception):  # the first error says what is missing
                return onnx2torch.convert(older())  # type: ignore[no-any-return]
        raise error from None


def _as_older(model: Any) -> Any:  # noqa: ANN401
    """Return a model with the operators of `OPERATORS`, where onnx's own converter gives up."""
    import onnx

    (version,) = (own.version for own in model.opset_import if own.domain in ("", "ai.onnx"))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = node.attribute[0].t
    older = onnx.ModelProto()
    older.CopyFrom(model)
    for node in older.graph.node:
        if onnx.defs.get_schema(node.op_type, version, node.domain).since_version <= OPERATORS:
            continue
        if node.op_type.startswith("Reduce") and len(node.input) == 2:
            axes = onnx.numpy_helper.to_array(weights[node.input.pop()]).tolist()
            node.attribute.append(onnx.helper.make_attribute("axes", axes))
        elif node.op_type not in SAME_SINCE:
            raise NotImplementedError(f"{node.op_type} of version {version}")
    del older.opset_import[:]
    older.opset_import.append(onnx.helper.make_opsetid("", OPERATORS))
    return older


def _import(path: Path) -> ModuleType:
    try:
        import onnx
        import onnxslim  # noqa: F401

        with _without_torchvision():
            import onnx2torch  # noqa: F401
    except ImportError as error:
        raise ModelLoadError(
            f"{path} is an ONNX model, which needs the extra: pip install 'seqlift[onnx]'"
        ) from error
    return onnx


@contextlib.contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let the converter be imported without torchvision, unless that is there already.

    It wants two operators on images of it; and torchvision built for CUDA, which is what pip finds,
    cannot be imported beside a torch for the CPU.
    """
    names = ("torchvision", "torchvision.ops")
    if names[0] in sys.modules or "onnx2torch" in sys.modules:
        yield
        return
    whole, operators = (ModuleType(name) for name in names)
    whole.ops = operators  # type: ignore[attr-defined]
    operators.roi_align = None  # type: ignore[attr-defined]
    sys.modules.update(zip(names, (whole, operators), strict=True))
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def _shape(value: Any) -> tuple[int | None, ...]:  # noqa: ANN401
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)
