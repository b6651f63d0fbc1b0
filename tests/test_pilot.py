"""A pilot finds what was built into tracks, and advises nothing that something else outdoes."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import seqlift
from seqlift import faithfulness, pilot_runs
from seqlift import pilot as module
from seqlift.errors import RegionError, ShapeError, TargetError, UsageError
from seqlift.faithfulness import Estimate, correlation
from seqlift.genome.regions import Region
from seqlift.model import options
from seqlift.model.capture import capture
from seqlift.model.load import load_model
from seqlift.pilot import pilot
from seqlift.pilot_choice import LEVELS, SAME_COST, Outcome, agree, choose, disattenuate, nearest
from seqlift.pilot_figure import draw_pilot
from seqlift.pilot_report import COLUMNS, Report
from seqlift.pilot_runs import Tried
from seqlift.pilot_sample import Sample, draw_sample
from seqlift.pilot_settings import SETTINGS, PilotPlan, Setting
from seqlift.sequence.onehot import encode_many
from seqlift.sequence.references import make_references
from seqlift.windows import Item
from tests.helpers import remembered
from tests.tiny import LENGTH, Pooled, Tiny, export, names, seeded, write_fasta

N_SEQUENCES = 12
AGAINST = 6


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Time nothing again and draw regions a few times; both have tests of their own."""
    monkeypatch.setattr(pilot_runs, "ENOUGH", 0.0)
    monkeypatch.setattr(faithfulness, "N_DRAWS", 20)


# --- the correction for noise ---------------------------------------------------------------------


def simulated(truth_share, noise, *, n_regions=25, length=4000, seed=0):
    """Make tracks that correlate so much with a truth, and a noisy picture of that truth.

    `noise` is the variance of each half's, of which the truth has 1.
    """
    rng = np.random.default_rng(seed)
    truth, own, one, other = rng.standard_normal((4, n_regions, length))
    tracks = truth_share * truth + np.sqrt(1 - truth_share**2) * own
    halves = [truth + np.sqrt(noise) * error for error in (one, other)]
    standard = sum(halves) / 2
    return (
        np.array([correlation(x, y) for x, y in zip(tracks, standard, strict=True)]),
        np.array([correlation(x, y) for x, y in zip(*halves, strict=True)]),
    )


@pytest.mark.parametrize("truth_share", [0.6, 0.9, 0.98])
@pytest.mark.parametrize("noise", [0.02, 0.5, 3.0])
def test_the_agreement_with_the_truth_is_found_whatever_the_noise(truth_share, noise):
    agreement, corrected = agree(*simulated(truth_share, noise))
    # The mean of two halves has half of the noise of each.
    assert agreement == pytest.approx(truth_share / np.sqrt(1 + noise / 2), abs=0.01)
    assert corrected.value == pytest.approx(truth_share, abs=0.02)
    assert corrected.low <= corrected.value <= corrected.high


def test_the_truth_itself_agrees_and_no_more():
    agreement, corrected = agree(*simulated(1.0, 0.5))
    assert agreement < 0.91
    assert 0.98 < corrected.value <= 1


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_correction_brings_out_more_but_never_more_than_all(r, reliability):
    found = disattenuate(r, reliability)
    if reliability <= 0:
        assert np.isnan(found)
    else:
        assert found <= 1
        assert abs(found) >= abs(r) or found == 1
        assert disattenuate(r, 1.0) == r
    assert np.isnan(disattenuate(np.nan, 0.5))


def test_references_that_tell_nothing_lead_to_no_advice():
    rng = np.random.default_rng(0)
    _, corrected = agree(rng.normal(size=9), np.full(9, -0.1))
    assert np.isnan(corrected.value)
    report = Report({}, [outcome(corrected.value, 1.0)], 5)
    assert nearest(report.outcomes) is None
    assert [line for line in report.advice() if "nothing can be said" not in line] == []
    draw_pilot(report).canvas.draw()


# --- the choice -----------------------------------------------------------------------------------


def outcome(corrected, seconds, setting=SETTINGS[0]):
    value = Estimate(corrected, np.nan, np.nan, 5, 5)
    return Outcome(setting, corrected, value, 1e-7, 1e-7, seconds)


outcomes = st.lists(
    st.builds(outcome, st.floats(0.9, 1) | st.just(np.nan), st.floats(1e-3, 1e3)),
    min_size=1,
    max_size=12,
)


