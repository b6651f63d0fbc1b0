"""An evaluation finds what was built into a scores file, and says where it cannot look."""

import hashlib
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seqlift import evaluate as module
from seqlift import faithfulness
from seqlift.errors import InputDataWarning, InputError, TargetError, UsageError
from seqlift.evaluate import evaluate
from seqlift.evaluation_figure import draw_evaluation, short_names
from seqlift.evaluation_plan import EvaluationPlan
from seqlift.evaluation_table import COLUMNS
from seqlift.explain import Explainer
from seqlift.faithfulness import FRACTIONS, correlation
from seqlift.genome.regions import Region
from seqlift.model import options
from seqlift.model.capture import capture
from seqlift.model.load import load_model
from seqlift.output.hdf5 import ScoredBatch, ScoresFile, ScoresWriter
from seqlift.sequence.onehot import from_indices
from seqlift.sequence.references import make_references
from tests.helpers import remembered
from tests.tiny import LENGTH, Tiny, export, names, seeded

N_REGIONS = 12
SHUFFLES = {"reference_scheme": "dinucleotide-shuffle", "n_references": 6}
ZEROS = {"reference_scheme": "zeros", "n_references": 1}


class Linear(nn.Module):
    """A weight for each base at each position: mutagenesis is known without asking."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Linear(4 * LENGTH, 1)

    def forward(self, x):
        return self.flat(x.flatten(1))


class Squashed(Linear):
    """The same as a probability."""

    def forward(self, x):
        return torch.sigmoid(super().forward(x))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for model in (Linear, Squashed, Tiny):
        export(seeded(model), folder / f"{model.__name__}.pt2")
    # Loading and capturing take a second and have tests of their own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "load_model", remembered(load_model))
        patch.setattr(module, "capture", remembered(capture))
        yield folder


def captured(path):
    return module.capture(
        options.load_model(str(path), weights=None, allow_pickle=False).model, LENGTH
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Draw regions a few times, and no figure; both have tests of their own."""
    monkeypatch.setattr(faithfulness, "N_DRAWS", 40)
    monkeypatch.setattr(module, "draw_evaluation", lambda *_: None)
    monkeypatch.setattr(module, "save_logo", lambda _, path, **__: path.write_text("a figure"))


@pytest.fixture
def make(models, tmp_path):
    """Score random sequences with a model and write the file; return its path.

    `scores` makes hypothetical contributions of its own from the one-hot.
    """

    def write(name="a", model=Linear, *, rows=range(N_REGIONS), scores=None, seed=0, **attributes):
        settings = {"target": "0", "target_activation": "auto", "seed": 0, **SHUFFLES, **attributes}
        settings["model_digest"] = digest(models / f"{model.__name__}.pt2")
        one_hot = sequences(seed)[list(rows)]
        given = {k: settings[k] for k in ("target", "target_activation") if k in settings}
        known = {k: settings[k] for k in ("method", "rules", "estimator") if k in settings}
        whole = captured(models / f"{model.__name__}.pt2")
        explainer = Explainer(whole, device="cpu", **given, **known)
        scheme = settings["reference_scheme"]
        scheme = scheme if "/" not in scheme else "dinucleotide-shuffle"
        n = settings["n_references"]
        references = make_references(one_hot, scheme, n, seed=settings["seed"])
        found = explainer.contribute(torch.from_numpy(one_hot), torch.from_numpy(references))
        host = {k: v.numpy() for k, v in found._asdict().items() if v is not None}
        fields = {k: host[k] for k in ScoredBatch.__dataclass_fields__ if k in host}
        if scores is not None:
            fields["hypothetical"] = scores(one_hot)
            fields["scores"] = fields["hypothetical"] * one_hot
        regions = [Region("chr1", 1000 * i, 1000 * i + LENGTH) for i in rows]
        path = tmp_path / f"{name}.h5"
        with ScoresWriter(path, LENGTH, references.shape[1], attributes=settings) as writer:
            writer.append(ScoredBatch(regions=regions, one_hot=one_hot, **fields))
        return str(path)

    return write


