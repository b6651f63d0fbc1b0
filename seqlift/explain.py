"""The library's one call: a model and sequences in, contribution scores out.

`Explainer` prepares a model once (capture, target, coverage, placement) and scores batches;
`contributions` wraps it for arrays in memory, and `pipeline.py` for files. No files and no genome
here.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from seqlift.deeplift.coverage import folds_batch, require_covered
from seqlift.deeplift.interpreter import multipliers
from seqlift.deeplift.scores import Contributions, Part, combine, completeness_tolerance, part
from seqlift.errors import (
    CompletenessWarning,
    SequenceError,
    ShapeError,
    UnsupportedOperatorError,
    UsageError,
)
from seqlift.model.capture import Captured, capture
from seqlift.model.load import LoadedModel
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from seqlift.sequence.onehot import require_one_hot
from seqlift.sequence.references import DEFAULT_SCHEME, make_references, require_references

__all__ = ["PRECISIONS", "RULE_SETS", "Explainer", "contributions"]

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
RULE_SETS = ("rescale",)

# Positions in a batch of sequence-reference pairs. On a CPU, activations that stay in cache win; a
# device with its own memory wants enough work to fill it.
POSITIONS_ON_CPU = 50_000
POSITIONS_ON_DEVICE = 2_000_000


class Explainer:
    """A model made ready to be explained, for one target.

    Parameters
    ----------
    model : nn.Module, ExportedProgram, LoadedModel or Captured
        Takes one tensor (row, base=4, position); left as it is.
    target : int or str
        See `seqlift.model.targets`.
    length : int or None
        Positions; needed where the model does not fix them.
    rules : str
        "rescale".
    precision : str
        "float32" or "float64".
    device : str or torch.device or None
        None takes the first CUDA device if there is one, else the CPU.
    target_activation : str
        "auto" explains the logit below a final sigmoid or softmax; "keep" the output itself.
    batch_size : int or None
        Sequence-reference pairs at a time; None chooses by length and device.

    Raises
    ------
    ModelError
        If the model cannot be captured, has operators without a rule, or lacks the target.
    UsageError
        If an option has no such value.
    """

    def __init__(
        self,
        model: nn.Module | ExportedProgram | LoadedModel | Captured,
        *,
        target: int | str = 0,
        length: int | None = None,
        rules: str = "rescale",
        precision: str = "float32",
        device: str | torch.device | None = None,
        target_activation: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        _require_choice("rules", rules, RULE_SETS)
        _require_choice("precision", precision, tuple(PRECISIONS))
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size {batch_size} is not at least 1")
        captured = as_captured(model, length)
        targeted = select_target(captured, target, target_activation)
        require_covered(targeted.graph.graph)
        self.length = captured.length
        self.target = targeted.name
        self.removed_activation = targeted.activation
        self.repeats_sequence = folds_batch(targeted.graph.graph)
        self.dtype = PRECISIONS[precision]
        self.device = find_device(device)
        self.batch_size = batch_size or self._default_batch_size()
        self._graph = place(targeted.graph, self.dtype, self.device)
        self._require_independent_rows()

    def _require_independent_rows(self) -> None:
        """Refuse a model whose output for a sequence depends on the others in the batch.

        `coverage.py` finds most such models by their operators; moving rows about takes a try.
        """
        generator = torch.Generator().manual_seed(0)
        letters = torch.randint(0, 4, (3, self.length or 1), generator=generator)
        rows = self._placed(nn.functional.one_hot(letters, 4).transpose(1, 2).contiguous())
        with torch.no_grad():
            together = self._graph(rows)
            alone = torch.cat([self._graph(row) for row in torch.split(rows, 1)])
        differs = (together - alone).abs() > 1e-3 * together.abs().max()
        if bool(together.isfinite().all() & differs.any()):
            raise UnsupportedOperatorError(
                "the model's output for a sequence depends on the others in the batch (three "
                "together and each alone differ); every row must be computed by itself"
            )

    def _default_batch_size(self) -> int:
        positions = POSITIONS_ON_CPU if self.device.type == "cpu" else POSITIONS_ON_DEVICE
        return max(1, positions // (self.length or 1))

    def contribute(
        self, one_hot: Tensor, references: Tensor, *, keep_multipliers: bool = False
    ) -> Contributions:
        """Score sequences against their references.

        Parameters
        ----------
        one_hot : Tensor, shape (region, base=4, position)
        references : Tensor, shape (region, reference, base=4, position)
            Of any type, on any device.
        keep_multipliers : bool
            Keep the multipliers of every pair as well.

        Returns
        -------
        Contributions, on the explainer's device

        Raises
        ------
        ShapeError
            If the sequences have another length than the explainer.
        """
        if one_hot.shape[-1] != self.length or references.shape[-1] != self.length:
            raise ShapeError(
                f"sequences of {one_hot.shape[-1]} and references of {references.shape[-1]} "
                f"positions were given; the explainer was made for {self.length}"
            )
        rows = max(1, self.batch_size // references.shape[1])
        groups = zip(torch.split(one_hot, rows), torch.split(references, rows), strict=True)
        found = [self._contribute_rows(x, r, keep_multipliers) for x, r in groups]
        return _joined(found)

    def _contribute_rows(self, one_hot: Tensor, references: Tensor, keep: bool) -> Contributions:
        one_hot = self._placed(one_hot)
        # Parts of one size: a small last one would pay for the sequence lane all the same.
        n_parts = math.ceil(references.shape[1] / self.batch_size)
        pieces = torch.tensor_split(references, n_parts, dim=1)
        return combine(
            one_hot, [self._part(one_hot, self._placed(piece), keep) for piece in pieces]
        )

    def _part(self, one_hot: Tensor, references: Tensor, keep: bool) -> Part:
        found = multipliers(self._graph, one_hot, references, repeat=self.repeats_sequence)
        return part(one_hot, references, found, keep_multipliers=keep)

    def _placed(self, array: Tensor) -> Tensor:
        # The bytes of a one-hot array travel, not its floats; the cast happens on the device.
        return array.to(self.device, non_blocking=True).to(self.dtype)


def as_captured(
    model: nn.Module | ExportedProgram | LoadedModel | Captured, length: int | None
) -> Captured:
    """Capture a model, unless that has been done.

    Raises
    ------
    UsageError
        If it is no model, but the path of one.
    ModelError
        If it cannot be captured.
    """
    if isinstance(model, Captured):
        return model
    if isinstance(model, LoadedModel):
        model = model.model
    if not isinstance(model, nn.Module | ExportedProgram):
        raise UsageError(
            f"the model is {model!r}, a {type(model).__name__}; expected a torch.nn.Module or what "
            "seqlift.load_model gives"
        )
    return capture(model, length)


def find_device(device: str | torch.device | None) -> torch.device:
    """Return the device of that name, or by default a CUDA device if there is one and else the CPU.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise UsageError(f"device {device!r} is unknown; expected cpu, cuda or cuda:N") from None
    if found.type not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r} is not supported; expected cpu, cuda or cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device '{device}' is not here; torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return found


