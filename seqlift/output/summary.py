"""PREFIX.json: what was run, on what, and how it went, for programs to read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqlift.output.atomic import write_errors

__all__ = ["write_summary"]


def write_summary(path: str | Path, summary: Mapping[str, object]) -> None:
    """Write a summary as JSON: keys sorted, two spaces, a line feed at the end.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.
    summary : mapping
        Mappings, lists, tuples, strings, paths, booleans, numbers (NumPy's too) and None. JSON has
        no NaN and no infinity: they become null.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(
        _plain(summary), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    with write_errors(path):
        Path(path).write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
