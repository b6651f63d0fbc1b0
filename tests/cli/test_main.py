"""The command line as a process: help, versions, signals, pipes."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import seqlift
from seqlift.cli import cli
from tests.tiny import LENGTH, names, run_cli

COMMANDS = sorted(cli.commands)
SEQLIFT = [sys.executable, "-m", "seqlift"]
# Seconds of the processor that help may take; the target is a second.
QUICK = 1.0


def test_the_commands():
    expected = "convert demo evaluate export hub inspect logo "
    expected += "merge pilot report rules score seqlets shuffle tracks"
    assert expected.split() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command):
    for option in cli.commands[command].params:
        if isinstance(option, click.Option):
            assert option.help, f"{command} {option.opts}"
            assert re.search(r"\w[.\]]?$|\]$", option.help), option.help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option(command):
    run = run_cli(command, "--help")
    assert (run.status, run.stderr) == (0, "")
    assert run.stdout.startswith(f"Usage: seqlift {command} ")
    for option in cli.commands[command].params:
        assert all(name in run.stdout for name in option.opts if name.startswith("-"))
    assert max(map(len, run.stdout.splitlines())) <= 100


def test_help_lists_the_commands():
    run = run_cli("--help")
    assert run.status == 0
    for name, command in cli.commands.items():
        assert f"  {name} " in run.stdout
        assert command.get_short_help_str() in run.stdout


def test_help_is_quick_and_does_not_import_torch():
    """All of them in one process; then a real one against the clock of the processor."""
    script = (
        "import sys, seqlift.cli\n"
        "names = list(seqlift.cli.cli.commands)\n"
        "for words in [['--help'], ['--version'], *([name, '--help'] for name in names)]:\n"
        "    try: seqlift.cli.main(words)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'h5py', 'matplotlib', 'pandas', 'pyBigWig', 'pysam'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for words in (["--help"], ["score", "--help"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*SEQLIFT, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < QUICK


def test_the_version():
    wanted = f"seqlift, version {seqlift.__version__}\n"
    assert run_cli("--version") == (0, wanted, "")
    done = subprocess.run([*SEQLIFT, "-V"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (wanted, "")


def test_without_a_command_the_help_is_shown():
    run = run_cli()
    assert (run.status, run.stdout) == (2, "")
    assert "Commands:" in run.stderr


def test_a_command_that_does_not_exist():
    error = click.UsageError("No such command 'scores'.").format_message()
    run = run_cli("scores")
    assert (run.status, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"seqlift: error: {error}")
    assert line.endswith("(see seqlift --help)")


# More than can be scored in the time that the test takes.
LONG = 60_000


def wait_for(condition, process, seconds=180.0):
    """Wait until a condition holds, as long as the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def half_written():
    """Some rows have been scored, for they are on the disk."""
    return any(Path("out.unfinished").glob("*.npz"))


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_leaves_what_can_be_gone_on_from(folder, number, status, word):
    Path("peaks.bed").write_text("chr1\t200\t300\nchr1\t210\t310\nchr2\t50\t90\n" * (LONG // 3))
    before = names(".")
    process = subprocess.Popen(
        [*SEQLIFT, "score", "-m", "model.pt2", "-g", "genome.fa", "-r", "peaks.bed", "-o", "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        wait_for(half_written, process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (status, "")
    *kept, last = stderr.splitlines()
    assert last == f"seqlift: {word}"
    assert re.fullmatch(
        rf"seqlift: warning: out.unfinished keeps the \d+ of {LONG} rows that were done; go on "
        "from there with --resume",
        "".join(kept),
    )
    assert names(".") == sorted([*before, "out.unfinished"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_as_before_after_a_command(number):
    before = signal.getsignal(number)
    run_cli("--version")
    assert signal.getsignal(number) is before


def test_a_broken_pipe_is_quiet(folder):
    letters = ("ACGTTGCATGACCGTA" * LENGTH)[: 100 * LENGTH]
    Path("long.fa").write_text(f">long\n{letters}\n")
    process = subprocess.Popen(
        [*SEQLIFT, "shuffle", "long.fa", "-n", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b">long.1\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0
    process.stderr.close()
