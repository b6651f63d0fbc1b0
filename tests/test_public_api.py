"""The names that users import, and what importing them costs."""

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys

import pytest

import seqlift

HEAVY = {"torch", "numpy", "pandas", "matplotlib", "logomaker", "h5py", "pysam", "pyBigWig", "Bio"}


def modules() -> list[str]:
    return [info.name for info in pkgutil.walk_packages(seqlift.__path__, "seqlift.")]


def test_every_public_name_can_be_imported():
    for name in seqlift.__all__:
        assert getattr(seqlift, name) is not None
    names = {}
    exec("from seqlift import *", names)
    assert set(seqlift.__all__) <= names.keys()


def test_the_public_names_are_these():
    assert seqlift.__all__ == [
        "Contributions",
        "SeqliftError",
        "SeqliftWarning",
        "__version__",
        "contributions",
        "load_model",
    ]
    assert seqlift.__all__ == sorted(seqlift.__all__)


def test_other_names_are_absent():
    with pytest.raises(AttributeError, match="module 'seqlift' has no attribute 'contribute'"):
        seqlift.contribute  # noqa: B018


@pytest.mark.parametrize("name", [name for name in modules() if not name.endswith("__main__")])
def test_each_module_has_what_it_offers(name):
    module = importlib.import_module(name)
    offered = getattr(module, "__all__", [])
    assert len(set(offered)) == len(offered)
    assert not [word for word in offered if not hasattr(module, word)]


def test_the_version_is_that_of_the_installed_package():
    assert seqlift.__version__ == importlib.metadata.version("seqlift")


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return set(found.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import seqlift",
        "import seqlift.errors",
        "import seqlift.cli",
        "from seqlift.cli import cli; cli.main(['score', '--help'], standalone_mode=False)",
    ],
)
def test_the_command_line_does_not_wait_for_what_it_may_not_need(statement):
    if ".cli" in statement:
        pytest.importorskip("seqlift.cli", reason="no command line yet")
        statement = f"import os, sys; sys.stdout = open(os.devnull, 'w'); {statement}; "
        statement += "sys.stdout.close(); sys.stdout = sys.__stdout__"
    assert imported_by(statement) & HEAVY == set()


def test_the_library_call_needs_torch():
    assert "torch" in imported_by("from seqlift import load_model")


def test_an_alternate_spelling_of_the_call_is_the_same_object():
    from seqlift.library import contributions

    assert seqlift.contributions is contributions
