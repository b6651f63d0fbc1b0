"""What is wrong with the input is said in one line, with its status, and nothing is left behind."""

from __future__ import annotations

import gzip
import inspect
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import pysam
import pytest
import torch
from safetensors.torch import save_file

from tests.tiny import LENGTH, Sorted, Tiny, TwoInputs, export, names, run_cli, seeded

GOOD = "-m model.pt2 -g genome.fa -r peaks.bed"
FASTA = "-m model.pt2 -f sequences.fa"


class Case(NamedTuple):
    """One mistake: how to make it, the arguments behind `seqlift score -o out`, what is said."""

    name: str
    error: str
    arguments: str = GOOD
    files: dict[str, str] = {}  # noqa: RUF012  (nobody changes it)
    prepare: Callable[[Path], object] = lambda folder: None
    status: int = 1


def usage(error: str) -> str:
    """What follows a mistake in the options."""
    return f"{error} (see seqlift score --help)"


def without_end(bed: str) -> bytes:
    """Compress, and cut what follows the last letter: length and checksum."""
    return gzip.compress(bed.encode())[:-8]


def sort_line() -> str:
    """Where the operator without a rule is called."""
    lines, first = inspect.getsourcelines(Sorted)
    offset = next(i for i, line in enumerate(lines) if ".sort(" in line)
    return f"{inspect.getsourcefile(Sorted)}:{first + offset}"


def with_nan() -> torch.nn.Module:
    model = seeded(Tiny)
    with torch.no_grad():
        model.dense.weight[0, :2] = torch.nan
    return model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Programs that cannot be used."""
    place = tmp_path_factory.mktemp("models")
    export(seeded(Tiny), place / "static.pt2", dims=({},))
    export(with_nan(), place / "nan.pt2")
    export(seeded(Sorted), place / "sorted.pt2")
    two = (torch.zeros(2, 4, LENGTH), torch.zeros(3))
    export(seeded(TwoInputs), place / "two.pt2", inputs=two, dims=({0: torch.export.Dim("b")}, {}))
    torch.save(seeded(Tiny), place / "pickled.pt")
    return place


BRANCHING = """\
from torch import nn


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(160, 1)

    def forward(self, x):
        y = self.dense(x.flatten(1))
        if y.sum() > 0:
            y = y + 1
        return y
