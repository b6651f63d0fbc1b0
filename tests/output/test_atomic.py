"""Results appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from seqlift.errors import OutputError
from seqlift.output.atomic import check_targets, final_name, whole_file, whole_files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_results_appear_together_at_the_end(tmp_path):
    with whole_files(tmp_path / "a.h5", tmp_path / "a.bw") as (first, second):
        first.write_text("one")
        second.write_text("two")
        assert not {"a.h5", "a.bw"} & set(names(tmp_path))
    assert names(tmp_path) == ["a.bw", "a.h5"]
    assert (tmp_path / "a.h5").read_text() == "one"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, OutputError])
def test_a_failure_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), whole_files(tmp_path / "a", tmp_path / "b") as (first, second):
        first.write_text("one")
        second.write_text("two")
        raise failure
    assert names(tmp_path) == []


def test_a_failure_leaves_what_was_there_before(tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(ValueError, match="no"), whole_file(target, force=True) as path:
        path.write_text("new")
        raise ValueError("no")
    assert names(tmp_path) == ["a"]
    assert target.read_text() == "old"


def test_killed_midway_leaves_no_final_name(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from seqlift.output.atomic import whole_file\n"
        "with whole_file(sys.argv[1]) as path:\n"
        "    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.h5")], check=False)
    assert done.returncode == -9
    (left,) = names(tmp_path)
    assert left != "a.h5"
    assert not left.endswith(".h5")


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"results/ does not exist; make it first$"):
        check_targets([tmp_path / "results" / "a.h5"])


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(OutputError, match="results is not a directory"):
        check_targets([tmp_path / "results" / "a.h5"])


def test_an_existing_target_needs_force(tmp_path):
    target = tmp_path / "scores.h5"
    target.write_text("old")
    with (
        pytest.raises(OutputError, match=r"scores\.h5 exists \(use --force\)$"),
        whole_file(target),
    ):
        pass
    with whole_file(target, force=True) as path:
        path.write_text("new")
    assert target.read_text() == "new"


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "a"
    with pytest.raises(OutputError, match="exists"), whole_file(target) as path:
        path.write_text("ours")
        target.write_text("theirs")
    assert names(tmp_path) == ["a"]
    assert target.read_text() == "theirs"


def test_a_directory_in_the_way(tmp_path):
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(OutputError, match=r"a\.h5 is a directory"):
        check_targets([tmp_path / "a.h5"], force=True)


def test_a_target_that_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is not a regular file"):
        check_targets([tmp_path / "pipe"], force=True)


def test_one_name_for_two_results(tmp_path):
    with pytest.raises(OutputError, match="named for two results"):
        check_targets([tmp_path / "a", tmp_path / "a"])


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    # For root every folder is writable, so the answer is given in the system's place.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="is not writable"):
        check_targets([tmp_path / "a"])


def test_a_block_that_wrote_nothing(tmp_path):
    with pytest.raises(OutputError, match=r"nothing was written to .*b\.bw$"):
        with whole_files(tmp_path / "a.h5", tmp_path / "b.bw") as (first, _):
            first.write_text("one")
    assert names(tmp_path) == []


def test_when_one_rename_fails_what_was_there_comes_back(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"old {name}")
    replace = os.replace

    def fails_for_b(source, target, **kwargs):
        if str(target).endswith("b"):
            raise OSError(28, "No space left on device")
        return replace(source, target, **kwargs)

    with (
        pytest.raises(OutputError, match="No space left"),
        whole_files(tmp_path / "a", tmp_path / "b", force=True) as (first, second),
    ):
        first.write_text("new a")
        second.write_text("new b")
        monkeypatch.setattr(os, "replace", fails_for_b)
    monkeypatch.undo()
    assert {name: (tmp_path / name).read_text() for name in names(tmp_path)} == {
        "a": "old a",
        "b": "old b",
    }


def test_when_one_rename_fails_none_stays(tmp_path, monkeypatch):
    real = type(tmp_path).replace

    def replace(self, target):
        if target.name == "b":
            raise OSError(30, "Read-only file system")
        return real(self, target)

    with pytest.raises(OutputError, match="b cannot be written: Read-only file system"):
        with whole_files(tmp_path / "a", tmp_path / "b") as paths:
            for path in paths:
                path.write_text("x")
            monkeypatch.setattr(type(tmp_path), "replace", replace)
    assert names(tmp_path) == []


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "disk" / "real")
    with whole_file(tmp_path / "a") as path:
        path.write_text("x")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "disk" / "real").read_text() == "x"


def test_messages_name_the_target(tmp_path):
    with whole_file(tmp_path / "a.h5") as path:
        path.write_text("x")
        assert path.parent == tmp_path
        assert final_name(path) == str(tmp_path / "a.h5")
    assert final_name("a.tmp-b.h5") == "a.tmp-b.h5"
