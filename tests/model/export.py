"""What users do with torch.export."""

import warnings
from os import PathLike

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

BATCH = ({0: Dim("batch")},)


def exported(model: nn.Module, length: int, dynamic_shapes=BATCH, rows: int = 2) -> ExportedProgram:
    """Export a model as it is, in whatever mode."""
    like = next(model.parameters(), torch.zeros(0))
    example = torch.zeros(rows, 4, length, dtype=like.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        return torch.export.export(model, (example,), dynamic_shapes=dynamic_shapes)


def saved(program: ExportedProgram, path: str | PathLike[str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path)
    return str(path)
