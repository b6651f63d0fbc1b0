"""The parsers that read what others wrote, each as a function of bytes, and the laws they obey.

A target runs in an empty folder. It raises SeqliftError where the input is refused, and an
AssertionError where a law is broken; whatever else it raises is a finding.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam

from seqlift.errors import SeqliftError
from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.records import read_fasta
from seqlift.genome.regions import apply_edge_policy, format_region, parse_region, resize
from seqlift.genome.text import is_gzip, read_lines
from seqlift.model.form import parse_inputs
from seqlift.model.options import parse_pairs
from seqlift.model.readouts import parse_readout
from seqlift.model.target_lists import expand
from seqlift.output.reader import ScoresFile
from seqlift.own_references import read_references
from seqlift.sequence.background import parse_background
from seqlift.sequence.references import find_scheme
from seqlift.windows import GenomeSource, count_items

__all__ = ["TARGETS"]

INPUT = "input"
LENGTH = 8
CONTIGS = {"chr1": "ACGTTGCATGAACC", "chr2": "GGGATN", "HLA-A*01:01": "acgtRYKM"}
GENOME = "".join(f">{name} of a test\n{letters}\n" for name, letters in CONTIGS.items())
# What int64 of the scores file and uint32 of bigWig hold must be decided long before.
FARTHEST = 2**62


def bed(data: bytes) -> None:
    """Regions of a file: they lie on the axis, in the order of the lines."""
    Path(INPUT).write_bytes(data)
    row = 0
    for region in read_regions(INPUT):
        assert region.row > row
        row = region.row
        assert region.chrom and region.name
        assert not set(region.chrom + region.name) & set(map(chr, [*range(32), 127]))
        assert 0 <= region.start < region.end < FARTHEST
        assert region.strand in ("+", "-", ".")
        assert region.summit is None or 0 <= region.summit < region.end - region.start
        window = resize(region, LENGTH)
        assert window.end - window.start == LENGTH


def windows(data: bytes) -> None:
    """The rows of a run: every window has its letters, and a second pass gives the same rows."""
    Path(INPUT).write_bytes(data)
    Path("genome.fa").write_text(GENOME)
    with Genome("genome.fa") as genome:
        source = GenomeSource(genome, INPUT, LENGTH, "pad")
        n_rows, n_scored, _ = count_items(source)
        items = list(source.items())
        assert (n_rows, n_scored) == (len(items), len(items))
        for item in items:
            letters = source.letters(item)
            assert letters == _cut(CONTIGS[item.window.chrom], item.window.start, item.window.end)


def fasta(data: bytes) -> None:
    """Sequences of a file: names are different words, letters are IUPAC codes in upper case."""
    Path(INPUT).write_bytes(data)
    found = list(read_fasta(INPUT))
    assert len({name for name, _ in found}) == len(found) > 0
    for name, letters in found:
        assert name.strip() and letters
        assert not set(letters) - set("ACGTRYSWKMBDHVN")


def genome(data: bytes) -> None:
    """A FASTA whose index is made: what is fetched is what a plain reading of the text gives."""
    Path("genome.fa").write_bytes(data)
    with Genome("genome.fa") as found:
        contigs = None if is_gzip(data) else _read_by_hand(data)
        _require_letters(found, contigs)


def faidx(data: bytes) -> None:
    """An index of a known FASTA: it is refused, or says what the FASTA says."""
    # The index of bgzip is checked against the last base alone, not to unpack all of it.
    Path("packed").write_bytes(_packed_genome())
    Path("packed.fai").write_bytes(data)
    with contextlib.suppress(SeqliftError), Genome("packed") as found:
        _require_letters(found, None)
    Path("genome.fa").write_text(GENOME)
    Path("genome.fa.fai").write_bytes(data)
    with Genome("genome.fa") as found:
        _require_letters(found, {name: letters.upper() for name, letters in CONTIGS.items()})


def lines(data: bytes) -> None:
    """Lines of a file: those of a plain one are the file."""
    Path(INPUT).write_bytes(data)
    found = list(read_lines(INPUT, SeqliftError, "a file of a test"))
    assert all(line.count(b"\n") == line.endswith(b"\n") for line in found)
    assert is_gzip(data) or b"".join(found) == data


def region(data: bytes) -> None:
    """A region that is typed: writing it gives text that means the same."""
    text = data.decode("utf-8", "replace")
    found = parse_region(text)
    assert 0 <= found.start < found.end < FARTHEST
    assert parse_region(format_region(found)) == found
    with contextlib.suppress(SeqliftError):
        apply_edge_policy(found, resize(found, LENGTH), 10**9, "error")


def options(data: bytes) -> None:
    """Words of the command line, one a line, behind the name of what reads them."""
    kind, *words = data.decode("utf-8", "replace").split("\n")
    for is_lawful in OPTIONS.get(kind, _scheme)(words):
        assert is_lawful


def _pairs(words: list[str]):
    found = parse_pairs(words, "--model-arg NAME=VALUE")
    yield [f"{name}={value}" for name, value in found.items()] == words


def _inputs(words: list[str]):
    words = [word for word in words if word.isprintable()]  # paths are shown as they are
    for constant in parse_inputs(words)[0].values():
        yield all(size > 0 for size in constant.shape or ())


def _targets(words: list[str]):
    found = expand(words)
    yield len(set(found)) == len(found)


def _readouts(words: list[str]):
    for readout in map(parse_readout, words):
        yield readout is None or 0 <= readout.first <= readout.end < FARTHEST


def _background(words: list[str]):
    for word in words:
        yield abs(sum(parse_background(word)) - 1) < 1e-5


def _scheme(words: list[str]):
    for word in words:
        yield find_scheme(word) is not None


OPTIONS = {
    "pairs": _pairs,
    "inputs": _inputs,
    "targets": _targets,
    "readouts": _readouts,
    "background": _background,
}


def target(data: bytes) -> None:
    """A target of a model with several outputs: it names one number, or is refused."""
    from seqlift.model.targets import select_target

    text = data.decode("utf-8", "replace")
    found = select_target(_captured(), text)
    assert found.name == text
    assert tuple(found.graph.graph.output_node().args[0].meta["val"].shape[1:]) == ()


def references(data: bytes) -> None:
    """References of the user: as many rows as there are, of finite numbers."""
    Path(INPUT).write_bytes(data)
    found = read_references(INPUT, 2, LENGTH)
    assert found.shape[0] == 2 and found.shape[2:] == (4, LENGTH)
    assert np.isfinite(found).all()


def scores(data: bytes) -> None:
    """A scores file: what is read has the shapes of the schema."""
    Path(INPUT).write_bytes(data)
    with ScoresFile(INPUT) as file:
        n, length = file.n_regions, file.length
        assert str(file.attributes)
        assert file.one_hot().shape == file.scores().shape == (n, 4, length)
        assert file.hypothetical().shape == (n, 4, length)
        assert file.track().shape == file.track(quantity="standard-error").shape == (n, length)
        assert file.delta().shape == file.completeness_error().shape == (n, file.n_references)
        assert file.prediction_reference().shape == (n, file.n_references)
        assert file.prediction().shape == file.references_used().shape == (n,)
        assert len(file.regions()) == n
        file.regions(np.arange(n)[::-1])


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        bed, windows, fasta, genome, faidx, lines, region, options, target, references, scores
    )
}  # fmt: skip


@functools.cache
def _packed_genome() -> bytes:
    """Pack the genome as bgzip."""
    with pysam.BGZFile("blocks", "wb") as stream:
        stream.write(GENOME.encode())
    return Path("blocks").read_bytes()


def _cut(letters: str, start: int, end: int) -> str:
    inside = (letters[i] if 0 <= i < len(letters) else "N" for i in range(start, end))
    return "".join(inside).upper()


def _read_by_hand(data: bytes) -> dict[str, str]:
    """Read a FASTA as its definition has it: the lines between two headers."""
    parts = re.split(rb"(?:^|(?<=\n))>([^\n]*)(?:\n|$)", data)
    return {
        name.split()[0].decode(): b"".join(line.rstrip() for line in body.split(b"\n"))
        .decode("latin-1")
        .upper()
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
        if body.strip()
    }


def _require_letters(found: Genome, contigs: dict[str, str] | None) -> None:
    for name, length in found.contigs.items():
        assert length >= 0
        letters = found.fetch(name, 0, min(length, 1000))
        assert len(letters) == min(length, 1000)
        assert len(found.fetch(name, length - 1, length + 1)) == 2
        if contigs is not None:
            assert letters == contigs[name][:1000], name
            assert length == len(contigs[name]), name


@functools.cache
def _captured():
    """Capture a model with two heads and a profile."""
    import torch

    from seqlift.model.capture import capture

    class Heads(torch.nn.Module):
        def forward(self, x):
            return {"logits": x[:, :3].sum(-1), "profile-of-x": x[:, :2], "0": x.sum((1, 2))}

    return capture(Heads().eval(), LENGTH)
