"""Tracks read back by two readers, against windows laid out one base at a time."""

import tracemalloc
from functools import partial

import bbi
import numpy as np
import pyBigWig
import pytest

from seqlift.errors import InputError, OutputError
from seqlift.genome.regions import Region
from seqlift.output.atomic import whole_file
from seqlift.output.bigwig import write_bigwig
from seqlift.output.bigwig_file import BigWigFile
from seqlift.output.hdf5 import ScoresFile, ScoresWriter
from seqlift.output.schema import rows_at_once

# Neither the order of the letters nor that of the regions below.
CONTIGS = {"chr2": 900, "chr10": 400, "chrM": 60, "chr1": 700, "empty": 5}
LENGTH = 50


class Listed:
    """Windows in a list, read as those of a scores file are."""

    def __init__(self, regions):
        self._regions = regions
        self.n_regions = len(regions)

    def regions(self, rows):
        return self._regions[rows]


def random_regions(n, seed):
    """Windows that pile up, repeat, and hang over both ends, in no order."""
    rng = np.random.default_rng(seed)
    regions = []
    for i in range(n):
        chrom = ["chr1", "chr2", "chr10", "chrM"][rng.integers(4)]
        start = int(rng.integers(-LENGTH - 5, CONTIGS[chrom] + 5))
        summit = None if rng.random() < 0.5 else int(rng.integers(LENGTH))
        regions.append(Region(chrom, start, start + LENGTH, summit=summit, row=i + 1))
    return regions + regions[:3]


def random_tracks(regions, seed):
    """Values with runs of N, and N outside of the chromosome."""
    rng = np.random.default_rng(seed)
    tracks = rng.normal(size=(len(regions), LENGTH)).astype(np.float32)
    for region, track in zip(regions, tracks, strict=True):
        first = rng.integers(LENGTH)
        track[first : first + rng.integers(8)] = np.nan
        bases = np.arange(region.start, region.end)
        track[(bases < 0) | (bases >= CONTIGS[region.chrom])] = np.nan
    return tracks


def expected_track(chrom, regions, tracks, policy):
    """One value a base by looking through all windows; NaN where there is none."""
    order = sorted(range(len(regions)), key=lambda i: regions[i].start)
    result = np.full(CONTIGS[chrom], np.nan, dtype=np.float32)
    for base in range(CONTIGS[chrom]):
        found = []
        for i in order:
            region = regions[i]
            if region.chrom == chrom and region.start <= base < region.end:
                summit = LENGTH // 2 if region.summit is None else region.summit
                value = float(tracks[i][base - region.start])
                if not np.isnan(value):
                    found.append((value, abs(base - region.start - summit)))
        if found and policy == "nearest":
            result[base] = min(found, key=lambda pair: pair[1])[0]
        elif found and policy == "max-abs":
            result[base] = max(found, key=lambda pair: abs(pair[0]))[0]
        elif found:
            result[base] = sum(value for value, _ in found) / len(found)
    return result


def read_both(path, chrom):
    """The values of a chromosome by libBigWig, and by UCSC's own code."""
    with pyBigWig.open(str(path)) as file:
        first = np.array(file.values(chrom, 0, CONTIGS[chrom]), dtype=np.float32)
    with bbi.open(str(path)) as file:
        second = file.fetch(chrom, 0, CONTIGS[chrom], missing=np.nan)
    return first, second.astype(np.float32)


@pytest.mark.parametrize("policy", ["nearest", "mean", "max-abs"])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_base_reads_back_bit_by_bit(tmp_path, policy, seed):
    regions = random_regions(150, seed)
    tracks = random_tracks(regions, seed)
    path = tmp_path / "a.bw"
    summary = write_bigwig(
        path, CONTIGS, Listed(regions), lambda rows: tracks[rows], overlap=policy
    )
    everything = []
    for chrom in CONTIGS:
        expected = expected_track(chrom, regions, tracks, policy)
        everything.append(expected[~np.isnan(expected)])
        for found in read_both(path, chrom):
            np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
    values = np.concatenate(everything)
    assert summary.n_bases == len(values)
    assert (summary.minimum, summary.maximum) == (values.min(), values.max())


