"""Processes answer in order, say what ended them, and never outlive who started them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from seqlift.errors import ModelLoadError, SeqliftError
from seqlift.processes import AT_ONCE, Processes
from tests import answering


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def two(work, *arguments):
    return Processes(work, {"one": arguments, "two": arguments})


@pytest.mark.parametrize("n", [0, 1, 2, 25])
def test_answers_come_in_the_order_of_the_questions(n):
    with Processes(answering.squares, {"one": (0,), "two": (0,)}) as processes:
        assert list(processes.deal(range(n))) == [i * i for i in range(n)]
        assert list(processes.deal(iter([7]))) == [49]  # and may be asked again


def test_questions_go_round():
    names = {f"process {i}": (i,) for i in range(3)}
    with Processes(answering.own_number, names) as processes:
        assert list(processes.deal(range(20))) == [(i, i % 3) for i in range(20)]


def test_all_can_be_asked_the_same():
    with Processes(answering.squares, {"one": (0,), "two": (100,)}) as processes:
        assert processes.ask_all(3) == [9, 109]


def test_no_more_is_asked_than_can_soon_be_answered():
    asked = []

    def questions():
        for i in range(20):
            asked.append(i)
            yield i

    with two(answering.squares, 0) as processes:
        for n_answered, _ in enumerate(processes.deal(questions())):
            assert len(asked) <= n_answered + 1 + AT_ONCE * len(processes)


def test_answers_larger_than_a_pipe_and_questions_too():
    large = "a" * (1 << 22)
    with two(answering.raises_at, None) as processes:
        assert list(processes.deal([large] * 6)) == [large] * 6


@pytest.mark.parametrize("number", [0, 3, 5])
def test_an_error_comes_out_as_it_is_after_the_answers_before_it(number):
    found = []
    with pytest.raises(ModelLoadError, match=rf"^no {number}\b") as caught:
        with two(answering.raises_at, number) as processes:
            found.extend(processes.deal(range(30)))
    assert str(caught.value) == f"no {number}"
    assert "raises_at" in "".join(caught.value.__notes__)  # the other process's traceback


def test_an_error_that_cannot_travel_is_told_in_words():
    with pytest.raises(RuntimeError, match=r"^UnpicklableError: 1 and 2$"):
        with two(answering.raises_what_cannot_travel) as processes:
            processes.ask_all(1)


@pytest.mark.parametrize(("work", "arguments"), [("dies_at", (2,)), ("half_an_answer", ())])
def test_a_process_that_dies_is_an_error_of_one_line(work, arguments):
    message = r"^the process of (one|two) was ended by signal 9 \(SIGKILL\), most often for want"
    with pytest.raises(SeqliftError, match=message) as caught:
        with two(getattr(answering, work), *arguments) as processes:
            list(processes.deal(range(30)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ModelLoadError])
def test_a_block_that_fails_waits_for_no_answer(error):
    started = time.monotonic()
    with pytest.raises(error), two(answering.never_answers) as processes:
        for process in processes._processes:
            process.send(1)
        raise error
    assert time.monotonic() - started < 60


SCRIPT = """
    import sys, time
    from seqlift.processes import Processes
    from tests import answering

    if __name__ == "__main__":
        with Processes(answering.its_id, {"one": (), "two": ()}) as processes:
            print(*processes.ask_all(1), flush=True)
            time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("whole_group", [True, False])
def test_no_process_outlives_who_started_it(tmp_path, number, whole_group):
    """An interrupt at the terminal goes to the whole group; SIGKILL leaves no time to clean up."""
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as parent:
        ids = [int(word) for word in parent.stdout.readline().split()]
        assert len(ids) == 2
        (os.killpg if whole_group else os.kill)(parent.pid, number)
        said = parent.communicate(timeout=60)[1]
    deadline = time.monotonic() + 60
    while any(map(_is_alive, ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_is_alive, ids))
    assert said.count("Traceback") <= 1  # of the parent alone
    assert "leaked" not in said


def _is_alive(process):
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False