@given(outcomes, st.sampled_from(LEVELS))
def test_what_is_advised_is_good_enough_and_nothing_outdoes_it(found, level):
    chosen = choose(found, level)
    enough = [o for o in found if o.corrected.value >= level]
    assert (chosen is None) == (not enough)
    if chosen is None:
        return
    value, cost = chosen.corrected.value, chosen.seconds
    assert value >= level
    assert cost <= SAME_COST * min(o.seconds for o in enough)
    for other in found:
        as_good = other.corrected.value >= value and other.seconds <= cost
        assert not (as_good and (other.corrected.value, -other.seconds) != (value, -cost))
    again = choose(found[::-1], level)
    assert (again.corrected.value, again.seconds) == (value, cost)


def test_a_hair_of_time_does_not_decide_but_more_does():
    slower, better = outcome(0.96, 1.0), outcome(0.99, 1.05)
    assert choose([slower, better], 0.95) is better
    assert choose([slower, better._replace(seconds=1.5)], 0.95) is slower
    assert choose([slower, better], 0.995) is None
    assert nearest([slower, better]) is better


# --- the sample -----------------------------------------------------------------------------------


class Rows:
    """A source of windows that reads nothing."""

    contigs = None

    def __init__(self, rows):
        self.rows = rows

    def items(self):
        return iter(self.rows)


def windows(n):
    regions = [Region("chr1", 100 * i, 100 * i + 40, row=i + 1) for i in range(n)]
    return [Item(region, region) for region in regions]


def starts(sample):
    return [item.window.start for item in sample.rows]


@pytest.mark.parametrize("n", [1, 5, 30, 99])
def test_a_sample_is_of_different_windows_whatever_their_order(n):
    rows = windows(30)
    drawn = starts(draw_sample(Rows(rows), n, seed=0))
    assert len(set(drawn)) == len(drawn) == min(n, 30)
    mixed = [rows[i] for i in np.random.default_rng(1).permutation(30)]
    assert starts(draw_sample(Rows(mixed + rows), n, seed=0)) == drawn
    assert starts(draw_sample(Rows(rows), n, seed=1)) != drawn or n == 1


