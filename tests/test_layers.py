"""Who may import whom, held against the code.

The layers are cli → pipeline → explain → {genome, sequence, model, deeplift, output, logo} →
errors: a layer knows the layers below it. Parts of one layer do not know each other, save the
exceptions named here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seqlift"

# From the top. Modules in braces are one part; parts that stand in one tuple are siblings.
LAYERS = (
    ({"__main__"},),
    ({"cli"},),
    (
        {"pipeline", "plan", "windows", "results", "track", "pictures"}
        | {"blindness", "convert", "describe", "ensembles", "estimating", "export"}
        | {"orientation"}
        | {"evaluate", "evaluation_figure", "evaluation_plan", "evaluation_table"}
        | {"faithfulness", "findings", "probe", "sampled"}
        | {"opening", "pilot", "pilot_choice", "pilot_figure", "pilot_report", "pilot_runs"}
        | {"pilot_sample", "pilot_settings"}
        | {"schemes", "genome_pool", "own_references", "scoring", "reporting"}
        | {"motifs", "seqlet_null", "seqlet_plan", "seqlets", "seqlet_shuffles", "stretches"}
        | {"batches", "explaining", "preparing", "processes", "stages", "workers"}
        | {"journal", "merge", "packing", "parts", "report", "shards", "strongest"},
    ),
    ({"explain", "explainer_options", "library", "members", "targeted"},),
    ({"genome"}, {"sequence"}, {"model"}, {"deeplift"}, {"output"}, {"logo"}),
    ({"errors"}, {"memory"}, {"native"}),
)

# What siblings know of each other after all.
EXCEPTIONS = {
    # which operators have a rule, and the user's source line of one
    "model": {"deeplift.registry", "deeplift.rules", "deeplift.coverage"},
    "output": {"genome.regions"},
    "logo": {"genome.regions"},
}

# A part that knows less than all that is below it.
ONLY = {
    part: {"sequence", "model", "deeplift", "errors", "memory"}
    for part in ("explain", "explainer_options", "library", "members", "targeted")
}

# Libraries that a part does without, at all or until one of its functions is called.
WITHOUT = {
    "genome": {"torch", "h5py", "matplotlib"},
    "sequence": {"torch", "h5py", "pysam", "pyfaidx", "pathlib"},
    "output": {"torch"},
    "deeplift": {"numpy", "pysam", "h5py"},
    "errors": {"torch", "numpy"},
    "native": {"torch", "numpy"},
}
WITHOUT_AT_FIRST = {
    "cli": {"torch", "numpy", "pandas", "matplotlib", "logomaker", "h5py", "pysam", "pyBigWig"},
}

LONGEST = 400


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the name below the package: `genome.bed`; the package itself has an empty one."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    return module.partition(".")[0]


def imports(path: Path, *, at_first: bool = False) -> Iterator[str]:
    """Go through the full names of all that a file imports, in functions too unless `at_first`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _statements(tree) if at_first else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Go through what runs when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if not typing_only:
                yield node
                yield from _statements(node)


def own_imports(path: Path) -> Iterator[str]:
    """Go through the modules of the package that a file imports, by their names below it."""
    for name in imports(path):
        if name.startswith("seqlift."):
            yield name.removeprefix("seqlift.")


def rank(part: str) -> int:
    (found,) = [i for i, layer in enumerate(LAYERS) if any(part in group for group in layer)]
    return found


def group_of(part: str) -> set[str]:
    return next(group for layer in LAYERS for group in layer if part in group)


def may_know(importer: str, imported: str) -> bool:
    """Say whether one module may import another, both by their names below the package."""
    above, below = part_of(importer), part_of(imported)
    if below in group_of(above):
        return True
    if above in ONLY:
        return below in ONLY[above]
    excepted = EXCEPTIONS.get(above, set())
    return rank(below) > rank(above) or any(
        imported == name or imported.startswith(f"{name}.") for name in excepted
    )


@pytest.mark.parametrize("path", sources(), ids=lambda path: module_name(path) or "seqlift")
def test_a_module_knows_only_the_layers_below_it(path):
    importer = module_name(path)
    if importer == "":
        return  # the package itself only names where its public names are
    known = {part for layer in LAYERS for group in layer for part in group}
    assert part_of(importer) in known, f"{importer} has no place in LAYERS"
    imported = [name for name in own_imports(path) if part_of(name) in known]
    assert [name for name in imported if not may_know(importer, name)] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: module_name(path) or "seqlift")
def test_a_module_does_without_what_its_part_does_without(path):
    part = part_of(module_name(path))
    at_all = {part_of(name) for name in imports(path)}
    at_first = {part_of(name) for name in imports(path, at_first=True)}
    assert at_all & WITHOUT.get(part, set()) == set()
    assert at_first & WITHOUT_AT_FIRST.get(part, set()) == set()


def test_the_rule_tells_right_from_wrong():
    assert may_know("cli.score", "pipeline")
    assert may_know("pipeline", "genome.fasta")
    assert may_know("model.capture", "deeplift.registry")
    assert may_know("output.hdf5", "genome.regions.Region")
    assert may_know("output.hdf5", "output.schema")
    assert not may_know("output.hdf5", "genome.fasta")
    assert not may_know("deeplift.coverage", "model.capture")
    assert not may_know("genome.bed", "sequence.onehot")
    assert not may_know("explain", "output.hdf5")
    assert not may_know("errors", "genome.regions")
    assert not may_know("pipeline", "cli.score")


def test_imports_are_found_in_functions_and_told_from_those_at_first(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os\nif TYPE_CHECKING:\n    import torch\n"
        "class A:\n    import h5py\n    def f(self):\n        from numpy import linalg\n"
    )
    assert set(imports(path)) == {"os", "torch", "h5py", "numpy.linalg"}
    assert set(imports(path, at_first=True)) == {"os", "h5py"}


def test_no_module_is_called_utils():
    written = [
        path for name in ("seqlift", "tests", "workflows") for path in (ROOT / name).rglob("*.py")
    ]
    assert [path for path in written if path.stem in ("utils", "util", "common", "misc")] == []


def test_no_module_is_long():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {path: n for path, n in lengths.items() if n > LONGEST} == {}
