"""Shuffles of the regions of a scores file, scored as the regions were: the null of seqlets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.deeplift.methods import METHODS
from seqlift.errors import InputError, UsageError
from seqlift.output.atomic import write_errors
from seqlift.output.hdf5 import ScoresFile
from seqlift.seqlet_plan import SeqletPlan
from seqlift.sequence.onehot import decode, reverse_complement
from seqlift.sequence.references import (
    DEFAULT_SCHEME,
    find_scheme,
    find_unshufflable,
    make_references,
)

__all__ = ["default_number", "read_tracks", "require_comparable", "score_shuffles"]

# Of shuffles, unless asked for. A thousand give p-values well below what is called; of the longest
# regions fewer do, as each has many stretches.
MOST_SHUFFLES = 1000
MOST_SHUFFLED_BASES = 2_500_000
# Of a null that is read, so that memory does not grow with it: 400 MB in float64.
MOST_NULL_BASES = 50_000_000

# What decides the size of a contribution. The rest (device, precision, seed) moves it by rounding
# and by the choice of references.
_SAME = (
    "model_digest", "target", "target_activation", "method", "rules", "steps", "window", "stride",
    "estimator", "reference_scheme", "reference_digest", "n_references", "reference_error",
    "background", "strands", "swapped",
)  # fmt: skip


def default_number(length: int) -> int:
    """Return how many shuffles are scored unless a number is asked for.

    Parameters
    ----------
    length : int
        Of a region, bp.

    Returns
    -------
    n : int
        1,000, or fewer where regions are longer than 2,500 bp; at least 20.

    Examples
    --------
    >>> default_number(2114), default_number(524_288)
    (1000, 20)
    """
    return max(20, min(MOST_SHUFFLES, MOST_SHUFFLED_BASES // length))


def read_tracks(file: ScoresFile) -> NDArray[np.floating[Any]]:
    """Read the tracks of scored shuffles, evenly spaced ones if there are very many.

    Parameters
    ----------
    file : ScoresFile

    Returns
    -------
    tracks : float, shape (sequence, position)
    """
    most = max(1, MOST_NULL_BASES // file.length)
    return file.track(_evenly_spaced(file.n_regions, most))


def require_comparable(null: ScoresFile, scores: ScoresFile, name: str) -> None:
    """Raise an error unless two files were scored alike.

    Parameters
    ----------
    null, scores : ScoresFile
    name : str
        Of the null, for the message.

    Raises
    ------
    InputError
        Naming the first setting that differs.
    """
    one, other = null.attributes, scores.attributes
    lengths = f"{null.length} bp", f"{scores.length} bp"
    settings = {key: (one.get(key, ""), other.get(key, "")) for key in _SAME} | {"length": lengths}
    for key, (found, expected) in settings.items():
        if found != expected:
            raise InputError(
                f"{name} was scored with {key} {_short(found)}; {scores.path} with "
                f"{_short(expected)}: score shuffles as the regions were"
            )


def _short(value: object) -> str:
    text = str(value) or "none"
    return text if len(text) <= 24 else f"{text[:12]}…"


def score_shuffles(
    file: ScoresFile, plan: SeqletPlan, folder: Path, progress: Callable[[int, int], None]
) -> Path:
    """Score dinucleotide shuffles of the regions as the regions were scored.

    Shuffles are spread evenly over the regions. Those of a region read on the minus strand are of
    its reverse complement. What has no other shuffle, such as poly-A, is left out.

    Parameters
    ----------
    file : ScoresFile
    plan : SeqletPlan
        How the model is loaded and run, and how many shuffles.
    folder : Path
        Where the shuffles and their scores are written.
    progress : callable
        Called with the number of shuffles done and of all.

    Returns
    -------
    path : Path
        Of the scores file of the shuffles.

    Raises
    ------
    SeqliftError
        If the model is not there or is another one, the references cannot be made for shuffles, or
        nothing can be shuffled.
    """
    from seqlift.pipeline import run
    from seqlift.plan import Plan

    settings = _settings(file)
    models = _models(file, plan)
    fasta = folder / "shuffles.fa"
    n_wanted = default_number(file.length) if plan.shuffles is None else plan.shuffles
    with write_errors(fasta), fasta.open("w", encoding="ascii") as lines:
        lines.writelines(_records(file, n_wanted))
        n_letters = lines.tell()
    if not n_letters:
        raise InputError(f"no region of {file.path} can be shuffled; give scored shuffles (--null)")
    shared = ("allow_pickle", "model_args", "custom_layers", "layout", "bases", "inputs")
    run(
        Plan(
            models=models,
            weights=plan.weights,
            output=str(folder / "shuffles"),
            fasta=str(fasta),
            length=file.length,
            device=plan.device,
            batch_size=plan.batch_size,
            threads=plan.threads,
            on_incomplete="ignore",  # the regions' own run has said so
            **{name: getattr(plan, name) for name in shared},
            **settings,
        ),
        progress,
    )
    return folder / "shuffles.h5"


def _records(file: ScoresFile, n: int) -> Iterator[str]:
    """Go through shuffles of evenly spaced regions, as FASTA; as many of each."""
    rows = _evenly_spaced(file.n_regions, n)
    each = -(-n // max(1, len(rows)))
    is_stranded = bool(file.attributes.get("stranded", False))
    attributes: dict[str, Any] = dict(file.attributes)
    seed = int(attributes.get("seed", 0))
    for row in rows.tolist():
        here = slice(row, row + 1)
        one_hot = file.one_hot(here)
        if is_stranded and file.regions(here)[0].strand == "-":
            one_hot = reverse_complement(one_hot)  # as the model read it
        if not one_hot.any() or find_unshufflable(one_hot, DEFAULT_SCHEME)[0]:
            continue
        made = make_references(one_hot, DEFAULT_SCHEME, each, seed=seed)[0]
        for k, shuffled in enumerate(made, start=1):
            yield f">{row}.{k}\n{decode(shuffled)}\n"


def _evenly_spaced(n: int, most: int) -> NDArray[np.int64]:
    """Return at most so many indices out of n, evenly spaced."""
    return np.arange(min(n, most), dtype=np.int64) * n // max(1, min(n, most))


def _settings(file: ScoresFile) -> dict[str, Any]:
    """Return how a file was scored, as the options of a plan.

    What older files do not say had one choice, which is the plan's default.
    """
    found: dict[str, Any] = dict(file.attributes)
    names = (
        "target_activation", "method", "rules", "steps", "window", "stride", "estimator", "strands",
        "seed", "reference_error", "n_references",
    )  # fmt: skip
    settings = {name: found[name] for name in names if name in found}
    settings["targets"] = (str(found.get("target", "0")),)
    # tf32 is float32 on the devices that have it, and is asked for where there is one.
    precision = str(found.get("precision", "float32"))
    settings["precision"] = "float32" if precision == "tf32" else precision
    if METHODS[found.get("method", "deeplift")].uses_references:
        settings["references"] = (_scheme(file, found),)
    if "background" in found:
        settings["background"] = ",".join(map(str, found["background"]))
    if found.get("swapped"):
        settings["swapped"] = tuple(found["swapped"].split(","))
    return settings


def _scheme(file: ScoresFile, attributes: dict[str, Any]) -> str:
    scheme = str(attributes.get("reference_scheme", DEFAULT_SCHEME))
    try:
        find_scheme(scheme)
    except UsageError as exc:
        raise InputError(
            f"{file.path} was scored against the references {scheme}, which are not made from the "
            "sequence; score the regions against shuffles, or give shuffles scored alike (--null)"
        ) from exc
    return scheme


def _models(file: ScoresFile, plan: SeqletPlan) -> tuple[str, ...]:
    """Return the models to load, once it is known that they are those that were scored."""
    found: dict[str, Any] = dict(file.attributes)
    several = int(found.get("n_models", 1)) > 1
    digests = str(found.get("model_digest", ""))
    named = str(found.get("model", ""))
    sources = plan.models or tuple(named.split(",") if several else [named])
    # A scores file may come from anywhere: of what it names, only what was scored is loaded.
    files = [Path(source) for source in plan.weights or sources]
    are_files = all(path.is_file() for path in files)
    if not plan.models and not (are_files and not plan.weights):
        raise UsageError(
            f"{file.path} was scored with {named or 'a model it does not name'}, which is not a "
            "file here; name the model with -m (and -w), or give scored shuffles with --null"
        )
    if digests and are_files and ",".join(map(_digest, files)) != digests:
        raise InputError(
            f"{', '.join(map(str, files))} is not what {file.path} was scored with "
            f"(SHA-256 {digests[:12]}…); name that model with -m, or score the regions again"
        )
    return sources


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}") from exc
