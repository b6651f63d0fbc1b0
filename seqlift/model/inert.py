"""Tensors out of a pickle of anything, without running what the pickle names.

Checkpoints and pickled modules hold their weights beside objects of the user's classes. Here every
name in a pickle that is not one of torch's tensor constructors becomes an object that does nothing,
so that nothing is imported and nothing called, and the tensors can be picked out of what is left.
"""

# ruff: noqa: ANN401  (a pickle holds anything)

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

__all__ = ["numbers_of_modules", "read_inert", "tensors_of_modules"]

# What a pickled tensor is made of; none of these runs anything of its arguments.
HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
}
DTYPES_OF_STORAGES = {
    "BFloat16": torch.bfloat16, "Bool": torch.bool, "Byte": torch.uint8, "Char": torch.int8,
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "Int": torch.int32,
    "Long": torch.int64, "Short": torch.int16, "Untyped": torch.uint8,
}  # fmt: skip
STORAGES = {f"{kind}Storage": dtype for kind, dtype in DTYPES_OF_STORAGES.items()}
DTYPES = {
    str(value).removeprefix("torch.")
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}


class _Constructor:
    """Calls a function, and has nothing that a pickle could set: the function itself it could."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None: ...


class _Storage:
    """Stands for a class of storages, of which torch asks the type alone."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None: ...


class _Inert:
    """Stands for an object of any class: takes its state and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *args: Any, **kwargs: Any) -> _Inert:
        return _Inert()

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...


class _Unpickler(pickle._Unpickler):  # the one in Python, whose parts can be replaced
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in HARMLESS:
            return _Constructor(HARMLESS[module, name])
        if module in ("torch", "torch.storage") and name in STORAGES:
            return _Storage(STORAGES[name])
        if module == "torch" and name in DTYPES:
            return getattr(torch, name)
        # A class of its own for every name: pickles make objects by calling the class's __new__.
        return type(name, (_Inert,), {})

    @property
    def persistent_load(self) -> Callable[[Any], Any]:
        """Torch's function for what lies outside of the pickle, for storages alone.

        Beside them, files of old have the source of modules, which torch would write to a file.
        """
        load = self._persistent_load

        def load_storage(key: Any) -> Any:
            kind = key[0] if isinstance(key, tuple) and len(key) > 1 else None
            if kind in ("module", b"module"):
                return key[1]
            if kind not in ("storage", b"storage"):
                raise pickle.UnpicklingError("found something outside that is no storage")
            return load(key)

        return load_storage

    @persistent_load.setter
    def persistent_load(self, load: Callable[[Any], Any]) -> None:
        self._persistent_load = load


def _pickle_module() -> ModuleType:
    """Return what `torch.load` reads pickles with."""
    module = ModuleType("seqlift_inert_pickle")
    module.Unpickler = _Unpickler  # type: ignore[attr-defined]
    module.load = lambda file, **kwargs: _Unpickler(file, **kwargs).load()  # type: ignore[attr-defined]
    return module


def read_inert(path: Path) -> Any:
    """Read a file of `torch.save`; objects of other classes than torch's tensors are inert.

    Raises
    ------
    Exception
        Of many kinds, if it is no such file.
    """
    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_pickle_module())


def tensors_of_modules(found: Any) -> dict[str, Tensor]:
    """Return the state dict of a pickled module that was read inert; empty if it is none."""
    return dict(_tensors(found, ""))


def _tensors(found: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    state = found.state if isinstance(found, _Inert) else None
    if not isinstance(state, Mapping):
        return
    left_out = state.get("_non_persistent_buffers_set")
    for group in ("_parameters", "_buffers"):
        for name, value in (state.get(group) or {}).items():
            if isinstance(value, Tensor) and name not in (left_out or ()):
                yield f"{prefix}{name}", value
    for name, module in (state.get("_modules") or {}).items():
        yield from _tensors(module, f"{prefix}{name}.")


def numbers_of_modules(found: Any, prefix: str = "") -> dict[str, int]:
    """Return the integers that a module read inert has as attributes, by their dotted names."""
    state = found.state if isinstance(found, _Inert) else None
    if not isinstance(state, Mapping):
        return {}
    numbers = {f"{prefix}{k}": v for k, v in state.items() if type(v) is int}
    for name, module in (state.get("_modules") or {}).items():
        numbers |= numbers_of_modules(module, f"{prefix}{name}.")
    return numbers
