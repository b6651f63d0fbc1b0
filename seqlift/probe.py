"""What a model says about sequences that were changed: substitutions, and bases from a reference.

The forward pass alone; no scores are computed here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqlift.explain import POSITIONS_ON_CPU, POSITIONS_ON_DEVICE
from seqlift.faithfulness import Progress, progress, replaced, replacement_order
from seqlift.model.capture import Captured
from seqlift.model.placement import place
from seqlift.model.targets import select_target

__all__ = ["Effects", "Probe", "substitutions"]

Floats = NDArray[np.floating[Any]]

# Of mutants, so that memory does not grow with the length.
LETTERS_AT_ONCE = 4_000_000


class Effects(NamedTuple):
    """What substitutions do to the target.

    Attributes
    ----------
    loss : float, shape (position,)
        Target at the sequence minus its mean at the three substitutions: what in-silico mutagenesis
        gives the base that is there.
    change : float, shape (position, 3)
        Target at each substitution minus that at the sequence, in the order A C G T.
    """

    loss: Floats
    change: Floats


class Probe:
    """One target of a model, asked many times.

    Parameters
    ----------
    captured : Captured
    target, target_activation : str
        See `seqlift.model.targets`.
    dtype : torch.dtype
    device : torch.device
    batch_size : int or None
        Sequences at a time; None chooses by length and device.

    Raises
    ------
    TargetError
        If the model lacks the target.
    """

    def __init__(
        self,
        captured: Captured,
        target: str,
        target_activation: str,
        dtype: torch.dtype,
        device: torch.device,
        batch_size: int | None = None,
    ) -> None:
        targeted = select_target(captured, target, target_activation)
        self._graph = place(targeted.graph, dtype, device)
        self._dtype, self._device = dtype, device
        at_once = POSITIONS_ON_CPU if device.type == "cpu" else POSITIONS_ON_DEVICE
        self._rows = batch_size or max(1, at_once // (captured.length or 1))

    def outputs(self, sequences: NDArray[Any]) -> NDArray[np.float64]:
        """Return the target at sequences of shape (row, base=4, position), float64 (row,)."""
        with torch.no_grad():
            found = [
                self._graph(rows.to(self._device).to(self._dtype)).cpu()
                for rows in torch.split(torch.from_numpy(sequences), self._rows)
            ]
        return torch.cat(found).double().numpy()

    def effects(self, one_hot: NDArray[np.uint8], positions: NDArray[np.integer[Any]]) -> Effects:
        """Measure the three substitutions at some positions of a sequence.

        Parameters
        ----------
        one_hot : uint8, shape (base=4, position)
        positions : int, shape (chosen position,)
            None of them N.

        Returns
        -------
        Effects
        """
        prediction = self.outputs(one_hot[None])
        at_once = max(1, LETTERS_AT_ONCE // one_hot.size)
        found = [
            self.outputs(_mutants(one_hot, positions[start : start + at_once]))
            for start in range(0, len(positions), at_once)
        ]
        change = np.concatenate([np.zeros(0), *found]).reshape(-1, 3) - prediction
        return Effects(-change.mean(1), change)

    def progress(
        self, one_hot: NDArray[np.uint8], references: NDArray[Any], track: Floats, seed: int
    ) -> Progress:
        """Follow the target while bases are replaced in the order of their scores.

        Where the target is lower than at the references, the lowest scores go first: they are what
        makes the difference.

        Parameters
        ----------
        one_hot : uint8, shape (base=4, position)
        references : shape (reference, base=4, position)
        track : float, shape (position,)
            All the same for a random order, another one for each reference.
        seed : int
            Of the order of equal scores.

        Returns
        -------
        Progress
        """
        ends = self.outputs(np.concatenate([one_hot[None].astype(references.dtype), references]))
        sign = -1.0 if ends[0] < ends[1:].mean() else 1.0
        is_base = one_hot.max(0) > 0
        deletion, insertion = [], []
        for k, reference in enumerate(references):
            rank = replacement_order(sign * track, is_base, seed + k)
            ways = replaced(one_hot, reference, rank), replaced(reference, one_hot, rank)
            found = self.outputs(np.concatenate(ways))
            deletion.append(found[: len(found) // 2])
            insertion.append(found[len(found) // 2 :])
        return progress(ends[0], ends[1:], np.stack(deletion), np.stack(insertion))


def _mutants(one_hot: NDArray[np.uint8], positions: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    bases = substitutions(one_hot, positions)
    rows, places = np.arange(bases.size), np.repeat(positions, 3)
    mutants = np.repeat(one_hot[None], bases.size, axis=0)
    mutants[rows, :, places] = 0
    mutants[rows, bases.ravel(), places] = 1
    return mutants


def substitutions(
    one_hot: NDArray[np.uint8], positions: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """Return the three bases that are not there, 0 to 3 for A C G T, shape (position, 3)."""
    observed = one_hot[:, positions].argmax(0)[:, None]
    others = np.arange(3)[None]
    found: NDArray[np.int64] = others + (others >= observed)
    return found
