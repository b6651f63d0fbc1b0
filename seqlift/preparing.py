"""From the options of a run to what explains: explainers of a few targets each, on one device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqlift.batches import References
from seqlift.deeplift.methods import MethodOptions
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.load import LoadedModel
from seqlift.model.placement import find_device
from seqlift.opening import model_length
from seqlift.plan import Plan

# More share no more of what is left to share, and what is compiled grows with them.
TARGETS_AT_ONCE = 8

__all__ = ["expect", "find_devices", "prepare", "regions_at_once"]


def prepare(plan: Plan, models: Sequence[LoadedModel], device: torch.device) -> list[Explainer]:
    """Capture the models once and make the explainers of all targets.

    Parameters
    ----------
    plan : Plan
    models : sequence of LoadedModel
        Those of the plan.
    device : torch.device

    Returns
    -------
    explainers : list of Explainer
        In the order of the plan's targets.

    Raises
    ------
    ModelError, UsageError
    """
    captured = [capture(m.model, model_length(m, plan), m.form) for m in models]
    options = MethodOptions(steps=plan.steps, window=plan.window, stride=plan.stride)
    return [
        Explainer(
            captured,
            target=plan.targets[first : first + TARGETS_AT_ONCE],
            rules=plan.rules,
            method=plan.method,
            options=options,
            estimator=plan.estimator,
            precision=plan.precision,
            device=device,
            target_activation=plan.target_activation,
            batch_size=plan.batch_size,
            compile=plan.compile,
            strands=plan.strands,
            swapped=plan.swapped_targets,
        )
        for first in range(0, len(plan.targets), TARGETS_AT_ONCE)
    ]


def expect(explainers: Sequence[Explainer], schemes: Sequence[References], n_windows: int) -> None:
    """Tell explainers how much is to come, so that they know whether compiling is worth it.

    Parameters
    ----------
    explainers : sequence of Explainer
    schemes : sequence of References
    n_windows : int
        For each of them to score.
    """
    for explainer in explainers:
        explainer.expect(n_windows * sum(scheme.n_made for scheme in schemes))


def regions_at_once(
    plan: Plan, explainers: Sequence[Explainer], schemes: Sequence[References]
) -> int:
    """Return how many regions go through the model at a time."""
    most = max(scheme.n_made for scheme in schemes)
    return explainers[0].regions_at_once(most, plan.reference_error)


def find_devices(names: str | None) -> list[torch.device]:
    """Return the devices of a list such as `cuda:0,cuda:1`; None is one, chosen here.

    Raises
    ------
    UsageError
        If one of them is not here.
    """
    if names is None:
        return [find_device(None)]
    return [find_device(name.strip()) for name in names.split(",")]
