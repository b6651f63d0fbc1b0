"""The embedded demo in data/ is what its README says, and its model knows its peaks."""

import functools
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.regions import Region, resize
from seqlift.sequence.onehot import decode, encode, encode_many, reverse_complement
from seqlift.sequence.shuffle import dinucleotide_shuffle
from tests.oracle.pwm import best_match, read_pwm

DATA = Path(__file__).parents[1] / "data"
README = (DATA / "README.md").read_text()
MODEL = DATA / "ctcf-p73.pt2"
GENOME = DATA / "chr20.fa.gz"
MOTIF = DATA / "MA0139.1.meme"
# Column of the model's output, file, number of peaks on chromosome 20.
OUTPUTS = {
    "CTCF": (0, "ctcf.chr20.narrowPeak", 23),
    "p73": (1, "p73.chr20.narrowPeak", 42),
}
LENGTH = 200
CHR20_LENGTH = 63_025_520  # GRCh37


def read_peaks(output: str) -> list[Region]:
    return list(read_regions(DATA / OUTPUTS[output][1]))


def fetch_windows(output: str) -> list[str]:
    windows = [resize(peak, LENGTH) for peak in read_peaks(output)]
    with Genome(GENOME) as genome:
        return [genome.fetch(window.chrom, window.start, window.end) for window in windows]


@functools.cache
def load_program() -> torch.export.ExportedProgram:
    return torch.export.load(MODEL)


@functools.cache
def load_model() -> torch.nn.Module:
    return load_program().module(check_guards=False)


def predict(one_hot: np.ndarray) -> np.ndarray:
    model = load_model()
    with torch.no_grad():
        return model(torch.from_numpy(one_hot).float()).numpy()


def auroc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Mann-Whitney's U over the number of pairs."""
    ranks = rankdata(np.concatenate([positives, negatives]))
    n = len(positives)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negatives)))


def test_the_readme_has_size_and_digest_of_every_file():
    listed = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \| `([0-9a-f]{64})` \|", README, re.MULTILINE)
    found = {
        path.name: (f"{path.stat().st_size:,}", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in DATA.iterdir()
        if path.name != "README.md"
    }
    assert {name: (size, digest) for name, size, digest in listed} == found


@pytest.mark.parametrize(("path", "limit"), [(MODEL, 2_000_000), (GENOME, 1_000_000)])
def test_the_files_are_small(path, limit):
    assert path.stat().st_size < limit


def test_the_genome_keeps_the_coordinates_of_grch37():
    with Genome(GENOME) as genome:
        assert genome.contigs == {"chr20": CHR20_LENGTH}
        assert set(genome.fetch("chr20", 0, 10_000)) == {"N"}


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_peaks_lie_on_unmasked_sequence(output):
    peaks = read_peaks(output)
    assert len(peaks) == OUTPUTS[output][2]
    assert [peak.start for peak in peaks] == sorted(peak.start for peak in peaks)
    assert {(peak.end - peak.start, peak.summit) for peak in peaks} == {(LENGTH, None)}
    with Genome(GENOME) as genome:
        about = (resize(peak, 2400) for peak in peaks)
        letters = {base for r in about for base in genome.fetch(r.chrom, r.start, r.end)}
    assert letters == set("ACGT")


def test_the_model_takes_any_number_of_rows_and_has_two_outputs():
    one_hot = encode_many(fetch_windows("CTCF"))
    whole = predict(one_hot)
    assert whole.shape == (len(one_hot), len(OUTPUTS))
    np.testing.assert_allclose(predict(one_hot[:1]), whole[:1], rtol=1e-4, atol=1e-4)


def test_the_model_reads_both_strands_alike():
    one_hot = encode_many(fetch_windows("CTCF"))
    np.testing.assert_allclose(
        predict(reverse_complement(one_hot)), predict(one_hot), rtol=1e-4, atol=1e-4
    )


def test_the_model_holds_no_path_of_the_machine_that_made_it():
    traces = [node.meta.get("stack_trace", "") for node in load_program().graph.nodes]
    files = {name for trace in traces for name in re.findall(r'File "([^"]+)"', trace)}
    assert files == {"model.py"}


# Lower bounds with room for the 23 and 42 peaks that there are, not the measured values.
@pytest.mark.parametrize(("output", "least"), [("CTCF", 0.95), ("p73", 0.8)])
def test_the_model_tells_held_out_peaks_from_their_shuffles(output, least):
    column = OUTPUTS[output][0]
    one_hot = encode_many(fetch_windows(output))
    shuffles = dinucleotide_shuffle(one_hot, 20, seed=1).reshape(-1, 4, LENGTH)
    assert auroc(predict(one_hot)[:, column], predict(shuffles)[:, column]) >= least


def test_the_model_tells_the_two_factors_apart():
    ctcf, p73 = (predict(encode_many(fetch_windows(output))) for output in OUTPUTS)
    assert auroc(ctcf[:, 0], p73[:, 0]) >= 0.95
    assert auroc(p73[:, 1], ctcf[:, 1]) >= 0.95


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_readme_reports_what_was_measured(output):
    measured = json.loads((DATA / "metrics.json").read_text())[output]
    for kind, values in measured.items():
        cells = [f"{output} | {kind} windows", str(values["n_peaks"]), f"{values['n_windows']:,}"]
        for name in ("auroc", "average_precision"):
            low, high = values[name]["interval"]
            assert low <= values[name]["value"] <= high
            cells.append(f"{values[name]['value']:.3f} [{low:.3f}, {high:.3f}]")
        assert " | ".join(cells) in README


def test_the_held_out_auroc_of_ctcf_is_high():
    measured = json.loads((DATA / "metrics.json").read_text())["CTCF"]
    assert measured["random"]["auroc"]["value"] >= 0.95


def test_the_motif_is_in_the_ctcf_peaks_and_not_in_their_shuffles():
    pwm = read_pwm(MOTIF)
    sequences = fetch_windows("CTCF")
    shuffles = [decode(dinucleotide_shuffle(encode(s), 1, seed=1)[0]) for s in sequences]
    in_peaks, in_shuffles = (
        [best_match(sequence, pwm)[3] for sequence in group] for group in (sequences, shuffles)
    )
    assert auroc(np.array(in_peaks), np.array(in_shuffles)) >= 0.9


@pytest.mark.parametrize(("strand", "start"), [("+", 5), ("-", 9)])
def test_the_scan_finds_the_consensus_on_either_strand(strand, start):
    pwm = read_pwm(MOTIF)
    site = "".join(max(column, key=column.get) for column in pwm)
    highest = sum(max(column.values()) for column in pwm)
    if strand == "-":
        site = decode(reverse_complement(encode(site)))
    sequence = "A" * start + site + "NACGTACGT"
    first, last, found, score = best_match(sequence, pwm)
    assert (first, last, found) == (start, start + len(pwm), strand)
    assert score == pytest.approx(highest)
