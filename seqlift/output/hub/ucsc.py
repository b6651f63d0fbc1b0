"""A UCSC track hub: hub.txt, genomes.txt and trackDb.txt.

References
----------
Raney et al. 2014, "Track data hubs enable visualization of user-defined genome-wide annotations on
the UCSC Genome Browser", Bioinformatics 30:1003; the settings are those of UCSC's "Track Database
Definition". Nair et al. 2022, "The dynseq browser track shows context-specific features at
nucleotide resolution", Nature Genetics 54:1581: letters as high as the values (`logo on`).
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from seqlift.output.hub.track import Track, identifier, long_label, short_label

__all__ = ["COMPOSITE", "genomes_text", "hub_text", "trackdb_text"]

# Holds all tracks where there are several.
COMPOSITE = "contributions"

# Blue above zero and vermilion below, which the colour-blind tell apart; grey for errors.
_ABOVE, _BELOW, _GREY = "0,114,178", "213,94,0", "120,120,120"

Stanza = dict[str, str]


def hub_text(title: str, email: str, description: str) -> str:
    """Return hub.txt.

    Parameters
    ----------
    title : str
        What people call the hub.
    email : str
        Whom to ask about it.
    description : str
        Path of its page, from the hub's folder.
    """
    return _written(
        {
            "hub": identifier(title, f"--title {title!r}"),
            "shortLabel": short_label(title),
            "longLabel": long_label(f"{title}: contribution scores of single bases"),
            "genomesFile": "genomes.txt",
            "email": email,
            "descriptionUrl": description,
        }
    )


def genomes_text(assembly: str) -> str:
    """Return genomes.txt, of one assembly."""
    return _written({"genome": assembly, "trackDb": f"{assembly}/trackDb.txt"})


def trackdb_text(tracks: Sequence[Track], title: str, description: str, *, autoscale: bool) -> str:
    """Return trackDb.txt: one track, or several in a composite with a table to choose from.

    Parameters
    ----------
    tracks : sequence of Track
    title : str
        What people call the hub.
    description : str
        Path of the tracks' page, from trackDb.txt.
    autoscale : bool
        Let the browser fit the scale to what is in view, zero included, in place of fixed limits.
    """
    stanzas = [_track(track, i, autoscale) for i, track in enumerate(tracks, start=1)]
    if len(tracks) == 1:
        return _written(stanzas[0] | {"html": description})
    has_errors = any(track.named.is_error for track in tracks)
    whole = _composite(tracks, title, has_errors) | {"html": description}
    members = (
        stanza | {"parent": f"{COMPOSITE} on", "subGroups": _place(track, has_errors)}
        for stanza, track in zip(stanzas, tracks, strict=True)
    )
    return _written(whole, *members)


def _track(track: Track, priority: int, autoscale: bool) -> Stanza:
    limits, is_error = track.limits, track.named.is_error
    lowest, highest = min(limits.minimum, limits.lower), max(limits.maximum, limits.upper)
    stanza = {
        "track": track.named.name,
        "type": f"bigWig {lowest:.6g} {highest:.6g}",
        "shortLabel": track.short_label,
        "longLabel": track.long_label,
        "bigDataUrl": PurePosixPath(track.path).name,
        "visibility": "full",
        "autoScale": "on" if autoscale else "off",
        "alwaysZero": "on",
        "viewLimits": f"{limits.lower:g}:{limits.upper:g}",
        "viewLimitsMax": f"{lowest:.6g}:{highest:.6g}",
        "maxHeightPixels": "128:48:16" if is_error else "128:80:16",
        "color": _GREY if is_error else _ABOVE,
        "priority": str(priority),
    }
    if is_error:
        return stanza
    letters = {"logo": "on", "altColor": _BELOW, "yLineOnOff": "on", "yLineMark": "0"}
    return stanza | letters


def _composite(tracks: Sequence[Track], title: str, has_errors: bool) -> Stanza:
    targets = {track.named.target: track.named.label for track in tracks}
    groups = " ".join(f"{name}={_tag(label)}" for name, label in targets.items())
    stanza = {
        "track": COMPOSITE,
        "compositeTrack": "on",
        "type": "bigWig",
        "shortLabel": short_label(title),
        "longLabel": long_label(f"{title}: contribution scores of single bases"),
        "visibility": "full",
        "dragAndDrop": "subTracks",
        "subGroup1": f"target Target {groups}",
    }
    if not has_errors:
        return stanza | {"dimensions": "dimY=target", "sortOrder": "target=+"}
    return stanza | {
        "subGroup2": "quantity Quantity contribution=Contribution error=Standard_error",
        "dimensions": "dimX=quantity dimY=target",
        "sortOrder": "target=+ quantity=+",
    }


def _tag(label: str) -> str:
    # A blank would end the title, an equals sign begin another.
    return label.replace(" ", "_").replace("=", "_")


def _place(track: Track, has_errors: bool) -> str:
    """Return where a track stands in the table of the composite."""
    quantity = "error" if track.named.is_error else "contribution"
    return f"target={track.named.target}" + (f" quantity={quantity}" if has_errors else "")


def _written(*stanzas: Stanza) -> str:
    blocks = ("".join(f"{key} {value}\n" for key, value in stanza.items()) for stanza in stanzas)
    return "\n".join(blocks)
