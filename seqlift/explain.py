"""A model made ready to be explained, and its scores for batches of sequences.

`Explainer` prepares a model once and takes it through sequences batch by batch, as memory allows;
`library.py` wraps it for arrays in memory and `pipeline.py` for files. No files and no genome here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.ahead import Job
from seqlift.deeplift.methods import MethodOptions
from seqlift.deeplift.runner import COMPILE, Runner, is_out_of_memory
from seqlift.deeplift.scores import (
    ESTIMATORS,
    Contributions,
    Part,
    agree,
    average,
    combine,
    join,
    part,
    pick,
    relative_error,
    widen,
)
from seqlift.errors import (
    MemoryShortError,
    MemoryWarning,
    ShapeError,
    UsageError,
)
from seqlift.explainer_options import find_method, require_choice, require_fit
from seqlift.members import make_members
from seqlift.memory import free_bytes, keep_freed_memory
from seqlift.model.placement import find_device
from seqlift.model.tensor_float import tensor_float
from seqlift.targeted import PRECISIONS, Model, as_captured, as_models

__all__ = ["PRECISIONS", "Explainer", "find_method"]

# Positions in a batch of sequence-reference pairs. On a CPU of two cores a quarter of that is a
# tenth slower and four times as much no quicker; a device with its own memory wants enough work to
# fill it.
POSITIONS_ON_CPU = 200_000
POSITIONS_ON_DEVICE = 2_000_000

# What a batch may take by estimate: of the memory that is free, and on a CPU in any case, where
# wide networks gain nothing from more.
SHARE_OF_MEMORY = 0.5
MEMORY_ON_CPU = 4 * 2**30

# References drawn before their standard error is looked at again. Of fewer it says little.
ROUND = 5


class Explainer:
    """A model made ready to be explained, for one target or several.

    Several targets share references and the way forward; each has a way back of its own.

    Parameters
    ----------
    model : nn.Module, ExportedProgram, LoadedModel or Captured, or a sequence of them
        Left as they are. The scores of several are averaged.
    target : int or str, or a sequence of them
        See `seqlift.model.targets`.
    length : int or None
        Positions; needed where the model does not fix them.
    rules : str or mapping
        See `seqlift.deeplift.rulesets.assign`; for the method "deeplift".
    method : str
        A name from `seqlift.deeplift.methods.METHODS`.
    options : MethodOptions
        Numbers that some methods take.
    estimator : str
        "plain" or "base-marginal", see `seqlift.deeplift.scores`.
    precision : str
        "float32", "float64", "bfloat16" for the convolutions, or "tf32" for the products of a CUDA
        device.
    device : str or torch.device or None
        None takes the first CUDA device if there is one, else the CPU.
    target_activation : str
        "auto" explains the logit below a final sigmoid or softmax; "keep" the output itself.
    batch_size : int or None
        Sequence-reference pairs at a time; None chooses by length and device.
    compile : str
        "on", "off", or "auto" to compile where the work to come is worth it; for the method
        "deeplift".
    strands : str
        "forward", or "both" to average with the scores of the reverse complement.
    swapped : mapping of str to str
        Targets that change places on the reverse strand.

    Raises
    ------
    ModelError
        If the model cannot be captured, has operators without a rule, or lacks the target.
    UsageError
        If an option has no such value, or does not go with the method.

    Attributes
    ----------
    model : TargetedModel
        The graphs of the targets, and their rules; of an ensemble those of the first member.
    members : list of Member
    n_models, n_strands : int
    targets, removed_activations, definitions : tuple of str
        See `TargetedModel`.
    layouts : tuple of str
        Of the models' own inputs, see `seqlift.model.form.LAYOUTS`.
    length : int or None
    dtype : torch.dtype
    device : torch.device
    batch_size : int
        Halved where memory does not suffice.
    """

    def __init__(
        self,
        model: Model | Sequence[Model],
        *,
        target: int | str | Sequence[int | str] = 0,
        length: int | None = None,
        rules: str | Mapping[str, str] = "rescale",
        method: str = "deeplift",
        options: MethodOptions | None = None,
        estimator: str = "plain",
        precision: str = "float32",
        device: str | torch.device | None = None,
        target_activation: str = "auto",
        batch_size: int | None = None,
        compile: str = "auto",
        strands: str = "forward",
        swapped: Mapping[str, str] | None = None,
    ) -> None:
        require_choice("precision", precision, tuple(PRECISIONS))
        require_choice("compile", compile, COMPILE)
        require_choice("estimator", estimator, ESTIMATORS)
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size {batch_size} is not at least 1")
        self.method = find_method(method)
        require_fit(method, rules, estimator, precision)
        self.estimator = estimator
        self.device = find_device(device)
        if precision == "tf32" and self.device.type != "cuda":
            raise UsageError(
                f"precision tf32 is of CUDA devices, and the device is {self.device}; expected "
                "float32, float64 or bfloat16"
            )
        self._has_tensor_float = precision == "tf32"
        if self.device.type == "cpu":
            keep_freed_memory()
        targets = [target] if isinstance(target, (int, str)) else target
        models = [as_captured(one, length) for one in as_models(model)]
        self.members = make_members(
            models,
            targets,
            strands,
            swapped or {},
            activation=target_activation,
            method=method,
            rules=rules,
            precision=precision,
            device=self.device,
        )
        self.model = self.members[0].model
        self.n_models, self.n_strands = len(models), len(self.members) // len(models)
        self.targets = self.model.targets
        self.removed_activations = self.model.removed_activations
        self.definitions = self.model.definitions
        self.layouts = tuple(one.layout for one in models)
        self.length = self.model.length
        self.dtype = self.model.dtype
        self.batch_size = batch_size or self._default_batch_size()
        self._options = replace(options or MethodOptions(), rows=self.batch_size)
        self._compile = compile if method == "deeplift" else "off"
        self._pairs_left = 0
        self._runners: dict[tuple[int, int, bool], Runner] = {}

    def _default_batch_size(self) -> int:
        """Choose by cache on a CPU, by what keeps another device busy, and by what has room."""
        is_cpu = self.device.type == "cpu"
        pairs = (POSITIONS_ON_CPU if is_cpu else POSITIONS_ON_DEVICE) // (self.length or 1)
        free = free_bytes() if is_cpu else torch.cuda.mem_get_info(self.device)[0]
        room = math.inf if free is None else SHARE_OF_MEMORY * free
        room = min(room, MEMORY_ON_CPU) if is_cpu else room
        if room < math.inf:
            pairs = min(
                pairs,
                int(room) // max(1, *(member.model.bytes_a_pair() for member in self.members)),
            )
        return max(1, pairs)

    def contribute(
        self,
        one_hot: Tensor,
        references: Tensor,
        *,
        reference_error: float | None = None,
        keep_multipliers: bool = False,
    ) -> Contributions:
        """Score sequences against their references, for an explainer's only target.

        See `contribute_each`.
        """
        (found,) = self.contribute_each(
            one_hot,
            references,
            reference_error=reference_error,
            keep_multipliers=keep_multipliers,
        )
        return found

    def contribute_each(
        self,
        one_hot: Tensor,
        references: Tensor,
        *,
        reference_error: float | None = None,
        keep_multipliers: bool = False,
    ) -> list[Contributions]:
        """Score sequences against their references, for each target.

        Parameters
        ----------
        one_hot : Tensor, shape (region, base=4, position)
        references : Tensor, shape (region, reference, base=4, position)
            Of any type, on any device.
        reference_error : float or None
            Use no more references for a region and a target than bring the standard error of its
            track below this fraction of its largest score; None uses all.
        keep_multipliers : bool
            Keep the multipliers of every pair as well.

        Returns
        -------
        list of Contributions, on the explainer's device
            Target by target.

        Raises
        ------
        ShapeError
            If the sequences have another length than the explainer.
        UsageError
            If the reference error is not between 0 and 1.
        """
        if one_hot.shape[-1] != self.length or references.shape[-1] != self.length:
            raise ShapeError(
                f"sequences of {one_hot.shape[-1]} and references of {references.shape[-1]} "
                f"positions were given; the explainer was made for {self.length}"
            )
        if reference_error is not None and not 0 < reference_error < 1:
            raise UsageError(
                f"reference error {reference_error:g} is no share of a region's largest score; "
                "expected a number between 0 and 1, such as 0.05"
            )
        n_references = references.shape[1]
        self._pairs_left = max(self._pairs_left, len(one_hot) * n_references)
        at_once = _references_at_once(n_references, reference_error)
        found: list[list[Contributions]] = []
        done = 0
        while done < len(one_hot):
            here = slice(done, done + self.regions_at_once(n_references, reference_error))
            try:
                x = self.model.placed(one_hot[here])
                some = references[here]
                parts = self._rounds(x, some, reference_error or 0.0, at_once, keep_multipliers)
                found.append([widen(combine(x, of_one), n_references) for of_one in parts])
            except RuntimeError as error:
                self._halve(error)
                continue
            done += len(x)
        return [join(of_one) for of_one in zip(*found, strict=True)]

    def regions_at_once(self, n_references: int, reference_error: float | None = None) -> int:
        """Return how many regions make a whole batch with that many references each."""
        return max(1, self.batch_size // _references_at_once(n_references, reference_error))

    def expect(self, n_pairs: int) -> None:
        """Say how many pairs of a sequence and a reference are to come, in all calls together.

        With `compile` at "auto" it depends on that whether compiling is worth it; a call of which
        nothing was said stands for itself.
        """
        self._pairs_left = n_pairs

    def _halve(self, error: RuntimeError) -> None:
        """Go on with half the batch where memory did not suffice; else raise the error again."""
        if not is_out_of_memory(error):
            raise error
        if self.batch_size == 1:
            raise MemoryShortError(
                "memory does not suffice for one sequence and one reference "
                f"({str(error).splitlines()[0]}); take a machine or a device with more"
            ) from error
        self.batch_size //= 2
        self._options = replace(self._options, rows=self.batch_size)
        self._runners.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"memory did not suffice: going on with batches of {self.batch_size} pairs",
            MemoryWarning,
            stacklevel=3,
        )

    def _rounds(
        self, one_hot: Tensor, references: Tensor, limit: float, at_once: int, keep: bool
    ) -> list[list[Part]]:
        """Score some references at a time, for the regions whose error is not below the limit.

        Returns
        -------
        list of list of Part
            Target by target; each has those of its regions that it needs, whatever others need.
        """
        parts: list[list[Part]] = [[] for _ in self.targets]
        goes_on = torch.ones(len(self.targets), len(one_hot), dtype=torch.bool)
        for some in torch.split(references, at_once, 1):
            rows = goes_on.any(0).nonzero().flatten()
            for each in self._parts(one_hot, some, rows, keep):
                for of_one, piece, wanted in zip(parts, each, goes_on, strict=True):
                    if bool(wanted.any()):
                        of_one.append(pick(piece, rows, wanted))
            if limit:
                errors = torch.stack([relative_error(one_hot, of_one) for of_one in parts])
                goes_on &= ~(errors <= limit).cpu()
            if not bool(goes_on.any()):
                break
        return parts

    def _parts(
        self, one_hot: Tensor, references: Tensor, rows: Tensor, keep: bool
    ) -> Iterator[list[Part]]:
        """Score some regions against some references, in parts that memory allows."""
        if len(rows) < len(one_hot):
            references = references[rows]
            one_hot = one_hot[rows.to(self.device)]
        # Parts of one size: a small last one would pay for the sequence lane all the same.
        n_parts = math.ceil(references.shape[1] / self.batch_size)
        pieces = torch.tensor_split(references, n_parts, dim=1)
        size = len(one_hot), pieces[0].shape[1]
        runners = [self._runner(i, *size, keep) for i in range(len(self.members))]
        for piece in pieces:
            # The bytes of a one-hot array travel, not its floats; the cast happens on the device.
            placed = piece.to(self.device, non_blocking=True)
            with tensor_float(self._has_tensor_float):
                found = [runner(one_hot, placed, self._pairs_left) for runner in runners]
            yield [
                average([Part(*fields) for fields in of_target])
                for of_target in zip(*found, strict=True)
            ]
            self._pairs_left = max(0, self._pairs_left - len(piece) * piece.shape[1])

    def _runner(self, i: int, n_regions: int, n_references: int, keep: bool) -> Runner:
        """Return what runs batches of so many references on a member."""
        key = i, n_references, keep
        if key in self._runners and n_regions <= self._runners[key].rows:
            return self._runners[key]

        def score(one_hot: Tensor, references: Tensor) -> list[tuple[Tensor | None, ...]]:
            references = references.to(self.dtype)
            found = self.members[i].multipliers(one_hot, references, self._options)
            how: dict[str, Any] = {"compares": self.method.compares, "estimator": self.estimator}
            parts = [part(one_hot, references, m, keep_multipliers=keep, **how) for m in found]
            return [tuple(one)[:-2] for one in parts]

        # A job of few regions is a batch of its own size.
        rows = max(n_regions, min(self.batch_size, self._pairs_left) // n_references)
        member = self.members[i]
        job = Job(f"{member.description()} {self.estimator} {keep}", member.model.weights)
        self._runners[key] = Runner(score, job, self._compile, rows, len(self.targets), _agree_each)
        return self._runners[key]


def _agree_each(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    """Compare what two ways of scoring give, target by target."""
    pairs = zip(found, expected, strict=True)
    return all(agree(Part(*one), Part(*other)) for one, other in pairs)


def _references_at_once(n_references: int, reference_error: float | None) -> int:
    return n_references if reference_error is None else min(ROUND, n_references)
