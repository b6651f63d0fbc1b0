"""Products have TF32 where it was asked for, and torch's own settings are left as they were."""

import pytest
import torch

from seqlift.errors import UsageError
from seqlift.explain import Explainer
from seqlift.model.tensor_float import BACKENDS, tensor_float
from tests.helpers import captured, with_shuffles


def settings():
    return [backend.fp32_precision for backend in BACKENDS]


@pytest.mark.parametrize("is_allowed", [False, True])
def test_it_holds_inside_and_no_longer(is_allowed):
    before = settings()
    with pytest.raises(ZeroDivisionError), tensor_float(is_allowed):
        assert settings() == ["tf32" if is_allowed else "ieee"] * len(BACKENDS)
        assert torch.backends.cudnn.conv.fp32_precision == settings()[0]
        raise ZeroDivisionError
    assert settings() == before


def test_float32_is_float32_while_a_model_runs(monkeypatch):
    explained = Explainer(captured("F.relu"), device="cpu")
    plain, heard = explained.model.multipliers, []

    def listening(*args):
        heard.append(settings())
        return plain(*args)

    monkeypatch.setattr(explained.model, "multipliers", listening)
    explained.contribute(*with_shuffles(2, 3))
    assert heard and set(map(str, heard)) == {str(["ieee"] * len(BACKENDS))}


def test_a_cpu_has_no_tf32():
    with pytest.raises(UsageError, match="precision tf32 is of CUDA devices"):
        Explainer(captured("F.relu"), device="cpu", precision="tf32")
