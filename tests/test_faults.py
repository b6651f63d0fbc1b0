"""What goes wrong outside of seqlift while it runs: nothing is lost, or looks whole and is not.

`test_resume.py` has processes that are killed, `test_workers.py` workers that die.
"""

import os
import shutil
import subprocess
import time

import pytest

from seqlift.errors import OutputError, ResumeWarning, SeqliftError
from seqlift.pipeline import run
from seqlift.plan import Plan
from tests.test_shards import assert_same
from tests.tiny import names, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning")


@pytest.fixture
def inputs(tmp_path):
    return write_inputs(tmp_path)


def plan(inputs, output, **options) -> Plan:
    return Plan(
        models=(str(inputs / "model.pt2"),),
        genome=str(inputs / "genome.fa"),
        regions=str(inputs / "peaks.bed"),
        output=str(output),
        **{"n_references": 5, "device": "cpu", **options},
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if not done or done.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up(inputs, small_disk, monkeypatch):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)
    run(plan(inputs, inputs / "whole"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(150_000))
    made = plan(inputs, small_disk / "out", resume=True)
    with pytest.warns(ResumeWarning), pytest.raises(OutputError) as caught:
        run(made)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("cannot be written: No space left on device")
    assert names(small_disk) == ["ballast", "out.unfinished"]
    ballast.unlink()
    run(made)
    assert_same(inputs / "whole.h5", small_disk / "out.h5")
    assert "out.unfinished" not in names(small_disk)


def test_a_folder_that_is_removed_meanwhile(inputs, monkeypatch):
    from seqlift import scoring

    (inputs / "results").mkdir()
    real = scoring.Journal.write

    def write(self, explained):
        real(self, explained)
        shutil.rmtree(inputs / "results")

    monkeypatch.setattr(scoring.Journal, "write", write)
    with pytest.raises(SeqliftError) as caught:
        run(plan(inputs, inputs / "results/out"))
    assert "\n" not in str(caught.value)
    assert "results" in str(caught.value)
    assert not (inputs / "results").exists()


def test_a_folder_that_cannot_be_written_to(inputs):
    folder = inputs / "fixed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # who may do everything
        pytest.skip("this user writes wherever it wants")
    with pytest.raises(OutputError, match=r"is not writable; choose another folder$"):
        run(plan(inputs, folder / "out"))
    assert names(folder) == []


def test_where_files_cannot_be_locked(inputs, monkeypatch):
    """As on many network file systems."""
    import fcntl

    def refuse(*arguments):
        raise OSError(37, "No locks available")

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, refuse)
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    run(plan(inputs, inputs / "out"))
    assert {"out.h5", "out.bw"} <= set(names(inputs))


def test_a_clock_that_goes_back_and_another_time_zone(inputs, monkeypatch):
    run(plan(inputs, inputs / "whole"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    back = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: float(next(back)))
    try:
        run(plan(inputs, inputs / "out"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (inputs / "out.bw").read_bytes() == (inputs / "whole.bw").read_bytes()
    assert_same(inputs / "whole.h5", inputs / "out.h5")