"""


def save_branching(folder: Path) -> None:
    save_file({"dense.weight": torch.zeros(1, 160), "dense.bias": torch.zeros(1)}, "w.safetensors")


REGION_CASES = [
    Case(
        "malformed BED",
        "peaks.bed:2: has 2 columns ('chr1'); BED has at least chrom, start and end",
        files={"peaks.bed": "# peaks\nchr1\t40\n"},
    ),
    Case(
        "words for numbers",
        "peaks.bed:2: start ('ten') is not an integer; and 1 more: line 4",
        files={"peaks.bed": "chr1\t1\t50\nchr1\tten\t50\nchr1\t2\t60\nchr1\t5\tx\n"},
    ),
    Case("empty BED", "peaks.bed holds no regions", files={"peaks.bed": ""}),
    Case("BED of comments", "peaks.bed holds no regions", files={"peaks.bed": "# nothing\n"}),
    Case(
        "end before start",
        "peaks.bed:1: end (40) is not after start (90)",
        files={"peaks.bed": "chr1\t90\t40\n"},
    ),
    Case(
        "summit outside",
        "peaks.bed:1: summit (100) is outside the region of 100 bp; it counts from start",
        files={"peaks.bed": "chr1\t100\t200\tp\t0\t.\t1\t-1\t-1\t100\n"},
    ),
    Case(
        "unknown contig",
        "chrX (and 1 more: 'chrY') are not in genome.fa (it has 'chr2', 'chr10', 'chr1')",
        files={"peaks.bed": "chr1\t100\t200\nchrX\t1\t50\nchrY\t1\t50\n"},
    ),
    Case(
        "contig style",
        "1 is not in genome.fa (it has 'chr2', 'chr10', 'chr1'); "
        "use --contig-style match to read chr1 for 1",
        files={"peaks.bed": "1\t100\t200\n"},
    ),
    Case(
        "contig that no style fits",
        "X is not in genome.fa (it has 'chr2', 'chr10', 'chr1')",
        arguments=f"{GOOD} --contig-style match",
        files={"peaks.bed": "1\t100\t200\nX\t1\t50\n"},
    ),
    Case(
        "past the chromosome",
        "chr10:201-241 (line 2) starts past the end of chr10 (130 bp); is this the right genome?",
        files={"peaks.bed": "chr1\t100\t140\nchr10\t200\t241\n"},
    ),
    Case(
        "edges that are errors",
        "chr2:586-600 (line 7): the window ends 12 bp past the end of chr2 (600 bp); "
        "pad or drop such windows",
        arguments=f"{GOOD} --edges error",
        prepare=lambda folder: _drop_line("chr10\t0\t20"),
    ),
    Case(
        "all dropped",
        "all 2 regions were dropped; nothing is left to score",
        arguments=f"{GOOD} --edges drop",
        files={"peaks.bed": "chr10\t0\t20\nchr10\t110\t130\n"},
    ),
    Case(
        "truncated gzip",
        "peaks.bed.gz is truncated: it ends after line 7; copy it again",
        arguments="-m model.pt2 -g genome.fa -r peaks.bed.gz",
        prepare=lambda folder: Path("peaks.bed.gz").write_bytes(without_end("chr1\t1\t41\n" * 7)),
    ),
    Case(
        "BED that is a binary file",
        "model.pt2 is a binary file; expected a BED file, plain or gzip",
        arguments="-m model.pt2 -g genome.fa -r model.pt2",
    ),
    Case("missing BED", "none.bed does not exist", "-m model.pt2 -g genome.fa -r none.bed"),
]


def _drop_line(start: str) -> None:
    lines = Path("peaks.bed").read_text().splitlines(keepends=True)
    kept = ["\n" if line.startswith(start) else line for line in lines]
    Path("peaks.bed").write_text("".join(kept))


def _age_index(folder: Path) -> None:
    os.utime("genome.fa.fai", (1, 1))


def _change_genome(letters: str, place: int) -> None:
    """Write letters over the end of the genome, without the times saying so."""
    text = Path("genome.fa").read_text()
    Path("genome.fa").write_text(text[:place] + letters)
    os.utime("genome.fa", (1, 1))


def _gzip_genome(folder: Path) -> None:
    Path("genome.fa.gz").write_bytes(gzip.compress(Path("genome.fa").read_bytes()))


def _cut_bgzip(folder: Path) -> None:
    with pysam.BGZFile("genome.fa.gz", "wb") as stream:
        stream.write(Path("genome.fa").read_bytes())
    Path("genome.fa.gz").write_bytes(Path("genome.fa.gz").read_bytes()[:-28])


GENOME_CASES = [
    Case("missing genome", "none.fa does not exist", "-m model.pt2 -g none.fa -r peaks.bed"),
    Case(
        "genome newer than its index",
        "genome.fa is newer than its index genome.fa.fai; "
        "rebuild it with `samtools faidx genome.fa`",
        prepare=_age_index,
    ),
    Case(
        "genome changed after its index",
        "genome.fa does not fit its index genome.fa.fai (at the end of the file); "
        "delete the index to have it made again",
        prepare=lambda folder: _change_genome("ACGT\n>chr3\nACGT\n", -6),
    ),
    Case(
        "gzip genome",
        "genome.fa.gz is gzip, which cannot be read at random; recompress it with "
        "`gunzip genome.fa.gz` and `bgzip genome.fa`",
        "-m model.pt2 -g genome.fa.gz -r peaks.bed",
        prepare=_gzip_genome,
    ),
    Case(
        "truncated bgzip genome",
        "genome.fa.gz is truncated (it lacks bgzip's last block); copy it again",
        "-m model.pt2 -g genome.fa.gz -r peaks.bed",
        prepare=_cut_bgzip,
    ),
    Case(
        "letters that are no DNA",
        "chr1:480-519 (line 1): found '*' at position 16 (counting from 0) of the sequence; "
        "expected A, C, G, T or an IUPAC code: write N where the base is not known",
        prepare=lambda folder: _change_genome("*AAAA\n", -6),
        files={"peaks.bed": "chr1\t499\t500\n"},
    ),
]

FASTA_CASES = [
    Case(
        "another length than the model's",
        "sequences.fa: sequence 'b' has 39 bp; the model takes 40",
        FASTA,
        files={"sequences.fa": f">a\n{'ACGT' * 10}\n>b\n{'ACGT' * 10}".rstrip("T") + "\n"},
    ),
    Case("empty FASTA", "sequences.fa holds no sequences", FASTA, files={"sequences.fa": ""}),
    Case("missing FASTA", "sequences.fa does not exist", FASTA),
    Case(
        "a name twice",
        "sequences.fa:3: a second sequence is named 'a' (the first is in line 1); rename one",
        FASTA,
        files={"sequences.fa": f">a\n{'ACGT' * 10}\n>a\n{'ACGT' * 10}\n"},
    ),
    Case(
        "RNA",
        "sequences.fa:2: sequence 'a' is RNA ('U'); write T for U",
        FASTA,
        files={"sequences.fa": f">a\n{'ACGU' * 10}\n"},
    ),
    Case(
        "protein",
        "sequences.fa:2: 'L' in sequence 'a' is not a letter of DNA (A, C, G, T or an IUPAC code)",
        FASTA,
        files={"sequences.fa": ">a\nMLKV\n"},
    ),
]

HINT = "export it with torch.export.save(torch.export.export(model, ...), 'model.pt2')"


def with_model(model: str) -> str:
    return f"-m {model} -g genome.fa -r peaks.bed"


MODEL_CASES = [
    Case(
        "missing model",
        "none.pt2 does not exist; expected a model's file, package.module:factory, or one of "
        "bpnet, basepairnet, chrombpnet, basset, deepsea, beluga",
        with_model("none.pt2"),
    ),
    Case(
        "truncated model",
        f"cut.pt2 is not a .pt2 file, or is truncated; {HINT}",
        with_model("cut.pt2"),
        prepare=lambda folder: Path("cut.pt2").write_bytes(Path("model.pt2").read_bytes()[:5000]),
    ),
    Case(
        "model that is text",
        f"peaks.bed is not a .pt2 file, or is truncated; {HINT}",
        with_model("peaks.bed"),
    ),
    Case(
        "pickled model",
        "pickled.pt is a pickled module, and loading a pickle runs whatever code it holds; "
        "allow it with --allow-pickle if you trust where it came from, once with `seqlift convert "
        "--allow-pickle`, or give its class as package.module:factory and it as the weights, of "
        "which only the tensors are read",
        with_model("pickled.pt"),
    ),
    Case(
        "another length than the model's on request",
        "the model takes 40 positions; 50 were given",
        f"{GOOD} --length 50",
    ),
    Case(
        "program of one batch size",
        "the model was exported for a batch of exactly 2; export it again with "
        'dynamic_shapes=({0: torch.export.Dim("batch")},)',
        with_model("static.pt2"),
    ),
    Case(
        "an input of another name",
        "the model has no input 'control'; it has x, bias",
        f"{with_model('two.pt2')} --input control=1",
    ),
    Case(
        "NaN in the weights",
        "the model's dense.weight holds 2 NaN of 180 values; the training has probably diverged: "
        "take an earlier checkpoint",
        with_model("nan.pt2"),
    ),
    Case(
        "target out of range",
        "target '3' is not one number a sequence of this model; it has 0 to 2",
        f"{GOOD} --target 3",
    ),
    Case(
        "operator without a rule",
        f"the model uses an operator without a DeepLIFT rule: aten.sort.default ({sort_line()}, "
        "1×) has no rule; write them with operators that `seqlift inspect` shows a rule for, or "
        "leave them out of what the target needs",
        with_model("sorted.pt2"),
    ),
    Case(
        "no length",
        "the model does not say how many positions it takes; give --length",
        f"{with_model('user.py:Branching')} -w w.safetensors",
        files={"user.py": BRANCHING},
        prepare=save_branching,
    ),
    Case(
        "no weights",
        "user.py:Branching is a factory without weights; give its trained weights as well",
        with_model("user.py:Branching"),
        files={"user.py": BRANCHING},
    ),
]

OPTION_CASES = [
    Case(
        "unknown scheme",
        "found reference scheme 'shuffle'; expected one of dinucleotide-shuffle, "
        "mononucleotide-shuffle, flat, zeros, K-let-shuffle, genomic, or a FASTA, .npy or .npz "
        "file: write a number for K, such as 3-let-shuffle",
        f"{GOOD} --references shuffle",
        status=2,
    ),
    Case(
        "genome without regions",
        "found -g; expected a genome and regions (-g and -r), or sequences (-f) in their place",
        "-m model.pt2 -g genome.fa",
        status=2,
    ),
    Case(
        "regions without genome",
        "found -r; expected a genome and regions (-g and -r), or sequences (-f) in their place",
        "-m model.pt2 -r peaks.bed",
        status=2,
    ),
    Case(
        "both kinds of input",
        "found -g and -r and -f; expected a genome and regions (-g and -r), "
        "or sequences (-f) in their place",
        f"{GOOD} -f sequences.fa",
        status=2,
    ),
    Case(
        "negative n",
        usage("Invalid value for '-n' / '--n-references': -1 is not in the range x>=1."),
        f"{GOOD} -n -1",
        status=2,
    ),
    Case("no model", usage("Missing option '-m' / '--model'."), "-g genome.fa", status=2),
    Case(
        "no such option",
        usage(click.NoSuchOption("--zzz").format_message()),
        f"{GOOD} --zzz",
        status=2,
    ),
    Case(
        "a target twice",
        "target 0 is named twice; leave one out",
        f"{GOOD} --target 0 --target 0",
        status=2,
    ),
    Case(
        "no CUDA device of that number",
        f"device 'cuda:99' is not here; torch sees {torch.cuda.device_count()} CUDA devices",
        f"{GOOD} -d cuda:99",
        status=2,
    ),
    Case(
        "unknown device",
        "device 'gpu' is unknown; expected cpu, cuda or cuda:N",
        f"{GOOD} -d gpu",
        status=2,
    ),
]

# These have an output of their own.
OUTPUT_CASES = [
    Case(
        "output that exists",
        "there.json exists (use --force)",
        f"{GOOD} -o there",
        files={"there.json": "{}"},
    ),
    Case(
        "logo that exists",
        "there.logo2.png exists (use --force)",
        f"{GOOD} -o there --logos 2",
        files={"there.logo2.png": ""},
    ),
    Case(
        "output in a missing folder",
        "results/ does not exist; make it first",
        f"{GOOD} -o results/out",
    ),
    Case(
        "output that is a folder",
        "the output 'results/' is a folder; give a prefix such as results/scores",
        f"{GOOD} -o results/",
        status=2,
    ),
    Case(
        "output behind a file",
        "peaks.bed is not a directory; out.regions.tsv cannot be written in it",
        f"{GOOD} -o peaks.bed/out",
    ),
]

CASES = [
    *REGION_CASES,
    *GENOME_CASES,
    *FASTA_CASES,
    *MODEL_CASES,
    *OPTION_CASES,
    *OUTPUT_CASES,
]


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with what it holds."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if "__pycache__" not in path.parts
    }


def assert_fails(arguments: list[str], error: str, status: int) -> None:
    """Run a command that fails in the current folder, and leaves it as it was."""
    before = listing(Path.cwd())
    run = run_cli(*arguments)
    assert run.stderr == f"seqlift: error: {error}\n"
    assert (run.status, run.stdout) == (status, "")
    assert listing(Path.cwd()) == before


@pytest.fixture
def unscored(monkeypatch):
    """No sequence is scored."""

    def fail(*_: object) -> None:
        raise AssertionError("a sequence was scored")

    monkeypatch.setattr("seqlift.explain.Explainer.contribute_each", fail)


@pytest.mark.usefixtures("unscored")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_mistake_is_one_line_and_nothing_is_left(folder, models, case):
    for path in models.iterdir():
        shutil.copy2(path, folder)
    for name, text in case.files.items():
        Path(name).write_text(text)
    case.prepare(folder)
    output = [] if " -o " in case.arguments else ["-o", "out"]
    assert_fails(["score", *case.arguments.split(), *output], case.error, case.status)


def test_branching_on_data_names_the_line(folder):
    Path("user.py").write_text(BRANCHING)
    save_branching(folder)
    before = listing(folder)
    run = run_cli(
        "score", "-m", "user.py:Branching", "-w", "w.safetensors", "-o", "out", "--length", LENGTH,
        "-g", "genome.fa", "-r", "peaks.bed",
    )  # fmt: skip
    assert run.status == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("seqlift: error: torch.export cannot follow the model: ")
    assert f"user.py:{BRANCHING.splitlines().index('        if y.sum() > 0:') + 1}" in line
    assert listing(folder) == before


def test_values_that_are_not_finite_name_the_region(folder):
    """Finite weights, but numbers beyond float32: seen only when a sequence is scored."""
    model = seeded(Tiny)
    with torch.no_grad():
        model.conv.weight.mul_(1e25)
        model.dense.weight.mul_(1e25)
    export(model, Path("huge.pt2"))
    assert_fails(
        ["score", *with_model("huge.pt2").split(), "-o", "out", "-n", "2"],
        "chr1:241-280 (line 1): the scores are not finite in float32; the model gives NaN or "
        "infinity there, or numbers that need --precision float64",
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "stdin", "error"),
    [
        ("-g genome.fa -r -", "chr1\t9\t5\n", "stdin:1: end (5) is not after start (9)"),
        ("-g genome.fa -r -", "", "stdin holds no regions"),
        ("-f -", ">a\nACGT\n", "stdin: sequence 'a' has 4 bp; the model takes 40"),
    ],
)
def test_mistakes_in_a_pipe(folder, arguments, stdin, error):
    before = listing(folder)
    run = run_cli("score", "-m", "model.pt2", *arguments.split(), "-o", "out", stdin=stdin)
    assert run == (1, "", f"seqlift: error: {error}\n")
    assert listing(folder) == before


def test_many_bad_lines_are_counted(folder):
    Path("peaks.bed").write_text("chr1\t5\t1\n" * 30)
    rows = ", ".join(map(str, range(2, 11)))
    assert_fails(
        ["score", *GOOD.split(), "-o", "out"],
        f"peaks.bed:1: end (1) is not after start (5); and 9 more: lines {rows} (stopped there)",
        1,
    )


# The first result that does not fit.
WRITE_ERROR = re.compile(
    r"seqlift: error: (\S*/)?out\.(h5|bw|json|regions\.tsv|unfinished/\S+) cannot be written: "
    r"(?P<reason>.+)"
)


@pytest.mark.parametrize("size", [0, 3_000, 20_000, 50_000])
def test_a_disk_that_fills_up(folder, size):
    """No file grows past so many bytes; what is full first differs."""
    before = listing(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        run = run_cli("score", *GOOD.split(), "-o", "out", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run.status == 1
    *warnings, line = run.stderr.splitlines()
    assert WRITE_ERROR.fullmatch(line)["reason"] == "File too large"
    assert all(other.startswith("seqlift: warning: ") for other in warnings)
    left = listing(folder)
    assert {name: left[name] for name in left if "unfinished" not in name} == before


@contextmanager
def mounted(place: Path, options: str):
    """A small file system of its own; needs root."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(folder):
    with mounted(folder / "small", "size=64k"):
        run = run_cli("score", *GOOD.split(), "-o", "small/out", "-q")
        left = names("small")
    assert run.status == 1
    line = run.stderr.splitlines()[-1]
    assert WRITE_ERROR.fullmatch(line)["reason"] == "No space left on device"
    assert set(left) <= {"out.unfinished"}


