"""What stands around a convolution, done by the convolution itself.

A program is a graph of plain operators, and each reads its tensors from memory and writes one back.
Around a convolution of width three (`rules/winograd.py`) most of the others are element by element:
the activation, its slope, the sum with what bypasses the convolution, the slope that is multiplied
on the way back. The convolution has their numbers at hand, so they are written into it:

* a product that nothing else reads becomes what is convolved;
* what is computed element by element from the results, and from what does not depend on them,
  becomes what the convolution gives, as far as others read it; all of it or, where that is many
  tensors, nothing.

Nothing but rounding changes. Only what the references of a sequence share is computed again, for
each of them.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx

from seqlift.deeplift.layouts import (
    AXES,
    REFERENCE,
    ROW,
    Axes,
    after_view,
    erase_unread,
    in_rows,
    is_view,
    later_than,
    move_before,
    out_of_rows,
    source_of,
    value_of,
    viewed_by,
)
from seqlift.deeplift.rules.winograd import CONVOLVE
from seqlift.deeplift.rules.winograd_steps import Kernel

__all__ = ["fuse_convolutions"]

aten = torch.ops.aten

# What C++ writes for an operator, in the words of winograd.cpp.
WRITTEN: dict[object, str] = {
    aten.abs.default: "size({})",
    aten.add.Tensor: "{} + {}",
    aten.div.Tensor: "{} / {}",
    aten.mul.Tensor: "{} * {}",
    aten.neg.default: "-{}",
    aten.relu.default: "positive({})",
    aten.sub.Tensor: "{} - {}",
}

# Tensors that one loop reads and writes besides; with more of them it gains nothing any more.
MOST_BESIDE, MOST_GIVEN = 6, 3


def fuse_convolutions(module: fx.GraphModule) -> None:
    """Write what is element by element around Winograd's convolutions into them, in place.

    Parameters
    ----------
    module : fx.GraphModule
        Its nodes know the shapes of their values, as those of `make_fx` do.
    """
    convolutions = [node for node in module.graph.nodes if node.target is CONVOLVE]
    kernels = {node: _take_product(node) for node in convolutions}
    # From the end: what the references compute again for themselves, the sequence need not give.
    for node in reversed(convolutions):
        _give_more(node, kernels[node])
    module.graph.eliminate_dead_code()
    module.recompile()


def _take_product(convolution: fx.Node) -> Kernel:
    """Convolve the factors of a product instead of the product, if nothing else reads it."""
    taken: Any = convolution.args[0]
    node, axes = source_of(taken[0], AXES)
    value, is_read_once = value_of(node), _is_read_once(node)
    if axes == AXES:  # never mind the views
        convolution.update_arg(0, [node])
    if value is None or node.target is not aten.mul.Tensor or not is_read_once:
        return Kernel()
    sizes = dict(zip(axes, value.shape, strict=True))
    factors = [in_rows(factor, axes, sizes) for factor in node.args]
    if any(factor is None for factor in factors):
        return Kernel()
    kernel = Kernel(taken=2, take="in[0] * in[1]")
    convolution.update_arg(0, factors)
    convolution.update_arg(7, kernel.definitions())
    return kernel


def _is_read_once(node: fx.Node) -> bool:
    while len(node.users) == 1:
        (node,) = node.users
        if not is_view(node):
            return True
    return False


def _give_more(convolution: fx.Node, kernel: Kernel) -> None:
    """Have a convolution give what is computed from its results, element by element."""
    result, *others = convolution.users
    for other in others:  # equal results that a program returns are not merged before
        other.replace_all_uses_with(result)
    found = _Computed(result)
    given = found.read_elsewhere()
    if not found.statements or len(found.beside) > MOST_BESIDE or len(given) > MOST_GIVEN:
        return
    move_before(convolution, found.beside)
    statements = [*found.statements, *(f"out[{i}] = {name};" for i, name in enumerate(given))]
    kernel = kernel._replace(beside=len(found.beside), given=len(given), give=" ".join(statements))
    convolution.update_arg(5, list(found.beside))
    convolution.update_arg(6, len(given))
    convolution.update_arg(7, kernel.definitions())
    for i, node in enumerate(given.values()):
        with node.graph.inserting_after(convolution):
            one = node.graph.call_function(operator.getitem, (convolution, i))
        one.meta["val"] = result.meta["val"]
        node.replace_all_uses_with(out_of_rows(one, found.axes[node], node.meta["val"]))
    erase_unread(found.names)


class _Computed:
    """What is computed from the results of a convolution, element by element.

    Attributes
    ----------
    axes : dict of fx.Node to Axes
        Of the result, of what is computed, and of views of those.
    names : dict of fx.Node to str
        What each of them is called in C++.
    statements : list of str
        In C++.
    beside : dict of fx.Node to str
        What else is read, of axes (row, position, channel), and its names.
    """

    def __init__(self, result: fx.Node) -> None:
        self.axes: dict[fx.Node, Axes] = {result: AXES}
        self.names = {result: "y"}
        self.statements: list[str] = []
        self.beside: dict[fx.Node, str] = {}
        self._depending = {result}
        self._known: dict[tuple[fx.Node, Axes], str | None] = {}
        for node in later_than(result):
            if not self._depending.isdisjoint(node.all_input_nodes):
                self._depending.add(node)
                self._add(node)

    def _add(self, node: fx.Node) -> None:
        if is_view(node) and viewed_by(node) in self.axes:
            source = viewed_by(node)
            if axes := after_view(node, self.axes[source]):
                self.axes[node] = axes
                self.names[node] = self.names[source]
        elif node.target in WRITTEN and not node.kwargs:
            self._write(node)

    def _write(self, node: fx.Node) -> None:
        """Write an operator down, if all that it reads is known or can be read beside."""
        value = value_of(node)
        axes = {self.axes[one] for one in node.all_input_nodes if one in self.axes}
        if value is None or value.dtype != torch.float32 or len(axes) != 1:
            return
        (its,) = axes
        if value.dim() != len(its):
            return
        sizes = dict(zip(its, value.shape, strict=True))
        before = self.statements.copy(), self.beside.copy(), self._known.copy()
        operands = [self._operand(argument, its, sizes) for argument in node.args]
        if None in operands:  # then the others are not needed either
            self.statements, self.beside, self._known = before
        else:
            self.axes[node] = its
            self.names[node] = self._state(node, operands)

    def _state(self, node: fx.Node, operands: list[str | None]) -> str:
        name = f"v{len(self.statements)}"
        self.statements.append(f"const Vector {name} = {WRITTEN[node.target].format(*operands)};")
        return name

    def _operand(self, argument: object, axes: Axes, sizes: dict[str, int]) -> str | None:
        if isinstance(argument, int | float):
            return f"{float(argument).hex()}f" if math.isfinite(argument) else None
        if not isinstance(argument, fx.Node):
            return None
        if argument in self.names:
            is_alike = list(argument.meta["val"].shape) == list(sizes.values())
            return self.names[argument] if is_alike else None
        if argument in self._depending or len(argument.meta["val"].shape) != len(axes):
            return None
        key = argument, axes
        if key not in self._known:
            self._known[key] = self._again(argument, axes, sizes) or self._read(
                argument, axes, sizes
            )
        return self._known[key]

    def _read(self, node: fx.Node, axes: Axes, sizes: dict[str, int]) -> str | None:
        stream = in_rows(node, axes, sizes)
        return None if stream is None else self.beside.setdefault(stream, f"in[{len(self.beside)}]")

    def _again(self, node: fx.Node, axes: Axes, sizes: dict[str, int]) -> str | None:
        """Compute again what references share: that is quicker than to read one tensor more."""
        node, axes = source_of(node, axes)
        is_ours = node.target in WRITTEN and not node.kwargs and len(node.all_input_nodes) == 1
        if REFERENCE in axes or ROW in axes or not is_ours:
            return None
        operands = [self._operand(argument, axes, sizes) for argument in node.args]
        return None if None in operands else self._state(node, operands)

    def read_elsewhere(self) -> dict[str, fx.Node]:
        """Return the values that others read, by name."""
        values: dict[str, fx.Node] = {}
        for node, name in self.names.items():
            values.setdefault(name, node)  # its views come later
        read = {
            name for node, name in self.names.items() if not self.names.keys() >= node.users.keys()
        }
        return {name: node for name, node in values.items() if name in read}
