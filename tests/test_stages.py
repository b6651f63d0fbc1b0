"""Stages run at the same time, keep their order, and end together."""

import threading
from contextlib import closing

import pytest

from seqlift.errors import RegionError
from seqlift.stages import ahead, behind


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


# --- ahead ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_ahead_keeps_the_order(n):
    assert list(ahead(iter(range(n)))) == list(range(n))


def test_ahead_makes_the_next_item_meanwhile():
    made = [threading.Event() for _ in range(3)]

    def items():
        for event in made:
            event.set()
            yield event

    for i, _ in enumerate(ahead(items())):
        if i + 1 < len(made):
            assert made[i + 1].wait(timeout=10)


def test_an_interrupt_while_the_thread_is_started_comes_out(monkeypatch):
    """The thread runs then, and the pool that would wait for it does not know of it."""
    is_made, may_end, is_closed = (threading.Event() for _ in range(3))

    def items():
        try:
            is_made.set()
            may_end.wait(timeout=10)
            yield 1
        finally:
            is_closed.set()

    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        assert is_made.wait(timeout=10)
        threading.Timer(0.2, may_end.set).start()
        raise KeyboardInterrupt

    def interrupted_once(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        interrupted(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        next(ahead(items()))
    assert is_closed.is_set()


@pytest.mark.parametrize("depth", [1, 3])
def test_ahead_is_so_many_items_ahead_and_no_more(depth):
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    with closing(ahead(items(), depth)) as coming:
        for i in range(10):
            assert next(coming) == i
            assert len(made) <= i + 1 + depth
    assert len(made) <= 10 + depth


def test_an_exception_of_the_producer_comes_after_its_items():
    def items():
        yield 1
        yield 2
        raise RegionError("peaks.bed:3: no")

    found = []
    with pytest.raises(RegionError, match=r"^peaks\.bed:3: no$"):
        for item in ahead(items()):
            found.append(item)
    assert found == [1, 2]


def test_an_interrupt_in_the_producer_reaches_the_consumer():
    def items():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ahead(items()))


@pytest.mark.parametrize("stop", ["break", "error", "close", "interrupt"])
def test_a_chain_of_stages_ends_when_the_last_one_stops(stop):
    ended = []

    def numbers():
        try:
            yield from range(1000)
        finally:
            ended.append("numbers")

    def squares(items):
        try:
            for item in items:
                yield item * item
        finally:
            ended.append("squares")

    coming = ahead(squares(ahead(numbers(), 2)), 2)
    error = {"error": ZeroDivisionError, "interrupt": KeyboardInterrupt}.get(stop)
    if error is None:
        assert next(coming) == 0
        coming.close()
    else:
        with pytest.raises(error), closing(coming):
            for _ in coming:
                raise error
    assert ended == ["squares", "numbers"]


def test_an_error_at_the_start_of_a_chain_comes_out_at_its_end():
    def numbers():
        yield 1
        raise RegionError("no")

    def doubled(items):
        for item in items:
            yield 2 * item

    found = []
    with pytest.raises(RegionError, match=r"^no$"):
        for item in ahead(doubled(ahead(numbers()))):
            found.append(item)
    assert found == [2]


# --- behind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
def test_behind_uses_all_items_in_order(depth):
    used = []
    with behind(used.append, depth) as hand_over:
        for i in range(50):
            hand_over(i)
    assert used == list(range(50))


def test_behind_uses_an_item_while_the_caller_goes_on():
    goes_on = threading.Event()
    with behind(lambda item: item.wait(10) or 1 / 0) as hand_over:
        hand_over(goes_on)
        goes_on.set()  # before the first has been used, or it would wait in vain


@pytest.mark.parametrize("depth", [1, 3])
def test_behind_never_holds_more_items_than_its_depth(depth):
    may_use, held = threading.Semaphore(0), []

    def use(item):
        may_use.acquire()
        held.remove(item)

    with behind(use, depth) as hand_over:
        for i in range(10):
            if i >= depth:
                may_use.release()
            held.append(i)
            hand_over(i)
            assert len(held) <= depth
        may_use.release(depth)
    assert held == []


@pytest.mark.parametrize("place", ["next", "end"])
def test_an_error_behind_comes_out_in_front(place):
    """At the next item, or at the end of the block where there is none."""

    def fail(item):
        raise RegionError(f"no {item}")

    handed = []
    with pytest.raises(RegionError, match=r"^no 0$"), behind(fail) as hand_over:
        for i in range(10 if place == "next" else 1):
            hand_over(i)
            handed.append(i)
    assert handed == [0]


@pytest.mark.parametrize("error", [RegionError, KeyboardInterrupt])
def test_what_waits_is_left_when_the_block_fails(error):
    may_use, used = threading.Event(), []

    def use(item):
        may_use.wait(10)
        used.append(item)

    with pytest.raises(error), behind(use, 3) as hand_over:
        for i in range(3):
            hand_over(i)
        threading.Timer(0.1, may_use.set).start()
        raise error
    assert used == [0]
