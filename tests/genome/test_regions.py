import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlift.errors import RegionError
from seqlift.genome.regions import (
    EdgeOutcome,
    Region,
    apply_edge_policy,
    format_region,
    parse_region,
    resize,
)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    start = draw(st.integers(0, 10**9))
    length = draw(st.integers(1, 10**6))
    summit = draw(st.none() | st.integers(0, length - 1))
    name = draw(st.sampled_from([".", "peak_1"]))
    return Region("chr1", start, start + length, name, "-", summit, draw(st.integers(0, 99)))


@given(regions(), st.integers(1, 10**5))
def test_a_window_has_its_length_and_the_summit_as_its_centre(region: Region, length: int) -> None:
    window = resize(region, length)
    centre = region.start + (
        (region.end - region.start) // 2 if region.summit is None else region.summit
    )
    assert window.end - window.start == length
    assert window.start <= centre < window.end
    assert window.summit == centre - window.start == length // 2
    assert (window.chrom, window.name, window.strand, window.row) == (
        region.chrom,
        region.name,
        region.strand,
        region.row,
    )


@given(regions(), st.integers(1, 10**5), st.integers(1, 10**5))
def test_resizing_twice_is_resizing_once(region: Region, first: int, second: int) -> None:
    assert resize(resize(region, first), second) == resize(region, second)


@pytest.mark.parametrize(
    ("region", "length", "expected"),
    [
        (Region("c", 100, 200), 4, (148, 152)),
        (Region("c", 100, 200), 5, (148, 153)),
        (Region("c", 100, 201), 4, (148, 152)),
        (Region("c", 100, 200, summit=0), 4, (98, 102)),
        (Region("c", 100, 200, summit=99), 1, (199, 200)),
        (Region("c", 1, 2), 10, (-4, 6)),
    ],
)
def test_windows_worked_by_hand(region: Region, length: int, expected: tuple[int, int]) -> None:
    window = resize(region, length)
    assert (window.start, window.end) == expected


@pytest.mark.parametrize("length", [0, -1])
def test_a_window_without_a_base_is_refused(length: int) -> None:
    message = f"a window of {length} bp was asked for; it needs at least 1 bp"
    with pytest.raises(RegionError, match=re.escape(message)):
        resize(Region("c", 0, 10), length)


@given(regions(), st.sampled_from(["chr1", "20", "HLA-A*01:01:01:01", "chrUn_KI270302v1"]))
def test_text_and_region_are_each_others_inverse(region: Region, chrom: str) -> None:
    bare = Region(chrom, region.start, region.end)
    assert parse_region(format_region(bare)) == bare


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1:1,001-2,000", Region("chr1", 1000, 2000)),
        ("chr1:1-1", Region("chr1", 0, 1)),
        (" 20:1001-2000 ", Region("20", 1000, 2000)),
        ("HLA-A*01:01:5-9", Region("HLA-A*01:01", 4, 9)),
    ],
)
def test_regions_as_people_type_them(text: str, expected: Region) -> None:
    assert parse_region(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a region; write it as chr1:1001-2000"),
        ("chr1", "'chr1' is not a region; write it as chr1:1001-2000"),
        ("chr1:5", "'chr1:5' is not a region; write it as chr1:1001-2000"),
        ("chr1:-5-9", "'chr1:-5-9' is not a region; write it as chr1:1001-2000"),
        ("chr1:1.5-9", "'chr1:1.5-9' is not a region; write it as chr1:1001-2000"),
        ("chr1:,-9", "'chr1:,-9' is not a region; write it as chr1:1001-2000"),
        ("chr1:٣-٩", "'chr1:٣-٩' is not a region; write it as chr1:1001-2000"),
        ("chr 1:3-9", "'chr 1:3-9' is not a region; write it as chr1:1001-2000"),
        (":3-9", "':3-9' is not a region; write it as chr1:1001-2000"),
        ("chr1:0-9", "'chr1:0-9' starts at 0, but chrom:start-end counts from 1"),
        ("chr1:10-9", "'chr1:10-9' ends (9) before it starts (10)"),
    ],
)
def test_text_that_is_no_region(text: str, message: str) -> None:
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        parse_region(text)


BEFORE = Region("chr1", 4, 6, row=3)
PAST = Region("chr1", 94, 96)
MIDDLE = Region("chr1", 50, 52)


@pytest.mark.parametrize(
    ("region", "length", "reason"),
    [
        (BEFORE, 20, "starts 5 bp before the start of chr1 (100 bp)"),
        (PAST, 20, "ends 5 bp past the end of chr1 (100 bp)"),
        (
            MIDDLE,
            200,
            "starts 49 bp before the start and ends 51 bp past the end of chr1 (100 bp)",
        ),
    ],
)
def test_each_policy_at_the_edges(region: Region, length: int, reason: str) -> None:
    window = resize(region, length)
    assert apply_edge_policy(region, window, 100, "pad") == EdgeOutcome("padded", reason)
    assert apply_edge_policy(region, window, 100, "drop") == EdgeOutcome("dropped", reason)
    with pytest.raises(RegionError, match=re.escape(f": the window {reason}; pad or drop such")):
        apply_edge_policy(region, window, 100, "error")


@pytest.mark.parametrize("policy", ["pad", "drop", "error"])
def test_a_window_that_just_fits_is_inside(policy: str) -> None:
    whole = Region("chr1", 0, 100)
    assert apply_edge_policy(whole, whole, 100, policy) == EdgeOutcome("inside", "")


def test_the_default_policy_pads() -> None:
    assert apply_edge_policy(BEFORE, resize(BEFORE, 20), 100).status == "padded"


@pytest.mark.parametrize("policy", ["pad", "drop", "error"])
@pytest.mark.parametrize(
    ("region", "length", "message"),
    [
        (
            Region("chr1", 100, 110, row=7),
            50,
            "chr1:101-110 (line 7) starts past the end of chr1 (100 bp); is this the right genome?",
        ),
        (
            Region("chr1", 90, 900, summit=500),
            50,
            "chr1:91-900: the window about it has nothing of chr1 (100 bp); check its summit",
        ),
    ],
)
def test_what_lies_outside_altogether_is_an_error(
    policy: str, region: Region, length: int, message: str
) -> None:
    with pytest.raises(RegionError, match=f"^{re.escape(message)}$"):
        apply_edge_policy(region, resize(region, length), 100, policy)


def test_the_window_is_judged_where_the_region_only_begins_on_the_chromosome() -> None:
    region = Region("chr1", 90, 120, summit=0)
    assert apply_edge_policy(region, resize(region, 10), 100).status == "inside"


@pytest.mark.parametrize("window", [Region("chr1", -5, 0), Region("chr1", 100, 105)])
def test_a_window_that_only_touches_the_chromosome_has_nothing_of_it(window: Region) -> None:
    with pytest.raises(RegionError, match=r": the window about it has nothing of chr1 \(100 bp\)"):
        apply_edge_policy(Region("chr1", 0, 10), window, 100)
