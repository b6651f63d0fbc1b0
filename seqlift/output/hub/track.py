"""The tracks of a hub and what they are called."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqlift.errors import UsageError
from seqlift.output.hub.limits import Limits

__all__ = [
    "LONGEST_LONG_LABEL",
    "LONGEST_SHORT_LABEL",
    "Named",
    "Track",
    "identifier",
    "long_label",
    "name_tracks",
    "one_line",
    "short_label",
]

# Of the UCSC browser, which cuts what is longer.
LONGEST_SHORT_LABEL = 17
LONGEST_LONG_LABEL = 76

# Of the tracks that hold errors, behind the name of the track that they belong to.
_ERROR_SUFFIX = "_standard_error"


@dataclass(frozen=True)
class Named:
    """A bigWig that has a name.

    Parameters
    ----------
    source : Path
    name : str
        Unique in the hub, of letters, digits and underscores: what browsers call it, and its file.
    label : str
        What people call it; of an error, what they call its track.
    target : str
        Name of the track that this is, or that this is the error of.
    is_error : bool
        Whether the values are standard errors.
    """

    source: Path
    name: str
    label: str
    target: str
    is_error: bool = False


@dataclass(frozen=True)
class Track:
    """A bigWig of a hub.

    Parameters
    ----------
    named : Named
    limits : Limits
    path : str
        From the hub's folder: ``hg38/ctcf.bw``.
    """

    named: Named
    limits: Limits
    path: str

    @property
    def short_label(self) -> str:
        """At most 17 characters."""
        return short_label(self.named.label, " SE" if self.named.is_error else "")

    @property
    def long_label(self) -> str:
        """At most 76 characters."""
        kind = "standard error" if self.named.is_error else "contribution scores"
        return long_label(f"{self.named.label}: {kind} of single bases")


def name_tracks(
    tracks: Sequence[str], errors: Sequence[str], labels: Sequence[str], taken: Iterable[str]
) -> list[Named]:
    """Name the tracks of a hub, each followed by its error.

    Parameters
    ----------
    tracks : sequence of str
        bigWigs of contributions, at least one.
    errors : sequence of str
        bigWigs of their standard errors, in their order, or none.
    labels : sequence of str
        What people call the tracks, in their order; none for the names of the files.
    taken : iterable of str
        Names that no track may have.

    Returns
    -------
    named : list of Named

    Raises
    ------
    UsageError
        If there are not as many errors or labels as tracks; if a label holds no letter or digit; if
        two tracks would have one name.
    """
    for what, given in (("--standard-error", errors), ("--label", labels)):
        if given and len(given) != len(tracks):
            raise UsageError(
                f"{len(tracks)} tracks and {len(given)} {what}; give one for each track, "
                "in their order"
            )
    labels = [one_line(label) for label in labels] or [_stem(path) for path in tracks]
    named = []
    for i, (path, label) in enumerate(zip(tracks, labels, strict=True)):
        name = identifier(label, f"--label {label!r}" if label else "an empty --label")
        named.append(Named(Path(path), name, label, name))
        if errors:
            named.append(Named(Path(errors[i]), name + _ERROR_SUFFIX, label, name, True))
    _require_unique(named, taken)
    return named


def _require_unique(named: list[Named], taken: Iterable[str]) -> None:
    # Some file systems and browsers do not tell capitals from small letters.
    seen: dict[str, str] = {name.casefold(): "the folder of all tracks" for name in taken}
    for track in named:
        key = track.name.casefold()
        if key in seen:
            raise UsageError(
                f"{seen[key]} and {track.source} would both be called {track.name!r}; "
                "tell them apart by --label, one for each track"
            )
        seen[key] = str(track.source)


def identifier(label: str, what: str) -> str:
    """Return a label's letters and digits, with underscores for all else.

    Parameters
    ----------
    label : str
    what : str
        What to call it in an error.

    Raises
    ------
    UsageError
        If it has neither.

    Examples
    --------
    >>> identifier("CTCF (K562), fold 0", "a label")
    'CTCF_K562_fold_0'
    >>> identifier("0", "a label")
    'track_0'
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")
    if not name:
        raise UsageError(f"{what} has no letter from A to Z and no digit; browsers need one")
    return name if name[0].isalpha() else f"track_{name}"


def short_label(text: str, ending: str = "") -> str:
    """Cut the middle out of a label: names of tracks often differ at the end.

    Examples
    --------
    >>> short_label("CTCF"), short_label("CTCF_K562_rep1_plus", " SE")
    ('CTCF', 'CTCF_K..1_plus SE')
    """
    return _cut(text, LONGEST_SHORT_LABEL - len(ending)) + ending


def long_label(text: str) -> str:
    """Cut the middle out of a label longer than 76 characters."""
    return _cut(text, LONGEST_LONG_LABEL)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    kept = longest - 2
    return f"{text[: kept // 2]}..{text[-(kept - kept // 2) :]}"


def one_line(text: str) -> str:
    """Return a text whose every white space is one blank: settings are lines."""
    return " ".join(text.split())


def _stem(path: str) -> str:
    name = Path(path).name
    return re.sub(r"\.(bw|bigwig)$", "", name, flags=re.IGNORECASE) or name
