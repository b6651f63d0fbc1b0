"""Browsers that read JSON: WashU's datahub and igv.js's session.

References
----------
WashU Epigenome Browser, "Datahub": an array of tracks, `dynseq` among their types; a relative `url`
is taken from the datahub. igv.js 3.8: `graphType` "dynseq" of a "wig" track; a relative `url` is
taken from the page, so that a session elsewhere needs whole addresses.
"""

import json
from collections.abc import Sequence

from seqlift.output.hub.track import Track

__all__ = ["igv_text", "washu_text"]

_ABOVE, _BELOW, _GREY = "rgb(0,114,178)", "rgb(213,94,0)", "rgb(120,120,120)"
_LETTERS_HIGH, _ERROR_HIGH = 100, 50  # pixels


def washu_text(tracks: Sequence[Track], url: str, *, autoscale: bool) -> str:
    """Return a datahub for the WashU Epigenome Browser.

    Parameters
    ----------
    tracks : sequence of Track
    url : str
        Of the hub's folder, ending in a slash; empty for relative addresses.
    autoscale : bool
        Let the browser fit the scale to what is in view.
    """
    return _written([_washu_track(track, url, autoscale) for track in tracks])


def _washu_track(track: Track, url: str, autoscale: bool) -> dict[str, object]:
    is_error = track.named.is_error
    scale = (
        {"yScale": "auto"}
        if autoscale
        else {"yScale": "fixed", "yMin": track.limits.lower, "yMax": track.limits.upper}
    )
    return {
        "type": "bigwig" if is_error else "dynseq",
        "name": f"{track.named.label} standard error" if is_error else track.named.label,
        "url": url + track.path,
        "showOnHubLoad": True,
        "options": {
            "color": _GREY if is_error else _ABOVE,
            "color2": _GREY if is_error else _BELOW,
            "height": _ERROR_HIGH if is_error else _LETTERS_HIGH,
            **scale,
        },
        "metadata": {
            "target": track.named.label,
            "quantity": "standard error" if is_error else "contribution",
        },
    }


def igv_text(
    tracks: Sequence[Track], assembly: str, locus: str, url: str, *, autoscale: bool
) -> str:
    """Return a session for igv.js, IGV-Web included.

    Parameters
    ----------
    tracks : sequence of Track
    assembly : str
        As UCSC has it.
    locus : str
        What to show at first: ``chr1:101-200``, 1-based and closed.
    url : str
        Of the hub's folder, ending in a slash; empty for relative addresses.
    autoscale : bool
        Let the browser fit the scale to what is in view.
    """
    shown = [_igv_track(track, i, url, autoscale) for i, track in enumerate(tracks, start=1)]
    return _written({"genome": assembly, "locus": locus, "tracks": shown})


def _igv_track(track: Track, order: int, url: str, autoscale: bool) -> dict[str, object]:
    is_error = track.named.is_error
    # Without a maximum igv.js fits the scale, whatever else is said.
    scale: dict[str, object] = (
        {"autoscale": True}
        if autoscale
        else {"autoscale": False, "min": track.limits.lower, "max": track.limits.upper}
    )
    return {
        "type": "wig",
        "format": "bigwig",
        "name": f"{track.named.label} standard error" if is_error else track.named.label,
        "url": url + track.path,
        "graphType": "bar" if is_error else "dynseq",
        "height": _ERROR_HIGH if is_error else _LETTERS_HIGH,
        "color": _GREY if is_error else _ABOVE,
        "altColor": _GREY if is_error else _BELOW,
        "order": order,
        **scale,
    }


def _written(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
