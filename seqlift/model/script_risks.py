"""What a TorchScript file could do beside arithmetic.

Loading one runs its ``__setstate__`` and what torch's own classes do, so a file with either is not
loaded. All else lies in its graph, whose operators are held against a list of those allowed before
any of them runs: torch's operators by name (`script_operators`), and the language's own.
"""

# ruff: noqa: ANN401  (torch's graphs have no types)

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from seqlift.model.script_operators import is_operator

__all__ = ["WITH", "find_risk_of_loading", "find_risky_operator"]

# Methods that run while a script is loaded, and classes with code of their own that does.
RUNNING = re.compile(r"__[gs]etstate__|\btorch[\s\\]*\.[\s\\]*classes\b")
# What makes a block such as ``with torch.no_grad():``, whose beginning and end are methods.
WITH = ("prim::CreateObject", "prim::Enter", "prim::Exit")
CLASSES = "__torch__.torch.classes"

LANGUAGE = set(
    "Constant ConstantChunk DictConstruct EnumName EnumValue GetAttr If ListConstruct ListUnpack "
    "Loop ModuleContainerIndex NumToTensor Print RaiseException SetAttr StringIndex TupleConstruct "
    "TupleIndex TupleSlice TupleUnpack Uninitialized abs data device dtype is_cpu is_cuda "
    "is_meta is_mkldnn is_mps is_nested is_quantized is_sparse is_sparse_csr is_xla isinstance "
    "layout max min rangelist requires_grad tolist type unchecked_cast "
    "unchecked_unwrap_optional".split()
)


def find_risk_of_loading(path: Path) -> str:
    """Say what in a TorchScript file would run while torch loads it.

    Returns
    -------
    str
        The first such thing, or an empty string.
    """
    reader = torch._C.PyTorchFileReader(str(path))
    for name in reader.get_all_records():
        record = reader.get_record(name)
        if name.endswith(".py") and (found := RUNNING.search(record.decode("utf-8", "replace"))):
            return found[0]
        if name.endswith(".pkl"):
            for _, names, _ in pickletools.genops(record):
                full = str(names).replace(" ", ".")  # a module and a name in it
                if full.startswith(CLASSES):
                    return full
    return ""


def find_risky_operator(graph: Any) -> str:
    """Return the first operator of a graph that is not allowed, or an empty string."""
    return next((n.kind() for n in _nodes(graph) if not _is_allowed(n)), "")


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _is_allowed(node: Any) -> bool:
    space, _, name = node.kind().partition("::")
    if space == "prim":
        return name in LANGUAGE
    return space == "aten" and node.schema() != "(no schema)" and is_operator(name)
