"""Which number of a model's output is explained.

A target is one readout of one output (`readouts.py`), written ``READOUT`` or ``OUTPUT.READOUT``, or
``OUTPUT`` where that output is one number a sequence; the mean or the sum of several,
``mean:A,B,C`` or ``sum:0..4``; or the difference of two such, ``A-B``. Where an output is the
result of a sigmoid or a softmax, the logit below it is explained instead (Shrikumar et al. 2017,
section 3.6), unless the activation is to be kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from seqlift.errors import TargetError, UsageError
from seqlift.model.capture import Captured
from seqlift.model.readouts import FORMS, Readout, add_call, parse_readout
from seqlift.model.target_lists import COMBINED, columns_of, split_combined

__all__ = ["ACTIVATIONS", "Targeted", "select_target"]

ACTIVATIONS = ("auto", "keep")

aten = torch.ops.aten

SQUASHING = {aten.sigmoid.default, aten.softmax.int, aten._softmax.default}
# What may stand between the activation and the output: operators that only move numbers.
MOVING = {
    aten._to_copy.default,
    aten.alias.default,
    aten.clone.default,
    aten.flatten.using_ints,
    aten.permute.default,
    aten.reshape.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.view.default,
}


class Targeted(NamedTuple):
    """A graph that returns the target.

    Attributes
    ----------
    graph : fx.GraphModule
        Input (row, base=4, position), output (row,).
    name : str
        The target as it is written to files.
    activation : str
        The final activation that was taken off ("sigmoid", "softmax"), or an empty string.
    definition : str
        What the target is, in words.
    """

    graph: fx.GraphModule
    name: str
    activation: str
    definition: str


class _Column(NamedTuple):
    """One number a sequence of one output; whether the user says what it is on each strand."""

    output: int
    readout: Readout
    is_said: bool = False


class _Term(NamedTuple):
    """Columns that are taken together: by their mean, their sum, or one alone ("")."""

    combined: str
    columns: list[_Column]


def select_target(
    captured: Captured,
    target: int | str,
    activation: str = "auto",
    *,
    mirrored: bool = False,
    swapped: Mapping[str, str] | None = None,
) -> Targeted:
    """Cut a captured graph down to one number a sequence.

    Parameters
    ----------
    captured : Captured
        Left as it is.
    target : int or str
        As the module says.
    activation : str
        "auto" explains the logit below a final sigmoid or softmax, "keep" the output as it is.
    mirrored : bool
        Count positions from the other end, as the reverse complement has them. A number is a
        position in an output with "profile" in its name, and a task in a row of numbers.
    swapped : mapping of str to str or None
        Outputs, or numbers of them, to take instead of others.

    Returns
    -------
    Targeted

    Raises
    ------
    TargetError
        If the target does not name one number a sequence; the message lists what there is. If it
        is to be mirrored and is a number that may be a task or a position.
    UsageError
        If `activation` is neither.
    """
    if activation not in ACTIVATIONS:
        raise UsageError(f"target activation {activation!r} is unknown; it is one of auto, keep")
    # Copying the graph alone shares the weights.
    graph = copy.deepcopy(captured.graph.graph)
    end = graph.output_node()
    outputs = _Outputs(captured.outputs, _leaves(end), swapped or {})
    terms = _resolve(outputs, str(target))
    if mirrored:
        terms = [_mirrored(term, outputs) for term in terms]
    used = sorted({column.output for term in terms for column in term.columns})
    removed = {
        output: _take_off_activation(_leaves(end)[output]) if activation == "auto" else ""
        for output in used
    }
    with graph.inserting_before(end):
        leaves = _leaves(end)  # they may be others now
        values = [_add_term(term, leaves) for term in terms]
        end.args = (values[0] if len(values) == 1 else add_call(aten.sub.Tensor, *values),)
    # torch counts attention as impure, for its dropout, and would keep it for no one.
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    graph.lint()
    names = dict.fromkeys(name for name in removed.values() if name)
    definition = " minus ".join(_define(term, outputs, removed) for term in terms)
    return Targeted(
        fx.GraphModule(captured.graph, graph), str(target), " and ".join(names), definition
    )


def _mirrored(term: _Term, outputs: _Outputs) -> _Term:
    return term._replace(columns=[_mirrored_column(column, outputs) for column in term.columns])


def _mirrored_column(column: _Column, outputs: _Outputs) -> _Column:
    """Turn a column's positions around; a number may be a task or a position."""
    sizes, readout = outputs.sizes(column.output) or [], column.readout
    if readout.kind != "index" or column.is_said:
        return column._replace(readout=readout.mirrored(sizes))
    name = outputs.names[column.output]
    if "profile" in name.lower():
        return column._replace(readout=readout.mirrored(sizes, is_profile=True))
    if len(sizes) > 1 and max(sizes) > 1:
        prefix = "" if len(outputs.names) == 1 else f"{name}."
        index = f"{prefix}{readout.channel}"
        raise TargetError(
            f"target {index} on both strands: {_kind(name, outputs.leaves[column.output])} may be "
            f"a profile; say {prefix}position:{readout.channel} if that is a position, or "
            f"--swap-targets {index}={index} if it is a task"
        )
    return column


