"""The network: motifs on both strands, what lies beside them, and their strongest places."""

import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

LENGTH = 200


class Scan(nn.Module):
    """Find the strongest place of each feature on one strand: to shape (row, filter)."""

    def __init__(self, n_filters, width, dropout):
        super().__init__()
        self.motifs = nn.Conv1d(4, n_filters, width)
        self.context = nn.ModuleList(
            nn.Conv1d(n_filters, n_filters, 3, padding=dilation, dilation=dilation)
            for dilation in (1, 2)
        )
        self.dropout = dropout

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.motifs(x)), 4)
        x = F.dropout(x, self.dropout, self.training)
        for convolution in self.context:
            x = x + F.relu(convolution(x))
        return x.amax(-1)


class PeakModel(nn.Module):
    """Predict from 200 bp, for each factor, the logit that the window is one of its peaks.

    A window and its reverse complement have the same prediction, since both strands pass through
    the same layers.
    """

    def __init__(self, n_outputs=2, n_filters=64, width=21, n_hidden=32, dropout=0.3):
        super().__init__()
        self.scan = Scan(n_filters, width, dropout / 2)
        self.hidden = nn.Linear(n_filters, n_hidden)
        self.output = nn.Linear(n_hidden, n_outputs)
        self.dropout = dropout

    def forward(self, x):
        # Order A C G T: turned round on both axes, the sequence is its reverse complement.
        x = torch.maximum(self.scan(x), self.scan(x.flip(1, 2)))
        x = F.dropout(F.relu(self.hidden(x)), self.dropout, self.training)
        return self.output(x)


def export(model, path):
    """Save for any number of rows, with the source lines of this file but no machine's folders."""
    example = torch.zeros(2, 4, LENGTH)
    rows = torch.export.Dim("row")
    program = torch.export.export(model, (example,), dynamic_shapes=({0: rows},))
    for node in program.graph.nodes:
        if "stack_trace" in node.meta:
            node.meta["stack_trace"] = _own_frames(node.meta["stack_trace"])
    torch.export.save(program, path)


def _own_frames(trace):
    """Keep the frames of this file, under its name alone; the others are torch's own."""
    frames = re.findall(r'File "([^"]+)", (line .+\n.+)', trace)
    return "".join(
        f'  File "{Path(name).name}", {place}\n' for name, place in frames if name == __file__
    )
