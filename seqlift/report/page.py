"""One file of HTML from a template, scripts, styles and data; it loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

__all__ = ["page"]

# In this order; each knows what stands before it.
SCRIPTS = ("data.js", "logo.js", "genome.js", "browser.js", "table.js", "charts.js", "main.js")

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def page(title: str, data: dict[str, Any]) -> str:
    """Write a page.

    Parameters
    ----------
    title : str
        Plain text.
    data : dict
        What the scripts draw, for JSON; no NaN.

    Returns
    -------
    html : str
        Its security policy lets only its own scripts run, and forbids every request that leaves
        the page.
    """
    igv = re.sub(r"\n//# sourceMappingURL=\S*\s*$", "\n", _asset("igv/igv.min.js"))
    own = "\n".join(_asset(f"assets/{name}") for name in SCRIPTS)
    parts = {
        "title": html.escape(title),
        "policy": _policy(igv, own),
        "style": _asset("assets/report.css"),
        "data": _json(data),
        "igv": igv,
        "script": own,
    }
    # In one go: what is put in is not searched again.
    return _PLACEHOLDER.sub(lambda found: parts[found[1]], _asset("assets/template.html"))


def _asset(name: str) -> str:
    return (files("seqlift.report") / name).read_text(encoding="utf-8")


def _json(data: dict[str, Any]) -> str:
    """Write JSON that can end neither a script nor a comment of HTML."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _policy(*scripts: str) -> str:
    """Allow these scripts by their digests, so that none that came with a name runs."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src data: blob:; base-uri 'none'; form-action 'none'"
    )
