"""scikit-learn's digits as the engine takes them, the network that tells them apart, and the erasing of pixels.

The engine's input has axes (row, 4, position) and asks for nothing else: 64 pixels are 4 by 16 numbers, and the network's
first step makes a picture of them again.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

SIDE = 8
N_PIXELS = SIDE * SIDE


class DigitNetwork(nn.Module):
    """Two convolutions, the second in place of pooling with a stride of 2, and two dense layers; logits of the digits."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 9, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )

    def forward(self, x):
        return self.layers(x.reshape(-1, 1, SIDE, SIDE))


def load(held_out, seed):
    """Return (images, digits) for training and held out; images float32 from 0 to 1, shape (row, 4, 16)."""
    pixels, digits = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels / pixels.max()).float().reshape(-1, 4, N_PIXELS // 4)
    digits = torch.from_numpy(digits)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(images)))
    n = round(len(images) * held_out)
    return (images[order[n:]], digits[order[n:]]), (images[order[:n]], digits[order[:n]])


def pixel_scores(multipliers, images, references):
    """Return multipliers times difference from the reference, mean over references: shape (row, pixel)."""
    return (multipliers * (images[:, None] - references)).mean(1).flatten(1)


def erase(images, difference, n_most):
    """Erase the pixels that speak most for one class against another.

    Parameters
    ----------
    images : Tensor, shape (row, 4, 16)
    difference : Tensor, shape (row, pixel)
        Scores for the class of the image minus those for the other.
    n_most : int
        Pixels to erase at most; only those with a positive difference are.

    Returns
    -------
    erased : Tensor, shape (row, 4, 16)
    n_erased : Tensor, shape (row,)

    References
    ----------
    Shrikumar et al. 2017, section 4.1.
    """
    largest = difference.topk(n_most, dim=1)
    is_erased = torch.zeros_like(difference, dtype=torch.bool)
    is_erased.scatter_(1, largest.indices, largest.values > 0)
    erased = images.masked_fill(is_erased.reshape(images.shape), 0)
    return erased, is_erased.sum(1)
