"""The Nextflow module without Nextflow: its commands, filled in by hand, make what it declares."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seqlift
from tests.tiny import write_inputs

MODULE = Path(__file__).parents[1] / "workflows/nextflow/seqlift/score/main.nf"
VALUES = {
    "args": "--target 2 --n-references 4 --device cpu",
    "fasta": "genome.fa",
    "model": "model.pt2",
    "prefix": "out",
    "regions": "peaks.bed",
    "task.cpus": "1",
    "task.process": "SEQLIFT_SCORE",
}


def filled(block: str) -> str:
    """Return what Groovy makes of a text between triple quotes."""
    escaped = {r"\\": "\\", r"\$": "$"}
    return re.sub(
        r"\\\\|\\\$|\$\{([\w.]+)\}|\$([a-z][\w.]*\w)",
        lambda found: escaped.get(found[0]) or VALUES[found[1] or found[2]],
        block,
    )


@pytest.mark.parametrize("part", ["script", "stub"])
def test_commands_make_the_files_that_are_declared(part, tmp_path):
    text = MODULE.read_text()
    (block,) = re.findall(rf'^    {part}:.*?"""\n(.*?)^    """', text, re.MULTILINE | re.DOTALL)
    write_inputs(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    here = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", filled(re.sub("^    ", "", block, flags=re.MULTILINE))],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    declared = re.findall(r'path\(?\s*"([^"]+)"\)?\s*, emit', text)
    assert len(declared) == 5
    for pattern in declared:
        (made,) = tmp_path.glob(pattern)
        assert made.name not in before
    versions = (tmp_path / "versions.yml").read_text()
    assert versions == f'"SEQLIFT_SCORE":\n    seqlift: {seqlift.__version__}\n'
