"""Every parser on the corpus, and for a few seconds on what hypothesis makes of it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqlift.errors import SeqliftError
from tests.fuzz.oracle import check, empty_folder
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
SECONDS, MEBIBYTES = 20, 128  # that one input may take, on a machine that does much else
PEAK = Path("/proc/self/clear_refs"), Path("/proc/self/status")

# libhdf5 itself does not end on some made-up files, see README.md; those of the corpus it reads.
MUTATED = [name for name in TARGETS if name != "scores"]
EXAMPLES = {"target": 5, "windows": 30, "genome": 30, "faidx": 30}


@pytest.fixture(autouse=True)
def folder():
    with empty_folder():
        yield


def seeds(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


def test_every_target_has_seeds_and_every_seed_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(seeds(name) for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name):
    taken = []
    check(TARGETS[name], seeds(name)[0].read_bytes())  # what is imported and captured once
    before = resident("VmRSS")
    for path in seeds(name):
        forget_peak()
        started = time.perf_counter()
        try:
            taken.append(check(TARGETS[name], path.read_bytes()))
        except Exception as error:
            error.add_note(f"of {path}")
            raise
        assert time.perf_counter() - started < SECONDS, path
        assert resident("VmHWM") - before < MEBIBYTES << 10, path
    assert set(taken) == {True, False}, "a corpus has what is taken and what is refused"


def forget_peak() -> None:
    """Let Linux measure the peak of memory from here on, where it may be told to."""
    with contextlib.suppress(OSError):
        PEAK[0].write_text("5")


def resident(what: str) -> int:
    """Return memory of this process, KiB: what it has ("VmRSS") or had at most ("VmHWM")."""
    if not PEAK[1].exists():
        return 0
    (line,) = [line for line in PEAK[1].read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_scores_file_cut_anywhere_is_refused(share):
    whole = (CORPUS / "scores" / "whole").read_bytes()
    assert check(TARGETS["scores"], whole)
    assert not check(TARGETS["scores"], whole[: int(share * len(whole))])


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Make inputs from seeds: a stretch is left out, written anew, or taken from another seed."""
    known = [path.read_bytes() for path in seeds(name)]
    small = [data for data in known if len(data) < 2000] or known
    places = st.tuples(st.integers(0, 2000), st.integers(0, 40))
    pieces = st.one_of(
        st.binary(max_size=20),
        st.sampled_from(PIECES),
        st.sampled_from(small).flatmap(
            lambda data: places.map(lambda at: data[at[0] % (len(data) + 1) :][: at[1]])
        ),
    )

    def splice(data: bytes, edits: list[tuple[tuple[int, int], bytes]]) -> bytes:
        for (start, length), piece in edits:
            start %= len(data) + 1
            data = data[:start] + piece + data[start + length :]
        return data

    return st.builds(
        splice, st.sampled_from(small), st.lists(st.tuples(places, pieces), max_size=4)
    )


PIECES = [
    b"\n", b"\r\n", b"\t", b"\0", b"\x1b[2J", b"\x85", b"\xff\xfe", "é".encode(), b" ", b">", b"#",
    b"-1", b"0", b"99999999999", b"9" * 20, b"9" * 4400, b"1e999", b"nan", b":", b"..", b",", b"=",
    b"mean:", b"chr1", b"\x1f\x8b", b"(" * 300, b"A" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("name", MUTATED)
def test_inputs_made_from_the_corpus(name):
    @settings(
        max_examples=EXAMPLES.get(name, 60),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(name))
    def run(data: bytes) -> None:
        check(TARGETS[name], data)

    run()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda data: int("x"), "invalid literal"),
        (lambda data: refuse("two\nlines"), "not one printable line"),
        (lambda data: refuse("\x1b[31mred"), "not one printable line"),
        (lambda data: refuse("long" * 200), "800 characters"),
        (lambda data: refuse(""), "0 characters"),
    ],
)
def test_the_oracle_finds(target, message):
    with pytest.raises((AssertionError, ValueError), match=message):
        check(target, b"")


def refuse(message: str) -> None:
    raise SeqliftError(message)
