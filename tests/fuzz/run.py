"""Fuzz one parser, guided by the lines of seqlift that an input reaches.

::

    python -m tests.fuzz.run bed --seconds 180

Needs the extra `fuzz`. Inputs that reach something new are kept in `--kept`; one that breaks the
oracle is written to `finding-*` in the current folder, and the exit status is not 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["seqlift"], enable_loader_override=False):
    from tests.fuzz.oracle import check, empty_folder
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
LONGEST_INPUT = 16_384  # bytes; numbers of more than 4,300 digits fit
SECONDS, MEBIBYTES = 10, 2048  # that one input may take


def main() -> None:
    """Fuzz until the time is over or something is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kept", type=Path, help="a folder; by default a temporary one")
    given = parser.parse_args()
    # libFuzzer writes what it keeps into the first folder, which must not be the corpus.
    kept = given.kept or Path(tempfile.mkdtemp(prefix="fuzz-kept-"))
    kept.mkdir(parents=True, exist_ok=True)
    folders = [kept, CORPUS / given.target]
    arguments = [
        *(str(folder.resolve()) for folder in folders if folder.is_dir()),
        f"-max_total_time={given.seconds}",
        f"-seed={given.seed}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEBIBYTES}",
        f"-artifact_prefix={Path.cwd()}/finding-{given.target}-",
        "-print_final_stats=1",
        "-reload=0",
    ]
    with empty_folder():
        atheris.Setup([sys.argv[0], *arguments], lambda data: check(TARGETS[given.target], data))
        atheris.Fuzz()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
