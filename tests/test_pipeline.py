"""A region's scores depend on nothing but itself; a run that fails leaves nothing."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqlift.errors import GenomeError, OutputError, UsageError
from seqlift.output.hdf5 import ScoresFile
from seqlift.pipeline import run
from seqlift.plan import Plan
from tests.tiny import (
    REGIONS,
    Tiny,
    export,
    make_contigs,
    names,
    remembered_captures,
    seeded,
    write_fasta,
)

LINES = REGIONS.splitlines(keepends=True)
PER_REGION = ("hypothetical", "scores", "delta", "prediction", "prediction_reference")
# Of the largest value: rounding of each type, with room.
ROUNDING = {"float32": 1e-5, "float64": 1e-13}

# A poly-A has a warning of its own, which is tested with the command.
pytestmark = pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    export(seeded(Tiny), folder / "model.pt2")
    write_fasta(make_contigs(), folder / "genome.fa")
    with remembered_captures():
        yield folder


@pytest.fixture
def plan(inputs, tmp_path):
    """Make a plan on the tiny genome; its results go to an empty folder."""

    def make(name="out", text=REGIONS, **options):
        (tmp_path / f"{name}.bed").write_text(text)
        return Plan(
            models=(str(inputs / "model.pt2"),),
            genome=str(inputs / "genome.fa"),
            regions=str(tmp_path / f"{name}.bed"),
            output=str(tmp_path / name),
            **{"n_references": 5, "device": "cpu", **options},
        )

    return make


def by_name(plan):
    """Score, and give what is kept of each region by its name."""
    run(plan)
    with ScoresFile(plan.file(".h5")) as file:
        columns = {field: getattr(file, field)() for field in PER_REGION}
        return {
            region.name: {field: values[i] for field, values in columns.items()}
            for i, region in enumerate(file.regions())
        }


VARIANTS = {
    "one pair at a time": {"batch_size": 1},
    "seven pairs at a time": {"batch_size": 7},
    "all pairs at once": {"batch_size": 1_000_000},
    "two threads": {"threads": 2},
    "two threads and seven pairs": {"threads": 2, "batch_size": 7},
    "backwards": {"text": "".join(LINES[::-1])},
    "some alone": {"text": LINES[2]},
    "poly-A alone": {"text": LINES[4]},
    "among copies": {"text": "".join(LINES + LINES)},
}


@pytest.mark.parametrize("precision", ROUNDING)
def test_a_region_scores_the_same_in_any_company(plan, precision):
    wanted = by_name(plan("whole", threads=1, precision=precision))
    largest = {
        field: max(np.abs(values[field]).max() for values in wanted.values())
        for field in PER_REGION
    }
    for name, options in VARIANTS.items():
        found = by_name(plan(name, precision=precision, **options))
        assert found.keys() <= wanted.keys()
        for region, values in found.items():
            for field in PER_REGION:
                np.testing.assert_allclose(
                    values[field],
                    wanted[region][field],
                    rtol=0,
                    atol=ROUNDING[precision] * largest[field],
                    err_msg=f"{name}: {field} of {region}",
                )


def test_batches_of_regions_make_no_difference(plan, monkeypatch):
    whole = by_name(plan("whole"))
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)
    monkeypatch.setattr("seqlift.output.schema._LETTERS_AT_ONCE", 100)
    parts = by_name(plan("parts"))
    for region, values in parts.items():
        np.testing.assert_allclose(values["scores"], whole[region]["scores"], atol=1e-7)


def test_the_same_plan_gives_the_same_bytes(plan):
    for name in ("one", "other"):
        run(plan(name))
    for ending in (".bw", ".regions.tsv"):
        one, other = (plan(name).file(ending).read_bytes() for name in ("one", "other"))
        assert one == other


def test_progress_counts_rows_up_to_all(plan, monkeypatch):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 4)
    reported = []
    run(plan(edges="drop"), lambda done, total: reported.append((done, total)))
    assert reported == [(4, 11), (8, 11), (11, 11)]


def test_the_summary_is_what_the_file_says(plan):
    made = plan()
    summary = run(made)
    written = json.loads(made.file(".json").read_text())
    assert written["counts"] == summary["counts"]
    assert written["settings"] == summary["settings"]
    assert written["regions_per_second"] == summary["regions_per_second"]


@pytest.mark.parametrize("place", ["model", "reading"])
def test_the_summary_says_how_busy_the_model_was(plan, monkeypatch, place):
    """All the time where the model is slow, hardly ever where reading is."""
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)
    slow = {"model": "explain.Explainer.contribute_each", "reading": "windows.GenomeSource.letters"}
    _slow_down(monkeypatch, f"seqlift.{slow[place]}", 0.1)
    busy = run(plan())["model_busy"]
    assert 0.5 < busy <= 1 if place == "model" else 0 < busy < 0.5


def _slow_down(monkeypatch, where, seconds):
    owner, _, name = where.rpartition(".")
    real = getattr(_find(owner), name)

    def replacement(*arguments, **options):
        time.sleep(seconds)
        return real(*arguments, **options)

    monkeypatch.setattr(_find(owner), name, replacement)


def test_the_callers_number_of_threads_stays(plan):
    before = torch.get_num_threads()
    other = before + 1
    assert run(plan(threads=other))["threads"] == other
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("place", ["reading", "writing", "scoring", "tracks", "logos", "end"])
@pytest.mark.filterwarnings("ignore::seqlift.errors.ResumeWarning")
def test_a_failure_anywhere_leaves_only_what_was_done(plan, monkeypatch, place):
    """In the second of four batches, on whichever thread it happens; a second try gets through."""
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)
    made = plan(logos=1)
    folder = made.file("").parent
    before = names(folder)
    error = GenomeError("no") if place == "reading" else OutputError("no")
    where, call = {
        "reading": ("seqlift.windows.GenomeSource.letters", 5),
        "writing": ("seqlift.output.hdf5.ScoresWriter.append", 2),
        "scoring": ("seqlift.explain.Explainer.contribute_each", 2),
        "tracks": ("seqlift.reporting.write_bigwig", 1),
        "logos": ("seqlift.strongest.save_logo", 1),
        "end": ("seqlift.pipeline.write_summary", 1),
    }[place]
    _fail_at(monkeypatch, where, call, error)
    with pytest.raises(type(error), match="no"):
        run(made)
    assert set(names(folder)) - {"out.unfinished"} == set(before)
    run(replace(made, resume=True))
    assert "out.unfinished" not in names(folder)
    assert {"out.h5", "out.bw", "out.logo1.png"} <= set(names(folder))


def _fail_at(monkeypatch, where, call, error):
    """Let a function work until the given call of it."""
    owner, _, name = where.rpartition(".")
    holder = _find(owner)
    real, calls = getattr(holder, name), []

    def replacement(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(holder, name, replacement)


def _find(path):
    import importlib

    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


@pytest.mark.filterwarnings("ignore::seqlift.errors.ResumeWarning")
def test_results_of_before_stay_until_the_end(plan, monkeypatch):
    made = plan(logos=1)
    run(made)
    kept = {path.name: path.read_bytes() for path in made.files().values()}
    _fail_at(monkeypatch, "seqlift.pipeline.write_summary", 1, OutputError("no"))
    with pytest.raises(OutputError):
        run(replace(made, force=True, seed=1))
    assert {path.name: path.read_bytes() for path in made.files().values()} == kept


# --- plans ----------------------------------------------------------------------------------------


def test_names_of_files():
    made = Plan(models=("m.pt2",), fasta="s.fa", output="out/a.b", targets=("0", "x.1"), logos=2)
    assert {kind: str(path) for kind, path in made.files(1).items()} == {
        "regions": "out/a.b.regions.tsv",
        "summary": "out/a.b.json",
        "scores 0": "out/a.b.0.h5",
        "logo 1 0": "out/a.b.0.logo1.png",
        "scores x.1": "out/a.b.x.1.h5",
        "logo 1 x.1": "out/a.b.x.1.logo1.png",
    }
    assert len(made.files()) == 8
    alone = Plan(models=("m.pt2",), genome="g.fa", regions="r.bed", output="p", targets=("x.1",))
    names = {str(path) for path in alone.files().values()}
    assert names == {"p.regions.tsv", "p.json", "p.h5", "p.bw"}


def test_names_of_files_of_several_schemes():
    schemes = ("flat", "refs/closed.fa.gz")
    made = Plan(models=("m.pt2",), fasta="s.fa", output="p", references=schemes, logos=1)
    assert {kind: str(path) for kind, path in made.files().items()} == {
        "regions": "p.regions.tsv",
        "summary": "p.json",
        "scores 0.flat": "p.flat.h5",
        "logo 1 0.flat": "p.flat.logo1.png",
        "scores 0.closed": "p.closed.h5",
        "logo 1 0.closed": "p.closed.logo1.png",
    }
    both = replace(made, targets=("0", "x.1"), logos=0)
    assert {str(path) for path in both.files().values()} == {
        "p.regions.tsv",
        "p.json",
        *(f"p.{target}.{scheme}.h5" for target in ("0", "x.1") for scheme in ("flat", "closed")),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"genome": "g.fa"},
        {"regions": "r.bed"},
        {"genome": "g.fa", "regions": "r.bed", "fasta": "s.fa"},
        {"genome": "g.fa", "fasta": "s.fa"},
        {"fasta": "s.fa", "targets": ("1", "1")},
        {"fasta": "s.fa", "output": ""},
        {"fasta": "s.fa", "output": "results/"},
        {"fasta": "s.fa", "references": ("genomic",)},
        {"fasta": "s.fa", "references": ("flat", "flat")},
        {"fasta": "s.fa", "background": "regions"},
    ],
)
def test_plans_that_contradict_themselves(options):
    with pytest.raises(UsageError):
        Plan(**{"models": ("m.pt2",), "output": "out", **options})
