"""BPNet and ChromBPNet, with the names that bpnet-lite gives their weights.

Avsec et al. 2021 (BPNet), Pampari et al. 2024 (ChromBPNet): a wide convolution, dilated ones each
added to what it read, a profile of logits by a very wide convolution and log counts by a mean over
positions. Convolutions are padded, and what the padding reaches is trimmed at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seqlift.errors import ShapeError

__all__ = ["BPNet", "ChromBPNet", "basepairnet_from", "bpnet_from", "chrombpnet_from"]

Weights = Mapping[str, Tensor]


class BPNet(nn.Module):
    """BPNet, with activations before the sums or behind them.

    Parameters
    ----------
    widths : tuple of int
        Of the first convolution and of that to the profile, bp.
    n_filters, n_layers, n_outputs, n_counts : int
        Filters; dilated convolutions; strands of the profile; log counts.
    n_control_tracks : int
        Taken for zero where they are not given.
    has_bias : tuple of bool
        Of the profile and of the counts.
    trimming : int or None
        Positions left out at each end of the profile; None for what padding reaches.
    activates_sums : bool
        False as ChromBPNet and bpnet-lite's BPNet have it; True as basepairmodels, bpnet-refactor
        and bpnet-lite's BasePairNet do.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, int] = (21, 75),
        n_filters: int = 64,
        n_layers: int = 8,
        n_outputs: int = 1,
        n_counts: int = 1,
        n_control_tracks: int = 0,
        has_bias: tuple[bool, bool] = (True, True),
        trimming: int | None = None,
        activates_sums: bool = False,
    ) -> None:
        super().__init__()
        first, last = widths
        dilations = [2**i for i in range(1, n_layers + 1)]
        self.n_control_tracks = n_control_tracks
        self.activates_sums = activates_sums
        self.margin = (last - 1) // 2
        reached = (first - 1) // 2 + sum(dilations) + self.margin
        self.trimming = reached if trimming is None else trimming
        self.iconv = nn.Conv1d(4, n_filters, first, padding=(first - 1) // 2)
        self.rconvs = nn.ModuleList(
            nn.Conv1d(n_filters, n_filters, 3, padding=d, dilation=d) for d in dilations
        )
        self.fconv = nn.Conv1d(
            n_filters + n_control_tracks, n_outputs, last, padding=self.margin, bias=has_bias[0]
        )
        self.linear = nn.Linear(n_filters + (n_control_tracks > 0), n_counts, bias=has_bias[1])

    def forward(self, sequence: Tensor, control: Tensor | None = None) -> dict[str, Tensor]:
        """Predict the logits of the profile and the log counts.

        Parameters
        ----------
        sequence : Tensor, shape (row, base=4, position)
        control : Tensor, shape (row, control track, position), or None
            None for zeros.

        Returns
        -------
        dict
            "profile", shape (row, strand, position), and "counts", (row, count).
        """
        if sequence.shape[2] <= 2 * self.trimming:
            raise ShapeError(
                f"this BPNet leaves out {self.trimming} positions at each end, so it takes more "
                f"than {2 * self.trimming}; found {sequence.shape[2]}. Another trimming is said by "
                "--model-arg trimming=N"
            )
        x = self.iconv(sequence)
        if self.activates_sums:
            for conv in self.rconvs:
                x = x + conv(torch.relu(x))
            x = torch.relu(x)
        else:
            x = torch.relu(x)
            for conv in self.rconvs:
                x = x + torch.relu(conv(x))
        start, end = self.trimming, sequence.shape[2] - self.trimming
        inner = slice(max(start - self.margin, 0), end + self.margin)
        pooled, seen = x[:, :, inner].mean(2), x
        if self.n_control_tracks:
            if control is None:
                control = x.new_zeros(x.shape[0], self.n_control_tracks, x.shape[2])
            seen = torch.cat([x, control], 1)
            pseudo_count = 2 if self.activates_sums else 1  # as bpnet-lite has them
            total = torch.log(control[:, :, inner].sum((1, 2)) + pseudo_count)
            pooled = torch.cat([pooled, total[:, None]], 1)
        return {"profile": self.fconv(seen)[:, :, start:end], "counts": self.linear(pooled)}


class ChromBPNet(nn.Module):
    """Accessibility and the enzyme's bias: logits add up, and so do counts.

    Parameters
    ----------
    accessibility, bias : BPNet
    """

    def __init__(self, accessibility: BPNet, bias: BPNet) -> None:
        super().__init__()
        self.bias = bias
        self.accessibility = accessibility

    def forward(self, sequence: Tensor) -> dict[str, Tensor]:
        """Predict as `BPNet` does; the bias's longer profile is trimmed to the other's length."""
        found, bias = self.accessibility(sequence), self.bias(sequence)
        extra = (bias["profile"].shape[2] - found["profile"].shape[2]) // 2
        length = found["profile"].shape[2]
        return {
            "profile": found["profile"] + bias["profile"][:, :, extra : extra + length],
            "counts": torch.log(torch.exp(found["counts"]) + torch.exp(bias["counts"])),
        }


def bpnet_from(
    weights: Weights, *, trimming: int | None = None, activates_sums: bool = False
) -> tuple[BPNet, Weights]:
    """Make a BPNet of the sizes that its weights have.

    Raises
    ------
    KeyError, ValueError
        If these are other weights.
    """
    first, profile, counts = (weights[f"{n}.weight"] for n in ("iconv", "fconv", "linear"))
    layers = [int(m[1]) for m in map(re.compile(r"rconvs\.(\d+)\.weight").fullmatch, weights) if m]
    n_filters = len(first)
    module = BPNet(
        widths=(first.shape[2], profile.shape[2]),
        n_filters=n_filters,
        n_layers=max(layers, default=-1) + 1,
        n_outputs=len(profile),
        n_counts=len(counts),
        n_control_tracks=profile.shape[1] - n_filters,
        has_bias=("fconv.bias" in weights, "linear.bias" in weights),
        trimming=trimming,
        activates_sums=activates_sums,
    )
    return module, weights


def basepairnet_from(weights: Weights, *, trimming: int | None = None) -> tuple[BPNet, Weights]:
    """Make a BPNet that activates sums; its weights have the same names.

    Raises
    ------
    KeyError, ValueError
        If these are other weights.
    """
    return bpnet_from(weights, trimming=trimming, activates_sums=True)


def chrombpnet_from(
    weights: Weights, *, trimming: int | None = None, bias_trimming: int | None = None
) -> tuple[ChromBPNet, Weights]:
    """Make a ChromBPNet of the sizes that its weights have.

    `trimming` is that of the accessibility, `bias_trimming` that of the bias.

    Raises
    ------
    KeyError, ValueError
        If these are other weights.
    """
    accessibility, _ = bpnet_from(_below(weights, "accessibility."), trimming=trimming)
    bias, _ = bpnet_from(_below(weights, "bias."), trimming=bias_trimming)
    return ChromBPNet(accessibility, bias), weights


def _below(weights: Weights, prefix: str) -> Weights:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
