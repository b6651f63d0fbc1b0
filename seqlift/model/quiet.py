"""Silence while torch works on a model.

`torch.export` warns of its own internals, and logs and prints what it then raises anyway. None of
that is for the user of this library: what matters is raised as an error.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["first_line", "quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings, log lines and prints, and let them through again afterwards."""
    threshold = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(threshold)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that says something, or the name of its class."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
