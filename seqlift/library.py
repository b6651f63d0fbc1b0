"""The library's one call: a model and arrays in, contribution scores out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlift.deeplift.methods import MethodOptions
from seqlift.deeplift.scores import Contributions, is_incomplete
from seqlift.errors import CompletenessWarning, SequenceError
from seqlift.explain import Explainer
from seqlift.explainer_options import warn_if_slow
from seqlift.sequence.onehot import require_one_hot
from seqlift.sequence.references import (
    DEFAULT_SCHEME,
    make_references,
    require_references,
    require_shuffles,
)
from seqlift.targeted import Model

__all__ = ["contributions"]


def contributions(
    model: Model | Sequence[Model],
    sequences: Tensor | np.ndarray[Any, Any],
    *,
    target: int | str = 0,
    references: str | Tensor | np.ndarray[Any, Any] = DEFAULT_SCHEME,
    n_references: int = 20,
    reference_error: float | None = None,
    background: Sequence[float] = (0.25,) * 4,
    method: str = "deeplift",
    options: MethodOptions | None = None,
    rules: str | Mapping[str, str] = "rescale",
    estimator: str = "plain",
    seed: int = 0,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    compile: str = "auto",
    target_activation: str = "auto",
    strands: str = "forward",
    keep_multipliers: bool = False,
) -> Contributions:
    """Explain a model's output on sequences, base by base.

    Parameters
    ----------
    model : nn.Module, ExportedProgram or LoadedModel, or a sequence of them
        Left as they are. The scores of several are averaged.
    sequences : array, shape (region, base=4, position)
        One-hot, order A C G T; all-zero columns are N.
    target : int or str
        ``INDEX``, or ``OUTPUT.INDEX`` where the model has several outputs; counts, profile and
        others: see `seqlift.model.targets`.
    references : str or array
        Name of a scheme, or references of shape (region, reference, base=4, position), or
        (reference, base=4, position) for all regions, one-hot or not.
        Methods that compare with nothing, such as gradient-input, leave them aside.
    n_references : int
        How many references a scheme makes, for each sequence.
    reference_error : float or None
        Use no more of them for a sequence than bring the standard error of its track below this
        fraction of its largest score.
    background : sequence of 4 float
        Frequencies of A C G T for the scheme "flat".
    method : str
        "deeplift", or one that it is compared with (see `seqlift.deeplift.methods.METHODS`).
    options : MethodOptions or None
        Steps of integrated-gradients; window and stride of occlusion.
    rules : str or mapping
        "rescale"; "reveal-cancel"; "genomics", which is RevealCancel after dense layers; or from
        names of operators or nodes to "rescale" or "reveal-cancel".
    estimator : str
        "plain"; "base-marginal" wants fewer references, which must be shuffles, and its scores
        do not sum to delta.
    seed : int
        Same seed and sequence, same references, whatever else is in the batch.
    batch_size : int or None
        Sequence-reference pairs at a time.
    device : str or torch.device or None
        None takes a CUDA device if there is one.
    precision : str
        "float32", "float64", "bfloat16" for the convolutions, or "tf32" for the products of a CUDA
        device.
    compile : str
        "on", "off", or "auto" to compile where the call is long enough; see `seqlift score`.
    target_activation : str
        "auto" explains the logit below a final sigmoid or softmax; "keep" the output itself.
    strands : str
        "forward", or "both" to average with the scores of the reverse complement.
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
    SpeedWarning
        If `precision` is less exact than float32, and on this machine slower.

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
        method=method,
        options=options,
        estimator=estimator,
        precision=precision,
        compile=compile,
        device=device,
        target_activation=target_activation,
        batch_size=batch_size,
        strands=strands,
    )
    warn_if_slow(precision, [explainer.device])
    if isinstance(references, str):
        require_shuffles(references, estimator)
    if not explainer.method.uses_references:
        compared = make_references(one_hot, "zeros", 1, seed=seed)
    elif isinstance(references, str):
        compared = make_references(
            one_hot, references, n_references, seed=seed, background=background
        )
    else:
        given = require_references(_as_array(references), len(array), array.shape[2])
        # Where there is no base nothing is compared, so that scores sum to delta.
        is_base: np.ndarray[Any, Any] = one_hot.max(1)[:, None, None]
        compared = given * is_base
    found = explainer.contribute(
        torch.from_numpy(one_hot),
        _as_tensor(compared, explainer.dtype),
        reference_error=reference_error,
        keep_multipliers=keep_multipliers,
    )
    if explainer.method.sums_to_delta:
        _warn_incomplete(found, precision)
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


def _warn_incomplete(found: Contributions, precision: str) -> None:
    """Warn if any pair misses completeness by more than rounding explains."""
    over = is_incomplete(found, precision)
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
