"""Which options of an explainer there are, and which go together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch

from seqlift.deeplift.methods import METHODS, Method
from seqlift.deeplift.processor import is_quick_in_bfloat16
from seqlift.errors import SpeedWarning, UsageError

__all__ = ["find_method", "require_choice", "require_fit", "warn_if_slow"]


def find_method(name: str) -> Method:
    """Look a method up by its name.

    Raises
    ------
    UsageError
        If there is none of that name; the message lists them all.
    """
    require_choice("method", name, tuple(METHODS))
    return METHODS[name]


def require_fit(
    method: str, rules: str | Mapping[str, str], estimator: str, precision: str
) -> None:
    """Raise an error if options do not go with a method.

    Raises
    ------
    UsageError
    """
    if precision == "bfloat16" and method != "deeplift":
        raise UsageError(f"precision bfloat16 goes with the method deeplift, not with {method}")
    if rules != "rescale" and method != "deeplift":
        raise UsageError(f"rules {rules!r} go with the method deeplift, not with {method}")
    if estimator != "plain" and not METHODS[method].compares:
        raise UsageError(
            f"estimator {estimator!r} needs a method that compares with references, not {method}"
        )


def require_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise an error if an option has no such value.

    Raises
    ------
    UsageError
        The message lists the values.
    """
    if value not in choices:
        raise UsageError(f"{option} {value!r} is unknown; it is one of {', '.join(choices)}")


def warn_if_slow(precision: str, devices: Sequence[torch.device]) -> None:
    """Warn of a precision that is less exact than float32, and here slower.

    `seqlift pilot` does not, since it times what it compares.

    Warns
    -----
    SpeedWarning
    """
    if precision != "bfloat16" or is_quick_in_bfloat16():
        return
    if any(device.type == "cpu" for device in devices):
        warnings.warn(
            "precision bfloat16 takes longer than float32 on this processor, which has no AMX, and "
            "is less exact; leave it out",
            SpeedWarning,
            stacklevel=3,
        )