def test_the_header_keeps_the_order_of_the_contigs(tmp_path):
    write_bigwig(tmp_path / "a.bw", CONTIGS, Listed([]), lambda rows: np.empty((0, 0)))
    with bbi.open(str(tmp_path / "a.bw")) as file:
        assert dict(file.chromsizes) == CONTIGS
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.chroms() == CONTIGS


def test_zoom_levels_are_kept(tmp_path):
    """A far view shows the mean, and browsers that need zoom levels find them."""
    regions = [Region("chr2", 0, 300), Region("chr1", 0, 300)]
    values = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    write_bigwig(tmp_path / "a.bw", CONTIGS, Listed(regions), lambda rows: values[rows])
    with bbi.open(str(tmp_path / "a.bw")) as file:
        assert len(file.zooms) > 0
        (mean,) = file.fetch("chr2", 0, 300, bins=1)
    assert mean == pytest.approx(values[0].mean(), abs=1e-6)


def test_never_more_rows_than_a_chunk_are_asked_for(tmp_path):
    regions = random_regions(300, seed=3)
    tracks = random_tracks(regions, seed=3)
    asked = []

    def source(rows):
        asked.append(len(rows))
        return tracks[rows]

    write_bigwig(tmp_path / "a.bw", CONTIGS, Listed(regions), source)
    assert sum(asked) == len(regions)
    assert max(asked) <= rows_at_once(LENGTH)


def test_from_a_scores_file_with_any_quantity(tmp_path, make_batch, make_windows):
    batch = make_batch(make_windows(20, chrom="chr2"))
    with ScoresWriter(tmp_path / "a.h5", 30, 3) as writer:
        writer.append(batch)
    regions = batch.regions
    with ScoresFile(tmp_path / "a.h5") as file:
        write_bigwig(tmp_path / "a.bw", CONTIGS, file, file.track)
        source = partial(file.track, quantity="standard-error")
        write_bigwig(tmp_path / "e.bw", CONTIGS, file, source)
        track = file.track()
    # The first five bases are in the first window alone, as are their errors.
    for path, expected in (("a.bw", track[0, :5]), ("e.bw", batch.standard_error[0, :5])):
        found = read_both(tmp_path / path, regions[0].chrom)[1][:5]
        is_known = ~np.isnan(track[0, :5])
        np.testing.assert_array_equal(found[is_known], expected[is_known])
        assert np.isnan(found[~is_known]).all()


def constant(value, n_values=LENGTH):
    """The value for the second region, and one half for the first."""
    return lambda rows: np.where((rows == 1)[:, None], np.full(n_values, value), 0.5)


@pytest.mark.parametrize(
    ("region", "source", "message"),
    [
        (
            Region("20", 0, LENGTH, row=4),
            constant(1.0),
            r"^20:1-50 \(line 4\): '20' is not among the 5 contigs.*\('chr2', 'chr10', 'chrM', …\)",
        ),
        (
            Region("chrM", 20, 20 + LENGTH, row=2),
            constant(1.0),
            r"^chrM:21-70 \(line 2\) has values past the ends of 'chrM' \(60 bp\)",
        ),
        (Region("chr1", -1, LENGTH - 1), constant(1.0), "has values past the ends of 'chr1'"),
        (
            Region("chr1", 5, 5 + LENGTH),
            constant(np.inf),
            "the value at chr1:6 is infinite in float32",
        ),
        (
            Region("chr1", 5, 5 + LENGTH),
            constant(1e39),
            "the value at chr1:6 is infinite in float32",
        ),
        (Region("chr1", 5, 5 + LENGTH), constant(1.0, 7), "has 7 values; it needs one a base"),
    ],
)
def test_what_a_bigwig_cannot_hold_is_refused(tmp_path, region, source, message):
    with pytest.raises(OutputError, match=message) as caught, whole_file(tmp_path / "a.bw") as path:
        write_bigwig(path, CONTIGS, Listed([Region("chr2", 0, LENGTH), region]), source)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_contigs_at_all(tmp_path):
    with pytest.raises(OutputError, match="needs the lengths of the contigs"):
        write_bigwig(tmp_path / "a.bw", {}, Listed([]), constant(1.0))


