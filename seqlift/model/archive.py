"""What a ``.pt2`` file holds, checked before torch reads it.

`torch.export.load` unpickles, evaluates expressions, looks functions up by name and links compiled
code, so a file that was made for it can run anything. A program that `torch.export.save` writes
needs none of that: its weights are bytes, its operators are torch's own and its expressions are
arithmetic on sizes. What goes beyond that is refused here.
"""

from __future__ import annotations

import ast
import io
import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch._ops import HigherOrderOperator, OpOverload

__all__ = ["find_risk"]

PROGRAM = re.compile(r"models/[\w.-]+\.json")
CONFIG = re.compile(r"data/(weights|constants)/[\w.-]+_config\.json")
PICKLED = re.compile(r"data/(weights|constants|sample_inputs)/[\w.-]+\.pt")
HARMLESS = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|extra/.*|\.data/.*"
    r"|archive_format|archive_version|byteorder|version"
)

ARITHMETIC = (
    ast.BinOp,
    ast.Call,
    ast.Compare,
    ast.Constant,
    ast.Expression,
    ast.Load,
    ast.Name,
    ast.UnaryOp,
    ast.cmpop,
    ast.keyword,
    ast.operator,
    ast.unaryop,
)
# Sizes are written as sympy's constructors and torch's own functions of integers.
SIZE_FUNCTIONS = set(
    "Abs Add And CeilDiv CeilToInt CleanDiv Eq Equality Float FloatPow FloatTrueDiv FloorDiv "
    "FloorToInt Ge GreaterThan Gt Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator "
    "LShift Le LessThan Lt Max Min Mod ModularIndexing Mul Ne Not Or Pow PowByNatural PythonMod "
    "RShift Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan Symbol ToFloat "
    "TruncToFloat TruncToInt Unequality Where ceiling floor".split()
)
PYTHON_OPERATORS = set(
    "abs add and_ eq floordiv ge getitem gt le lshift lt mod mul ne neg not_ or_ pos pow rshift "
    "sub truediv".split()
)


def find_risk(path: Path) -> str:
    """Say what in a ``.pt2`` file could run code when torch loads it.

    Parameters
    ----------
    path : Path
        A zip archive.

    Returns
    -------
    str
        Half a sentence about the first such thing, or an empty string.

    Raises
    ------
    RuntimeError, ValueError, KeyError
        If the file is not one that torch can read.
    """
    # Torch's own reader, so that the same bytes are checked that are loaded.
    reader = torch._C.PyTorchFileReader(str(path))
    return next((risk for name in reader.get_all_records() for risk in _risks(name, reader)), "")


def _risks(name: str, reader: torch._C.PyTorchFileReader) -> Iterator[str]:
    """Go through the risks of one record."""
    if HARMLESS.fullmatch(name):
        return
    if PROGRAM.fullmatch(name):
        yield from _risks_of_program(reader.get_record(name))
    elif CONFIG.fullmatch(name):
        yield from _risks_of_payload(json.loads(reader.get_record(name)))
    elif PICKLED.fullmatch(name):
        if not _is_plain_pickle(reader.get_record(name)):
            yield f"{name}, a pickle of more than tensors"
    else:
        yield f"{name}, which is no part of a program's weights and graph"


def _is_plain_pickle(record: bytes) -> bool:
    try:
        torch.load(io.BytesIO(record), map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds; the record is not plain
        return False
    return True


def _risks_of_payload(config: dict[str, Any]) -> Iterator[str]:
    for name, payload in config["config"].items():
        if payload["use_pickle"] or not re.match("(weight|tensor)_", payload["path_name"]):
            yield f"a pickled object for {name}"


def _risks_of_program(record: bytes) -> Iterator[str]:
    if b"default_factory_module" in record:
        yield "a collections.defaultdict, which names a function to import"
    for key, text in _strings(json.loads(record)):
        if key in ("target", "as_operator") and not _is_operator(text):
            yield f"a call of {text!r}, which is none of torch's operators"
        if key == "expr_str" and not _is_arithmetic(text):
            yield f"the expression {text!r}, which is not arithmetic on sizes"


def _strings(tree: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Go through all strings of a JSON document with the key that each stands under."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, dict):
        for inner, value in tree.items():
            yield from _strings(value, inner)
    elif isinstance(tree, list):
        for value in tree:
            yield from _strings(value, key)


def _is_operator(name: str) -> bool:
    if name.startswith("_operator."):
        return name.removeprefix("_operator.") in PYTHON_OPERATORS
    if re.fullmatch(r"math\.[a-z]\w*|torch\.(_sym|sym)_\w+", name):
        return True
    if not re.fullmatch(r"torch\.ops\.(aten|prims|higher_order)(\.\w+){1,2}", name):
        return False
    if re.search(r"\.(from_file|save|load)\b", name):  # which read and write files
        return False
    try:
        found = operator.attrgetter(name.removeprefix("torch."))(torch)
    except (AttributeError, RuntimeError):
        return False
    return isinstance(found, (OpOverload, HigherOrderOperator))


def _is_arithmetic(text: str) -> bool:
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, ARITHMETIC) and _is_plain_node(node) for node in nodes)


def _is_plain_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in SIZE_FUNCTIONS
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or re.fullmatch(r"\w+", node.value) is not None
    return True