def _add_term(term: _Term, leaves: list[Any]) -> fx.Node:
    total, *rest = [column.readout.add(leaves[column.output]) for column in term.columns]
    for value in rest:
        total = add_call(aten.add.Tensor, total, value)
    return add_call(aten.div.Scalar, total, len(rest) + 1) if term.combined == "mean" else total


def _define(term: _Term, outputs: _Outputs, removed: dict[int, str]) -> str:
    found = []
    for output, readout, _ in term.columns:
        name = "the output" if len(outputs.names) == 1 else f"output {outputs.names[output]}"
        below = f" before the {removed[output]}" if removed[output] else ""
        found.append(readout.define(f"{name}{below}"))
    if len(found) == 1:
        return found[0]
    return f"{COMBINED[term.combined]} ({'; '.join(found)})"


def _leaves(end: fx.Node) -> list[Any]:
    """Return what the model returns, in the order of its names: nodes, or constants."""
    return list(end.args[0]) if isinstance(end.args[0], (tuple, list)) else [end.args[0]]


class _Outputs(NamedTuple):
    """What a model returns, by name."""

    names: tuple[str, ...]
    leaves: list[Any]
    swapped: Mapping[str, str] = MappingProxyType({})

    def instead_of(self, text: str) -> str:
        """Return what is taken instead of a word such as `0` or `0.position:5`."""
        for name, other in self.swapped.items():
            if text == name or text.startswith(f"{name}."):
                return other + text.removeprefix(name)
        return text

    def sizes(self, output: int) -> list[int] | None:
        """Return an output's sizes behind the row axis; None if it has no row a sequence."""
        leaf = self.leaves[output]
        sizes = list(_shape(leaf)[1:])
        fixed = all(isinstance(size, int) for size in sizes)
        return sizes if fixed and _has_row_for_each_sequence(leaf) else None

    def named(self, word: str) -> list[int]:
        """Return the outputs whose name has a word in it."""
        return [i for i, name in enumerate(self.names) if word in name.lower()]

    def by_size(self, choose: Callable[..., int]) -> list[int]:
        """Return the outputs of the largest or the smallest number of values."""
        numbers = {
            i: torch.Size(sizes).numel()
            for i in range(len(self.names))
            if (sizes := self.sizes(i)) is not None
        }
        return [i for i, n in numbers.items() if n == choose(numbers.values())]

    def meant_by(self, readout: Readout) -> list[int]:
        """Return the outputs that a readout without a name can mean; one if it is clear."""
        if readout.kind == "index":
            return [0] if len(self.names) == 1 else []
        word, choose = ("count", min) if readout.kind == "counts" else ("profile", max)
        if len(self.named(word)) == 1:
            return self.named(word)
        found = self.by_size(choose)
        # The only output may be a row of tasks, which have no positions and are no counts.
        is_row = len(self.names) == 1 and len(self.sizes(0) or []) < 2
        return [] if is_row else found


