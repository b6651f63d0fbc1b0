import gzip
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into an empty current folder and give its name: messages then hold no path."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, data: str | bytes, packed: str = "plain") -> str:
        content = data.encode() if isinstance(data, str) else data
        if packed == "bgzip":
            with pysam.BGZFile(name, "wb") as stream:
                stream.write(content)
        else:
            Path(name).write_bytes(gzip.compress(content) if packed == "gzip" else content)
        return name

    return write_file