def test_a_sample_is_drawn_from_everywhere_alike():
    rows = windows(20)
    times = np.zeros(20)
    for seed in range(400):
        times[np.array(starts(draw_sample(Rows(rows), 5, seed=seed))) // 100] += 1
    # Binomial, 100 expected: beyond five standard deviations lies one in a million.
    assert np.abs(times - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_rows_that_are_dropped_are_not_drawn():
    rows = windows(10)
    rows[3:] = [replace(row, status="dropped") for row in rows[3:]]
    assert sorted(starts(draw_sample(Rows(rows), 9, seed=0))) == [0, 100, 200]


def test_sequences_that_share_a_name_are_two():
    region = Region("same", 0, 4, name="same")
    rows = [Item(region, region, letters=letters) for letters in ("ACGT", "GGCA", "ACGT")]
    found = draw_sample(Rows(rows), 9, seed=0).rows
    assert sorted(item.letters for item in found) == ["ACGT", "GGCA"]


# --- the cost -------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Let a region take so many seconds; return how many regions each pass had."""

    def start(seconds):
        now, passes = [0.0], []
        costs = iter(seconds)

        def score(_explainer, _scheme, sample):
            passes.append(len(sample.rows))
            now[0] += next(costs) * len(sample.rows)

        monkeypatch.setattr(pilot_runs, "ENOUGH", 1.0)
        monkeypatch.setattr(pilot_runs, "_score", score)
        monkeypatch.setattr(pilot_runs.time, "perf_counter", lambda: now[0])
        return passes

    return start


@pytest.mark.parametrize(
    ("seconds", "passes", "cost"),
    [
        ((0.1, 0.1, 0.1), [20], 0.1),  # two seconds are enough
        ((0.01, 0.02, 0.01), [20, 100], 0.01),
        ((0.02, 0.004, 0.005), [20, 50, 250], 0.004),
        ((1e-5, 1e-5, 1e-5), [20, 256, 256], 1e-5),  # no more than the most
    ],
)
def test_the_fastest_pass_counts_and_quick_settings_have_more(clock, seconds, passes, cost):
    had = clock(seconds)
    tried = Tried(SETTINGS[0], None, None)
    sample = Sample(Rows([]), windows(20))
    tried.score(sample)
    for _ in range(2):
        tried.time_again(sample)
    assert had == passes
    assert tried.seconds == pytest.approx(cost)


def test_a_sample_is_repeated_row_by_row():
    sample = Sample(Rows([]), windows(3))
    assert starts(sample.repeated(7)) == [0, 100, 200, 0, 100, 200, 0]


# --- whole pilots ---------------------------------------------------------------------------------


class Linear(nn.Module):
    """A weight for each base at each position: multipliers are the same for every reference."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Linear(4 * LENGTH, 1)

    def forward(self, x):
        return self.flat(x.flatten(1))


class RichInA(nn.Module):
    """Says nothing of a sequence with fewer than 12 A, nor of its shuffles."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5)

    def forward(self, x):
        many = torch.relu(x[:, 0].sum(1) - 11.5).clamp(max=1)
        return (self.conv(x).square().sum((1, 2)) * many)[:, None]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for model in (Linear, RichInA, Tiny):
        export(seeded(model), folder / f"{model.__name__}.pt2")
    # Loading and capturing take a second and have tests of their own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "load_model", remembered(load_model))
        patch.setattr(module, "capture", remembered(capture))
        yield folder


def sequences(n=N_SEQUENCES, seed=0):
    rng = np.random.default_rng(seed)
    return {f"s{i}": "".join(rng.choice([*"ACGT"], LENGTH)) for i in range(n)}


@pytest.fixture
def look(models, tmp_path):
    """Run a pilot on sequences; return its report."""

    def run(given=None, model=Tiny, **options):
        fasta = write_fasta(given or sequences(), tmp_path / "given.fa")
        options = {"regions_sampled": 8, "against": AGAINST, "device": "cpu", **options}
        plan = PilotPlan(model=str(models / f"{model.__name__}.pt2"), fasta=str(fasta), **options)
        return pilot(plan)

    return run


def agreements(report):
    return {found.setting: (found.agreement, found.corrected) for found in report.outcomes}


# The library warns where bfloat16 is off by more than a hundredth of a small delta, or is slow.
@pytest.mark.filterwarnings("ignore::seqlift.errors.CompletenessWarning")
@pytest.mark.filterwarnings("ignore::seqlift.errors.SpeedWarning")
def test_every_setting_is_what_the_library_gives_for_it(look, models):
    """The whole sample, so that there is no question which regions are in it."""
    found = look(regions_sampled=N_SEQUENCES, target="1")
    assert [o.setting for o in found.outcomes] == list(SETTINGS)
    one_hot = encode_many(list(sequences().values()))
    model = capture(load_model(str(models / "Tiny.pt2")).model)

    def tracks(references, **options):
        scores = seqlift.contributions(
            model, one_hot, references=references, target=1, device="cpu", **options
        ).scores
        return scores.sum(1).double().numpy()

    against = make_references(one_hot, n_references=AGAINST, seed=1)
    standard = tracks(against)
    halves = [tracks(half) for half in np.split(against, 2, axis=1)]
    half = np.median([np.corrcoef(x, y)[0, 1] for x, y in zip(*halves, strict=True)])
    for setting, (agreement, corrected) in agreements(found).items():
        references = make_references(one_hot, setting.references, setting.n_references, seed=0)
        own = tracks(
            references, rules=setting.rules, estimator=setting.estimator,
            precision=setting.precision,
        )  # fmt: skip
        r = np.median([np.corrcoef(x, y)[0, 1] for x, y in zip(own, standard, strict=True)])
        tolerance = 1e-3 if setting.precision == "bfloat16" else 1e-5
        assert agreement == pytest.approx(r, abs=tolerance), setting
        wanted = min(1, r / np.sqrt(2 * half / (1 + half)))
        assert corrected.value == pytest.approx(wanted, abs=tolerance), setting


def test_sums_are_told_from_completeness(look):
    for found in look().outcomes:
        tolerance = 0.05 if found.setting.precision == "bfloat16" else 1e-5
        assert found.completeness_error < tolerance
        if found.setting.estimator == "plain":
            assert found.sum_error < tolerance
        else:
            assert found.sum_error > 1e-3
        assert 0 < found.seconds < 100


def test_a_linear_model_needs_one_reference_of_the_base_marginal_kind(look):
    """Its multipliers know no reference, so nothing is left to chance."""
    found = {s: pair[0] for s, pair in agreements(look(model=Linear)).items()}
    marginal = [value for s, value in found.items() if s.estimator == "base-marginal"]
    assert marginal == pytest.approx([marginal[0]] * 4, abs=1e-5)
    plain = [value for s, value in found.items() if s.name in ("5 shuffles", "50 shuffles")]
    assert plain[0] < plain[1]


def test_the_same_seed_gives_the_same_agreements_in_any_order(look):
    given = sequences()
    found = look(given)
    again = look(dict(reversed(given.items())))
    for one, other in zip(found.outcomes, again.outcomes, strict=True):
        assert one._replace(seconds=0) == other._replace(seconds=0)
    assert found.facts == again.facts
    assert agreements(look(given, seed=2)) != agreements(found)


def test_regions_that_tell_nothing_are_left_out_and_counted(look):
    few = {"few0": "ACGT" * 9 + "CCGG", "few1": "GGCAT" * 8}
    many = {f"many{i}": letters + "A" * 15 for i, letters in enumerate(_short(5))}
    poly = {"poly": "A" * LENGTH}
    found = look({**few, **many, **poly}, model=RichInA, regions_sampled=20)
    assert found.facts["sample"] == (
        "5 of 8 drawn with seed 0; 1 without another shuffle, 2 with a track that does not vary"
    )
    assert {o.corrected.n_regions for o in found.outcomes} == {5}
    # They are as if they had not been there.
    alone = agreements(look(many, model=RichInA, regions_sampled=20))
    for setting, (agreement, _) in agreements(found).items():
        assert agreement == pytest.approx(alone[setting][0], abs=1e-6)


def _short(n):
    return [letters[:25] for letters in sequences(n, seed=5).values()]


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"a": "A" * LENGTH, "n": "N" * LENGTH}, "2 without another shuffle, 0 with"),
        ({"few": "GGCAT" * 8, "c": "C" * LENGTH}, "1 without another shuffle, 1 with"),
    ],
)
def test_nothing_is_left_to_compare(look, tmp_path, given, counts):
    with pytest.raises(RegionError, match=f"none of the 2 sampled regions .*{counts}"):
        look(given, model=RichInA, output=str(tmp_path / "out"))
    assert names(tmp_path) == ["given.fa"]


