"""In which form a module runs, which only trying tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqlift.errors import ShapeError
from seqlift.model.arranging import arrange_module
from seqlift.model.form import LAYOUTS, PLAIN, InputForm

__all__ = ["as_evaluated", "example", "running_layout", "with_indices"]

BASES = 4
# Two rows are the smallest batch that torch.export does not take for a constant.
EXAMPLE_ROWS = 2


def with_indices(model: nn.Module, length: int, form: InputForm) -> InputForm:
    """Give a module integers where it runs with no other numbers: to look something up by them."""
    found = form.with_indices()
    if not form.constants or running_layout(model, length, form) is not None:
        return form
    return form if running_layout(model, length, found) is None else found


def running_layout(model: nn.Module, length: int, form: InputForm) -> str | None:
    """Return the layout in which a module runs; None for none.

    Raises
    ------
    ShapeError
        If there are several and the plain one is not among them.
    """
    rows = example(model, length)
    found = []
    for layout in LAYOUTS if form.layout is None else [form.layout]:
        arranged = arrange_module(model, layout, form)
        with contextlib.suppress(Exception), torch.no_grad(), as_evaluated(arranged):
            arranged(rows)
            found.append(layout)
        if found == [PLAIN]:  # which goes before all others
            break
    if len(found) > 1:
        raise ShapeError(f"the model runs as {' and as '.join(found)}; say which with --layout")
    return next(iter(found), None)


def example(model: nn.Module, length: int) -> Tensor:
    """Return what a module is tried with: N alone, in the type of its weights."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(EXAMPLE_ROWS, BASES, length, dtype=like.dtype, device=like.device)


@contextlib.contextmanager
def as_evaluated(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and back exactly as it was."""
    flags = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention has no parts to give rules to
    for module in flags:
        module.training = False  # model.eval() may be overridden, or forbidden
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, flag in flags.items():
            module.training = flag
