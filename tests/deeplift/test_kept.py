"""What is kept of compiled code: whole, private, for one job, and not too much of it."""

import math
import os

import pytest

from seqlift.deeplift import kept
from seqlift.deeplift.compiled_before import remember, seconds_by_rules


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path / "seqlift"


def make(description, **files):
    with kept.making(description) as folder:
        for name, content in files.items():
            (folder / name).write_text(content)


def test_what_was_made_is_found():
    assert kept.find("a job") is None
    make("a job", one="1", two="2")
    found = kept.find("a job")
    assert [(found / name).read_text() for name in ("one", "two")] == ["1", "2"]
    assert kept.find("another job") is None


def test_what_is_made_again_takes_its_place():
    make("a job", one="1", two="2")
    make("a job", one="3")
    assert (kept.find("a job") / "one").read_text() == "3"
    assert not (kept.find("a job") / "two").exists()


def damage(folder):
    (folder / "one").write_text("0")


def cut_short(folder):
    (folder / "one").write_text("")


def take_away(folder):
    (folder / "one").unlink()


def spoil_digests(folder):
    (folder / kept.DIGESTS).write_text("{")


@pytest.mark.parametrize("spoil", [damage, cut_short, take_away, spoil_digests])
def test_what_is_not_whole_is_not_found(spoil):
    make("a job", one="1")
    spoil(kept.find("a job"))
    assert kept.find("a job") is None
    make("a job", one="1")
    assert kept.find("a job") is not None


def test_an_error_leaves_nothing(folder):
    with pytest.raises(ZeroDivisionError), kept.making("a job") as scratch:
        (scratch / "one").write_text("1")
        raise ZeroDivisionError
    assert kept.find("a job") is None
    assert not list(folder.iterdir())


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners")
@pytest.mark.parametrize("which", [lambda folder: folder, lambda folder: folder.parent])
def test_what_others_could_have_put_there_is_not_used(folder, which):
    make("a job", one="1")
    which(folder).chmod(0o777)
    assert kept.find("a job") is None
    make("another job", one="1")
    assert len(list(folder.iterdir())) == 1, "nor is anything kept there"


def test_what_is_for_reading_only_is_found(monkeypatch):
    def refuses(*_):
        raise OSError(30, "Read-only file system")

    make("a job", one="1")
    monkeypatch.setattr(kept.Path, "touch", refuses)
    assert kept.find("a job") is not None


def test_what_a_killed_process_left_is_removed_a_day_later(folder):
    make("a job", one="1")
    left = [folder / f"{kept.UNFINISHED}{age}" for age in ("old", "new")]
    for one in left:
        one.mkdir()
        (one / "part").write_text("1")
    os.utime(left[0], (1, 1))
    make("another job", one="1")
    assert [one.exists() for one in left] == [False, True]
    assert kept.find("a job") is not None


def test_where_nothing_can_be_kept_work_goes_on(folder):
    folder.write_text("a file in the folder's place")
    make("a job", one="1")
    assert kept.find("a job") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("_machine", lambda: "another processor"), ("_sources", lambda: "changed code")],
)
def test_another_processor_or_changed_code_finds_nothing(name, value, monkeypatch):
    make("a job", one="1")
    assert kept.find("a job") is not None
    monkeypatch.setattr(kept, name, value)
    assert kept.find("a job") is None


def test_what_was_not_used_for_longest_makes_room(monkeypatch):
    """A third file does not fit, and the second has not been used since."""
    monkeypatch.setattr(kept, "ROOM", 3000)
    for name in ("first", "second"):
        make(name, one=1000 * "x")
        os.utime(kept.find(name), (1, 1))
    kept.find("first")
    make("third", one=1000 * "x")
    assert [kept.find(name) is not None for name in ("first", "second", "third")] == [
        True,
        False,
        True,
    ]


def test_a_full_disk_costs_no_more_than_what_was_to_be_kept(monkeypatch):
    def is_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Path, "write_text", is_full)
    remember("a job", 0.5)
    assert seconds_by_rules("a job") == math.inf


def test_seconds_are_remembered():
    for seconds, least in ((0.2, 0.2), (0.1, 0.1), (0.3, 0.1)):
        remember("a job", seconds)
        assert seconds_by_rules("a job") == least
    assert seconds_by_rules("another job") == math.inf