def test_an_unknown_policy(tmp_path):
    with pytest.raises(InputError, match="'median' is not an overlap policy"):
        write_bigwig(
            tmp_path / "a.bw",
            CONTIGS,
            Listed([Region("chr1", 0, LENGTH)]),
            constant(1.0),
            overlap="median",
        )


def test_a_missing_folder_is_an_error_and_no_crash(tmp_path):
    with pytest.raises(OutputError, match=r"results/a\.bw cannot be written: No such file"):
        write_bigwig(tmp_path / "results" / "a.bw", CONTIGS, Listed([]), constant(1.0))


def write_noise(path):
    """A bigWig with zoom levels: five sixths of it are data, and the zoom levels come last."""
    # More than wait until they are written together.
    regions = [Region("chr1", i * 3000, i * 3000 + 2000) for i in range(100)]
    values = np.random.default_rng(0).normal(size=(100, 2000))
    write_bigwig(path, {"chr1": 10_000_000}, Listed(regions), lambda rows: values[rows])
    return path.stat().st_size


@pytest.fixture(scope="module")
def noise_size(tmp_path_factory):
    return write_noise(tmp_path_factory.mktemp("noise") / "a.bw")


@pytest.mark.parametrize("fraction", [0, 0.001, 0.3, 0.72, 0.95, "all but two bytes"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full_disk, noise_size, fraction):
    full_disk(noise_size - 2 if isinstance(fraction, str) else int(fraction * noise_size))
    with pytest.raises(OutputError, match=r"a\.bw cannot be written: File too large$"):
        with whole_file(tmp_path / "a.bw") as path:
            write_noise(path)
    full_disk(-1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path):
    def source(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.bw") as path:
        write_bigwig(path, CONTIGS, Listed([Region("chr1", 0, LENGTH)]), source)
    assert list(tmp_path.iterdir()) == []


# --- the format -----------------------------------------------------------------------------------


def written(path, contigs, runs):
    """Write runs of values and return them by contig, as a browser would read them."""
    with BigWigFile(path, contigs) as file:
        for contig, start, values in runs:
            file.add(contig, start, np.asarray(values, dtype=np.float32))
    return path


def test_a_track_of_many_blocks_is_found_block_by_block(tmp_path):
    """More runs than a node of the index has children, squared, and runs of several blocks."""
    rng = np.random.default_rng(0)
    n = 256 * 256 + 300
    starts = np.arange(n) * 7
    values = rng.normal(size=n).astype(np.float32)
    long = rng.normal(size=5000).astype(np.float32)
    contigs = {"b": 7 * n, "a": 9000}
    runs = [("b", start, [value]) for start, value in zip(starts.tolist(), values, strict=True)]
    path = written(tmp_path / "a.bw", contigs, [*runs, ("a", 100, long)])
    some = rng.choice(n, 300, replace=False).tolist()
    with bbi.open(str(path)) as first, pyBigWig.open(str(path)) as second:
        for i in [0, 255, 256, 65535, 65536, n - 1, *some]:
            assert first.fetch("b", 7 * i, 7 * i + 2, missing=-9).tolist() == [values[i], -9]
            assert second.values("b", 7 * i, 7 * i + 1) == [values[i]]
        for file in (first.fetch, second.values):
            np.testing.assert_array_equal(file("a", 100, 5100), long)
        assert second.header()["nBasesCovered"] == n + 5000
        assert first.info["summary"]["basesCovered"] == n + 5000


@pytest.mark.parametrize("n", [1, 256, 257, 70_000])
def test_any_number_of_contigs(tmp_path, n):
    rng = np.random.default_rng(n)
    names = [f"c{i}" for i in rng.permutation(n).tolist()]
    contigs = {name: 10 + i for i, name in enumerate(names)}
    used = sorted(rng.choice(n, min(n, 40), replace=False).tolist())
    path = written(tmp_path / "a.bw", contigs, [(names[i], 3, [i + 0.5]) for i in used])
    with bbi.open(str(path)) as first, pyBigWig.open(str(path)) as second:
        assert dict(first.chromsizes) == contigs
        assert second.chroms() == contigs
        for i in used:
            assert first.fetch(names[i], 3, 4).tolist() == [i + 0.5]
            assert second.values(names[i], 3, 4) == [i + 0.5]


@pytest.mark.parametrize("statistic", ["mean", "min", "max", "std", "cov"])
@pytest.mark.parametrize("gaps", [True, False])
def test_every_zoom_level_sums_up_its_bins(tmp_path, monkeypatch, statistic, gaps):
    monkeypatch.setattr("seqlift.output.bigwig_file._WAITING", 5000)
    rng = np.random.default_rng(1)
    contigs = {"b": 300_000, "a": 50_001}
    tracks = {name: rng.normal(size=n).astype(np.float32) for name, n in contigs.items()}
    for track in tracks.values() if gaps else ():
        for start in range(0, len(track), 997):
            track[start : start + int(rng.integers(900))] = np.nan
    runs = []
    for name, track in tracks.items():
        edges = np.flatnonzero(np.diff(~np.isnan(track), prepend=False, append=False))
        runs += [(name, i, track[i:j]) for i, j in edges.reshape(-1, 2).tolist()]
    path = written(tmp_path / "a.bw", contigs, runs)
    fold = {
        "mean": np.nanmean, "min": np.nanmin, "max": np.nanmax,
        "std": lambda bin: np.nanstd(bin, ddof=1), "cov": lambda bin: np.mean(~np.isnan(bin)),
    }[statistic]  # fmt: skip
    with bbi.open(str(path)) as file:
        assert list(file.zooms) == [10 * 4**i for i in range(8)]
        for width in [4 * zoom for zoom in file.zooms[:6]]:  # seen from so far, it is this level
            n = contigs["a"] // width
            found = file.fetch("a", 0, n * width, bins=n, summary=statistic, missing=-9)
            bins = tracks["a"][: n * width].reshape(n, width)
            is_full = (~np.isnan(bins)).sum(1) > 1
            wanted = [fold(bin) for bin in bins[is_full]]
            np.testing.assert_allclose(found[is_full], wanted, rtol=0, atol=1e-5)


def test_a_track_without_values_is_a_bigwig(tmp_path):
    path = written(tmp_path / "a.bw", CONTIGS, [])
    with bbi.open(str(path)) as file:
        assert np.isnan(file.fetch("chr1", 0, 700, missing=np.nan)).all()
    with pyBigWig.open(str(path)) as file:
        assert file.header()["nBasesCovered"] == 0


def test_memory_does_not_grow_with_the_track(tmp_path):
    """Less than a tenth of a byte a base, for the index."""
    values = np.random.default_rng(0).normal(size=1 << 16).astype(np.float32)

    def peak(n_runs):
        tracemalloc.start()
        written(tmp_path / "a.bw", {"a": 1 << 28}, (("a", i << 16, values) for i in range(n_runs)))
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    peak(1)
    few, many = peak(4), peak(256)  # threads that compress hold a megabyte more or less
    assert many - few < 252 * len(values) / 10


def test_both_ends_carry_the_signature(tmp_path):
    data = written(tmp_path / "a.bw", CONTIGS, [("chr1", 5, [1.0])]).read_bytes()
    assert data[:4] == data[-4:] == bytes.fromhex("26fc8f88")
