"""Products have TF32 where it was asked for, and torch's own settings are left as they were."""

import pytest
import torch

from seqlift.errors import UsageError
from seqlift.explain import Explainer
from seqlift.model.tensor_float import PRODUCTS, tensor_float
from tests.helpers import captured, with_shuffles


def settings():
    """Return what may have TF32, by torch's newer switches and by its older ones."""
    newer = [kind.fp32_precision == "tf32" for kind in PRODUCTS]
    return newer, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def whole(is_allowed):
    return [is_allowed] * len(PRODUCTS), is_allowed, is_allowed


@pytest.mark.parametrize("is_allowed", [False, True])
def test_it_holds_inside_and_no_longer(is_allowed):
    before, words = settings(), [kind.fp32_precision for kind in PRODUCTS]
    with pytest.raises(ZeroDivisionError), tensor_float(is_allowed):
        assert settings() == whole(is_allowed)
        raise ZeroDivisionError
    assert settings() == before
    assert [kind.fp32_precision for kind in PRODUCTS] == words


def test_float32_is_float32_while_a_model_runs(monkeypatch):
    explained = Explainer(captured("F.relu"), device="cpu")
    plain, heard = explained.model.multipliers, []

    def listening(*args):
        heard.append(settings())
        return plain(*args)

    monkeypatch.setattr(explained.model, "multipliers", listening)
    explained.contribute(*with_shuffles(2, 3))
    assert heard == [whole(False)]


def test_a_cpu_has_no_tf32():
    with pytest.raises(UsageError, match="precision tf32 is of CUDA devices"):
        Explainer(captured("F.relu"), device="cpu", precision="tf32")