def test_a_track_that_does_not_vary_agrees_with_none():
    standard = pilot_runs.Standard([np.arange(5.0), np.arange(5.0)], np.ones(2))
    found = standard.correlations([np.zeros(5), np.arange(5.0)])
    assert found.tolist() == [0, 1]


def test_ns_are_no_agreement(look):
    """Scores are zero there whatever the references, so they would make tracks alike."""
    given = {name: "N" * 20 + letters[20:] for name, letters in sequences().items()}
    found = look(given, regions_sampled=N_SEQUENCES)
    assert all(o.agreement < 0.9999 for o in found.outcomes if o.setting.n_references == 5)
    one_hot = encode_many(list(given.values()))
    model = seeded(Tiny)
    tracks = [
        seqlift.contributions(model, one_hot, n_references=n, seed=seed, device="cpu")
        .scores.sum(1)[:, 20:]
        .double()
        .numpy()
        for n, seed in ((5, 0), (AGAINST, 1))
    ]
    r = np.median([np.corrcoef(x, y)[0, 1] for x, y in zip(*tracks, strict=True)])
    assert agreements(found)[Setting("dinucleotide-shuffle", 5)][0] == pytest.approx(r, abs=1e-5)


def test_the_background_is_the_flat_references_alone(look):
    one, other = (agreements(look(background=b)) for b in (None, "0.7,0.1,0.1,0.1"))
    for setting in SETTINGS:
        is_same = one[setting] == other[setting]
        assert is_same == (setting.references != "flat"), setting
    (cell,) = (
        line for line in look(background="regions").table().splitlines() if "genomics" in line
    )
    assert cell.endswith("\t--references flat --background regions --rules genomics")


# --- settings, table, figure ----------------------------------------------------------------------


