"""`seqlift logo`: which stretch is drawn, and on which strand."""

import numpy as np
import pytest
from matplotlib.image import imread

from seqlift.logo import crop_about_core
from seqlift.output.hdf5 import ScoresFile
from tests.tiny import run_cli


@pytest.fixture(scope="module")
def scores(scored):
    return scored[0] / "out.0.h5"


@pytest.fixture
def draw(scores, tmp_path, monkeypatch):
    """Draw in an empty folder; return the place that the command names."""
    monkeypatch.chdir(tmp_path)

    def run(output, *arguments):
        found = run_cli("logo", scores, "-o", output, *arguments)
        assert (found.status, found.stdout) == (0, ""), found.stderr
        start = f"seqlift: wrote {output}: "
        assert found.stderr.startswith(start)
        return found.stderr.removeprefix(start).strip()

    return run


def place_of(region, start, end):
    return f"{region.chrom}:{region.start + start + 1}-{region.start + end}"


def test_the_strongest_core_of_all_regions(draw, scores):
    with ScoresFile(scores) as file:
        tracks, regions = file.track(), file.regions()
    crops = [crop_about_core(track, 24) for track in tracks]
    best = int(np.argmax([crop.strength for crop in crops]))
    wanted = place_of(regions[best], crops[best].start, crops[best].end)
    assert draw("best.png", "--width", 24) == wanted


def test_the_core_of_a_region_with_a_name(draw, scores):
    with ScoresFile(scores) as file:
        tracks, regions = file.track(), file.regions()
    (row,) = [i for i, region in enumerate(regions) if region.name == "IUPAC"]
    start, end, _ = crop_about_core(tracks[row], 30)
    assert draw("named.png", "--region", "IUPAC", "--width", 30) == place_of(
        regions[row], start, end
    )
    assert end - start == 30


def test_coordinates_are_drawn_as_they_are(draw):
    assert draw("place.png", "--region", "chr1:270-279") == "chr1:270-279"
    assert draw("commas.svg", "--region", "chr1:0,270-279") == "chr1:270-279"
    assert "270" in draw("place.pdf", "--region", "chr1:270-279")


def test_strands(draw, tmp_path):
    """`second` lies on the minus strand and `again` at the same place on the plus strand."""
    for name, arguments in {
        "minus": ["--region", "second"],
        "also-minus": ["--region", "second", "--strand", "-"],
        "turned": ["--region", "second", "--strand", "+"],
        "plus": ["--region", "again", "--strand", "region"],
        "also-turned": ["--region", "again", "--strand", "-"],
    }.items():
        draw(f"{name}.png", *arguments, "--title", "the same")
    pixels = {path.stem: imread(path) for path in tmp_path.glob("*.png")}
    np.testing.assert_array_equal(pixels["minus"], pixels["also-minus"])
    np.testing.assert_array_equal(pixels["minus"], pixels["also-turned"])
    np.testing.assert_array_equal(pixels["turned"], pixels["plus"])
    same_shape = pixels["minus"].shape == pixels["plus"].shape
    assert not (same_shape and (pixels["minus"] == pixels["plus"]).all())


def test_more_panels_make_a_higher_picture(draw, tmp_path):
    draw("one.png", "--region", "first")
    draw("two.png", "--region", "first", "--hypothetical")
    draw("three.png", "--region", "first", "--hypothetical", "--standard-error")
    heights = [imread(tmp_path / f"{name}.png").shape[0] for name in ("one", "two", "three")]
    assert heights[0] < heights[1] < heights[2]


@pytest.mark.parametrize(
    ("arguments", "error", "status"),
    [
        (
            ["SCORES", "-o", "a.png", "--region", "nobody"],
            "SCORES has no region named 'nobody'; give a name, or chrom:start-end",
            1,
        ),
        (
            ["SCORES", "-o", "a.png", "--region", "chr1:260-300"],
            "no region of SCORES holds chr1:260-300 whole",
            1,
        ),
        (
            ["SCORES", "-o", "a.png", "--region", "chr1:300-260"],
            "'chr1:300-260' ends (260) before it starts (300)",
            1,
        ),
        (
            ["SCORES", "-o", "a.png", "--region", "chr1:x"],
            "'chr1:x' is not a region; write it as chr1:1001-2000",
            1,
        ),
        (["SCORES", "-o", "a.gif"], "a.gif does not end in .png, .svg or .pdf", 2),
        (["SCORES", "-o", "there.png"], "there.png exists (use --force)", 1),
        (["SCORES", "-o", "none/a.png"], "none/ does not exist; make it first", 1),
        (["none.h5", "-o", "a.png"], "none.h5 cannot be read: No such file or directory", 1),
        (
            ["SCORES", "-o", "a.png", "--width", "0"],
            "Invalid value for '--width': 0 is not in the range x>=1. (see seqlift logo --help)",
            2,
        ),
    ],
)
def test_mistakes_leave_nothing(scores, tmp_path, monkeypatch, arguments, error, status):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_text("")
    run = run_cli("logo", *(str(scores) if word == "SCORES" else word for word in arguments))
    wanted = error.replace("SCORES", str(scores))
    assert run == (status, "", f"seqlift: error: {wanted}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_an_existing_picture_is_replaced_on_request(draw, tmp_path):
    (tmp_path / "there.png").write_text("")
    draw("there.png", "--force", "--region", "first")
    assert (tmp_path / "there.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_not_hdf5(scores, tmp_path, monkeypatch, originals):
    monkeypatch.chdir(tmp_path)
    run = run_cli("logo", originals / "genome.fa", "-o", "a.png")
    assert run.status == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"seqlift: error: {originals / 'genome.fa'} ")
    assert list(tmp_path.iterdir()) == []
