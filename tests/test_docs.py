"""What the documentation says is so: examples in docstrings run, commands in the README exist."""

import doctest
import importlib
import pkgutil
import re
import shlex
import tomllib
import warnings
from pathlib import Path

import click
import pytest
import torch

import seqlift
from seqlift.model.capture import capture

README = Path(__file__).parents[1] / "README.md"


def modules() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(seqlift.__path__, "seqlift.")]
    return ["seqlift", *(name for name in found if not name.endswith("__main__"))]


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = []
    for test in examples(name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples():
    """So that the test above runs something, the library's call among it."""
    assert examples("seqlift.sequence.onehot")
    assert [test for test in examples("seqlift.library") if "contributions" in test.name]


# --- the README -----------------------------------------------------------------------------------

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SEPARATORS = {"|", "||", "&&", ";", "&"}


def commands(text: str, program: str) -> list[list[str]]:
    """Return what follows each call of a program in the fenced shell blocks of a page."""
    lines = "\n".join(FENCED.findall(text)).replace("\\\n", " ").splitlines()
    calls = [_split(line.removeprefix("$ ")) for line in lines]
    return [call[1:] for line in calls for call in line if call and Path(call[0]).name == program]


def _split(line: str) -> list[list[str]]:
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in words:
        if word in SEPARATORS:
            calls.append([])
        else:
            calls[-1].append(word)
    return calls


def unknown_words(group: click.Group, call: list[str]) -> list[str]:
    """Return what of a call is no subcommand and no option of it."""
    if not call or call[0].startswith("-"):
        return _unknown_options(group, call)
    command = group.commands.get(call[0])
    return [call[0]] if command is None else _unknown_options(command, call[1:])


def _unknown_options(command: click.Command, words: list[str]) -> list[str]:
    context = click.Context(command)
    known = {name for option in command.get_params(context) for name in option.opts}
    known |= {name for option in command.get_params(context) for name in option.secondary_opts}
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return [word for word in given if word not in known]


@pytest.fixture
def group() -> click.Group:
    module = pytest.importorskip("seqlift.cli")
    if not isinstance(getattr(module, "cli", None), click.Group):
        pytest.skip("no command line yet")
    return module.cli


def test_the_readmes_commands_exist(group):
    calls = commands(README.read_text(encoding="utf-8"), "seqlift")
    wrong = {" ".join(call): unknown_words(group, call) for call in calls}
    assert {call: words for call, words in wrong.items() if words} == {}


@pytest.fixture
def readme() -> str:
    text = README.read_text(encoding="utf-8")
    if "## Set up" not in text:
        pytest.skip("no README yet")
    return text


def test_the_readmes_two_set_up_commands_exist(readme, group):
    set_up = readme.partition("## Set up")[2].partition("\n## ")[0]
    first, second = FENCED.findall(set_up)
    assert len(commands(f"```sh\n{first}```", "python3")) == 1
    assert commands(f"```sh\n{first}```", "pip") == [["install", "."]]
    (start,) = commands(f"```sh\n{first}```", "seqlift")
    assert start[0] in group.commands

    with (README.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert "seqlift" in project["scripts"]
    ((*_, what),) = commands(f"```sh\n{second}```", "pip")
    extra = re.fullmatch(r"\.\[(\w+)\]", what).group(1)
    assert any(need.startswith("pytest") for need in project["optional-dependencies"][extra])
    assert commands(f"```sh\n{second}```", "pytest") == [[]]


def test_the_readmes_way_to_save_a_model_works(readme, tmp_path, monkeypatch):
    (code,) = [block for block in PYTHON.findall(readme) if "torch.export.save" in block]
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 5), torch.nn.AdaptiveAvgPool1d(1))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        exec(code, {"model": model})
    length = int(re.search(r"torch\.zeros\(2, 4, (\d+)\)", code).group(1))
    (path,) = tmp_path.iterdir()
    captured = capture(seqlift.load_model(path).model)
    assert captured.length == length
    assert captured.graph(torch.zeros(1, 4, length))[0].shape == (1, 2, 1)


def test_wrong_commands_would_be_found():
    @click.group()
    def program():
        pass

    @program.command()
    @click.option("-o", "--output")
    @click.option("--force/--no-force")
    def score(output, force):
        pass

    page = (
        "# Title\n```sh\npip install it\n$ seqlift score -o x --no-force \\\n    --output=y\n"
        "cat a | seqlift scores > b  # comment\nseqlift score --outputs x && seqlift --help\n```\n"
        "```python\nseqlift nothing\n```\n"
    )
    calls = commands(page, "seqlift")
    assert [unknown_words(program, call) for call in calls] == [[], ["scores"], ["--outputs"], []]
    assert commands(page, "pip") == [["install", "it"]]
