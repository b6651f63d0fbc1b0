"""The paper's network for the simulated sequences (section 4.2), and how it is saved."""

import torch
from torch import nn

N_FILTERS, WIDTH, N_HIDDEN, DROPOUT = 50, 11, 50, 0.5


class MotifNetwork(nn.Sequential):
    """Two convolutions, the mean over all places, two dense layers; probabilities of the tasks."""

    def __init__(self, n_tasks=3):
        super().__init__(
            nn.Conv1d(4, N_FILTERS, WIDTH),
            nn.ReLU(),
            nn.Conv1d(N_FILTERS, N_FILTERS, WIDTH),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(N_FILTERS, N_HIDDEN),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(N_HIDDEN, n_tasks),
            nn.Sigmoid(),
        )
        # As Keras starts them, which the paper used; from torch's smaller weights it learns far more slowly.
        for layer in self:
            if isinstance(layer, (nn.Conv1d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)


def export(model, example, path):
    """Save a trained model for batches of any size."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(model.eval(), (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
