"""A small model as users have it: their code, its weights, a program."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.model.export import exported, saved
from tests.model.user_code import Net

LENGTH = 12


@pytest.fixture(scope="module")
def keras():
    """Keras on torch; the extra brings it."""
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def net():
    torch.manual_seed(1)
    return Net().eval()


@pytest.fixture(scope="session")
def program(net, tmp_path_factory):
    """A `.pt2` file for any number of sequences of 12 bp."""
    return saved(exported(net, LENGTH), tmp_path_factory.mktemp("program") / "net.pt2")


@pytest.fixture
def here(tmp_path, net, monkeypatch):
    """The current directory, which holds the user's code and weights."""
    from safetensors.torch import save_file

    shutil.copy(Path(__file__).with_name("user_code.py"), tmp_path / "nets.py")
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    save_file(weights, tmp_path / "net.safetensors")
    torch.save(weights, tmp_path / "net.pt")
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "checkpoint.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    return tmp_path
