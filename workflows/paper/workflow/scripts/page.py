"""Parts of the report page: tables, pictures inside the page, the machine and the versions."""

import base64
import html
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("seqlift", "torch", "numpy", "scikit-learn", "snakemake")


def table(header, rows):
    """Return a table; the cells are text."""
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def picture(path, text):
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<p><img alt="{html.escape(text)}" src="data:image/png;base64,{data}"></p>'


def percent(share):
    return f"{share:.2%}".replace("%", " %")


def machine():
    """Name the processor and its cores."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text(encoding="utf-8").splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor() or platform.machine()}"


def versions():
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"
