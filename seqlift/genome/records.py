"""Sequences of a FASTA file, read one after the other.

For sequences that are themselves the input. A genome, which is read at random, is in `fasta`.
"""

from collections.abc import Iterator

from seqlift.errors import SequenceError
from seqlift.genome.text import UTF8_MARK, StrPath, quote, read_lines, source_name

__all__ = ["read_fasta"]

_IUPAC = b"ACGTRYSWKMBDHVNacgtryswkmbdhvn"


def read_fasta(path: StrPath, source: str | None = None) -> Iterator[tuple[str, str]]:
    """Read sequences from a FASTA file, one after the other.

    Parameters
    ----------
    path : str or os.PathLike
        `-` is stdin. gzip and bgzip are told by content.
    source : str or None
        What to call it in messages, if not by its path.

    Yields
    ------
    name : str
        First word of the header.
    sequence : str
        In upper case: A, C, G, T and the IUPAC codes for ambiguous bases.

    Raises
    ------
    SequenceError
        If the file cannot be read or holds no sequences; at text before the first header, a header
        without a name, a name that comes twice, an empty sequence, or a letter that is not DNA.
    """
    source = source or source_name(path)
    names: dict[str, int] = {}
    name, parts = "", list[str]()
    for row, line in enumerate(read_lines(path, SequenceError, "a FASTA file", source), start=1):
        text = (line.removeprefix(UTF8_MARK) if row == 1 else line).strip()
        if text.startswith(b">"):
            if name:
                yield name, _join(parts, f"{source}:{names[name]}", name)
            name, parts = _read_name(text, f"{source}:{row}", names), []
            names[name] = row
        elif text:
            parts.append(_read_letters(text, f"{source}:{row}", name))
    if not name:
        raise SequenceError(f"{source} holds no sequences")
    yield name, _join(parts, f"{source}:{names[name]}", name)


def _join(parts: list[str], where: str, name: str) -> str:
    if not parts:
        raise SequenceError(f"{where}: sequence {quote(name)} is empty")
    return "".join(parts)


def _read_name(header: bytes, where: str, names: dict[str, int]) -> str:
    words = header[1:].split(maxsplit=1)
    if not words:
        raise SequenceError(f"{where}: a sequence has no name; write one after >")
    try:
        name = words[0].decode()
    except UnicodeDecodeError:
        raise SequenceError(f"{where}: the name {quote(words[0])} is not UTF-8 text") from None
    if not name.isprintable():
        raise SequenceError(f"{where}: the name {quote(name)} has characters that do not print")
    if name in names:
        first = f"the first is in line {names[name]}"
        raise SequenceError(
            f"{where}: a second sequence is named {quote(name)} ({first}); rename one"
        )
    return name


def _read_letters(text: bytes, where: str, name: str) -> str:
    if not name:
        found = f"found {quote(text)} where a header line (>) was expected"
        raise SequenceError(f"{where}: {found}")
    strange = text.translate(None, _IUPAC)
    if not strange:
        return text.decode("ascii").upper()
    letter = strange.decode("utf-8", "backslashreplace")[0]
    if letter in "Uu":
        raise SequenceError(f"{where}: sequence {quote(name)} is RNA ({letter!r}); write T for U")
    expected = "a letter of DNA (A, C, G, T or an IUPAC code)"
    raise SequenceError(f"{where}: {letter!r} in sequence {quote(name)} is not {expected}")
