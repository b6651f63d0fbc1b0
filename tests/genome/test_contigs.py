import re

import pytest

from seqlift.errors import GenomeError
from seqlift.genome.contigs import match_contigs

UCSC = [f"chr{i}" for i in range(1, 23)] + ["chrX", "chrY", "chrM"]
ENSEMBL = [*(str(i) for i in range(1, 23)), "X", "Y", "MT"]


@pytest.mark.parametrize("style", ["exact", "match"])
@pytest.mark.parametrize("contigs", [UCSC, ENSEMBL])
def test_names_that_the_genome_has_stay_as_they_are(contigs: list[str], style: str) -> None:
    names = [contigs[3], contigs[-1], contigs[3]]
    expected = {contigs[3]: contigs[3], contigs[-1]: contigs[-1]}
    assert match_contigs(iter(names), contigs, style) == expected


@pytest.mark.parametrize(
    ("name", "contigs", "expected"),
    [
        ("chr20", ENSEMBL, "20"),
        ("20", UCSC, "chr20"),
        ("X", UCSC, "chrX"),
        ("MT", UCSC, "chrM"),
        ("M", UCSC, "chrM"),
        ("chrM", ENSEMBL, "MT"),
        ("chrMT", ENSEMBL, "MT"),
        ("Chr2", ["1", "2"], "2"),
        ("2", ["Chr1", "Chr2"], "Chr2"),
        ("chr2", ["2", "chr2"], "chr2"),
        ("2", ["chr2", "2"], "2"),
    ],
)
def test_match_looks_past_the_style(name: str, contigs: list[str], expected: str) -> None:
    assert match_contigs([name], contigs, "match") == {name: expected}


@pytest.mark.parametrize(
    ("names", "contigs", "style", "message"),
    [
        (
            ["chr7"],
            [f"chr{i}" for i in range(1, 26) if i != 7],
            "exact",
            "chr7 is not in hg38.fa (it has 'chr1', 'chr2', 'chr3', … 24 sequences)",
        ),
        (
            ["chr20", "chr1"],
            ENSEMBL,
            "exact",
            "chr20 (and 1 more: 'chr1') are not in hg38.fa (it has '1', '2', '3', … 25 sequences);"
            " use --contig-style match to read 20 for chr20",
        ),
        (
            ["20"],
            ["chr20"],
            "exact",
            "20 is not in hg38.fa (it has 'chr20'); use --contig-style match to read chr20 for 20",
        ),
        (["chr20", "lambda"], ["20"], "match", "lambda is not in hg38.fa (it has '20')"),
        (["Chr2"], ["2", "chr2"], "match", "Chr2 is not in hg38.fa (it has '2', 'chr2')"),
        (["MT"], ["M1"], "match", "MT is not in hg38.fa (it has 'M1')"),
        (
            [f"s{i}" for i in range(9)],
            ["x"],
            "exact",
            "s0 (and 8 more: 's1', 's2', 's3', … 8 sequences) are not in hg38.fa (it has 'x')",
        ),
    ],
)
def test_names_that_the_genome_lacks(
    names: list[str], contigs: list[str], style: str, message: str
) -> None:
    with pytest.raises(GenomeError, match=f"^{re.escape(message)}$"):
        match_contigs(names, contigs, style, genome="hg38.fa")
