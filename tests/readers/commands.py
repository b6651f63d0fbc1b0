"""Tools that read seqlift's files, run as their users run them: from the command line."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"

# modisco finds nothing in fewer than 100 seqlets. With cores of 20 bp, its default, 23 windows of
# 200 bp hold 60; with cores of 10 bp they hold 128.
MOTIFS = ("motifs", "-n", 2000, "-w", 200, "-z", 10, "-f", 1)

_PACKAGES = ("modiscolite", "finemo")

pytestmark = [
    pytest.mark.readers,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in _PACKAGES),
        reason="the extra readers installs modisco and finemo",
    ),
]


def read_with(folder, command, *arguments):
    """Run a command of a reader in a folder; it must end well."""
    line = [Path(sys.executable).with_name(command), *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