def _resolve(outputs: _Outputs, target: str) -> list[_Term]:
    """Return the target's one term, or its two, of which the second is subtracted."""
    whole = _term(outputs, target)
    if whole is not None:
        return [whole]
    # A minus also stands in names and between positions, so each place is tried.
    for place, letter in enumerate(target):
        if letter == "-":
            pair = _term(outputs, target[:place]), _term(outputs, target[place + 1 :])
            if pair[0] is not None and pair[1] is not None:
                return [pair[0], pair[1]]
    swaps = ", ".join(f"{other} for {name}" for name, other in outputs.swapped.items())
    taking = f", taking {swaps} on the reverse strand," if swaps else ""
    raise TargetError(
        f"target {target!r}{taking} is not one number a sequence of this model; it has "
        f"{_all(outputs)}"
    )


def _term(outputs: _Outputs, text: str) -> _Term | None:
    combined, rest = split_combined(text)
    words = columns_of(rest) if combined else [rest]
    columns = []
    for word in words:  # a list may be long, and is tried for each minus
        column = _column(outputs, word)
        if column is None:
            return None
        columns.append(column)
    return _Term(combined, columns)


def _column(outputs: _Outputs, text: str) -> _Column | None:
    """Find what a word such as `profile`, `logits.3` or `2.position:500` names."""
    is_said = text in outputs.swapped
    text = outputs.instead_of(text)
    for output, name in enumerate(outputs.names):
        sizes = outputs.sizes(output)
        readout = parse_readout(text.removeprefix(f"{name}."))
        if sizes is None:
            continue
        if text == name and torch.Size(sizes).numel() == 1 and not _is_index_alone(outputs, text):
            return _Column(output, Readout("index", 0))
        if text.startswith(f"{name}.") and readout is not None and readout.fits(sizes):
            return _Column(output, readout, is_said)
    readout = parse_readout(text)
    meant = [] if readout is None else outputs.meant_by(readout)
    if readout is None or len(meant) != 1:
        return None
    sizes = outputs.sizes(meant[0])
    fits = sizes is not None and readout.fits(sizes)
    return _Column(meant[0], readout, is_said) if fits else None


def _is_index_alone(outputs: _Outputs, text: str) -> bool:
    """Say whether a word is an index rather than the name of the only output."""
    return len(outputs.names) == 1 and text.isdecimal()


def _shape(leaf: object) -> tuple[Any, ...]:
    value = leaf.meta.get("val") if isinstance(leaf, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _has_row_for_each_sequence(leaf: object) -> bool:
    if not isinstance(leaf, fx.Node) or not _shape(leaf):
        return False
    source = next(node for node in leaf.graph.nodes if node.op == "placeholder")
    return str(_shape(leaf)[0]) == str(_shape(source)[0])


def _all(outputs: _Outputs) -> str:
    """Say what numbers there are."""
    return "; ".join(_describe(outputs, output) for output in range(len(outputs.names)))


def _describe(outputs: _Outputs, output: int) -> str:
    sizes, name = outputs.sizes(output), outputs.names[output]
    prefix = "" if len(outputs.names) == 1 else f"{name}."
    if sizes is None:
        return f"{_kind(name, outputs.leaves[output])}, which is not a row of numbers"
    wide = [size for size in sizes if size != 1]
    if not wide:
        return f"{prefix}0 alone"
    if len(wide) == 1:
        return f"{prefix}0 to {prefix}{wide[0] - 1}"
    return f"{_kind(name, outputs.leaves[output])}, read as {prefix}{FORMS}"


def _kind(name: str, leaf: object) -> str:
    if not isinstance(leaf, fx.Node):
        return f"output {name}, which is {leaf!r}"
    rows = "batch" if _has_row_for_each_sequence(leaf) else None
    shape = [rows or str(size) if i == 0 else str(size) for i, size in enumerate(_shape(leaf))]
    return f"output {name} of shape ({', '.join(shape)})"


def _take_off_activation(leaf: fx.Node) -> str:
    """Bypass a final sigmoid or softmax; return its name, or an empty string."""
    above, node = None, leaf
    while node.target in MOVING and isinstance(node.args[0], fx.Node):
        above, node = node, node.args[0]
    if node.target not in SQUASHING:
        return ""
    user = above if above is not None else leaf.graph.output_node()
    logit = node.args[0]
    assert isinstance(logit, fx.Node)
    user.replace_input_with(node, logit)
    return "sigmoid" if node.target is aten.sigmoid.default else "softmax"
