"""Seqlets of files whose seqlets are known: signs, Ns, strands, order; shuffles for the null."""

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

from seqlift.errors import InputError, UsageError
from seqlift.genome.regions import Region
from seqlift.output.hdf5 import ScoredBatch, ScoresFile, ScoresWriter
from seqlift.seqlet_plan import SeqletPlan
from seqlift.seqlet_shuffles import _records
from seqlift.seqlets import COLUMNS, call_seqlets
from seqlift.sequence.onehot import encode
from seqlift.sequence.references import make_references

LENGTH = 120
N_PLANTED = 80  # more than a slice of the file holds


def write_scores(path, tracks, letters=None, regions=None, **attributes):
    """Write a scores file whose contribution scores are some tracks."""
    n, length = tracks.shape
    rng = np.random.default_rng(5)
    letters = rng.choice([*"ACGT"], (n, length)) if letters is None else letters
    one_hot = np.stack([encode("".join(row)) for row in letters])
    tracks = np.where(one_hot.any(1), tracks, 0)
    places = [Region("chr1", 1000 * i, 1000 * i + length, f"r{i}", row=i + 1) for i in range(n)]
    zeros = np.zeros((n, 2), dtype=np.float32)
    with ScoresWriter(path, length, 2, attributes=attributes) as writer:
        writer.append(
            ScoredBatch(
                regions=places if regions is None else regions,
                one_hot=one_hot,
                hypothetical=np.repeat(tracks[:, None], 4, 1) * (2 * one_hot - 1.0),
                scores=tracks[:, None] * one_hot,
                delta=zeros,
                completeness_error=zeros,
                prediction=zeros[:, 0],
                prediction_reference=zeros,
                standard_error=np.zeros((n, length), dtype=np.float32),
                n_references=np.full(n, 2),
            )
        )
    return str(path)


def noise(n, seed):
    """Tracks with weak stretches of their own, as those of shuffles have."""
    steps = np.random.default_rng(seed).laplace(size=(n, LENGTH)) * 0.05
    return np.apply_along_axis(np.convolve, 1, steps, np.ones(4), "same")


@pytest.fixture(scope="module")
def planted():
    """Tracks with a stretch each at a place of its own: positive in even ones, else negative."""
    tracks, rng = noise(N_PLANTED, 1), np.random.default_rng(2)
    places = [(int(start), int(start) + 12) for start in rng.integers(0, LENGTH - 12, N_PLANTED)]
    for i, (start, end) in enumerate(places):
        tracks[i, start:end] = (1 if i % 2 == 0 else -1) * rng.uniform(1, 2, 12)
    return tracks, places


@pytest.fixture(scope="module")
def null(tmp_path_factory):
    return write_scores(tmp_path_factory.mktemp("null") / "null.h5", noise(1000, 0))


def read_bed(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]


def call(scores, null, output, **options):
    plan = SeqletPlan(scores=scores, output=str(output), null=null, **options)
    return call_seqlets(plan), read_bed(output)


def places_of(rows):
    return [(row["chrom"], int(row["start"]), int(row["end"])) for row in rows]


def test_planted_stretches_are_called_with_their_sign(tmp_path, planted, null):
    tracks, places = planted
    found, rows = call(write_scores(tmp_path / "a.h5", tracks), null, tmp_path / "a.bed")
    best = [row for row in rows if abs(float(row["contribution"])) > 5]
    assert len(best) == N_PLANTED
    for i, (row, (start, end)) in enumerate(zip(best, places, strict=True)):
        # A base of noise may be joined to either end.
        assert row["chrom"] == "chr1"
        assert abs(int(row["start"]) - (1000 * i + start)) <= 4
        assert abs(int(row["end"]) - (1000 * i + end)) <= 4
        assert int(row["region_row"]) == i + 1
        local = slice(int(row["start"]) - 1000 * i, int(row["end"]) - 1000 * i)
        assert float(row["contribution"]) == pytest.approx(tracks[i, local].sum(), rel=1e-4)
        assert (float(row["contribution"]) > 0) == (i % 2 == 0)
        assert float(row["p_value"]) == pytest.approx(1 / 1001, rel=1e-2)
        assert float(row["p_value"]) <= float(row["q_value"]) <= 0.05
        assert (row["score"], row["name"], row["strand"]) == ("300", ".", ".")
    assert (found.n_seqlets, found.n_scored, found.n_null) == (len(rows), N_PLANTED, 1000)
    assert found.n_regions == len({row["region_row"] for row in rows})


def test_shuffles_have_no_seqlets(tmp_path, null):
    found, rows = call(write_scores(tmp_path / "n.h5", noise(500, 9)), null, tmp_path / "n.bed")
    assert (found.n_seqlets, rows) == (0, [])
    assert found.fewest == np.ceil(500 / 1001 / 0.05)


