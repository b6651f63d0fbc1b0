"""Several devices give what one gives: the same batches, whoever explains them."""

import json
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from seqlift.cli.demo import GENOME, MODEL, data_folder
from seqlift.errors import InputDataWarning, ModelError, SeqliftError, UsageError
from seqlift.output.hdf5 import ScoresFile
from seqlift.pipeline import run, shuffling_threads
from seqlift.plan import Plan
from seqlift.preparing import find_devices
from seqlift.workers import Workers, _taken, _warn
from tests.tiny import REGIONS, Sorted, Tiny, export, make_contigs, names, seeded, write_fasta

pytestmark = pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 3)


@pytest.fixture
def plan(tmp_path):
    """Make a plan on the tiny genome."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    inputs = tmp_path / "in"
    export(seeded(Tiny), inputs / "model.pt2")
    write_fasta(make_contigs(), inputs / "genome.fa")
    (inputs / "peaks.bed").write_text(REGIONS)
    np.save(inputs / "own.npy", np.full((2, 4, 40), 0.25))

    def make(name="out", **options):
        return Plan(
            models=(str(inputs / "model.pt2"),),
            genome=str(inputs / "genome.fa"),
            regions=str(inputs / "peaks.bed"),
            output=str(tmp_path / "out" / name),
            **{"n_references": 5, "device": "cpu", "threads": 1, **options},
        )

    return make


def assert_same_results(one, other, result):
    """Bit by bit, but for what says how each was made."""
    scores = [plan.files()[f"scores {result}"] for plan in (one, other)]
    with h5py.File(scores[0]) as first, h5py.File(scores[1]) as second:
        found = []
        first.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
        assert len(found) == 16
        for name in found:
            np.testing.assert_array_equal(first[name][()], second[name][()], err_msg=name)
    for kind in ("regions", f"track {result}"):
        assert one.files()[kind].read_bytes() == other.files()[kind].read_bytes()


@pytest.mark.large
def test_two_devices_give_the_results_of_one_on_the_demo(tmp_path):
    data = data_folder()
    plans = [
        Plan(
            models=(str(data / MODEL),),
            genome=str(data / GENOME),
            regions=str(data / "ctcf.chr20.narrowPeak"),
            output=str(tmp_path / name),
            n_references=4,
            threads=1,
            device=device,
        )
        for name, device in (("one", "cpu"), ("two", "cpu,cpu"))
    ]
    for plan in plans:
        run(plan)
    assert_same_results(*plans, "0")


@pytest.mark.large
def test_every_kind_of_reference_and_target_on_three_devices(plan):
    options = {
        "targets": ("0", "2"),
        "edges": "drop",
        "reference_error": 0.2,
        "logos": 1,
    }
    own = plan().models[0].replace("model.pt2", "own.npy")
    options["references"] = ("dinucleotide-shuffle", "genomic", own)
    one, three = plan("one", **options), plan("three", device="cpu, cpu,cpu", **options)
    summaries = [run(made) for made in (one, three)]
    for result in summaries[0]["targets"]:
        assert_same_results(one, three, result)
    first, second = summaries
    assert first["targets"] == second["targets"]
    assert first["counts"] == second["counts"]
    assert second["settings"]["device"] == "cpu,cpu,cpu"
    assert 0 < second["model_busy"] <= 1
    assert "start_workers" in json.loads(three.file(".json").read_text())["seconds"]
    with ScoresFile(three.files()[f"scores {next(iter(first['targets']))}"]) as file:
        assert file.attributes["device"] == "cpu,cpu,cpu"


def test_a_model_that_cannot_be_explained_is_an_error_before_any_worker(plan, monkeypatch):
    def no_worker(*arguments):
        raise AssertionError("a worker was started")

    monkeypatch.setattr("seqlift.pipeline.Workers", no_worker)
    made = plan(device="cpu,cpu")
    export(seeded(Sorted), made.models[0])
    with pytest.raises(ModelError):
        run(made)


@pytest.mark.filterwarnings("ignore::seqlift.errors.ResumeWarning")
def test_what_ends_a_worker_ends_the_run_and_nothing_is_lost(plan):
    made = plan(device="cpu,cpu")
    with Workers(plan(targets=("7",)), find_devices("cpu,cpu")) as workers:
        with pytest.raises(ModelError, match="7"):
            workers.begin([], 0)

    class Dying(Workers):
        def begin(self, schemes, n_windows):
            at_once = super().begin(schemes, n_windows)
            self._processes._processes[1]._process.kill()
            return at_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlift.pipeline.Workers", Dying)
        with pytest.raises(SeqliftError, match=r"^the process of worker 2 on cpu was ended by sig"):
            run(made)
    assert [name for name in names(made.file("").parent) if "unfinished" not in name] == []
    run(replace(made, resume=True))
    assert "out.unfinished" not in names(made.file("").parent)


def test_warnings_of_workers_are_heard():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.warn("odd", InputDataWarning, stacklevel=1)
        taken = _taken(heard)
        assert heard == []
    with pytest.warns(InputDataWarning, match="odd"):
        _warn(taken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu,gpu", "device 'gpu' is unknown"),
        ("cpu,", "device '' is unknown"),
        ("cpu,cuda:99", "device 'cuda:99' is not here"),
        ("mps,cpu", "device 'mps' is not supported"),
    ],
)
def test_a_bad_name_among_devices_is_an_error_before_anything_else(plan, text, message):
    made = plan(device=text, force=True, weights="no such file")
    with pytest.raises(UsageError, match=message) as caught:
        run(made)
    assert "\n" not in str(caught.value)


def test_names_of_devices():
    assert find_devices("cpu") == [torch.device("cpu")]
    assert find_devices("cpu, cpu") == [torch.device("cpu")] * 2
    assert len(find_devices(None)) == 1


@pytest.mark.parametrize(
    ("devices", "n_threads"),
    [
        ("cpu", 1),
        ("cuda:0", 4),
        ("cuda:0,cuda:1", 4),
        (",".join(["cuda:0"] * 8), 2),
        ("cuda:0,cpu", 1),
    ],
)
def test_a_model_on_the_cpu_is_left_all_threads_but_one(devices, n_threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert shuffling_threads([torch.device(name) for name in devices.split(",")]) == n_threads
