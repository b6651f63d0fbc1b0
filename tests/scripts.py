"""The scripts of a workflow, imported as Snakemake runs them: by their own names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def scripts_of_workflow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a workflow's modules be imported, and forget them again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield
    for name in set(sys.modules) - before:
        if folder in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
            del sys.modules[name]
