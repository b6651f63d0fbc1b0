"""Letters stand where the genome has them, the right way up."""

import warnings
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from matplotlib.colors import to_hex
from matplotlib.image import imread

from seqlift.errors import InputError, OutputError
from seqlift.genome.regions import Region
from seqlift.logo import (
    COLOURS,
    CORE_WIDTH,
    DEFAULT_WIDTH,
    crop_about_core,
    draw_logo,
    save_logo,
    strongest_stretch,
)

LETTERS = {colour.lower(): letter for letter, colour in COLOURS.items()}


def scores_of(sequence, heights):
    """The matrix of a sequence whose bases have the given scores; N is all zeros."""
    matrix = np.zeros((4, len(sequence)))
    for i, (letter, height) in enumerate(zip(sequence, heights, strict=True)):
        if letter != "N":
            matrix["ACGT".index(letter), i] = height
    return matrix


def letters_of(panel):
    """The letters of a panel by x: (letter, bottom, top), lowest first."""
    found = {}
    for patch in panel.patches:
        box = patch.get_path().get_extents()
        x = round((box.x0 + box.x1) / 2)
        found.setdefault(x, []).append((LETTERS[to_hex(patch.get_facecolor())], box.y0, box.y1))
    return {
        x: sorted(letters, key=lambda letter: letter[1]) for x, letters in sorted(found.items())
    }


def ticks_of(panel):
    """The labels of the ticks that are in sight, by their x."""
    panel.figure.canvas.draw()
    low, high = panel.get_xlim()
    labels = [label.get_text() for label in panel.get_xticklabels()]
    return {
        x: text
        for x, text in zip(panel.get_xticks().tolist(), labels, strict=True)
        if low <= x <= high
    }


def test_letters_stand_at_their_positions_with_their_heights():
    figure = draw_logo(scores_of("ACGNT", [1.0, 2.0, 0.5, 0.0, -1.5]), start=0, end=5)
    (panel,) = figure.axes
    letters = letters_of(panel)
    assert {x: letter for x, ((letter, _, _),) in letters.items()} == {
        1: "A",
        2: "C",
        3: "G",
        5: "T",
    }
    for x, height in {1: 1.0, 2: 2.0, 3: 0.5}.items():
        ((_, bottom, top),) = letters[x]
        assert (bottom, top) == pytest.approx((0, height), abs=0.03 * height)
    ((_, bottom, top),) = letters[5]
    assert (bottom, top) == pytest.approx((-1.5, 0), abs=0.05)


def bar_height(panel, x):
    """Where a T is widest, as a fraction of its height from below."""
    (patch,) = [
        patch for patch in panel.patches if abs(patch.get_path().get_extents().x0 + 0.47 - x) < 0.2
    ]
    points = patch.get_path().vertices
    box = patch.get_path().get_extents()
    outermost = points[np.abs(points[:, 0] - box.x0) < 1e-6]
    return float((outermost[:, 1].mean() - box.y0) / (box.y1 - box.y0))


def test_negative_letters_hang_upside_down():
    (panel,) = draw_logo(scores_of("TT", [1.0, -1.0]), start=0, end=2).axes
    assert bar_height(panel, 1) > 0.8
    assert bar_height(panel, 2) < 0.2


def test_the_axis_has_the_coordinates_of_a_browser():
    region = Region("chr20", 999, 1099)
    (panel,) = draw_logo(
        np.ones((4, 100)) * [[1], [0], [0], [0]], region=region, start=10, end=50
    ).axes
    # The first base of the region is 1,000 to a browser, so column 10 is 1,010.
    assert panel.get_xlim() == (1009.5, 1049.5)
    assert list(letters_of(panel)) == list(range(1010, 1050))
    assert ticks_of(panel) == {x: f"{x:,.0f}" for x in ticks_of(panel)}
    assert len(ticks_of(panel)) >= 3
    assert panel.get_xlabel() == "chr20 position (bp, 1-based)"
    assert panel.get_ylabel() == "contribution score"


def test_the_reverse_complement_runs_down():
    region = Region("chr20", 999, 1009, strand="-")
    scores = scores_of("AACGTTTTTG", np.arange(1, 11))
    (panel,) = draw_logo(scores, region=region, start=0, end=4, reverse=True).axes
    ticks = ticks_of(panel)
    # AACG backwards is CGTT, and its first letter stands on the last base.
    letters = [letter for ((letter, _, _),) in letters_of(panel).values()]
    assert letters == ["C", "G", "T", "T"]
    heights = [top for ((_, _, top),) in letters_of(panel).values()]
    np.testing.assert_allclose(heights, [4, 3, 2, 1], rtol=0.03)
    left, right = panel.get_xlim()
    assert (-left, -right) == (1003.5, 999.5)
    assert all(text == f"{-x:,.0f}" for x, text in ticks.items())
    assert len(ticks) >= 2
    assert panel.get_xlabel() == "chr20 position (bp, 1-based, reverse complement)"


