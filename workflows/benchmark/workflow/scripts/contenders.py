"""The tools that are compared, one function each: sequences and references in, contribution tracks out.

Every function takes a model whose first output is explained, float32 sequences of shape (region, 4, position) with
references of shape (region, reference, 4, position) on one device, and how many pairs of them to run at a time. It
returns the track, shape (region, position): contribution scores summed over bases, mean over references.
"""

import importlib.util
import warnings

import torch
from torch import Tensor, nn


def tangermeme(model: nn.Module, one_hot: Tensor, references: Tensor, batch_size: int) -> Tensor:
    from tangermeme.deep_lift_shap import deep_lift_shap

    found = deep_lift_shap(
        model, one_hot, references=references, hypothetical=True, batch_size=batch_size,
        device=str(one_hot.device), warning_threshold=float("inf"),
    )  # fmt: skip
    return (found.to(one_hot.device) * one_hot).sum(1)


def captum(model: nn.Module, one_hot: Tensor, references: Tensor, batch_size: int) -> Tensor:
    """Run DeepLift on pairs, which is what DeepLiftShap does for one sequence at a time."""
    from captum.attr import DeepLift

    explainer = DeepLift(model)
    sequences = one_hot.repeat_interleave(references.shape[1], 0).split(batch_size)
    found = [
        explainer.attribute(x.requires_grad_(), r.requires_grad_(), target=0).detach().sum(1)
        for x, r in zip(sequences, references.flatten(0, 1).split(batch_size), strict=True)
    ]
    return torch.cat(found).unflatten(0, references.shape[:2]).mean(1)


def shap(model: nn.Module, one_hot: Tensor, references: Tensor, batch_size: int | None) -> Tensor:
    """Run DeepExplainer on each sequence with its own references; it knows no batch size."""
    from shap import DeepExplainer

    first = FirstOutput(model)
    found = [
        DeepExplainer(first, r).shap_values(x[None], check_additivity=False)
        for x, r in zip(one_hot, references, strict=True)
    ]
    return torch.cat([torch.from_numpy(scores)[..., 0] for scores in found]).sum(1)


def autograd(model: nn.Module, one_hot: Tensor, references: Tensor, batch_size: int) -> Tensor:
    """Run torch's own gradient through the references alone: no DeepLIFT at all, and less work than it."""
    gradients = []
    for rows in references.flatten(0, 1).split(batch_size):
        x = rows.detach().requires_grad_()
        gradients += torch.autograd.grad(model(x)[:, 0].sum(), x)
    difference = one_hot[:, None] - references
    return (torch.cat(gradients).reshape(references.shape) * difference).sum(2).mean(1)


class FirstOutput(nn.Module):
    """A model cut down to the output that is explained, for a tool that explains them all."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)[:, :1]


PEERS = {"tangermeme": tangermeme, "captum": captum, "shap": shap, "autograd": autograd}
TAKES_NO_BATCH_SIZE = ("shap",)


def installed_peers() -> list[str]:
    """Return the peers that can run here; autograd is torch's own."""
    return [name for name in PEERS if name == "autograd" or importlib.util.find_spec(name)]


def hush() -> None:
    """Silence the peers' warnings about their own hooks and layers, which are not about the numbers here."""
    warnings.simplefilter("ignore")
