"""The page of rules and methods."""

from pathlib import Path

import seqlift.deeplift
from seqlift.deeplift.methods import METHODS
from seqlift.deeplift.reference import reference_page
from seqlift.deeplift.registry import registered
from tests.tiny import run_cli

PAGE = Path(seqlift.deeplift.__path__[0]) / "RULES.md"


def test_the_page_in_the_repository_is_the_one_that_is_made():
    """If not: seqlift rules > seqlift/deeplift/RULES.md."""
    assert PAGE.read_text(encoding="utf-8") == reference_page()


def test_it_tells_of_every_operator_and_method():
    page = reference_page()
    for operator, rule in registered().items():
        assert f"`{operator}`".replace("aten.", "") in page
        assert rule.source in page
    for name in METHODS:
        assert f"| {name} |" in page


def test_every_line_of_a_table_has_as_many_cells():
    for section in reference_page().split("## ")[1:]:
        rows = [line.replace("\\|", "") for line in section.splitlines() if line.startswith("|")]
        assert len(rows) > 2
        assert len({row.count("|") for row in rows}) == 1


def test_the_command_prints_it():
    found = run_cli("rules")
    assert found.status == 0
    assert found.stdout == reference_page()