def test_a_minus_strand_is_drawn_forward_unless_asked():
    scores = scores_of("ACG", [1, 2, 3])
    (plus,) = draw_logo(scores, region=Region("chr1", 5, 8, strand="+")).axes
    (minus,) = draw_logo(scores, region=Region("chr1", 5, 8, strand="-")).axes
    assert letters_of(minus) == letters_of(plus)


def test_a_whole_window_is_never_drawn_unasked():
    scores = scores_of("A" * 500, np.exp(-0.5 * ((np.arange(500) - 321) / 9.0) ** 2))
    (panel,) = draw_logo(scores).axes
    letters = letters_of(panel)
    assert len(letters) == DEFAULT_WIDTH
    assert min(letters) + max(letters) == pytest.approx(2 * 322, abs=2)


def test_all_four_letters_of_the_hypothetical_contributions():
    hypothetical = np.array([[2.0], [1.0], [-1.0], [-3.0]])
    scores = scores_of("A", [2.0])
    top, below = draw_logo(scores, hypothetical=hypothetical).axes
    assert [letter for letter, _, _ in letters_of(top)[1]] == ["A"]
    (letters,) = letters_of(below).values()
    assert [letter for letter, _, _ in letters] == ["T", "G", "C", "A"]
    assert letters[0][1] == pytest.approx(-4.0, abs=0.1)
    assert letters[-1][2] == pytest.approx(3.0, abs=0.1)
    assert below.get_ylabel() == "hypothetical\ncontribution"


def test_panels_share_their_positions_and_the_last_has_the_labels():
    scores = scores_of("ACGT" * 5, np.arange(20))
    figure = draw_logo(
        scores,
        region=Region("2", 100, 120),
        hypothetical=scores,
        standard_error=np.ones(20),
        title="CTCF",
    )
    assert len(figure.axes) == 3
    assert len({panel.get_xlim() for panel in figure.axes}) == 1
    assert [panel.get_xlabel() for panel in figure.axes] == ["", "", "2 position (bp, 1-based)"]
    assert figure.axes[2].get_ylim() == (0.0, 1.05)
    assert figure.get_suptitle() == "CTCF"


def test_nothing_overlaps_and_nothing_is_cut_off():
    figure = draw_logo(
        scores_of("ACGT" * 15, np.linspace(-3e-6, 5e-6, 60)),
        region=Region("chr20", 47_949_563, 47_949_623),
        hypothetical=np.random.default_rng(0).normal(size=(4, 60)),
        standard_error=np.ones(60),
        title="CTCF, peak 1",
    )
    figure.canvas.draw()
    canvas = figure.bbox.get_points()
    texts = [figure._suptitle]
    for panel in figure.axes:
        texts += [panel.xaxis.label, panel.yaxis.label, panel.yaxis.get_offset_text()]
        low, high = panel.get_xlim()
        ticks = panel.xaxis.get_major_ticks()
        texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text()]
    for i, box in enumerate(boxes):
        assert (box.get_points() >= canvas[0] - 1).all()
        assert (box.get_points() <= canvas[1] + 1).all()
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("scores", [np.zeros((4, 8)), np.full((4, 8), np.nan)])
def test_a_stretch_of_n_is_an_empty_logo(scores):
    (panel,) = draw_logo(scores).axes
    assert letters_of(panel) == {}
    assert panel.get_xlim() == (0.5, 8.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": np.zeros((5, 4))}, r"scores have shape \(5, 4\); a logo needs \(4, position\)"),
        ({"scores": np.zeros((4, 0))}, "out of 0 cannot be drawn"),
        ({"hypothetical": np.zeros((4, 9))}, "hypothetical contributions have shape"),
        ({"standard_error": np.zeros(9)}, "standard errors have shape"),
        ({"region": Region("chr1", 0, 9)}, "the region has 9 bp; the scores 10"),
        ({"start": 5, "end": 5}, "columns 5 to 5 do not lie in the 10 of the matrix"),
        ({"start": -1}, "columns -1 to 10 do not lie"),
        ({"end": 11}, "columns 0 to 11 do not lie"),
    ],
)
def test_what_does_not_fit_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        draw_logo(**{"scores": np.ones((4, 10)), **arguments})


@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_files_are_what_their_names_say_and_always_the_same(tmp_path, suffix):
    for name in ("a", "b"):
        save_logo(
            draw_logo(scores_of("ACGT", [1, 2, -1, 3])), tmp_path / f"{name}.{suffix}", dpi=100
        )
    first = (tmp_path / f"a.{suffix}").read_bytes()
    assert first == (tmp_path / f"b.{suffix}").read_bytes()
    start = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    assert first.startswith(start)


