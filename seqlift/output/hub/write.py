"""Write a folder that genome browsers read: a UCSC hub, a WashU datahub, an igv.js session."""

import os
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from seqlift.errors import InputDataWarning, OutputError, UsageError
from seqlift.output.atomic_folder import check_folder, whole_folder
from seqlift.output.bigwig_reader import BigWigReader
from seqlift.output.hub.assembly import check_assembly, check_assembly_name
from seqlift.output.hub.description import description_text
from seqlift.output.hub.limits import find_limits
from seqlift.output.hub.track import Named, Track, name_tracks, one_line
from seqlift.output.hub.ucsc import COMPOSITE, genomes_text, hub_text, trackdb_text
from seqlift.output.hub.viewers import igv_text, washu_text

__all__ = ["Hub", "write_hub"]

_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+")
_URL = re.compile(r"https?://[^/\s?#]+(/[^\s?#]*)?")
_TOP = {"hub.txt", "genomes.txt", "washu.json", "igv.json"}
_INNER = {"trackDb.txt", "description.html"}


class Hub(NamedTuple):
    """What was written.

    Parameters
    ----------
    tracks : tuple of Track
    locus : str
        The strongest place that was seen in the first track, 1-based and closed.
    links : dict of str to str
        For each browser the address that shows the hub; empty without a URL.
    """

    tracks: tuple[Track, ...]
    locus: str
    links: dict[str, str]


def write_hub(
    tracks: Sequence[str],
    output: str,
    *,
    assembly: str,
    email: str,
    standard_error: Sequence[str] = (),
    label: Sequence[str] = (),
    title: str = "seqlift",
    url: str | None = None,
    autoscale: bool = False,
    link: bool = False,
    version: str = "",
    force: bool = False,
) -> Hub:
    """Write a folder for a web server, with the tracks in it.

    Parameters
    ----------
    tracks : sequence of str
        bigWigs of contributions, at least one.
    output : str
        The folder; appears whole or not at all.
    assembly : str
        The genome, as UCSC has it: hg38, mm10.
    email : str
        Whom to ask about the hub; UCSC wants one.
    standard_error : sequence of str
        bigWigs of the tracks' standard errors, in their order, or none.
    label : sequence of str
        What to call the tracks, in their order; none for the names of the files.
    title : str
        What to call the hub.
    url : str or None
        Where the folder will be on the web; None for relative addresses, which igv.js takes from
        its own page.
    autoscale : bool
        Let browsers fit the scale to what is in view, in place of limits from the quantiles of each
        track.
    link : bool
        Link to the bigWigs where they are, in place of copying them.
    version : str
        Of seqlift, for the page about the tracks.
    force : bool
        Replace a hub that exists.

    Returns
    -------
    Hub

    Raises
    ------
    UsageError
        If a name, the address or the email cannot be one; if two tracks have one name.
    InputError
        If a file is missing, is no bigWig, is damaged or empty, or lies on another assembly.
    OutputError
        If the folder cannot be written, or has files that no hub has.

    Warns
    -----
    InputDataWarning
        If contigs are named as Ensembl does; if a browser on https would not load the address.
    """
    title, base = one_line(title), _base_url(url)
    _check_email(email)
    check_assembly_name(assembly)
    named = name_tracks(tracks, standard_error, label, taken=[COMPOSITE])
    check_folder(output, force=force, is_ours=_is_ours)
    found = [_describe(track, assembly) for track in named]
    if link:
        _require_outside(found, Path(output))
    locus = _locus(found[0])
    page = description_text(found, email, version, autoscale=autoscale)
    texts = {
        "hub.txt": hub_text(title, email, f"{assembly}/description.html"),
        "genomes.txt": genomes_text(assembly),
        f"{assembly}/trackDb.txt": trackdb_text(
            found, title, "description.html", autoscale=autoscale
        ),
        f"{assembly}/description.html": page,
        "washu.json": washu_text(found, base, autoscale=autoscale),
        "igv.json": igv_text(found, assembly, locus, base, autoscale=autoscale),
    }
    with whole_folder(output, force=force, is_ours=_is_ours) as folder:
        (folder / assembly).mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        for track in found:
            _place(track.named.source, folder / track.path, link)
    return Hub(tuple(found), locus, _links(base, assembly, locus))


def _describe(named: Named, assembly: str) -> Track:
    with BigWigReader(named.source) as track:
        check_assembly(track, assembly)
        limits = find_limits(track)
    return Track(named, limits, f"{assembly}/{named.name}.bw")


def _locus(track: Track) -> str:
    return f"{track.limits.contig}:{track.limits.start + 1}-{track.limits.end}"


def _place(source: Path, target: Path, link: bool) -> None:
    if link:
        target.symlink_to(os.path.realpath(source))
    else:
        # Without the permissions of the original, which a web server may not have.
        shutil.copyfile(source, target)


def _require_outside(tracks: Sequence[Track], output: Path) -> None:
    folder = Path(os.path.realpath(output))
    for track in tracks:
        if Path(os.path.realpath(track.named.source)).is_relative_to(folder):
            raise OutputError(
                f"{track.named.source} lies in {output}/, which is replaced; copy without --link"
            )


def _is_ours(path: Path) -> bool:
    """Say whether a file, by its path from a folder, is one of a hub's."""
    if len(path.parts) == 1:
        return path.name in _TOP
    return len(path.parts) == 2 and (path.name in _INNER or path.suffix == ".bw")


def _check_email(email: str) -> None:
    if not _EMAIL.fullmatch(email):
        raise UsageError(f"{email!r} is no email address; UCSC wants one for every hub")


def _base_url(url: str | None) -> str:
    """Return the address of the folder with a slash at its end; empty for none."""
    if url is None:
        return ""
    url = url.removesuffix("/hub.txt")
    if not _URL.fullmatch(url):
        raise UsageError(
            f"--url {url!r} is no address of a folder; give one such as https://host/path"
        )
    if url.startswith("http:"):
        warnings.warn(
            f"{url} is not https: browsers on https pages, as WashU's and IGV's, do not load it",
            InputDataWarning,
            stacklevel=2,
        )
    return url.rstrip("/") + "/"


def _links(base: str, assembly: str, locus: str) -> dict[str, str]:
    if not base:
        return {}

    def address(name: str) -> str:
        return quote(base + name, safe=":/%")

    return {
        "UCSC": f"https://genome.ucsc.edu/cgi-bin/hgTracks?db={assembly}"
        f"&hubUrl={address('hub.txt')}&position={quote(locus, safe=':')}",
        "WashU": f"https://epigenomegateway.wustl.edu/browser/?genome={assembly}"
        f"&hub={address('washu.json')}",
        "IGV": f"https://igv.org/app/?sessionURL={address('igv.json')}",
    }