@pytest.fixture
def look(models, tmp_path):
    """Evaluate files; return the numbers of each by measure and detail, and the rest by `rows`."""

    def run(*paths, model=Linear, **options):
        plan = EvaluationPlan(
            model=str(models / f"{model.__name__}.pt2"),
            scores=paths,
            output=str(tmp_path / "out"),
            **{"device": "cpu", "force": True, "regions_sampled": 4, **options},
        )
        found = {path: {} for path in paths}
        for row in evaluate(plan):
            key = (row.measure.name, row.measure.detail)
            found[row.file][row.measure.name if key[1] == "." else key] = row.measure
        return found if len(paths) > 1 else found[paths[0]]

    return run


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sequences(seed=0):
    """Return random DNA with some Ns, uint8 (region, base=4, position)."""
    generator = np.random.default_rng(seed)
    one_hot = from_indices(generator.integers(0, 4, (N_REGIONS, LENGTH)))
    one_hot[1, :, 5:9] = 0
    return one_hot


def weights():
    """Return the weights of the linear model, (base=4, position)."""
    return seeded(Linear).flat.weight.detach().numpy().reshape(4, LENGTH)


def values(found):
    return {key: tuple(measure.estimate) for key, measure in found.items()}


def against_the_others(one_hot):
    """Score as mutagenesis does: a base's weight less the mean of the other three."""
    w = weights()
    return np.broadcast_to(w - (w.sum(0) - w) / 3, one_hot.shape)


def noise(one_hot):
    return np.random.default_rng(9).normal(size=one_hot.shape)


# --- in-silico mutagenesis ------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [0, 7, 1000])
def test_scores_that_are_the_effects_correlate_wholly(make, look, positions):
    path = make(scores=against_the_others)
    found = look(path, positions=positions, precision="float64", regions_sampled=0)
    for kind in ("pearson", "pearson-region", "spearman", "spearman-region"):
        assert found[f"mutagenesis-{kind}"].estimate.value == pytest.approx(1, abs=1e-6)
    n_known = (sequences().max(1) > 0).sum(1)
    expected = np.minimum(n_known, positions).sum() if positions else n_known.sum()
    assert found["mutagenesis-pearson"].estimate.n == expected
    assert found["hypothetical-pearson"].estimate.n == 3 * expected


def test_hypothetical_scores_that_are_the_weights_correlate_wholly(make, look):
    found = look(make(scores=lambda x: np.broadcast_to(weights(), x.shape)), precision="float64")
    for kind in ("pearson", "pearson-region", "spearman", "spearman-region"):
        assert found[f"hypothetical-{kind}"].estimate.value == pytest.approx(1, abs=1e-6)
    assert found["mutagenesis-pearson"].estimate.value < 0.99


def test_deeplift_of_a_linear_model_has_the_right_hypothetical_scores(make, look):
    found = look(make(), positions=0)
    assert found["hypothetical-pearson-region"].estimate.value > 0.999


def test_scores_of_the_wrong_sign_correlate_as_wholly_the_other_way(make, look):
    found = look(make(scores=lambda x: -against_the_others(x)), regions_sampled=0)
    assert found["mutagenesis-pearson"].estimate.value == pytest.approx(-1, abs=1e-5)
    assert found["deletion-gain"].estimate.high < 0
    assert found["insertion-gain"].estimate.high < 0


def test_random_scores_agree_with_nothing(make, look):
    found = look(make(scores=noise), positions=0, regions_sampled=0)
    for kind in ("mutagenesis-pearson", "mutagenesis-spearman", "hypothetical-pearson"):
        assert abs(found[kind].estimate.value) < 0.15
    assert found["deletion-gain"].estimate.low < 0 < found["deletion-gain"].estimate.high
    assert found["insertion-gain"].estimate.low < 0 < found["insertion-gain"].estimate.high


def test_scores_that_are_all_zero_vary_with_nothing_and_gain_nothing(make, look):
    found = look(make(scores=lambda x: np.zeros(x.shape)))
    assert np.isnan(found["mutagenesis-pearson"].estimate.value)
    assert found["mutagenesis-pearson"].note == "does not vary"
    for curve in ("deletion", "insertion"):
        assert found[f"{curve}-gain"].estimate[:3] == (0, 0, 0)


# --- deletion and insertion -----------------------------------------------------------------------