def test_the_reverse_complement_has_the_same_seqlets(tmp_path, planted, null):
    tracks, _ = planted
    _, forward = call(write_scores(tmp_path / "f.h5", tracks), null, tmp_path / "f.bed")
    _, back = call(write_scores(tmp_path / "b.h5", tracks[:, ::-1]), null, tmp_path / "b.bed")

    def mirrored(row):
        offset = 1000 * (int(row["region_row"]) - 1)
        start, end = int(row["start"]) - offset, int(row["end"]) - offset
        return row["region_row"], LENGTH - end + offset, LENGTH - start + offset, row["q_value"]

    def plain(row):
        return row["region_row"], int(row["start"]), int(row["end"]), row["q_value"]

    assert sorted(map(mirrored, back)) == sorted(map(plain, forward)) != []


def test_the_order_of_the_regions_changes_nothing(tmp_path, planted, null):
    tracks, _ = planted
    order = np.random.default_rng(0).permutation(N_PLANTED)
    letters = np.random.default_rng(5).choice([*"ACGT"], tracks.shape)
    places = [Region("chr1", 1000 * i, 1000 * i + LENGTH, row=i + 1) for i in range(N_PLANTED)]
    one = write_scores(tmp_path / "a.h5", tracks, letters, places)
    other = write_scores(
        tmp_path / "b.h5", tracks[order], letters[order], [places[i] for i in order]
    )
    _, expected = call(one, null, tmp_path / "a.bed")
    _, found = call(other, null, tmp_path / "b.bed")
    assert sorted(found, key=lambda row: int(row["start"])) == expected != []


def test_no_seqlet_holds_an_n(tmp_path, planted, null):
    tracks, places = planted
    letters = np.random.default_rng(3).choice([*"ACGT"], tracks.shape).astype("<U1")
    for i, (start, _) in enumerate(places):
        letters[i, start + 6] = "N"
    letters[0] = "N"  # nothing but N, as a window past the end of a chromosome
    _, rows = call(write_scores(tmp_path / "a.h5", tracks, letters), null, tmp_path / "a.bed")
    assert len(rows) > N_PLANTED  # two halves of most
    for row in rows:
        i = int(row["region_row"]) - 1
        assert i > 0
        word = letters[i, int(row["start"]) - 1000 * i : int(row["end"]) - 1000 * i]
        assert "N" not in word


def test_a_stricter_rate_calls_fewer_and_the_same(tmp_path, planted, null):
    scores = write_scores(tmp_path / "a.h5", planted[0] * np.linspace(0, 1, N_PLANTED)[:, None])
    called = []
    for fdr in (0.005, 0.1, 1.0):
        _, rows = call(scores, null, tmp_path / f"{fdr}.bed", fdr=fdr)
        assert all(float(row["q_value"]) <= fdr * 1.01 for row in rows)
        called.append(set(places_of(rows)))
    assert set() < called[0] < called[1] < called[2], [len(places) for places in called]


def test_logos_are_of_the_strongest(tmp_path, planted, null):
    scores = write_scores(tmp_path / "a.h5", planted[0])
    found, _ = call(scores, null, tmp_path / "out.bed", logos=2)
    written = [tmp_path / name for name in ("out.bed", "out.logo1.png", "out.logo2.png")]
    assert found.files == written
    assert all(imread(path).std() > 0.05 for path in written[1:])
    three = write_scores(tmp_path / "b.h5", planted[0][:3])
    few, _ = call(three, null, tmp_path / "few.bed", logos=9)
    assert len(few.files) == 1 + few.n_seqlets < 10


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [("target", "3", "target 3"), ("n_references", 5, "n_references 5"),
     ("model_digest", "f" * 64, "model_digest ffffffffffff…")],
)  # fmt: skip
def test_a_null_that_was_scored_otherwise_is_refused(tmp_path, null, key, value, shown):
    scores = write_scores(tmp_path / "a.h5", noise(3, 0))
    other = write_scores(tmp_path / "b.h5", noise(3, 0), **{key: value})
    with pytest.raises(InputError, match=rf"b\.h5 was scored with {shown}; .*a\.h5 with none: "):
        call(scores, other, tmp_path / "a.bed")
    short = write_scores(tmp_path / "c.h5", noise(3, 0)[:, :50])
    with pytest.raises(InputError, match=r"length 50 bp; .* with 120 bp"):
        call(scores, short, tmp_path / "a.bed")
    assert not (tmp_path / "a.bed").exists()


