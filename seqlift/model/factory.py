"""A module from the user's own code: import a function and call it."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from torch import nn

from seqlift.errors import ModelLoadError
from seqlift.model.quiet import first_line

__all__ = ["as_literal", "importing_from", "make_module"]


def make_module(source: str, arguments: Mapping[str, str] | None = None) -> nn.Module:
    """Import a factory and call it.

    Parameters
    ----------
    source : str
        ``package.module:factory`` or ``file.py:factory``, a function (or class) that returns the
        module. Modules are also looked for in the current directory, and those that a file imports
        beside it.
    arguments : mapping of str to str or None
        What it is called with: Python literals (``64``, ``(3, 5)``, ``None``), or else strings.

    Returns
    -------
    nn.Module

    Raises
    ------
    ModelLoadError
        If there is no such factory, or it does not return a module.
    """
    place, _, name = source.rpartition(":")
    is_file = place.endswith(".py")
    with importing_from(Path(place).parent if is_file else Path.cwd()):
        factory = _find_factory(place, name, is_file)
        given = {name: as_literal(text) for name, text in (arguments or {}).items()}
        try:
            module = factory(**given)
        except (Exception, SystemExit) as error:
            called = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ModelLoadError(
                f"{source} failed when called {f'with {called}' if called else 'without arguments'}"
                f": {first_line(error)}"
            ) from error
    if not isinstance(module, nn.Module):
        raise ModelLoadError(
            f"{source} returned a {type(module).__name__}; expected a torch.nn.Module"
        )
    return module


def as_literal(text: str) -> object:
    """Read a Python literal; what is none is a string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


@contextlib.contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Let a folder's modules be imported, as python does for the script that it runs."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have changed the list
            sys.path.remove(entry)


def _find_factory(place: str, name: str, is_file: bool) -> Callable[[], object]:
    if is_file and not Path(place).is_file():
        raise ModelLoadError(f"{place} does not exist; expected file.py:factory")
    try:
        module = _import_file(Path(place)) if is_file else importlib.import_module(place)
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise ModelLoadError(
            f"{place} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error
    factory = getattr(module, name, None)
    if not callable(factory):
        raise ModelLoadError(f"{place} has no function or class {name!r}")
    return factory  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    # A name of its own, so that model.py or torch.py hides nothing.
    name = f"_seqlift_factory_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up there
    spec.loader.exec_module(module)
    return module