def test_curves_begin_and_end_where_they_must(make, look):
    for model, scheme in ((Linear, ZEROS), (Tiny, SHUFFLES)):
        found = look(make(model=model, **scheme), model=model)
        for curve in ("deletion-curve", "insertion-curve"):
            assert found[curve, "0"].estimate.value == pytest.approx(0, abs=1e-5)
            assert found[curve, "1"].estimate.value == pytest.approx(1, abs=1e-5)


def test_the_deletion_curve_of_a_linear_model_is_a_sum_of_weights(make, look):
    path = make(scores=lambda x: np.broadcast_to(weights(), x.shape), **ZEROS)
    found = look(path, regions_sampled=0)
    here = (sequences() * weights()).sum(1)
    lost = np.zeros(len(FRACTIONS))
    for one_hot, own in zip(sequences(), here, strict=True):
        # Where the output is below that of zeros, what lowers it most goes first.
        own = own[one_hot.max(0) > 0] * np.sign(own.sum())
        steps = np.append(0, np.cumsum(np.sort(own)[::-1]))
        lost += steps[np.rint(FRACTIONS * len(own)).astype(int)]
    curve = [found["deletion-curve", f"{f:g}"].estimate.value for f in FRACTIONS]
    np.testing.assert_allclose(curve, lost / np.abs(here.sum(1)).sum(), rtol=1e-4, atol=1e-6)


def test_true_scores_gain_more_than_random_ones(make, look):
    found = look(make("a", Tiny), make("b", Tiny, scores=noise), model=Tiny, regions_sampled=0)
    true, false = found.values()
    assert true["deletion-gain"].estimate.low > false["deletion-gain"].estimate.value
    assert true["insertion-gain"].estimate.low > false["insertion-gain"].estimate.value
    assert true["deletion-area-random"] == false["deletion-area-random"]


def test_one_replacement_for_all_makes_the_curves_those_of_the_order_alone(make, look):
    def same(x):
        return np.broadcast_to(weights(), x.shape)

    paths = make("a", scores=same, **ZEROS), make("b", scores=same)
    with pytest.warns(InputDataWarning, match=r"different references \(dinucleotide-shuffle, zer"):
        one, other = look(*paths).values()
    assert one["deletion-area"] != other["deletion-area"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = look(*paths, replacement="mononucleotide-shuffle").values()
    assert one["deletion-area"] == other["deletion-area"]
    assert one["insertion-gain"] == other["insertion-gain"]


# --- completeness ---------------------------------------------------------------------------------


def test_completeness_is_what_the_file_says(make, look):
    path = make(model=Tiny)
    found = look(path, model=Tiny, regions_sampled=0)
    with ScoresFile(path) as file:
        error, delta = file.completeness_error(), np.abs(file.delta())
        missed = np.abs(file.scores().sum((1, 2), dtype=float) - file.delta().mean(1, dtype=float))
        size = np.abs(file.delta().mean(1)).sum()
    assert found["completeness-mean"].estimate.value == pytest.approx(error.mean() / delta.mean())
    assert found["completeness-max"].estimate.value == pytest.approx(error.max() / delta.mean())
    assert found["sum-to-delta"].estimate.value == pytest.approx(missed.sum() / size, rel=1e-3)
    assert found["completeness-mean"].estimate.value < 1e-5


def test_scores_that_miss_delta_are_found_out(make, look):
    found = look(make(scores=lambda x: np.zeros(x.shape)))
    assert found["sum-to-delta"].estimate.value == pytest.approx(1)


# --- halves of the references ---------------------------------------------------------------------


@pytest.mark.parametrize("attributes", [{}, {"rules": "reveal-cancel"}, {"estimator": "plain"}])
def test_halves_are_scored_as_the_file_was(make, look, models, attributes):
    found = look(make(model=Tiny, **attributes), model=Tiny, regions_sampled=0)["split-half"]
    known = {k: v for k, v in attributes.items() if k == "rules"}
    explainer = Explainer(captured(models / "Tiny.pt2"), device="cpu", **known)
    own = []
    for one_hot in sequences():
        references = torch.from_numpy(make_references(one_hot[None], n_references=6, seed=0))
        tracks = [
            explainer.contribute(torch.from_numpy(one_hot[None]), half).scores[0].sum(0).numpy()
            for half in (references[:, :3], references[:, 3:])
        ]
        own.append(correlation(*(track[one_hot.max(0) > 0] for track in tracks)))
    assert found.estimate.value == pytest.approx(np.median(own), abs=1e-4)
    assert found.estimate.n_regions == N_REGIONS


def test_more_references_agree_better(make, look):
    few, many = (
        look(make(model=Tiny, n_references=n), model=Tiny)["split-half-corrected"].estimate.value
        for n in (2, 30)
    )
    assert few < many < 1


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        (ZEROS, "not applicable: one reference"),
        ({"reference_scheme": "flat"}, "not applicable: one reference"),
        ({"method": "gradient-input", **ZEROS}, "not applicable: the method uses no references"),
        ({"reference_scheme": "folder/own.fa"}, "the references cannot be made again"),
    ],
)
def test_halves_are_not_made_up(make, look, attributes, note):
    found = look(make(model=Tiny, **attributes), model=Tiny)
    for name in ("split-half", "split-half-corrected"):
        assert found[name].note.startswith(note)
        assert np.isnan(found[name].estimate.value)


