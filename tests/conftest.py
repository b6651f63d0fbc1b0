"""What all tests share: one thread, fixed seeds, the devices that are here."""

import os
import random
import re
import signal
import sys

# A shell ignores interrupts for what it runs in the background, and children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch and numpy read it, once: small operators are slower on two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")


class ByCapture(LoadScopeScheduling):
    """Keeps in one process what shares captures: the tests of a file, or of a group of the zoo."""

    def _split_scope(self, nodeid):
        group = re.search(r"@zoo\d+", nodeid)
        return group[0] if group else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config, log):
    return ByCapture(config, log)


def pytest_collection_modifyitems(items):
    """Leave large tests out, unless they are asked for."""
    if os.environ.get("SEQLIFT_LARGE_TESTS") != "1":
        for item in items:
            if item.get_closest_marker("large"):
                item.add_marker(pytest.mark.skip(reason="SEQLIFT_LARGE_TESTS=1 runs it"))


def pytest_make_parametrize_id(val, argname):
    """Name the group of a zoo model in the test's id, all that the scheduler sees of a test."""
    zoo = sys.modules.get("tests.zoo")  # tests of text and files need not wait for it
    if zoo and argname == "name" and isinstance(val, str) and val in zoo.ZOO:
        return f"{val}@zoo{zoo.group_of(val)}"
    return None


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
