"""ONNX models, by the converter onnx2torch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from seqlift.errors import ModelLoadError
from seqlift.model.arranging import Imported
from seqlift.model.quiet import first_line, quiet

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
        If the extra is not installed, the file is damaged, or it has operators that the converter
        does not know.
    """
    onnx, onnx2torch = _import(path)
    try:
        with quiet():
            model = onnx.load(path)
            onnx.checker.check_model(model)
            module = onnx2torch.convert(model)
    except Exception as error:  # the parser and the converter raise many kinds
        raise ModelLoadError(
            f"{path} cannot be converted from ONNX: {first_line(error) or type(error).__name__}"
        ) from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: _shape(value) for value in model.graph.input if value.name not in weights}
    return Imported(module.eval(), inputs, lambda module, values: module(*values))


def _import(path: Path) -> tuple[Any, Any]:
    try:
        import onnx

        with _without_torchvision():
            import onnx2torch
    except ImportError as error:
        raise ModelLoadError(
            f"{path} is an ONNX model, which needs the extra: pip install 'seqlift[onnx]'"
        ) from error
    return onnx, onnx2torch


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