def test_settings_have_names_and_options_of_their_own():
    assert len({s.name for s in SETTINGS}) == len(SETTINGS) == len({s.options() for s in SETTINGS})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"fasta": None}, "found no input; expected a genome and regions"),
        ({"genome": "g.fa"}, "found -g and -f; expected a genome and regions"),
        ({"against": 7}, "found an independent set of 7 shuffles; expected an even number"),
        ({"against": 0}, "found an independent set of 0 shuffles; expected an even number"),
        ({"regions_sampled": 0}, "found 0 regions to sample; expected at least 1"),
        ({"output": "out/"}, "the output 'out/' is a folder; give a prefix such as out/pilot"),
        ({"background": "1,2"}, "found"),
    ],
)
def test_options_that_do_not_go_together_are_refused(changes, error):
    with pytest.raises(UsageError, match=re.escape(error)):
        PilotPlan(**{"model": "m.pt2", "fasta": "s.fa", **changes})


def test_a_model_that_fits_not_is_an_error_before_anything_is_written(look, tmp_path, models):
    with pytest.raises(TargetError):
        look(target="7", output=str(tmp_path / "out"))
    export(
        seeded(Pooled),
        models / "Pooled.pt2",
        dims=({0: torch.export.Dim("batch"), 2: torch.export.Dim("length", min=10)},),
    )
    with pytest.raises(ShapeError, match="give --length"):
        pilot(
            PilotPlan(
                model=str(models / "Pooled.pt2"), genome="none.fa", regions="none.bed",
                output=str(tmp_path / "out"),
            )
        )  # fmt: skip
    assert names(tmp_path) == ["given.fa"]


def made(values=(0.6, 0.97, 0.93, 0.96, 0.985, 0.995)):
    found = [outcome(v, 0.01 * (i + 1), SETTINGS[i]) for i, v in enumerate(values)]
    return Report({"model": "m.pt2"}, found, 7200)


def test_the_table_has_a_row_for_each_setting():
    report = made()
    fact, header, *rows = report.table().splitlines()
    assert fact == "# model: m.pt2"
    assert header.split("\t") == list(COLUMNS)
    cells = [dict(zip(COLUMNS, row.split("\t"), strict=True)) for row in rows]
    assert [c["setting"] for c in cells] == [o.setting.name for o in report.outcomes]
    third = cells[2]
    assert (third["references"], third["n_references"]) == ("dinucleotide-shuffle", "5")
    assert (third["corrected"], third["corrected_low"]) == ("0.93", "NA")
    assert (third["seconds_per_region"], third["regions_per_hour"]) == ("0.03", "1.2e+05")
    assert third["hours_for_all"] == "0.06"
    assert third["options"] == "-n 5"


def test_completeness_is_not_claimed_where_scores_do_not_sum():
    (marginal,) = (s for s in SETTINGS if s.name == "5 shuffles base-marginal")
    report = Report({}, [outcome(0.99, 0.5, marginal)], 10)
    cells = dict(zip(COLUMNS, report.table().splitlines()[1].split("\t"), strict=True))
    assert (cells["completeness_error"], cells["sum_error"]) == ("NA", "1e-07")
    assert report.advice()[0] == (
        "for an agreement of 0.95: -n 5 --estimator base-marginal (0.990; 2 regions a second, "
        "5 s for all 10; its scores do not sum to delta)"
    )


def test_the_advice_is_the_cheapest_that_is_good_enough():
    assert made().advice() == [
        "for an agreement of 0.95: --references flat --rules genomics (0.970; 50 regions a second, "
        "2.4 min for all 7,200)",
        "for an agreement of 0.98: -n 20 (0.985; 20 regions a second, 6 min for all 7,200)",
        "for an agreement of 0.99: -n 50 (0.995; 17 regions a second, 7.2 min for all 7,200)",
    ]
    assert made((0.6, 0.97)).advice()[1] == (
        "for an agreement of 0.98: none of these; the nearest is --references flat --rules "
        "genomics (0.970; 50 regions a second, 2.4 min for all 7,200)"
    )


def test_the_figure_shows_every_setting(look):
    report = look()
    figure = draw_pilot(report)
    figure.canvas.draw()
    (panel,) = figure.axes
    (low, high), (left, right) = panel.get_ylim(), panel.get_xlim()
    for found in report.outcomes:
        assert low <= found.corrected.value <= high
        assert left <= found.seconds <= right
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"flat rescale", "flat genomics", "shuffles", "shuffles base-marginal"} < set(labels)
    counts = sorted(text.get_text() for text in panel.texts)
    assert counts == sorted(["5", "10", "20", "50"] * 2 + ["20"])