def test_references_that_are_others_now_are_noticed(make, look):
    path = make(model=Tiny)
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs["seed"] = 17
    found = look(path, model=Tiny)
    assert found["deletion-gain"].note == "the references cannot be made again from the file"
    assert found["split-half"].note == "the references cannot be made again from the file"
    assert ("deletion-curve", "0.1") not in found
    assert found["mutagenesis-pearson"].estimate.value > 0
    elsewhere = look(path, model=Tiny, replacement="flat")
    assert elsewhere["deletion-gain"].estimate.value > 0


def test_files_that_say_nothing_of_method_and_estimator_are_deeplifts(make, look, models):
    path = make(model=Tiny)
    with ScoresFile(path) as file:
        assert not {"method", "rules", "estimator"} & file.attributes.keys()
    look(path, model=Tiny)
    (row, *_) = evaluate(
        EvaluationPlan(
            model=str(models / "Tiny.pt2"), scores=(path,), output=path[:-3], regions_sampled=1
        )
    )
    assert row[:7] == (path, "0", "deeplift", "rescale", "plain", "dinucleotide-shuffle", 6)


@pytest.mark.parametrize("method", ["gradient-input", "integrated-gradients"])
def test_other_methods_have_no_rules(make, look, tmp_path, method):
    look(make(model=Tiny, method=method), model=Tiny, regions_sampled=1)
    header, line, *_ = (tmp_path / "out.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), line.split("\t"), strict=True))
    scheme = "zeros" if method == "gradient-input" else "dinucleotide-shuffle"
    assert (row["method"], row["rules"], row["references"]) == (method, ".", scheme)


# --- several files --------------------------------------------------------------------------------


def test_copies_agree_wholly(make, look, tmp_path):
    path = make(model=Tiny)
    copy = str(shutil.copy(path, tmp_path / "b.h5"))
    found = look(path, copy, model=Tiny)
    assert found[path]["agreement", copy].estimate[:3] == pytest.approx([1, 1, 1])
    assert found[path]["agreement", copy] == replace_detail(found[copy]["agreement", path], copy)
    assert values(without_agreement(found[path])) == values(without_agreement(found[copy]))


def replace_detail(measure, detail):
    return measure._replace(detail=detail)


def without_agreement(found):
    return {key: value for key, value in found.items() if "agreement" not in key}


def test_agreement_is_the_median_correlation_of_tracks(make, look):
    one, other = make("a", Tiny), make("b", Tiny, scores=noise)
    found = look(one, other, model=Tiny, regions_sampled=0)[one]["agreement", other]
    is_base = sequences().max(1) > 0
    with ScoresFile(one) as first, ScoresFile(other) as second:
        tracks = zip(first.scores().sum(1), second.scores().sum(1), is_base, strict=True)
        own = [np.corrcoef(a[known], b[known])[0, 1] for a, b, known in tracks]
    assert found.estimate.value == pytest.approx(np.median(own))


def test_numbers_depend_on_no_order_of_files_or_regions(make, look):
    one, other = make("a", Tiny), make("b", Tiny, scores=noise)
    turned = make("c", Tiny, rows=range(N_REGIONS)[::-1])
    found = look(one, other, model=Tiny, regions_sampled=5)
    again = look(other, one, model=Tiny, regions_sampled=5)
    assert {path: values(own) for path, own in found.items()} == {
        path: values(own) for path, own in again.items()
    }
    alone = look(turned, model=Tiny, regions_sampled=5)
    whole_file = {"completeness-mean", "completeness-max"}  # all regions, in the file's order
    expected = {
        key: value
        for key, value in values(without_agreement(found[one])).items()
        if key not in whole_file
    }
    for key, value in expected.items():
        assert values(alone)[key] == pytest.approx(value, rel=1e-5, abs=1e-7, nan_ok=True), key


@pytest.mark.parametrize("batch_size", [1, 7, 100_000])
def test_numbers_depend_on_no_batch_size(make, look, batch_size):
    path = make(model=Tiny)
    usual = values(look(path, model=Tiny, regions_sampled=4))
    found = values(look(path, model=Tiny, regions_sampled=4, batch_size=batch_size))
    for key, value in usual.items():
        tolerance = 1e-6 if key in ("sum-to-delta", "completeness-max") else 1e-4
        assert found[key] == pytest.approx(value, rel=1e-4, abs=tolerance, nan_ok=True), key


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_depend_on_no_device_and_little_on_precision(make, look, device, precision):
    path = make(model=Tiny)
    usual = values(look(path, model=Tiny))
    found = values(look(path, model=Tiny, device=device, precision=precision))
    for key, value in usual.items():
        # An effect of almost nothing may change its rank.
        rel = 0.02 if "spearman" in key else 3e-3
        assert found[key] == pytest.approx(value, rel=rel, abs=3e-3, nan_ok=True), key


def test_threads_are_given_back(make, look):
    before = torch.get_num_threads()
    look(make(), threads=before + 1)
    assert torch.get_num_threads() == before


def test_files_share_their_sample_as_far_as_they_share_windows(make, look):
    """What is drawn from a part of the windows is drawn from the whole as far as it is there."""
    from contextlib import ExitStack

    from seqlift.sampled import open_sampled

    whole, part = make("a"), make("b", rows=range(0, N_REGIONS, 2))
    with ExitStack() as stack:
        drawn = {w.place: w for w in open_sampled(whole, 0, 3, stack).windows}
        some = open_sampled(part, 4, 3, stack).windows
        shared = [w for w in open_sampled(whole, 8, 3, stack).windows if w.place in drawn]
        other = open_sampled(part, 4, 4, stack).windows
    assert [drawn[w.place].seed for w in some] == [w.seed for w in some]
    in_part = [
        w.seed for w in shared if (int(w.place.split(":")[1].split("-")[0]) // 1000) % 2 == 0
    ]
    assert in_part[:4] == [w.seed for w in some][: len(in_part)]
    assert {w.place for w in some} != {w.place for w in other}


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (5, 5), (0, N_REGIONS), (99, N_REGIONS)])
def test_as_many_regions_are_looked_at_as_asked_for(make, look, n, expected):
    assert look(make(), regions_sampled=n)["sum-to-delta"].estimate.n_regions == expected


