"""Whether a processor is quick in bfloat16, and the warning where it is not."""

import warnings

import pytest
import torch

from seqlift import explainer_options
from seqlift.deeplift import processor
from seqlift.errors import SpeedWarning
from seqlift.explainer_options import warn_if_slow
from seqlift.library import contributions
from tests.helpers import random_sequences

INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512_bf16"


@pytest.mark.parametrize(
    ("about", "is_quick"),
    [
        (INTEL, False),
        (f"{INTEL} amx_bf16 amx_tile", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512_bf16", True),
        ("CPU implementer\t: 0x41\nFeatures\t: fp asimd bf16", True),
        (None, True),
    ],
)
def test_intel_without_amx_is_slow_in_bfloat16(tmp_path, monkeypatch, about, is_quick):
    path = tmp_path / "cpuinfo"
    if about is not None:
        path.write_bytes(about.encode() + b"\nmodel name\t: \xff")
    monkeypatch.setattr(processor, "ABOUT", path)
    assert processor.is_quick_in_bfloat16.__wrapped__() == is_quick


@pytest.mark.parametrize(
    ("precision", "second", "is_quick", "is_warned"),
    [
        ("bfloat16", "cpu", False, True),
        ("bfloat16", "cpu", True, False),
        ("bfloat16", "cuda", False, False),
        ("float32", "cpu", False, False),
    ],
)
def test_what_is_slow_is_warned_of(monkeypatch, precision, second, is_quick, is_warned):
    monkeypatch.setattr(explainer_options, "is_quick_in_bfloat16", lambda: is_quick)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_slow(precision, [torch.device("cuda"), torch.device(second)])
    assert [warning.category for warning in caught] == [SpeedWarning] * is_warned


def test_the_library_warns_and_scores_all_the_same(monkeypatch):
    monkeypatch.setattr(explainer_options, "is_quick_in_bfloat16", lambda: False)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 1, 5), torch.nn.Flatten(), torch.nn.Linear(36, 1)
    )
    with pytest.warns(SpeedWarning, match="bfloat16 takes longer than float32 .*no AMX"):
        found = contributions(model, random_sequences(2, 40), device="cpu", precision="bfloat16")
    assert found.scores.abs().max() > 0