def test_a_genome_without_index_in_a_folder_that_is_read_only(folder):
    with mounted(folder / "shared", "size=1m"):
        shutil.copy2("genome.fa", "shared")
        subprocess.run(["mount", "-o", "remount,ro", "shared"], check=True)
        arguments = ["score", "-m", "model.pt2", "-g", "shared/genome.fa", "-r", "peaks.bed"]
        assert_fails(
            [*arguments, "-o", "out"],
            "shared/genome.fa.fai is missing and cannot be written (Read-only file system); run "
            "`samtools faidx shared/genome.fa` as someone who may write there, or give another "
            "place with --fai FILE",
            1,
        )
        elsewhere = run_cli(*arguments, "-o", "out", "--fai", "genome.fa.fai", "-q")
        assert elsewhere.status == 0, elsewhere.stderr
        blocked = run_cli(*arguments, "-o", "shared/out", "--fai", "genome.fa.fai", "-q")
        assert blocked.status == 1
        assert blocked.stderr.startswith("seqlift: error: shared/")
        assert len(blocked.stderr.splitlines()) == 1


def test_an_unexpected_error_is_one_line_and_debug_shows_it(folder, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("two\nlines")

    monkeypatch.setattr("seqlift.model.options.load_model", fail)
    assert_fails(
        ["score", *GOOD.split(), "-o", "out"],
        r"unexpected KeyError: 'two\nlines' (run with seqlift --debug for the traceback)",
        1,
    )
    with pytest.raises(KeyError):
        run_cli("--debug", "score", *GOOD.split(), "-o", "out")