def test_a_window_that_was_scored_twice_counts_once(make, look):
    found = look(make(rows=[0, 1, 2, 1, 0]), regions_sampled=0)
    assert found["sum-to-delta"].estimate.n_regions == 3


def test_files_of_other_windows_are_not_compared(make, look):
    one, other = make("a"), make("b", rows=range(6))
    with pytest.warns(InputDataWarning, match="do not hold the same windows"):
        found = look(one, other)
    assert not [key for own in found.values() for key in own if "agreement" in key]
    alone = look(one)
    assert values(found[one]) == values(alone)


def test_windows_of_another_genome_are_not_compared(make, look):
    one, other = make("a"), make("b", seed=1)
    with pytest.warns(InputDataWarning, match="do not hold the same windows"):
        found = look(one, other)
    # What was said of one sequence is not taken for the other's.
    assert values(found[other]) == values(look(other))


def test_each_file_is_asked_about_its_own_target(make, look):
    one, other = make("a", Tiny), make("b", Tiny, target="1")
    found = look(one, other, model=Tiny)
    for path, own in found.items():
        assert values(without_agreement(own)) == values(look(path, model=Tiny))
    assert found[one]["mutagenesis-pearson"] != found[other]["mutagenesis-pearson"]


def test_the_logit_is_asked_about_where_it_was_scored(make, look):
    logit, probability = make("a", Squashed), make("b", Squashed, target_activation="keep")
    found = look(logit, probability, model=Squashed)
    plain = look(make("c"))
    key = "hypothetical-pearson-region"
    assert found[logit][key].estimate.value == pytest.approx(plain[key].estimate.value, abs=1e-4)
    assert found[probability][key] != found[logit][key]


