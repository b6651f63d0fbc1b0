"""Whether a CUDA device may round the factors of float32 products to TensorFloat-32.

TF32 has eleven bits of precision where float32 has twenty-four. torch lets convolutions have it
unless it is told otherwise; here it is asked for or it is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["tensor_float"]

# Convolutions, recurrent networks, and matrix products.
PRODUCTS: tuple[Any, ...] = (
    torch.backends.cudnn.conv,  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn,
    torch.backends.cuda.matmul,
)


@contextmanager
def tensor_float(is_allowed: bool) -> Iterator[None]:
    """Let float32 products on CUDA devices have TF32, or none of them.

    Parameters
    ----------
    is_allowed : bool
    """
    before = [kind.fp32_precision for kind in PRODUCTS]
    # torch has a switch for each kind of product and an older one for several of them; whoever
    # reads the older one, as its compiler does, gets an error where the two do not agree.
    _switch(is_allowed, is_allowed)
    try:
        yield
    finally:
        _switch(before[0] == "tf32", before[2] == "tf32")
        for kind, precision in zip(PRODUCTS, before, strict=True):
            kind.fp32_precision = precision


def _switch(convolutions: bool, matrices: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = matrices
