"""`seqlift demo`: what it does with its folder. Its results are looked at in tests/test_demo.py."""

import importlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.tiny import names, run_cli

# The package has the command under the module's name.
demo = importlib.import_module("seqlift.cli.demo")
ROOT = Path(demo.__file__).parents[2]
DATA = sorted(path.name for path in (ROOT / "data").iterdir() if path.is_file())


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Replace the commands by others, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *lines: monkeypatch.setattr(demo, "COMMANDS", lines)


def test_the_data_are_copied_and_the_commands_printed(commands):
    commands("seqlift --version", "seqlift shuffle --help")
    run = run_cli("demo", "there")
    assert (run.status, run.stderr) == (0, "")
    assert names("there") == DATA
    lines = run.stdout.splitlines()
    assert lines[:3] == ["cd there", "seqlift --version", "seqlift shuffle --help"]
    assert "ctcf.h5" in run.stdout


def test_no_index_is_older_than_its_genome(commands):
    commands()
    run_cli("demo")
    times = {name: (Path("seqlift-demo") / name).stat().st_mtime for name in DATA}
    genome = times["chr20.fa.gz"]
    assert times["chr20.fa.gz.fai"] >= genome
    assert times["chr20.fa.gz.gzi"] >= genome


def test_a_command_that_fails_ends_the_demo(commands):
    commands("seqlift inspect none.pt2", "seqlift --version")
    run = run_cli("demo", "there")
    assert run.status == 1
    assert "seqlift --version" not in run.stdout


def test_an_existing_folder_is_an_error_unless_forced(commands):
    commands()
    Path("there").mkdir()
    error = "there exists (use --force, or name another folder)"
    assert run_cli("demo", "there") == (1, "", f"seqlift: error: {error}\n")
    assert names("there") == []
    assert run_cli("demo", "there", "--force").status == 0
    assert names("there") == DATA


def test_a_file_in_the_way(commands):
    commands()
    Path("there").write_text("")
    run = run_cli("demo", "there", "--force")
    assert run == (1, "", "seqlift: error: there cannot be written: File exists\n")


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_signal_to_the_demo_ends_its_command_cleanly(tmp_path, number):
    """Only the parent gets the signal, as from `kill`; the command that it runs cleans up."""
    long = "seqlift score -m ctcf-p73.pt2 -g chr20.fa.gz -r ctcf.chr20.narrowPeak -o long -n 50000"
    script = (
        "import importlib\n"
        "demo = importlib.import_module('seqlift.cli.demo')\n"
        f"demo.COMMANDS = ({long!r},)\n"
        "from seqlift.cli import main\n"
        "main(['demo', 'there'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("there/*.tmp-*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert stderr.splitlines() == ["seqlift: terminated"] * 2
    assert names(tmp_path / "there") == DATA


def test_the_wheel_holds_the_data(tmp_path):
    """Built and unpacked, and used from there."""
    pytest.importorskip("hatchling")
    pytest.importorskip("pip")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*build, "--no-index", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = (
        "import importlib\n"
        "from seqlift.cli import main\n"
        "demo = importlib.import_module('seqlift.cli.demo')\n"
        "print(demo.data_folder(), flush=True)\n"
        "demo.COMMANDS = ('seqlift inspect ctcf-p73.pt2',)\n"
        "main(['demo', 'there'])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == str(tmp_path / "installed" / "seqlift" / "data")
    assert "# covered: yes" in run.stdout
    assert names(tmp_path / "there") == DATA