def test_a_picture_has_the_colours_of_its_letters(tmp_path):
    save_logo(draw_logo(scores_of("ACGT", [1, 1, 1, 1])), tmp_path / "a.png", dpi=100)
    pixels = (imread(tmp_path / "a.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    for colour in COLOURS.values():
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 100


def test_an_svg_is_well_formed_and_its_labels_are_text(tmp_path):
    save_logo(draw_logo(scores_of("ACGT", [1, 1, 1, 1])), tmp_path / "a.svg")
    texts = ElementTree.parse(tmp_path / "a.svg").getroot().itertext()
    assert "contribution score" in {text.strip() for text in texts}


def test_a_temporary_name_needs_its_format(tmp_path):
    figure = draw_logo(scores_of("ACGT", [1, 2, -1, 3]))
    with pytest.raises(
        OutputError, match=r"a logo is written as \.pdf, \.png or \.svg, not 'tmp-1'"
    ):
        save_logo(figure, tmp_path / "a.png.tmp-1")
    save_logo(figure, tmp_path / "a.png.tmp-1", format="png")
    assert (tmp_path / "a.png.tmp-1").read_bytes().startswith(b"\x89PNG")


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"results/a\.png cannot be written: No such file"):
        save_logo(draw_logo(np.ones((4, 3))), tmp_path / "results" / "a.png")


def test_nothing_global_changes(tmp_path):
    from matplotlib import pyplot

    before = dict(mpl.rcParams)
    filters = list(warnings.filters)
    save_logo(draw_logo(np.ones((4, 3))), tmp_path / "a.svg")
    assert dict(mpl.rcParams) == before
    assert warnings.filters == filters
    assert pyplot.get_fignums() == []


@given(
    track=st_numpy.arrays(np.float64, st.integers(1, 40), elements=st.integers(-9, 9)),
    width=st.integers(1, 50),
)
def test_no_other_stretch_is_stronger(track, width):
    start, end = strongest_stretch(track, width)
    assert end - start == min(width, len(track))
    sums = [np.abs(track[i : i + end - start]).sum() for i in range(len(track) - (end - start) + 1)]
    assert sums[start] == max(sums)
    assert start == sums.index(max(sums))


def test_n_counts_as_nothing_in_a_stretch():
    assert strongest_stretch(np.array([np.nan, 1.0, np.nan, -1.0, -2.0]), 2) == (3, 5)


def test_the_strongest_core_is_in_the_middle_of_a_crop():
    """Not at its edge, as in the strongest stretch of the whole width."""
    track = np.zeros(300)
    track[100:120] = 5.0
    track[122:165] = 0.1
    assert strongest_stretch(track, 60) == (100, 160)
    assert crop_about_core(track) == (80, 140, 100.0)
    assert crop_about_core(track, 100) == (60, 160, 100.0)


@pytest.mark.parametrize(("core", "crop"), [(0, (0, 60)), (15, (0, 60)), (270, (240, 300))])
def test_a_crop_is_moved_and_not_cut_at_an_end(core, crop):
    track = np.zeros(300)
    track[core : core + CORE_WIDTH] = -1.0
    assert crop_about_core(track) == (*crop, CORE_WIDTH)


@given(
    track=st_numpy.arrays(np.float64, st.integers(1, 90), elements=st.integers(-9, 9)),
    width=st.integers(1, 100),
)
def test_a_crop_holds_the_strongest_core(track, width):
    crop = crop_about_core(track, width)
    first, last = strongest_stretch(track, min(CORE_WIDTH, width))
    assert crop.end - crop.start == min(width, len(track))
    assert 0 <= crop.start <= first < last <= crop.end <= len(track)
    assert crop.strength == np.abs(track[first:last]).sum()
    is_inside = 0 < crop.start and crop.end < len(track)
    assert not is_inside or abs((crop.start + crop.end) - (first + last)) <= 1


def test_n_counts_as_nothing_in_a_core():
    track = np.full(100, np.nan)
    track[50:70] = 1.0
    assert crop_about_core(track, 30) == (45, 75, 20.0)


@pytest.mark.parametrize("width", [0, -3])
def test_a_crop_needs_a_width(width):
    with pytest.raises(InputError, match=f"a stretch of {width} bp"):
        crop_about_core(np.ones(5), width)


@pytest.mark.parametrize("width", [0, -3])
def test_a_stretch_needs_a_width(width):
    with pytest.raises(InputError, match=f"a stretch of {width} bp"):
        strongest_stretch(np.ones(5), width)
