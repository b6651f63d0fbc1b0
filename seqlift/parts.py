"""The shards of a run as `merge.py` takes them: found by their summaries, and held together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqlift.errors import InputError, UsageError
from seqlift.shards import Shard

__all__ = ["Part", "read_parts", "shared"]

# What may differ between the shards of a run: where each was run, and how fast.
OWN = ("command_line", "compile", "device", "n_rows", "shard")
# Where files lay, which may be elsewhere on another machine; what was in them has digests.
PLACES = ("genome", "model", "regions", "sequences")


class Part(NamedTuple):
    """A shard.

    Attributes
    ----------
    shard : Shard
    summary : dict
        What its `PREFIX.json` holds.
    prefix : str
        Of its files.
    """

    shard: Shard
    summary: dict[str, Any]
    prefix: str

    def scores(self, result: str) -> Path:
        """Return the path of one of its scores files."""
        return Path(self.prefix).parent / str(self.summary["files"][f"scores {result}"])

    def ending(self, result: str) -> str:
        """Return what follows the prefix in the name of that file."""
        return self.scores(result).name.removeprefix(Path(self.prefix).name)


def read_parts(summaries: Sequence[str]) -> list[Part]:
    """Read the summaries of all shards of a run.

    Parameters
    ----------
    summaries : sequence of str
        The `PREFIX.json` of each, in any order.

    Returns
    -------
    parts : list of Part
        In the order of their numbers.

    Raises
    ------
    InputError
        If one is no shard, is missing or there twice, or two were made differently.
    """
    parts = _in_order([_read(path) for path in summaries])
    _require_alike(parts)
    return parts


def shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run says that all of its shards have in common."""
    return {name: value for name, value in settings.items() if name not in OWN}


def _read(path: str) -> Part:
    """Read the summary of a shard.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        summary = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON; expected the PREFIX.json of a shard") from error
    settings = summary.get("settings") if isinstance(summary, dict) else None
    if not isinstance(settings, dict) or "shard" not in settings:
        raise InputError(
            f"{path} is not the summary of a shard; expected the PREFIX.json of a run with --shard"
        )
    return Part(Shard.parse(settings["shard"]), summary, path.removesuffix(".json"))


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Sort shards by their number; each must be there once."""
    if not parts:
        raise UsageError("found no shards; give the PREFIX.json of each")
    of = parts[0].shard.of
    by_number: dict[int, Part] = {}
    for part in parts:
        other = by_number.setdefault(part.shard.number, part)
        if part.shard.of != of:
            raise InputError(
                f"{part.prefix}.json is shard {part.shard} and {parts[0].prefix}.json "
                f"{parts[0].shard}; expected shards of one run"
            )
        if other is not part:
            raise InputError(
                f"{part.prefix}.json and {other.prefix}.json are both shard {part.shard}; give one"
            )
    missing = [i for i in range(1, of + 1) if i not in by_number]
    if missing:
        raise InputError(
            f"found {len(parts)} of {of} shards; shard {missing[0]}/{of} is missing: score it with "
            f"--shard {missing[0]}/{of}, or name its PREFIX.json"
        )
    return [by_number[i] for i in range(1, of + 1)]


def _require_alike(parts: Sequence[Part]) -> None:
    """Raise an error if two shards were made differently, naming the first difference."""
    first = parts[0]
    settings = shared(first.summary["settings"])
    for part in parts[1:]:
        others = shared(part.summary["settings"])
        for name in [name for name in settings | others if name not in PLACES]:
            if settings.get(name) != others.get(name):
                raise InputError(
                    f"{part.prefix}.json has {name} {others.get(name)!r} and {first.prefix}.json "
                    f"{settings.get(name)!r}; expected shards of one run: score one of them again"
                )
        if list(part.summary["targets"]) != list(first.summary["targets"]):
            raise InputError(
                f"{part.prefix}.json has other targets than {first.prefix}.json; expected shards "
                "of one run"
            )
