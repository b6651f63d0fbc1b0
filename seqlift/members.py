"""Whose scores are averaged: the models of an ensemble, each on one strand or on both.

All members are compared with the same references. On the reverse strand sequence and references are
read as their reverse complements, and multipliers are turned back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.methods import MethodOptions
from seqlift.errors import ShapeError, UsageError
from seqlift.model.capture import Captured
from seqlift.model.targets import select_target
from seqlift.targeted import TargetedModel

__all__ = ["STRANDS", "Member", "make_members"]

STRANDS = ("forward", "both")


class Member(NamedTuple):
    """A model on one strand.

    Attributes
    ----------
    model : TargetedModel
    is_reverse : bool
    """

    model: TargetedModel
    is_reverse: bool

    def multipliers(
        self, one_hot: Tensor, references: Tensor, options: MethodOptions
    ) -> list[Multipliers]:
        """Compute the multipliers of a batch, target by target, as the batch is oriented.

        Parameters and result are those of `TargetedModel.multipliers`.
        """
        if not self.is_reverse:
            return self.model.multipliers(one_hot, references, options)
        # Bases are in the order A C G T, so that flipping them complements.
        found = self.model.multipliers(one_hot.flip(1, 2), references.flip(2, 3), options)
        return [one._replace(multipliers=one.multipliers.flip(2, 3)) for one in found]

    def description(self) -> str:
        """Describe what `multipliers` computes, apart from the values of the weights."""
        return f"{self.model.description()} {self.is_reverse}"


def make_members(
    models: Sequence[Captured],
    targets: Sequence[int | str],
    strands: str,
    swapped: Mapping[str, str],
    **options: Any,  # noqa: ANN401  those of TargetedModel
) -> list[Member]:
    """Make the members of an ensemble.

    Parameters
    ----------
    models : sequence of Captured
    targets : sequence of int or str
    strands : str
        "forward" or "both".
    swapped : mapping of str to str
        Targets that change places on the reverse strand.
    **options
        See `TargetedModel`.

    Returns
    -------
    list of Member
        Model by model, and for each the forward strand first.

    Raises
    ------
    ShapeError
        If the models are of different lengths.
    UsageError
        If there are no such strands.
    ModelError
    """
    if strands not in STRANDS:
        raise UsageError(f"strands {strands!r} are unknown; expected one of {', '.join(STRANDS)}")
    lengths = sorted({model.length or 0 for model in models})
    if len(lengths) > 1:
        raise ShapeError(
            f"the models take {' and '.join(map(str, lengths))} positions; expected one length"
        )
    if swapped and strands != "both":
        raise UsageError("targets are swapped on the reverse strand; say --strands both as well")
    pairs = {**swapped, **{value: key for key, value in swapped.items()}}
    members = []
    for model in models:
        forward = TargetedModel(model, targets, **options)
        members.append(Member(forward, is_reverse=False))
        if strands == "both":
            members.append(Member(_on_reverse(model, forward, pairs, options), is_reverse=True))
    return members


def _on_reverse(
    model: Captured, forward: TargetedModel, pairs: Mapping[str, str], options: Mapping[str, Any]
) -> TargetedModel:
    """Return what is explained on the reverse strand, which may be the same."""
    how: dict[str, Any] = {"mirrored": True, "swapped": pairs}
    targets, activation = forward.targets, options["activation"]
    definitions = [select_target(model, t, activation, **how).definition for t in targets]
    if list(forward.definitions) != definitions:
        return TargetedModel(model, targets, **how, **options)
    changing = [one for one, other in pairs.items() if one != other]
    if changing:
        raise UsageError(
            f"none of the targets has {' or '.join(changing)}, which are to change places; "
            "expected --swap-targets A=B with parts of a --target"
        )
    return forward