def _require_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{option} {value!r} is unknown; it is one of {', '.join(choices)}")


def _joined(found: list[Contributions]) -> Contributions:
    def join(values: tuple[Tensor | None, ...]) -> Tensor | None:
        return None if values[0] is None else torch.cat([v for v in values if v is not None])

    return Contributions(*map(join, zip(*found, strict=True)))  # type: ignore[arg-type]


def contributions(
    model: nn.Module | ExportedProgram | LoadedModel,
    sequences: Tensor | np.ndarray[Any, Any],
    *,
    target: int | str = 0,
    references: str | Tensor | np.ndarray[Any, Any] = DEFAULT_SCHEME,
    n_references: int = 20,
    rules: str = "rescale",
    seed: int = 0,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    target_activation: str = "auto",
    keep_multipliers: bool = False,
) -> Contributions:
    """Explain a model's output on sequences, base by base, with DeepLIFT.

    Parameters
    ----------
    model : nn.Module, ExportedProgram or LoadedModel
        Takes one tensor (row, base=4, position); left as it is.
    sequences : array, shape (region, base=4, position)
        One-hot, order A C G T; all-zero columns are N.
    target : int or str
        ``INDEX``, or ``OUTPUT.INDEX`` where the model has several outputs.
    references : str or array
        Name of a scheme, or references of shape (region, reference, base=4, position), or
        (reference, base=4, position) for all regions, one-hot or not.
    n_references : int
        How many references a scheme makes.
    rules : str
        "rescale".
    seed : int
        Same seed and sequence, same references, whatever else is in the batch.
    batch_size : int or None
        Sequence-reference pairs at a time.
    device : str or torch.device or None
        None takes a CUDA device if there is one.
    precision : str
        "float32" or "float64".
    target_activation : str
        "auto" explains the logit below a final sigmoid or softmax; "keep" the output itself.
    keep_multipliers : bool
        Return the multipliers of every pair as well.

    Returns
    -------
    Contributions
        Tensors on `device`. Scores sum to the mean of delta over references.

    Raises
    ------
    SequenceError, ShapeError, TargetError, UnsupportedOperatorError, CaptureError, UsageError

    Warns
    -----
    CompletenessWarning
        If scores do not sum to delta within rounding.

    References
    ----------
    Shrikumar et al. 2017, arXiv:1704.02685.

    Examples
    --------
    >>> import torch
    >>> from seqlift.sequence.onehot import encode_many
    >>> sequences = encode_many(["ACGTTGCATGACCGTA", "GGCATTACGATCATTA"])
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1))
    >>> found = contributions(model, sequences, device="cpu", precision="float64")
    >>> bool(torch.allclose(found.scores.sum((1, 2)), found.delta.mean(1)))
    True
    """
    array = _as_array(sequences)
    require_one_hot(array)
    if len(array) == 0:
        raise SequenceError("found no sequences; expected at least one")
    if array.ndim != 3:
        raise SequenceError(
            f"found sequences of shape {array.shape}; expected (region, 4, position): add the "
            "region axis to a single sequence with sequence[None]"
        )
    one_hot = array.astype(np.uint8)
    explainer = Explainer(
        model,
        target=target,
        length=array.shape[2],
        rules=rules,
        precision=precision,
        device=device,
        target_activation=target_activation,
        batch_size=batch_size,
    )
    if isinstance(references, str):
        compared = make_references(one_hot, references, n_references, seed=seed)
    else:
        given = require_references(_as_array(references), len(array), array.shape[2])
        # Where there is no base nothing is compared, so that scores sum to delta.
        is_base: np.ndarray[Any, Any] = one_hot.max(1)[:, None, None]
        compared = given * is_base
    found = explainer.contribute(
        torch.from_numpy(one_hot),
        _as_tensor(compared, explainer.dtype),
        keep_multipliers=keep_multipliers,
    )
    warn_incomplete(found)
    return found


def _as_array(values: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    # numpy has no bfloat16
    return np.asarray(values.float() if values.dtype == torch.bfloat16 else values)


def _as_tensor(references: np.ndarray[Any, Any], dtype: torch.dtype) -> Tensor:
    # One-hot stays in bytes; numpy's other types need not be known to torch.
    if references.dtype == np.uint8:
        return torch.from_numpy(references.copy())
    return torch.from_numpy(references.astype(str(dtype).removeprefix("torch.")))


def warn_incomplete(found: Contributions) -> None:
    """Warn if any pair misses completeness by more than rounding explains."""
    # So written that NaN counts as incomplete.
    over = ~(found.completeness_error <= completeness_tolerance(found))
    if bool(over.any()):
        error = torch.where(over, found.completeness_error.nan_to_num(torch.inf), -1).flatten()
        worst = int(error.argmax())
        warnings.warn(
            f"contributions of {int(over.any(1).sum())} of {len(over)} sequences do not sum to "
            f"delta (worst: off by {float(found.completeness_error.flatten()[worst]):.2g} where "
            f"delta is {float(found.delta.flatten()[worst]):.2g})",
            CompletenessWarning,
            stacklevel=3,
        )
