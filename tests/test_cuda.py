"""What a CUDA device alone can show; the laws and oracles run there by the list of modes."""

import json

import pytest
import torch

from seqlift.cli.demo import GENOME, MODEL, data_folder
from seqlift.errors import MemoryWarning
from seqlift.explain import Explainer
from seqlift.output.hdf5 import ScoresFile
from seqlift.pipeline import run
from seqlift.plan import Plan
from tests.helpers import assert_same_scores, captured, with_shuffles

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore::seqlift.errors.ReferenceWarning"),
]

N_REFERENCES = 4


def score(tmp_path, name, **options):
    """Score the demo's peaks; return the summary and the tracks."""
    data = data_folder()
    plan = Plan(
        models=(str(data / MODEL),),
        genome=str(data / GENOME),
        regions=str(data / "ctcf.chr20.narrowPeak"),
        output=str(tmp_path / name),
        **{"n_references": N_REFERENCES, **options},
    )
    run(plan)
    with ScoresFile(plan.files()["scores 0"]) as file:
        tracks = torch.from_numpy(file.scores()).sum(1)
    return json.loads(plan.file(".json").read_text()), tracks


def test_the_demo_has_the_scores_of_a_cpu(tmp_path):
    _, expected = score(tmp_path, "cpu", device="cpu")
    summary, found = score(tmp_path, "cuda", device="cuda")
    assert summary["settings"]["device"] == "cuda"
    # Near ties of a maximum may fall to another position.
    assert torch.corrcoef(torch.stack([found.ravel(), expected.ravel()]))[0, 1] > 0.99999


def test_two_workers_on_one_device_give_the_results_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlift.batches.MOST_REGIONS_AT_ONCE", 8)
    _, one = score(tmp_path, "one", device="cuda:0")
    _, two = score(tmp_path, "two", device="cuda:0,cuda:0")
    torch.testing.assert_close(two, one, rtol=0, atol=0)


def test_a_device_that_is_full_has_its_batches_halved():
    one_hot, references = with_shuffles(64, N_REFERENCES)
    options = {"device": "cuda", "precision": "float64"}
    expected = Explainer(captured("residual"), **options).contribute(one_hot, references)
    explained = Explainer(captured("residual"), batch_size=256, **options)
    torch.cuda.empty_cache()
    n_bytes = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_allocated() + 256 * explained.model.bytes_a_pair() // 8
    torch.cuda.set_per_process_memory_fraction(room / n_bytes)
    try:
        with pytest.warns(MemoryWarning, match="going on with batches of"):
            found = explained.contribute(one_hot, references)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert explained.batch_size < 256
    assert_same_scores(found, expected, 1e-11)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_products_have_the_precision_that_was_asked_for(precision):
    """The difference between the two is seen, so that neither is the other by mistake."""
    one_hot, references = with_shuffles(8, N_REFERENCES)
    exact = Explainer(captured("residual"), device="cuda", precision="float64")
    expected = exact.contribute(one_hot, references).scores
    explained = Explainer(captured("residual"), device="cuda", precision=precision)
    found = explained.contribute(one_hot, references).scores
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-5 if precision == "float32" else 1e-5 < error < 1e-2
