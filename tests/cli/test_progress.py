"""A bar on a terminal, a line now and then elsewhere, nothing on request."""

import re
import sys

import pytest

from seqlift.cli.progress import SECONDS_BETWEEN_LINES, Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr("seqlift.cli.progress.time.monotonic", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_lines_with_rate_and_estimate(clock, capsys):
    with Progress("scoring", "regions") as progress:
        clock(SECONDS_BETWEEN_LINES - 1)
        progress.update(10, 300)
        assert capsys.readouterr().err == ""
        clock(2 + 9)
        progress.update(80, 300)
        progress.update(90, 300)
    assert capsys.readouterr().err == (
        "seqlift: scoring 80 of 300 regions, 2 a second, about 110 s left\n"
    )


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("scoring", "regions") as progress:
        progress.update(100, 300)
        progress.update(300, 300)
    bar = capsys.readouterr().err
    assert re.search(r"scoring: 100%.*300/300", bar)


def test_quiet(monkeypatch, clock, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("scoring", "regions", quiet=True) as progress:
        clock(10 * SECONDS_BETWEEN_LINES)
        progress.update(300, 300)
    assert capsys.readouterr().err == ""
