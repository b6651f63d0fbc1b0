"""What a person may choose about a method."""

from __future__ import annotations

from dataclasses import dataclass

from seqlift.errors import UsageError

__all__ = ["MethodOptions"]


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """Numbers that some methods take; the others leave them aside.

    Attributes
    ----------
    steps : int
        Points on the way from reference to sequence (integrated-gradients).
    window : int
        Bases replaced at a time (occlusion), in bp.
    stride : int
        Bases from the start of one window to that of the next (occlusion), in bp; not more than
        `window`, so that every base is in a window.
    rows : int
        Sequences in the model at once. Changes speed and memory, not scores.

    Raises
    ------
    UsageError
        If a number is not at least 1, or the stride is longer than the window.
    """

    steps: int = 50
    window: int = 10
    stride: int = 1
    rows: int = 256

    def __post_init__(self) -> None:
        for name in ("steps", "window", "stride", "rows"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name} {value} is not at least 1")
        if self.stride > self.window:
            raise UsageError(
                f"stride {self.stride} is longer than the window of {self.window} bp and would "
                f"skip bases; give a stride of at most {self.window}"
            )
