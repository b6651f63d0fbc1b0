"""`seqlift hub`: from the command line, on tracks of `seqlift score` and `seqlift tracks`."""

import json
import shutil

import bbi
import numpy as np
import pytest

from tests.tiny import run_cli

ME = ("--assembly", "tiny1", "--email", "me@x.org")


@pytest.fixture
def tracks(folder, scored):
    """Two targets of one run, and their standard errors."""
    for target in (0, 2):
        shutil.copy(scored[0] / f"out.{target}.bw", folder)
        options = ("-g", "genome.fa", "--quantity", "standard-error", "-o", f"se.{target}.bw")
        run = run_cli("tracks", scored[0] / f"out.{target}.h5", *options)
        assert run.status == 0, run.stderr
    return folder


def test_the_tracks_of_a_run(tracks):
    url = "https://host.org/hub"
    errors = ("--standard-error", "se.0.bw", "--standard-error", "se.2.bw")
    run = run_cli("hub", "out.0.bw", "out.2.bw", "-o", "hub", *ME, *errors, "--url", url)
    assert (run.status, run.stdout) == (0, "")
    session = json.loads((tracks / "hub/igv.json").read_text())
    assert run.stderr == (
        f"seqlift: wrote hub: 4 tracks, strong at {session['locus']}\n"
        "seqlift: UCSC: https://genome.ucsc.edu/cgi-bin/hgTracks?db=tiny1"
        f"&hubUrl={url}/hub.txt&position={session['locus']}\n"
        "seqlift: WashU: https://epigenomegateway.wustl.edu/browser/?genome=tiny1"
        f"&hub={url}/washu.json\n"
        f"seqlift: IGV: https://igv.org/app/?sessionURL={url}/igv.json\n"
    )
    assert [track["url"].removeprefix(url) for track in session["tracks"]] == [
        "/tiny1/out_0.bw",
        "/tiny1/out_0_standard_error.bw",
        "/tiny1/out_2.bw",
        "/tiny1/out_2_standard_error.bw",
    ]


def test_the_place_shown_first_has_the_strongest_base(tracks):
    assert run_cli("hub", "out.0.bw", "-o", "hub", *ME).status == 0
    contig, _, span = json.loads((tracks / "hub/igv.json").read_text())["locus"].partition(":")
    first, last = map(int, span.split("-"))
    with bbi.open("out.0.bw") as file:
        values = {name: file.fetch(name, 0, -1, missing=0) for name in file.chromsizes}
    strongest = max(np.abs(track).max() for track in values.values())
    assert np.abs(values[contig][first - 1 : last]).max() == strongest


def test_without_an_address_the_summary_says_what_lacks(tracks):
    run = run_cli("hub", "out.0.bw", "-o", "hub", *ME)
    wrote, hint = run.stderr.splitlines()
    assert wrote.startswith("seqlift: wrote hub: 1 track, strong at chr")
    assert hint == "seqlift: give --url for links, and for an igv.json that IGV-Web opens"


def test_quiet(tracks):
    assert run_cli("hub", "out.0.bw", "-o", "hub", *ME, "-q") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["out.0.bw", "-o", "hub", "--assembly", "hg38", "--email", "x"], 2, "'x' is no email"),
        (["out.0.bw", "-o", "hub", "--assembly", "hg38"], 2, "Missing option '--email'"),
        (["-o", "hub", *ME], 2, "Missing argument 'TRACK.bw...'"),
        (["none.bw", "-o", "hub", *ME], 1, "none.bw cannot be read: No such file"),
        (["genome.fa", "-o", "hub", *ME], 1, "genome.fa is not a bigWig; give a track that"),
        (
            ["out.0.bw", "-o", "hub", "--assembly", "hg38", "--email", "a@b.c"],
            1,
            "out.0.bw: chr2 has 600 bp, in hg38 it has 242,193,529; give the --assembly",
        ),
        (["out.0.bw", "-o", ".", *ME, "--force"], 1, "./ has files that this command does not"),
    ],
)
def test_mistakes_leave_nothing(tracks, arguments, status, error):
    before = sorted(tracks.iterdir())
    run = run_cli("hub", *arguments)
    assert (run.status, run.stdout) == (status, "")
    assert run.stderr.startswith(f"seqlift: error: {error}")
    assert run.stderr.count("\n") == 1
    assert sorted(tracks.iterdir()) == before
