"""How a model takes its input: the order of axes and bases, and inputs beside the sequence.

Inside, a sequence is always (row, base=4, position) with bases A C G T. A model that takes another
form is wrapped in a module that brings it there, and is captured with it, so nothing behind knows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlift.errors import ModelLoadError, UsageError

__all__ = [
    "LAYOUTS",
    "PLAIN",
    "Constant",
    "InputForm",
    "Rearranged",
    "layout_of",
    "parse_inputs",
]

BASES = "ACGT"
PLAIN = "N4L"
SEQUENCE = "sequence"
LONGEST_REASON = 200

# Axes in the order of the model: N rows, 4 bases, L positions, and axes of size 1.
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "N4L": lambda x: x,
    "NL4": lambda x: x.transpose(1, 2),
    "N14L": lambda x: x.unsqueeze(1),
    "N41L": lambda x: x.unsqueeze(2),
    "N4L1": lambda x: x.unsqueeze(3),
    "N1L4": lambda x: x.transpose(1, 2).unsqueeze(1),
    "NL41": lambda x: x.transpose(1, 2).unsqueeze(3),
    "NL14": lambda x: x.transpose(1, 2).unsqueeze(2),
}


@dataclass(frozen=True, slots=True)
class Constant:
    """An input beside the sequence: the same for every sequence.

    Parameters
    ----------
    values : Tensor
        A single number, which fills `shape`; or of the shape of the input without its row axis.
    shape : tuple of int or None
        Behind the row axis; None takes that of the model's input, where it is known.
    """

    values: Tensor
    shape: tuple[int, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        return not len(self.not_whole)

    @property
    def not_whole(self) -> Tensor:
        """The numbers that are not, infinities among them."""
        values = self.values.flatten()
        if not values.is_floating_point():
            return values[:0]
        return values[(values != values.round()) | ~values.isfinite()]

    @property
    def digest(self) -> str:
        """SHA-256 of the values with their type and shape."""
        array = self.values.numpy()
        kind = f"{array.dtype.str} {array.shape} ".encode()
        return hashlib.sha256(kind + array.tobytes()).hexdigest()

    def rows(self, n: Any, shape: tuple[int, ...], like: Tensor) -> Tensor:  # noqa: ANN401
        """Return the input for n rows, on the device of `like`."""
        values = self.values.to(like.device)
        if values.is_floating_point():
            values = values.to(like.dtype)
        return values.expand(shape).unsqueeze(0).expand(n, *shape)


@dataclass(frozen=True, slots=True)
class InputForm:
    """How a model takes its input.

    Parameters
    ----------
    layout : str or None
        A key of `LAYOUTS`; None finds it out.
    bases : str
        The order of the four bases.
    constants : mapping of str to Constant
        Inputs beside the sequence by name. What is not named is zero, where its shape is known.
    sequence : str or None
        Name of the input that takes the sequence; None finds it by its shape.

    Raises
    ------
    UsageError
        If there is no such layout or order.
    """

    layout: str | None = None
    bases: str = BASES
    constants: Mapping[str, Constant] = field(default_factory=dict)
    sequence: str | None = None

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise UsageError(
                f"the layout {self.layout!r} is unknown; expected one of {', '.join(LAYOUTS)}"
            )
        if sorted(self.bases.upper()) != sorted(BASES):
            raise UsageError(f"the bases {self.bases!r} are no order of A, C, G and T")

    def with_indices(self) -> InputForm:
        """Return the form with whole numbers that are given alone as integers."""
        constants = {
            name: replace(c, values=c.values.long()) if not c.shape and c.is_whole else c
            for name, c in self.constants.items()
        }
        return replace(self, constants=constants)

    @property
    def has_plain_bases(self) -> bool:
        """Whether the order of the bases is A C G T."""
        return self.bases.upper() == BASES


class Rearranged(nn.Module):
    """A model with what stands between it and a sequence (row, base=4, position).

    Parameters
    ----------
    model : nn.Module
    layout, bases : str
        See `InputForm`.
    call : callable
        Given the model and the sequence in its layout, calls it with all of its inputs.
    """

    def __init__(
        self, model: nn.Module, layout: str, bases: str, call: Callable[[nn.Module, Tensor], Any]
    ) -> None:
        super().__init__()
        self.model = model
        self._arrange = LAYOUTS[layout]
        self._order = [BASES.index(base) for base in bases.upper()]
        self._call = call

    def forward(self, x: Tensor) -> Any:  # noqa: ANN401
        """Take a sequence (row, base=4, position), bases A C G T."""
        if self._order != list(range(4)):
            x = torch.stack([x.select(1, base) for base in self._order], 1)
        return self._call(self.model, self._arrange(x))


def layout_of(shape: tuple[Any, ...], layout: str | None = None) -> tuple[str, Any] | None:
    """Find the layout of an input by its shape.

    Parameters
    ----------
    shape : tuple
        Whole, with the row axis; sizes that may vary are symbolic or None.
    layout : str or None
        The only one to try.

    Returns
    -------
    tuple of str and size, or None
        The layout and the number of positions. (4, 4) is taken for N4L.
    """
    sizes = tuple(shape[1:])
    for name in LAYOUTS if layout is None else [layout]:
        axes = name[1:]
        if len(axes) == len(sizes) and all(
            axis == "L" or _is(size, int(axis)) for axis, size in zip(axes, sizes, strict=True)
        ):
            return name, sizes[axes.index("L")]
    return None


def _is(size: object, n: int) -> bool:
    return isinstance(size, int) and size == n


def parse_inputs(words: Sequence[str]) -> tuple[dict[str, Constant], str | None]:
    """Read inputs as the command line has them.

    Parameters
    ----------
    words : sequence of str
        ``NAME=sequence``; ``NAME=NUMBER`` or ``NAME=NUMBER:2x2114`` with the shape behind the row
        axis, where the model does not say it; or ``NAME=FILE.npy``, an array without row axis.

    Returns
    -------
    constants : dict of str to Constant
    sequence : str or None
        The input that takes the sequence, if it is named.

    Raises
    ------
    UsageError
        If a word is none of these.
    ModelLoadError
        If a file cannot be read.
    """
    constants: dict[str, Constant] = {}
    sequence: str | None = None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(
                f"found the input {word!r}; expected NAME=NUMBER, NAME=NUMBER:SHAPE such as "
                "control=0:2x2114, NAME=FILE.npy or NAME=sequence"
            )
        if value == SEQUENCE:
            sequence = name
        elif value.endswith(".npy"):
            array = _read_array(value)
            constants[name] = Constant(array, tuple(array.shape))
        else:
            constants[name] = _number(word, value)
    return constants, sequence


def _read_array(path: str) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except Exception as error:  # numpy raises a dozen kinds at a damaged file
        reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
        raise ModelLoadError(f"{path} cannot be read as an .npy array: {reason}") from error


def _number(word: str, value: str) -> Constant:
    number, colon, sizes = value.partition(":")
    try:
        filled = torch.tensor(float(number))
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else ()
        if not math.isfinite(float(number)) or any(size < 1 for size in shape):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"the input {word!r} has no value that can be read; expected a number, with its shape "
            "such as 0:2x2114 where the model does not say it, a FILE.npy, or sequence"
        ) from None
    return Constant(filled, shape if colon else None)
