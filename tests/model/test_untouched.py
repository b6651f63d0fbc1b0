"""The user's model is left alone: nothing that a user could notice is changed."""

import copy

import pytest
import torch
from torch import nn

from seqlift.errors import CaptureError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.load import load_model
from tests.model.user_code import Net

LENGTH = 12


class Tail(nn.Module):
    """Layers that keep statistics, and weights outside their parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5, padding=2)
        self.norm = nn.BatchNorm1d(3)
        self.recurrent = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x):
        return self.recurrent(self.norm(self.conv(x)).transpose(1, 2))[0].sum(1)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def state_of(model: nn.Module) -> dict[str, object]:
    """Return everything about a model that a user could notice."""
    modules = dict(model.named_modules())
    return {
        "training": {name: module.training for name, module in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "hooks": [
            len(hooks)
            for module in modules.values()
            for kind, hooks in vars(module).items()
            if "hooks" in kind
        ],
        "storage": {name: p.data_ptr() for name, p in model.state_dict(keep_vars=True).items()},
        "gradients": {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()},
        "values": {name: p.tolist() for name, p in model.state_dict().items()},
        "forward": {name: module.forward.__func__ for name, module in modules.items()},
    }


def user_model() -> nn.Module:
    """A model in the middle of training, one part of it frozen."""
    model = Tail().train()
    model.norm.eval()
    model.norm.weight.requires_grad_(False)
    return model


def test_the_users_model_is_left_as_it_was():
    model = user_model()
    before = copy.deepcopy(state_of(model))
    explainer = Explainer(model, length=4, precision="float64", device="cpu")
    x = torch.randn(2, 4, 4)
    explainer.contribute(x, x.flip(0).unsqueeze(1))
    assert state_of(model) == before


def test_the_users_model_is_left_as_it_was_after_a_failure():
    model = nn.Sequential(user_model(), Branching()).train()
    before = copy.deepcopy(state_of(model))
    with pytest.raises(CaptureError):
        capture(model, LENGTH)
    assert state_of(model) == before
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_model_that_forbids_eval_is_captured():
    class Stubborn(Net):
        def train(self, mode=True):
            raise RuntimeError("never")

    assert capture(Stubborn(), LENGTH).outputs == ("0",)


def test_the_users_weights_are_not_copied(net):
    captured = capture(net, LENGTH)
    shared = {p.data_ptr() for p in net.parameters()}
    held = {p.data_ptr() for p in captured.graph.state_dict().values()}
    assert held == shared


def test_capturing_leaves_a_program_as_it_was(program):
    loaded = load_model(program).model
    before = str(loaded.graph), {k: v.clone() for k, v in loaded.state_dict.items()}
    Explainer(capture(loaded), precision="float64", device="cpu")
    assert str(loaded.graph) == before[0]
    torch.testing.assert_close(dict(loaded.state_dict), before[1], rtol=0, atol=0)
