"""What a TorchScript file could do beside arithmetic.

Loading one runs its ``__setstate__`` and what torch's own classes do, so a file with either is not
loaded. All else lies in its graph, whose operators are held against a list of those allowed before
any of them runs: torch's operators on tensors, numbers and lists, and the language's own. Those
that take text could name a file, and are allowed one by one.
"""

# ruff: noqa: ANN401  (torch's graphs have no types)

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

__all__ = ["find_risk_of_loading", "find_risky_operator"]

# Methods that run while a script is loaded, and classes with code of their own that does.
RUNNING = re.compile(r"__[gs]etstate__|\btorch[\s\\]*\.[\s\\]*classes\b")
CLASSES = "__torch__.torch.classes"

LANGUAGE = set(
    "Constant ConstantChunk DictConstruct EnumName EnumValue GetAttr If ListConstruct ListUnpack "
    "Loop ModuleContainerIndex NumToTensor Print RaiseException SetAttr StringIndex TupleConstruct "
    "TupleIndex TupleSlice TupleUnpack Uninitialized abs data device dtype is_cpu is_cuda "
    "is_meta is_mkldnn is_mps is_nested is_quantized is_sparse is_sparse_csr is_xla isinstance "
    "layout max min rangelist requires_grad tolist type unchecked_cast "
    "unchecked_unwrap_optional".split()
)
# Modes and equations of operators on tensors, and words, which end up in messages of errors.
WITH_TEXT = set(
    "__contains__ __getitem__ __interpolate __upsample _convolution_mode add capitalize conv1d "
    "conv2d conv3d device dict div div_ divide divide_ einsum endswith eq fft_fft fft_ifft "
    "fft_irfft fft_rfft find format gelu gelu_ get index_reduce items join keys len linalg_norm "
    "list lower meshgrid nanquantile ne pad pad_sequence percentFormat quantile replace scatter "
    "scatter_ scatter_reduce scatter_reduce_ searchsorted sort split startswith stft strip upper "
    "values warn".split()
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
    if space != "aten" or node.schema() == "(no schema)":
        return False
    arguments = torch._C.parse_schema(node.schema()).arguments
    return name in WITH_TEXT or not any("str" in str(argument.type) for argument in arguments)
