"""What all tests share: one thread, fixed seeds, the devices that are here."""

import os
import random
import sys

# Before torch and numpy read it, once: small operators are slower on two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest


def pytest_generate_tests(metafunc):
    """Run a test that takes `device` on the CPU, and on a CUDA device where there is one."""
    if "device" not in metafunc.fixturenames:
        return
    import torch  # tests of text and files need not wait for it

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append(pytest.param("cuda", marks=pytest.mark.gpu))
    metafunc.parametrize("device", devices)


@pytest.fixture(autouse=True)
def seeds():
    """Start every test from the same random state, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
