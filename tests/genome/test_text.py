"""Input that can be read only once is kept where it can be read again."""

import os
import threading
from pathlib import Path

import pytest

from seqlift.errors import RegionError
from seqlift.genome.text import spool


def test_a_pipe_is_kept_byte_by_byte_and_goes_in_the_end(tmp_path):
    data = bytes(range(256)) * 10_000  # more than a pipe holds
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    thread.start()
    with spool(tmp_path / "pipe", RegionError) as kept:
        assert Path(kept.name).read_bytes() == data
        assert Path(kept.name).read_bytes() == data
    thread.join()
    assert not Path(kept.name).exists()


def test_a_disk_without_room_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "kept"))
    monkeypatch.setattr("shutil.copyfileobj", full)
    (tmp_path / "in").write_text("chr1\t0\t5\n")
    with pytest.raises(RegionError, match=r"in cannot be kept in .*/kept .*\(No space left"):
        spool(tmp_path / "in", RegionError)
    assert list((tmp_path / "kept").iterdir()) == []
