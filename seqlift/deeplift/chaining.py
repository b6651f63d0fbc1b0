"""Convolutions that follow each other, taken row by row.

A batch has many rows, and what one convolution makes of all of them is gone from the cache when
the next reads it. Rows do not know of each other. So the convolutions that read what others made,
and nothing else that depends on it, become one operator (`rules/winograd_chain.py`), which takes
all of them at one row before the next. What is read inside it alone is not kept: each thread has
memory for one row of it.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx

from seqlift.deeplift.layouts import later_than, move_before
from seqlift.deeplift.rules.winograd import CONVOLVE
from seqlift.deeplift.rules.winograd_chain import CHAIN

__all__ = ["chain_convolutions"]

# Rows that a thread must have, since one row is not shared out; and how much longer it may take
# that some threads have a row more than others.
FEWEST_ROWS = 2
UNEVEN = 1.2

ALIGNED = 16  # numbers that a thread's memory is counted in


def chain_convolutions(module: fx.GraphModule) -> None:
    """Join Winograd's convolutions that follow each other, in place.

    Parameters
    ----------
    module : fx.GraphModule
        After `fuse_convolutions`.
    """
    waiting = [node for node in module.graph.nodes if node.target is CONVOLVE and _has_rows(node)]
    while waiting:
        chain = _chain_from(waiting)
        waiting = [node for node in waiting if node not in chain]
        if len(chain) > 1:
            _Chain(chain).join()
    module.graph.eliminate_dead_code()
    module.recompile()


def _has_rows(node: fx.Node) -> bool:
    n_rows, n_threads = _shape(node)[0], torch.get_num_threads()
    most = -(-n_rows // n_threads)
    return n_rows >= FEWEST_ROWS * n_threads and most * n_threads <= UNEVEN * n_rows


def _shape(node: fx.Node) -> list[int]:
    """Return the shape of what a convolution gives."""
    return list(node.meta["val"][0].shape)


def _chain_from(waiting: list[fx.Node]) -> list[fx.Node]:
    """Return the first convolution and those that can be taken along with it."""
    chain = waiting[:1]
    for node in waiting[1:]:
        sources = node.all_input_nodes
        linked = [one for one in sources if one.target is operator.getitem and one.args[0] in chain]
        others = set(sources).difference(linked)
        same_rows = _shape(node)[0] == _shape(chain[0])[0]
        if linked and same_rows and others.isdisjoint(_depending_on(chain)):
            chain.append(node)
    return chain


def _depending_on(chain: list[fx.Node]) -> set[fx.Node]:
    found = set(chain)
    for node in later_than(chain[0]):
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


class _Chain:
    """Convolutions on their way to become one operator."""

    def __init__(self, chain: list[fx.Node]) -> None:
        self._chain = chain
        self._tensors: dict[fx.Node, int] = {}
        self._places: dict[fx.Node, tuple[str, int]] = {}  # of what they give
        self._given: list[fx.Node] = []
        self._own: list[int] = []  # numbers in each row of a thread's own
        self._free_from: list[int] = []  # the step from which on it may be written again

    def join(self) -> None:
        """Put one operator in the place of all."""
        steps = [self._step(i, node) for i, node in enumerate(self._chain)]
        offsets = [sum(self._own[:i]) for i in range(len(self._own))]
        for step in steps:
            for name in ("taken", "beside", "given"):
                step[name] = [
                    (kind, offsets[number] if kind == "own" else number)
                    for kind, number in step[name]
                ]
        first = self._chain[0]
        plan = {
            "rows": _shape(first)[0],
            "own": sum(self._own),
            "given": [list(node.meta["val"].shape) for node in self._given],
            "steps": steps,
        }
        move_before(first, self._tensors)
        with first.graph.inserting_before(first):
            joined = first.graph.call_function(CHAIN, (list(self._tensors), json.dumps(plan)))
        joined.meta["val"] = [node.meta["val"] for node in self._given]
        for i, node in reversed(list(enumerate(self._given))):
            with first.graph.inserting_after(joined):
                one = first.graph.call_function(operator.getitem, (joined, i))
            one.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(one)
        for node in reversed(self._chain):
            for one in list(node.users):
                node.graph.erase_node(one)
            node.graph.erase_node(node)

    def _step(self, i: int, node: fx.Node) -> dict[str, Any]:
        arguments: tuple[Any, ...] = node.args
        taken, sums, bias, padding, dilation, beside, n_given, code = arguments
        return {
            "taken": self._found(taken),
            "sums": self._tensor(sums),
            "bias": None if bias is None else self._tensor(bias),
            "padding": padding,
            "dilation": dilation,
            "length": taken[0].meta["val"].shape[1],
            "beside": self._found(beside),
            "given": [self._give(i, node, number) for number in range(n_given)],
            "code": code,
        }

    def _found(self, nodes: Iterable[fx.Node]) -> list[tuple[str, int]]:
        return [self._places.get(node) or ("tensors", self._tensor(node)) for node in nodes]

    def _tensor(self, node: fx.Node) -> int:
        return self._tensors.setdefault(node, len(self._tensors))

    def _give(self, i: int, node: fx.Node, number: int) -> tuple[str, int]:
        """Find a place for what a step gives: a tensor if others read it, or a row of one's own."""
        readers = [one for one in node.users if one.args[1] == number]
        users = {user for one in readers for user in one.users}
        if users.issubset(self._chain):
            last = max([i, *(self._chain.index(user) for user in users)])
            place = "own", self._row(i, last, _shape(node))
        else:
            self._given.extend(readers)
            place = "given", len(self._given) - 1
        self._places.update((one, place) for one in readers)
        return place

    def _row(self, now: int, last: int, shape: list[int]) -> int:
        """Return a row that is free now and not so until the last step that reads it is done."""
        size = -(-shape[1] * shape[2] // ALIGNED) * ALIGNED
        free = [k for k, step in enumerate(self._free_from) if step <= now]
        k = free[0] if free else len(self._own)
        if not free:
            self._own.append(0)
            self._free_from.append(0)
        self._own[k] = max(self._own[k], size)
        self._free_from[k] = last + 1
        return k
