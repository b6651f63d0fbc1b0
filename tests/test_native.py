import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqlift import native

needs_compiler = pytest.mark.skipif(native._compiler() is None, reason="needs a C compiler")


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def load(*, compiles):
    return native.load("seqlift.sequence", "walks.c", compiles=compiles)


def kept(caches):
    return sorted((caches / "seqlift").iterdir())


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# Shell for the file that a compiler is to write.
FIND_OUT = 'while [ "$1" != -o ]; do shift; done; out=$2; '


@needs_compiler
def test_what_was_compiled_is_there_for_who_has_no_compiler(caches, monkeypatch):
    assert load(compiles=True).seqlift_walk_1
    (path,) = kept(caches)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "false")
    assert load(compiles=True).seqlift_walk_1
    assert load(compiles=False).seqlift_walk_1
    assert kept(caches) == [path]


def test_nothing_is_compiled_or_written_unasked(caches):
    assert load(compiles=False) is None
    assert list(caches.iterdir()) == []


@needs_compiler
def test_another_source_is_another_library(caches, tmp_path, monkeypatch):
    package = tmp_path / "native_source"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        (package / "answer.c").write_text(f"int answer(void) {{ return {number}; }}\n")
        assert native.load("native_source", "answer.c", compiles=True).answer() == number
    assert len(kept(caches)) == 2


def test_no_compiler_is_no_error(caches, monkeypatch, capfd):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert load(compiles=True) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "echo out; echo error >&2; exit 1",
        "echo makes nothing",
        FIND_OUT + 'echo garbage > "$out"',
        FIND_OUT + ': > "$out"',
        FIND_OUT + 'mkdir "$out"',
    ],
)
def test_a_compiler_that_fails_is_no_error(caches, tmp_path, monkeypatch, capfd, text):
    monkeypatch.setenv("CC", script(tmp_path / "compiler", text))
    assert load(compiles=True) is None
    assert capfd.readouterr() == ("", "")
    assert kept(caches) == []


@pytest.mark.parametrize("command", ["no-such-compiler", "/", "cc 'without an end"])
def test_a_compiler_that_cannot_be_run_is_no_error(caches, monkeypatch, capfd, command):
    monkeypatch.setenv("CC", command)
    assert load(compiles=True) is None
    assert capfd.readouterr() == ("", "")


def test_a_compiler_that_does_not_end_is_given_up(caches, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "_PATIENCE", 0.01)
    monkeypatch.setenv("CC", script(tmp_path / "compiler", "exec sleep 600"))
    assert load(compiles=True) is None
    assert kept(caches) == []


def test_a_compiler_is_named_with_its_options(caches, tmp_path, monkeypatch):
    asked_with = tmp_path / "asked with"
    compiler = script(tmp_path / "a compiler", f'echo "$1" > "{asked_with}"; exit 1')
    monkeypatch.setenv("CC", f"'{compiler}' --option")
    assert load(compiles=True) is None
    assert asked_with.read_text() == "--option\n"


def test_where_nothing_can_be_written_nothing_is_compiled(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load(compiles=True) is None


def test_who_has_no_home_has_no_library(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert load(compiles=True) is None


@pytest.mark.parametrize("given", ["", "relative"])
def test_without_a_cache_folder_of_its_own_it_is_that_of_the_home(tmp_path, monkeypatch, given):
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert native._caches().parent in (tmp_path, tmp_path / "Library")


@needs_compiler
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(caches, mode):
    assert load(compiles=True)
    (caches / "seqlift").chmod(mode)
    assert load(compiles=False) is None
    assert load(compiles=True) is None


@needs_compiler
def test_a_folder_of_someone_else_is_not_used(caches, monkeypatch):
    assert load(compiles=True)
    monkeypatch.setattr(os, "geteuid", lambda: (caches / "seqlift").stat().st_uid + 1)
    assert load(compiles=True) is None


@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:64] + bytes(len(data) - 64),
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ],
    ids=["empty", "cut", "zeros", "bit"],
)
def test_a_damaged_library_is_not_loaded_and_made_anew(caches, damage):
    assert load(compiles=True)
    (path,) = kept(caches)
    whole = path.read_bytes()
    path.unlink()  # what is loaded in this process must stay as it is
    path.write_bytes(damage(whole))
    assert load(compiles=False) is None
    assert load(compiles=True).seqlift_walk_1
    assert whole in [path.read_bytes() for path in kept(caches)]


@needs_compiler
def test_a_whole_file_that_cannot_be_loaded_is_no_error(caches):
    assert load(compiles=True)
    (path,) = kept(caches)
    path.unlink()
    stem = path.stem.rpartition("-")[0]
    data = b"for another machine"
    path.with_name(f"{stem}-{hashlib.sha256(data).hexdigest()}.so").write_bytes(data)
    assert load(compiles=True) is None


@needs_compiler
def test_processes_may_compile_at_once(caches):
    code = (
        "from seqlift import native; import sys; sys.stdin.read();"
        "print(bool(native.load('seqlift.sequence', 'walks.c', compiles=True).seqlift_walk_1))"
    )
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True)
        for _ in range(3)
    ]
    for process in started:
        process.stdin.close()  # now that all are there
        process.stdin = None
    assert [process.communicate()[0] for process in started] == ["True\n"] * 3
    assert all(native._is_whole(path) for path in kept(caches))
    assert isinstance(load(compiles=False), ctypes.CDLL)