# --- files ----------------------------------------------------------------------------------------


def test_the_table_holds_what_is_returned(make, look, tmp_path):
    found = look(make())
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == len(found) + 1
    assert {len(line) for line in lines} == {len(COLUMNS)}
    for line in lines[1:]:
        row = dict(zip(COLUMNS, line, strict=True))
        key = row["measure"] if row["detail"] == "." else (row["measure"], row["detail"])
        estimate = found[key].estimate
        for name in ("value", "low", "high"):
            expected = getattr(estimate, name)
            cell = float("nan") if row[name] == "NA" else float(row[name])
            assert cell == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert (int(row["n_regions"]), int(row["n"])) == (estimate.n_regions, estimate.n)
        assert row["note"] == found[key].note


def fails(run, path, error, message, tmp_path):
    before = names(tmp_path)
    with pytest.raises(error, match=message):
        run(path)
    assert names(tmp_path) == before


def test_another_model_is_refused(make, look, tmp_path):
    path = make(model=Tiny)
    fails(look, path, InputError, r"a\.h5 was scored with another model \(SHA-256", tmp_path)


def test_a_model_that_answers_otherwise_is_refused(make, look, tmp_path):
    path = make()
    import h5py

    with h5py.File(path, "a") as file:
        file["quality/prediction"][...] += 1
    fails(look, path, InputError, "a.h5 has .* for the model's output at chr1:", tmp_path)


def test_a_target_that_the_model_lacks_is_refused(make, look, tmp_path):
    path = make()
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs["target"] = "7"
    fails(look, path, TargetError, "7", tmp_path)


def test_an_empty_file_is_refused(look, tmp_path):
    path = tmp_path / "empty.h5"
    with ScoresWriter(path, LENGTH, 1):
        pass
    fails(look, str(path), InputError, "empty.h5 holds no regions", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "folder/"}, "is a folder; give a prefix"),
        ({"scores": ("a.h5", "a.h5")}, "named twice in a.h5, a.h5"),
        ({"replacement": "flt"}, "did you mean 'flat'"),
    ],
)
def test_plans_that_make_no_sense_are_refused(options, message):
    plan = EvaluationPlan(model="m", scores=("a.h5",), output="out")
    with pytest.raises(UsageError, match=message):
        replace(plan, **options)


# --- the figure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("schemes", [[SHUFFLES], [SHUFFLES, ZEROS]])
def test_the_figure_shows_every_file(make, look, monkeypatch, schemes):
    drawn = []
    monkeypatch.setattr(module, "draw_evaluation", lambda *a: drawn.append(draw_evaluation(*a)))
    paths = [make(f"file{i}", Tiny, **scheme) for i, scheme in enumerate(schemes)]
    look(*paths, model=Tiny, replacement="flat", regions_sampled=0)
    (figure,) = drawn
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [*short_names(paths), "random order"]
    first, deletion, *_ = figure.axes
    curves = [line for line in deletion.lines if len(line.get_xdata()) == len(FRACTIONS)]
    assert len(curves) == 2 * len(paths)
    assert curves[0].get_ydata()[-1] == pytest.approx(1, abs=1e-5)
    if len(paths) == 1:
        assert len(first.collections[0].get_offsets()) == (sequences().max(1) > 0).sum()
    else:
        np.testing.assert_array_equal(np.diag(first.images[0].get_array()), [1, 1])
    figure.canvas.draw()


def test_names_are_as_short_as_they_can_be():
    assert short_names(["x/a.h5", "x/b.h5"]) == ["a", "b"]
    assert short_names(["x/one/a.h5", "x/two/a.h5"]) == ["one/a", "two/a"]
    assert len(short_names(["x" * 90 + ".h5"])[0]) == 24
