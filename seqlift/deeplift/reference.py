"""The rules and methods as a page to read, made from the tables that the engine runs by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqlift.deeplift.methods import METHODS
from seqlift.deeplift.registry import Rule, registered
from seqlift.deeplift.rules import revealcancel, signed
from seqlift.deeplift.rulesets import RULE_SETS

__all__ = ["reference_page"]

INTRODUCTION = """\
# Rules and methods

Made by `seqlift rules`; do not edit. Δ is a value at the sequence minus the value at the
reference, m a multiplier: what arrives at an operator's output on the way back is multiplied by m
(Shrikumar et al. 2017, section 3.4). Rules belong to ATen operators, as torch.export gives them.
"""


def reference_page() -> str:
    """Write every rule and method with its formula and source, in Markdown."""
    sections = [
        INTRODUCTION,
        _section(
            "Rules",
            ("rule", "multiplier", "source", "operators"),
            [*_rules(), _reveal_cancel(), _layers()],
        ),
        _section("Sets of rules (`--rules`)", ("name", "what it does"), RULE_SETS.items()),
        _section(
            "Methods (`--method`)",
            ("name", "scores", "references", "sums to delta", "source"),
            [
                (
                    name,
                    method.description,
                    _yes(method.uses_references),
                    _yes(method.sums_to_delta),
                    method.source,
                )
                for name, method in METHODS.items()
            ],
        ),
    ]
    return "\n".join(sections)


def _section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)
    return f"## {title}\n\n{table}\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("*", "\\*")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _rules() -> list[tuple[str, str, str, str]]:
    """List the registry, operators of one rule together."""
    operators: dict[tuple[str, str, str], list[str]] = {}
    for operator, rule in registered().items():
        operators.setdefault(_described(rule), []).append(f"{operator}".removeprefix("aten."))
    return [(*described, _names(names)) for described, names in operators.items()]


def _described(rule: Rule) -> tuple[str, str, str]:
    return rule.kind, rule.formula, rule.source


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _reveal_cancel() -> tuple[str, str, str, str]:
    names = (f"{operator}".removeprefix("aten.") for operator in revealcancel.REVEALABLE)
    return "reveal-cancel", revealcancel.FORMULA, revealcancel.SOURCE, _names(names)


def _layers() -> tuple[str, str, str, str]:
    names = (f"{operator}".removeprefix("aten.") for operator in signed.LAYERS | signed.DENSE)
    source = "Shrikumar et al. 2017, section 3.5.1; before reveal-cancel"
    return "linear, in two parts", signed.FORMULA, source, _names(names)
