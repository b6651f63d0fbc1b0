"""Names of contigs: those that the regions use against those that the genome has.

`chr20` against `20` is the everyday mistake. It is an error that says how to go on, unless the
caller asked for names to be matched.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from seqlift.errors import GenomeError
from seqlift.genome.text import quote, show

__all__ = ["ContigStyle", "match_contigs"]

ContigStyle = Literal["exact", "match"]


def match_contigs(
    names: Iterable[str],
    contigs: Collection[str],
    style: ContigStyle = "exact",
    *,
    genome: str = "the genome",
) -> dict[str, str]:
    """Find the genome's contig for each name that the regions use.

    Parameters
    ----------
    names : iterable of str
        As the regions have them; may repeat.
    contigs : collection of str
        As the genome has them, in its order.
    style : {"exact", "match"}
        `exact` takes a name as it is. `match` tries that first, then the name with or without
        `chr`, and M for MT.
    genome : str
        What to call the genome in messages.

    Returns
    -------
    contig_of : dict
        From each name to the genome's.

    Raises
    ------
    GenomeError
        If the genome has no such contig, or under `match` two that fit equally well; one message
        for all.
    """
    known = frozenset(contigs)
    wanted = dict.fromkeys(names)
    contig_of = {name: name for name in wanted if name in known}
    unknown = [name for name in wanted if name not in known]
    if not unknown:
        return contig_of
    alternatives = _find_alternatives(unknown, contigs)
    if style == "exact" or len(alternatives) < len(unknown):
        raise GenomeError(_explain(unknown, contigs, alternatives, style, genome))
    return contig_of | alternatives


def _find_alternatives(names: list[str], contigs: Collection[str]) -> dict[str, str]:
    by_key: dict[str, list[str]] = {}
    for contig in contigs:
        by_key.setdefault(_key(contig), []).append(contig)
    candidates = {name: by_key.get(_key(name), []) for name in names}
    return {name: found[0] for name, found in candidates.items() if len(found) == 1}


def _key(name: str) -> str:
    """Reduce a name to what its styles share: chr1, Chr1 and 1; chrM, M, MT and chrMT."""
    bare = name[3:] if name[:3].lower() == "chr" else name
    return "M" if bare == "MT" else bare


def _explain(
    unknown: list[str],
    contigs: Collection[str],
    alternatives: dict[str, str],
    style: ContigStyle,
    genome: str,
) -> str:
    lost = [name for name in unknown if name not in alternatives] if style == "match" else unknown
    more = f" (and {len(lost) - 1} more: {_list(lost[1:])})" if len(lost) > 1 else ""
    verb = "are" if len(lost) > 1 else "is"
    message = f"{show(lost[0])}{more} {verb} not in {genome} (it has {_list(contigs)})"
    if style == "exact" and alternatives:
        name, contig = next(iter(alternatives.items()))
        message += f"; use --contig-style match to read {show(contig)} for {show(name)}"
    return message


def _list(names: Collection[str]) -> str:
    """List a few names: 'chr1', 'chr2', … 25 sequences."""
    shown = ", ".join(quote(name) for name in list(names)[:3])
    return shown if len(names) <= 3 else f"{shown}, … {len(names)} sequences"
