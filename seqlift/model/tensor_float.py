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

# The settings of torch: convolutions, recurrent networks, and matrix products.
BACKENDS: tuple[Any, ...] = (
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
    before = [backend.fp32_precision for backend in BACKENDS]
    for backend in BACKENDS:
        backend.fp32_precision = "tf32" if is_allowed else "ieee"
    try:
        yield
    finally:
        for backend, precision in zip(BACKENDS, before, strict=True):
            backend.fp32_precision = precision
