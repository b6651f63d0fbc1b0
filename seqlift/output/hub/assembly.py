"""Whether a track lies on the assembly that it is to be shown on.

A browser shows a track of another assembly without a word, at places that mean nothing, and one
whose contigs have other names not at all.
"""

import re
import warnings
from collections.abc import Iterable
from functools import cache
from importlib import resources

from seqlift.errors import InputDataWarning, InputError, UsageError
from seqlift.output.bigwig_reader import BigWigReader

__all__ = ["check_assembly", "check_assembly_name"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_ACCESSION = re.compile(r"GC[AF]_\d+")
_BARE = re.compile(r"\d+[LRAB]?|[IVX]+|[XYZW]|MT?")
# What people call those that UCSC has under another name.
_SYNONYMS = {
    "grch37": "hg19",
    "b37": "hg19",
    "hs37d5": "hg19",
    "grch38": "hg38",
    "t2t": "hs1",
    "t2t-chm13": "hs1",
    "t2t-chm13v2.0": "hs1",
    "chm13": "hs1",
    "ncbi37": "mm9",
    "grcm38": "mm10",
    "grcm39": "mm39",
    "grcz11": "danRer11",
    "bdgp6": "dm6",
    "wbcel235": "ce11",
    "r64": "sacCer3",
}


def check_assembly_name(name: str) -> None:
    """Check the name of an assembly.

    Parameters
    ----------
    name : str
        As UCSC has it: hg38, mm10, GCF_009914755.1.

    Raises
    ------
    UsageError
        If it cannot be one, or if UCSC has another name for it.
    """
    if name.lower() in _SYNONYMS:
        raise UsageError(f"UCSC calls {name} {_SYNONYMS[name.lower()]}; give that as --assembly")
    known = {assembly.lower(): assembly for assembly in _sizes()}
    if known.get(name.lower(), name) != name:
        raise UsageError(f"UCSC writes {name} as {known[name.lower()]}; give that as --assembly")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of an assembly; give UCSC's, such as hg38 or mm10")


def check_assembly(track: BigWigReader, assembly: str) -> None:
    """Hold the contigs of a track against those of an assembly.

    The lengths of the chromosomes of ten assemblies are known here; of others, names alone are
    looked at.

    Parameters
    ----------
    track : BigWigReader
    assembly : str
        As UCSC has it.

    Warns
    -----
    InputDataWarning
        If the contigs are named as Ensembl does.

    Raises
    ------
    InputError
        If a contig that has values has another length there.
    """
    contigs = {name: track.contigs[name] for name in track.contigs_with_values()}
    sizes = _sizes().get(assembly, {})
    for name, length in contigs.items():
        wanted = sizes.get(_ucsc_name(name), length)
        if wanted != length:
            raise InputError(
                f"{track.path}: {name} has {length:,} bp, in {assembly} it has {wanted:,}"
                f"{_suggestion(contigs)}; give the --assembly that was scored"
            )
    bare = [name for name in contigs if name not in sizes and _BARE.fullmatch(name)]
    if bare and not _ACCESSION.match(assembly):
        warnings.warn(
            f"{track.path} has {bare[0]!r} where {assembly} has {_ucsc_name(bare[0])!r}: UCSC and "
            "IGV know both names, the WashU browser shows nothing; for that one score with "
            f"{assembly}'s own FASTA",
            InputDataWarning,
            stacklevel=2,
        )


def _ucsc_name(name: str) -> str:
    if not _BARE.fullmatch(name):
        return name
    return "chrM" if name == "MT" else f"chr{name}"


def _suggestion(contigs: dict[str, int]) -> str:
    fits = [assembly for assembly, sizes in _sizes().items() if _agree(contigs.items(), sizes)]
    return f" ({' or '.join(fits)} has the same)" if fits else ""


def _agree(contigs: Iterable[tuple[str, int]], sizes: dict[str, int]) -> bool:
    known = [(sizes[_ucsc_name(name)], n) for name, n in contigs if _ucsc_name(name) in sizes]
    return bool(known) and all(wanted == found for wanted, found in known)


@cache
def _sizes() -> dict[str, dict[str, int]]:
    """Read the lengths of chromosomes in bp, by assembly; M is left out, it has several."""
    sizes: dict[str, dict[str, int]] = {}
    text = (resources.files(__package__) / "assemblies.tsv").read_text(encoding="ascii")
    for line in text.splitlines()[1:]:
        assembly, contig, length = line.split("\t")
        sizes.setdefault(assembly, {})[contig] = int(length)
    return sizes