def test_options_that_do_not_go_together_are_refused():
    for options, found in (
        ({"fdr": 0.0}, "--fdr 0"),
        ({"fdr": 1.5}, "--fdr 1.5"),
        ({"null": "n.h5", "models": ("m",)}, "--null and -m"),
        ({"null": "n.h5", "shuffles": 3}, "--null and --shuffles"),
        ({"output": "-", "logos": 1}, "--logos with the output -"),
    ):
        with pytest.raises(UsageError, match=f"found {found}; expected"):
            SeqletPlan(**{"scores": "a.h5", "output": "a.bed"} | options)


# --- shuffles -------------------------------------------------------------------------------------


def shuffles_of(path, n):
    with ScoresFile(path) as file:
        records = [record.split("\n")[:2] for record in _records(file, n)]
    return {name[1:]: word for name, word in records}


def test_shuffles_are_the_references_of_evenly_spaced_regions(tmp_path):
    path = write_scores(tmp_path / "a.h5", noise(10, 0), seed=4)
    with ScoresFile(path) as file:
        one_hot = file.one_hot()
    found = shuffles_of(path, 5)
    assert list(found) == ["0.1", "2.1", "4.1", "6.1", "8.1"]
    twice = shuffles_of(path, 20)
    assert len(twice) == 20
    assert {name: twice[name] for name in found} == found
    for name, word in twice.items():
        row, k = map(int, name.split("."))
        made = make_references(one_hot[row : row + 1], "dinucleotide-shuffle", 2, seed=4)[0]
        np.testing.assert_array_equal(encode(word), made[k - 1])


def test_shuffles_are_of_the_strand_that_was_read_and_of_what_can_be_shuffled(tmp_path):
    letters = np.random.default_rng(0).choice([*"ACG"], (4, LENGTH))  # no T: strands differ
    letters[2], letters[3] = "A", "N"
    places = [Region("chr1", 0, LENGTH, strand=strand, row=1) for strand in "+-++"]
    files = [
        write_scores(tmp_path / f"{s}.h5", noise(4, 0), letters, places, stranded=s)
        for s in (True, False)
    ]
    stranded, unstranded = (shuffles_of(path, 4) for path in files)
    assert list(stranded) == list(unstranded) == ["0.1", "1.1"]
    assert "T" in stranded["1.1"]
    assert "A" not in stranded["1.1"]
    assert "T" not in unstranded["1.1"] + stranded["0.1"]


def test_nothing_that_can_be_shuffled_is_an_error(tmp_path):
    letters = np.full((2, LENGTH), "A")
    model = tmp_path / "model.pt2"
    model.write_text("")
    path = write_scores(tmp_path / "a.h5", noise(2, 0), letters, model=str(model))
    with pytest.raises(InputError, match=r"no region of .*a\.h5 can be shuffled"):
        call(path, None, tmp_path / "a.bed")


def test_only_the_model_that_was_scored_is_loaded(tmp_path):
    tracks = noise(2, 0)
    for attributes, message in (
        ({"model": "gone.pt2"}, r"scored with gone\.pt2, which is not a file here; name the model"),
        ({"model": "os:getcwd"}, r"scored with os:getcwd, which is not a file here"),
        ({}, "scored with a model it does not name, which is not a file here"),
    ):
        path = write_scores(tmp_path / "a.h5", tracks, **attributes)
        with pytest.raises(UsageError, match=message):
            call(path, None, tmp_path / "a.bed")
    (tmp_path / "m.pt2").write_text("not it")
    for models in ((), (str(tmp_path / "m.pt2"),)):
        path = write_scores(
            tmp_path / "a.h5", tracks, model=str(tmp_path / "m.pt2"), model_digest="0" * 64
        )
        with pytest.raises(InputError, match=r"m\.pt2 is not what .*a\.h5 was scored with"):
            call(path, None, tmp_path / "a.bed", models=models)


@pytest.mark.parametrize("scheme", ["genomic", "mine.npz"])
def test_references_that_shuffles_cannot_have_need_a_null(tmp_path, scheme):
    path = write_scores(tmp_path / "a.h5", noise(2, 0), reference_scheme=scheme)
    with pytest.raises(InputError, match=f"against the references {scheme}, .*--null"):
        call(path, None, tmp_path / "a.bed")


def test_a_file_without_regions_has_no_seqlets(tmp_path, null):
    path = write_scores(tmp_path / "a.h5", noise(2, 0))
    with h5py.File(path, "a") as file:
        datasets = []
        file.visititems(lambda _, item: datasets.append(item) if hasattr(item, "resize") else None)
        for dataset in datasets:
            dataset.resize(0, axis=0)
    found, rows = call(path, null, tmp_path / "a.bed")
    assert (found.n_seqlets, rows) == (0, [])
