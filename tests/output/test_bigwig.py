"""Tracks read back by two readers, against windows laid out one base at a time."""

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import bbi
import numpy as np
import pyBigWig
import pytest

from seqlift.errors import InputError, OutputError
from seqlift.genome.regions import Region
from seqlift.output import bigwig_child
from seqlift.output.atomic import whole_file
from seqlift.output.bigwig import write_bigwig
from seqlift.output.bigwig_process import BigWigProcess
from seqlift.output.hdf5 import ScoresFile, ScoresWriter
from seqlift.output.schema import rows_at_once

# Neither the order of the letters nor that of the regions below.
CONTIGS = {"chr2": 900, "chr10": 400, "chrM": 60, "chr1": 700, "empty": 5}
LENGTH = 50


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
    summary = write_bigwig(path, CONTIGS, regions, lambda rows: tracks[rows], overlap=policy)
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
    write_bigwig(tmp_path / "a.bw", CONTIGS, [], lambda rows: np.empty((0, 0)))
    with bbi.open(str(tmp_path / "a.bw")) as file:
        assert dict(file.chromsizes) == CONTIGS
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.chroms() == CONTIGS


def test_zoom_levels_are_kept(tmp_path):
    """A far view shows the mean, and browsers that need zoom levels find them."""
    # libBigWig loses the very last record of its zoom levels; the second region takes that fate.
    regions = [Region("chr2", 0, 300), Region("chr1", 0, 300)]
    values = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    write_bigwig(tmp_path / "a.bw", CONTIGS, regions, lambda rows: values[rows])
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

    write_bigwig(tmp_path / "a.bw", CONTIGS, regions, source)
    assert sum(asked) == len(regions)
    assert max(asked) <= rows_at_once(LENGTH)


def test_from_a_scores_file_with_any_quantity(tmp_path, make_batch, make_windows):
    batch = make_batch(make_windows(20, chrom="chr2"))
    with ScoresWriter(tmp_path / "a.h5", 30, 3) as writer:
        writer.append(batch)
    regions = batch.regions
    with ScoresFile(tmp_path / "a.h5") as file:
        write_bigwig(tmp_path / "a.bw", CONTIGS, file.regions(), file.track)
        source = partial(file.track, quantity="standard-error")
        write_bigwig(tmp_path / "e.bw", CONTIGS, file.regions(), source)
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
def test_what_libbigwig_gets_wrong_is_refused(tmp_path, region, source, message):
    with pytest.raises(OutputError, match=message) as caught, whole_file(tmp_path / "a.bw") as path:
        write_bigwig(path, CONTIGS, [Region("chr2", 0, LENGTH), region], source)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_contigs_at_all(tmp_path):
    with pytest.raises(OutputError, match="needs the lengths of the contigs"):
        write_bigwig(tmp_path / "a.bw", {}, [], constant(1.0))


def test_an_unknown_policy(tmp_path):
    with pytest.raises(InputError, match="'median' is not an overlap policy"):
        write_bigwig(
            tmp_path / "a.bw", CONTIGS, [Region("chr1", 0, LENGTH)], constant(1.0), overlap="median"
        )


def test_a_missing_folder_is_an_error_and_no_crash(tmp_path):
    with pytest.raises(OutputError, match=r"results/a\.bw cannot be written: No such file"):
        write_bigwig(tmp_path / "results" / "a.bw", CONTIGS, [], constant(1.0))


def write_noise(path):
    """A bigWig with zoom levels: five sixths of it are data, and the zoom levels come last."""
    regions = [Region("chr1", i * 3000, i * 3000 + 2000) for i in range(20)]
    values = np.random.default_rng(0).normal(size=(20, 2000))
    write_bigwig(path, {"chr1": 10_000_000}, regions, lambda rows: values[rows])
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
        write_bigwig(path, CONTIGS, [Region("chr1", 0, LENGTH)], source)
    assert list(tmp_path.iterdir()) == []


def test_a_writing_process_that_dies_is_an_error(tmp_path):
    with pytest.raises(
        OutputError, match=r"a\.bw cannot be written: the writing process ended with -9"
    ):
        with BigWigProcess(tmp_path / "a.bw", CONTIGS) as process:
            process._process.kill()
            for start in range(800):
                process.add("chr2", start, np.ones(1, dtype=np.float32))


def stream_of(records, contigs=CONTIGS):
    """What the parent would send."""
    data = json.dumps(list(contigs.items())).encode() + b"\n"
    for contig, start, values in records:
        data += (
            bigwig_child.RECORD.pack(contig, start, len(values)) + np.array(values, "<f4").tobytes()
        )
    return data


END = bigwig_child.RECORD.pack(bigwig_child.END, 0, 0)


def test_the_child_writes_and_compares(tmp_path):
    bigwig_child.main(str(tmp_path / "a.bw"), io.BytesIO(stream_of([(0, 7, [1.5, -2.5])]) + END))
    found = read_both(tmp_path / "a.bw", "chr2")[1]
    assert found[7:9].tolist() == [1.5, -2.5]
    assert np.isnan(found).sum() == 898


def test_a_stream_that_stops_is_no_bigwig(tmp_path):
    with pytest.raises(EOFError, match="the stream stopped before its end"):
        bigwig_child.main(str(tmp_path / "a.bw"), io.BytesIO(stream_of([(0, 7, [1.5])])))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        # Past the end of a contig, which libBigWig only minds when reading.
        ([(2, 58, [1, 2, 3])], "Invalid interval bounds"),
        ([(0, 7, [1, 2]), (0, 3, [1, 2])], "out of order"),
    ],
)
def test_the_child_says_why_in_one_line(tmp_path, records, message):
    command = [sys.executable, "-P", bigwig_child.__file__, str(tmp_path / "a.bw")]
    done = subprocess.run(command, input=stream_of(records) + END, capture_output=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert len(done.stderr.decode().strip().splitlines()) == 1


def test_what_reads_back_differently_is_noticed(tmp_path):
    path = tmp_path / "a.bw"
    bigwig_child.main(str(path), io.BytesIO(stream_of([(0, 7, [1.5, 2.5])]) + END))
    with pytest.raises(RuntimeError, match="the values read back at chr2:8-9 differ"):
        bigwig_child._require_same(str(path), list(CONTIGS.items()), [0, 7, 2, 12345])
    with pytest.raises(RuntimeError, match="the contigs read back differ"):
        bigwig_child._require_same(str(path), [("chr2", 900)], [])


def test_the_child_does_not_import_the_package():
    """It must start quickly, and modules beside it must not stand in for installed ones."""
    text = Path(bigwig_child.__file__).read_text()
    assert "seqlift" not in text.split('"""', 2)[2]
