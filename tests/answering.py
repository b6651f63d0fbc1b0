"""What processes do in the tests of `seqlift.processes`; they find it by its name."""

import os
import signal
import time

from seqlift.errors import ModelLoadError


def squares(questions, offset):
    for question in questions:
        yield question**2 + offset


def own_number(questions, number):
    for question in questions:
        time.sleep(0.02 * ((question * 7 + number) % 3))  # none of them is always the first
        yield question, number


def dies_at(questions, number):
    for question in questions:
        if question == number:
            os.kill(os.getpid(), signal.SIGKILL)
        yield question


def half_an_answer(questions):
    for _ in questions:
        yield os.urandom(1 << 26)  # far more than a pipe holds
        os.kill(os.getpid(), signal.SIGKILL)


def raises_at(questions, number):
    for question in questions:
        if question == number:
            raise ModelLoadError(f"no {question}")
        yield question


class UnpicklableError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raises_what_cannot_travel(questions):
    raise UnpicklableError(1, 2)
    yield


def never_answers(questions):
    for _ in questions:
        time.sleep(1000)
        yield


def its_id(questions):
    for _ in questions:
        yield os.getpid()
