"""Bytes compressed in blocks, read back by gzip and by htslib."""

import gzip
import io

import numpy as np
import pysam
import pytest

from seqlift.output.bgzf import BgzfWriter

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # of the SAM text


def compress(parts):
    file = io.BytesIO()
    with BgzfWriter(file) as writer:
        for part in parts:
            writer.write(part)
    return file.getvalue()


@pytest.mark.parametrize("size", [0, 1, 0xFF00 - 1, 0xFF00, 0xFF00 + 1, 400_000])
@pytest.mark.parametrize("is_noise", [True, False])
def test_what_goes_in_comes_out(tmp_path, size, is_noise):
    data = np.random.default_rng(0).bytes(size) if is_noise else b"chr1\t10\n" * (size // 8)
    packed = compress(data[i : i + 7000] for i in range(0, len(data), 7000))
    assert packed == compress([data])
    assert packed.endswith(END)
    assert gzip.decompress(packed) == data
    (tmp_path / "a.gz").write_bytes(packed)
    with pysam.BGZFile(str(tmp_path / "a.gz"), "rb") as file:
        assert file.read() == data


def test_a_block_that_fails_is_not_ended():
    file = io.BytesIO()
    with pytest.raises(ValueError, match="enough"), BgzfWriter(file) as writer:
        writer.write(b"a")
        raise ValueError("enough")
    assert file.getvalue() == b""
