"""The page in a real browser: what it draws, what moves it, and what it asks the network for."""

import re
import shutil

import h5py
import numpy as np
import pytest

from seqlift.genome.regions import Region
from tests.report.chromium import OWN, Page, start
from tests.report.files import windows, write_scores
from tests.tiny import run_cli

pytestmark = [
    pytest.mark.browser,
    # sockets to a driver that has ended
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

COLOURS = {"A": "#109648", "C": "#255C99", "G": "#F7A01D", "T": "#D62839"}
HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
)
N_REGIONS, LENGTH, START, STEP = 30, 200, 10_000, 1_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = start(tmp_path_factory.mktemp("profile"))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages of two files; the scores of the first have a strong core in each window."""
    folder = tmp_path_factory.mktemp("pages")
    regions = windows(N_REGIONS, LENGTH, "chr7", STEP, START)
    bases = np.random.default_rng(2).integers(0, 4, (N_REGIONS, LENGTH))
    one_hot = np.eye(4, dtype=np.uint8)[bases].transpose(0, 2, 1)
    for name, method in (("a", "deeplift"), ("b", "gradient")):
        path = write_scores(folder / f"{name}.h5", regions, one_hot=one_hot, method=method)
        with h5py.File(path, "r+") as file:
            scores = file["projected_shap/seq"][:] * 0.01
            size = np.linspace(1, 2, N_REGIONS)[:, None, None]
            core = np.tile([1.0, -0.8, 0.6, 0.9], 5)
            scores[:, :, 90:110] = one_hot[:, :, 90:110] * core * size
            file["projected_shap/seq"][:] = scores if name == "a" else -scores
    return folder


@pytest.fixture
def page(browser, folder):
    path = folder / "page.html"
    if not path.exists():
        assert run_cli("report", folder / "a.h5", "-o", path).status == 0
    return Page(browser, path)


def core_of(i):
    """Where the view is to be of a region: 25 bp beside its core; 1-based, closed."""
    first = START + i * STEP + 90
    return f"chr7:{first - 24:,}-{first + 45:,}"


def sequence(folder, i):
    with h5py.File(folder / "a.h5") as file:
        return np.array([*"ACGT"])[file["raw/seq"][i].argmax(0)], file["projected_shap/seq"][i].sum(
            0
        )


def shade(name):
    return np.array([int(COLOURS[name][i : i + 2], 16) for i in (1, 3, 5)])


def test_it_draws_letters_of_the_right_kind_and_height_at_the_right_place(page, folder):
    page.wait(lambda: page.locus() == core_of(N_REGIONS - 1))
    at = page.track("contribution score")
    letters, values = sequence(folder, N_REGIONS - 1)
    image = page.pixels().astype(int)
    drawn = image[int(at["top"]) : int(at["top"] + at["height"]) - 1]
    scale = (at["height"] - 1) / (at["max"] - at["min"])
    fill = {}
    for column in range(90, 110):
        if column - 90 < 6:
            continue  # the name of the track lies over these
        left = (
            at["left"] + (START + (N_REGIONS - 1) * STEP + column - at["start"]) / at["bpPerPixel"]
        )
        strip = drawn[:, round(left) : round(left + 1 / at["bpPerPixel"])]
        ink = np.abs(strip - shade(letters[column])).sum(-1) < 40
        rows = np.flatnonzero(ink.any(1))
        assert len(rows), f"no {letters[column]} in column {column}"
        # as high as its score, above the line or below it
        zero = at["max"] * scale
        ends = sorted([zero, zero - values[column] * scale])
        assert np.abs(np.array([rows[0], rows[-1] + 1]) - ends).max() <= 2
        fill.setdefault(letters[column], []).append(ink[rows[0] : rows[-1] + 1].mean())
        others = [
            np.abs(strip - shade(base)).sum(-1) < 40 for base in "ACGT" if base != letters[column]
        ]
        assert sum(map(np.count_nonzero, others)) == 0
    # Bars would fill their boxes; a T has a bar on top and a third of its width below.
    assert max(map(np.mean, fill.values())) < 0.8
    assert 0.3 < np.mean(fill["T"]) < 0.6


def test_no_request_leaves_the_page(page):
    page.find("#window").click()
    page.find("#tab-quality").click()
    page.find("#tab-regions").click()
    # A name that igv.js would ask its server for.
    page.run(
        """
        const input = view.browser.navbar.searchInput;
        input.value = "BRCA1";
        input.dispatchEvent(new Event("change"));
        """
    )
    page.wait(lambda: "Unrecognized" in page.run("return view.browser.root.innerText"))
    asked = page.requests()
    assert [url for url in asked if not url.startswith(OWN)] == []
    assert [url for url in asked if url.startswith("file:")] == [page.browser.current_url]
    assert page.complaints() == []


def test_requests_would_be_seen_and_refused(page):
    """So that the test above can fail, and because the page must not rely on igv.js alone."""
    page.requests()
    page.run(
        "fetch('https://example.org/a').catch(() => {}); new Image().src = 'https://example.org/b'"
    )
    page.wait(lambda: len([text for text in page.complaints() if "Content Security" in text]))


def test_a_click_moves_the_view(page):
    row = page.all("#table tbody tr")[3]
    page.run("arguments[0].scrollIntoView()", row)
    row.find_element("css selector", "td.number").click()
    page.wait(lambda: page.locus() == core_of(N_REGIONS - 4))
    assert [found.text.split()[0] for found in page.all("tr[aria-current=true]")] == [
        f"peak_{N_REGIONS - 4}"
    ]
    page.find("#window").click()
    first = START + (N_REGIONS - 4) * STEP
    page.wait(lambda: page.locus() == f"chr7:{first - 4:,}-{first + LENGTH + 5:,}")
    page.find("#core").click()
    page.wait(lambda: page.locus() == core_of(N_REGIONS - 4))
    page.find("#next").click()
    page.wait(lambda: page.locus() == core_of(N_REGIONS - 5))
    assert page.complaints() == []


def test_the_keyboard_is_enough(page):
    """Tab to the names, arrows from name to name, Enter to move the view; also the tabs."""
    press = page.browser.switch_to
    page.find("#search").click()
    seen = []
    for _ in range(12):
        press.active_element.send_keys("\ue004")
        seen.append(press.active_element.text)
        if press.active_element.get_attribute("class") == "go":
            break
    assert seen[-1] == f"peak_{N_REGIONS - 1}"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press.active_element.send_keys("\ue015")
    press.active_element.send_keys("\ue015")
    assert press.active_element.text == f"peak_{N_REGIONS - 3}"
    press.active_element.send_keys("\ue007")
    page.wait(lambda: page.locus() == core_of(N_REGIONS - 3))
    press.active_element.send_keys("\ue010")  # End
    assert press.active_element.text == "peak_0"
    assert page.run(
        """
        const {top, bottom} = document.activeElement.getBoundingClientRect();
        const head = document.querySelector("thead th").getBoundingClientRect().bottom;
        return top >= head && bottom <= innerHeight;
        """
    )
    page.find("#tab-regions").click()
    press.active_element.send_keys("\ue014")
    assert press.active_element.text == "Quality"
    assert page.find("#quality").is_displayed() and not page.find("#regions").is_displayed()


def names(page):
    return [cell.text for cell in page.all("td .go") if cell.is_displayed()]


def test_the_table_is_sorted_and_searched(page, folder):
    with h5py.File(folder / "a.h5") as file:
        prediction = file["quality/prediction"][:]
    by_strength = [f"peak_{i}" for i in reversed(range(N_REGIONS))]
    assert names(page) == by_strength
    head = page.all("#table th")[1]
    for order, direction in (("descending", -1), ("ascending", 1)):
        head.find_element("css selector", "button").click()
        assert names(page) == [f"peak_{i}" for i in np.argsort(direction * prediction)]
        assert head.get_attribute("aria-sort") == order
    assert len(page.all("th[aria-sort]")) == 1
    page.all("#table th")[0].find_element("css selector", "button").click()
    assert names(page)[:3] == ["peak_0", "peak_1", "peak_2"]
    search = page.find("#search")
    for text, wanted in (
        ("PEAK_2", ["peak_2", *(f"peak_{i}" for i in range(20, 30))]),
        ("chr7:12,150-12,300", ["peak_2"]),
        ("chr7:12201", []),
        ("chr8:12150", []),
    ):
        search.clear()
        search.send_keys(text)
        assert names(page) == wanted
        assert page.find("#none").is_displayed() == (not wanted)
    assert page.find("#count").text == "0 of 30 regions"


def test_it_is_readable_on_a_laptop(page):
    width, height = page.run("return [innerWidth, innerHeight]")
    assert (width, height) == (1280, 800)
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run("return document.documentElement.scrollHeight") <= height
    visible = page.run(
        """
        const box = document.getElementById("scroll").getBoundingClientRect();
        return [...document.querySelectorAll("#table tbody tr")].filter(row => {
            const {top, bottom} = row.getBoundingClientRect();
            return top > box.top && bottom <= innerHeight;
        }).length;
        """
    )
    assert visible >= 5
    smallest = page.run(
        """
        return Math.min(...[...document.querySelectorAll("body *:not(script, style)")]
            .filter(element => element.offsetParent && element.innerText)
            .map(element => parseFloat(getComputedStyle(element).fontSize)));
        """
    )
    assert smallest >= 12
    assert page.run("return document.getElementById('scroll').scrollWidth") <= width
    # A logo is drawn where the table is seen: a letter for each value that is not next to nothing.
    letters = page.all("#table tbody tr:first-child svg.logo path[transform]")
    assert len(letters) >= 20


def test_menus_of_tracks_are_not_cut_off(page):
    gear = page.track("contribution score")
    click = {"x": 1266, "y": gear["top"] + 12, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        page.browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **click})
    item = """
        const root = view.browser.root.getRootNode();
        const item = [...root.querySelectorAll("div")].find(
            element => !element.childElementCount && element.innerText === "Set track color");
        if (!item || !item.offsetParent) return false;
        const {left, top, width, height} = item.getBoundingClientRect();
        const at = [left + width / 2, top + height / 2];
        const seen = document.elementFromPoint(...at);
        return seen.id === "browser" && root.elementFromPoint(...at) === item;
    """
    page.wait(lambda: page.run(item))


def test_many_tracks_leave_room_for_the_table(browser, folder):
    files = [folder / f"{name}.h5" for name in "cdefgh"]
    for path in files:
        shutil.copy(folder / "a.h5", path)
    assert run_cli("report", *files, "-o", folder / "many.html").status == 0
    page = Page(browser, folder / "many.html")
    top = page.run("return document.getElementById('scroll').getBoundingClientRect().top")
    assert top < 0.75 * 800


def test_quality_and_run_are_told(page, folder):
    page.find("#tab-quality").click()
    text = page.find("#quality").text
    assert "Predictions of regions and of their references" in text
    assert "PREFIX.regions.tsv" in text
    assert len(page.all("#quality figure svg path[fill]")) == 3
    page.find("#tab-run").click()
    cells = {
        row.find_element("css selector", "th").text: row.find_element("css selector", "td").text
        for row in page.all("#run tr")[1:]
    }
    assert (cells["method"], cells["model"]) == ("deeplift", "some/model.pt2")
    assert re.fullmatch(
        r"seqlift \S+; the browser is igv.js 3\.\d+\.\d+ \(MIT licence\)", cells["Made by"]
    )


def test_several_files_are_tracks_and_numbers_of_their_own(browser, folder):
    path = folder / "both.html"
    assert run_cli("report", folder / "a.h5", folder / "b.h5", "-o", path).status == 0
    page = Page(browser, path)
    for name in ("deeplift", "gradient", "deeplift: standard error", "gradient: standard error"):
        assert page.track(name)["width"] > 1000
    assert page.track("deeplift")["max"] == pytest.approx(-page.track("gradient")["min"], rel=1e-3)
    first = page.all("td.number")[2].text
    page.find("#file").send_keys("gradient")
    page.wait(
        lambda: (
            page.all("td.number")[2].text != "" and page.find("#file").get_attribute("value") == "1"
        )
    )
    assert page.all("td.number")[2].text == first  # the same seed: the same deltas
    assert page.complaints() == []


def test_what_no_file_has_is_no_track(browser, folder):
    """One reference has no standard error."""
    path = folder / "single.h5"
    write_scores(path, windows(2), n_references=1)
    with h5py.File(path, "r+") as file:
        file["quality/standard_error"][:] = np.nan
    assert run_cli("report", path, "-o", folder / "single.html").status == 0
    page = Page(browser, folder / "single.html")
    names = page.run("return view.browser.trackViews.map(({track}) => track.name)")
    assert "contribution score" in names
    assert "standard error" not in names
    assert page.complaints() == []


def test_names_run_nothing_and_lead_nowhere(browser, folder):
    """Names from a file of regions are whatever somebody wrote, contigs with colons among them."""
    contig = "HLA-A*01:01"
    regions = [
        Region(contig, 500, 700, HOSTILE, "+", None, 1),
        Region("chrUn<b>", 3_000_000_000, 3_000_000_200, "a b:c", "-", None, 2),
        Region(contig, 540, 740, "overlap", ".", None, 3),
    ]
    write_scores(folder / "hostile.h5", regions, target=HOSTILE)
    path = folder / "hostile.html"
    run = run_cli("report", folder / "hostile.h5", "-o", path, "--title", HOSTILE, "--force")
    assert run.status == 0, run.stderr
    page = Page(browser, path)
    assert page.browser.title == HOSTILE
    assert page.find("h1").text == HOSTILE
    for button in page.all("td .go"):
        name = button.text
        button.click()
        contig_shown = "chrUn<b>" if name == "a b:c" else contig
        page.wait(lambda shown=contig_shown: page.locus().startswith(f"{shown}:"))
    assert HOSTILE in names(page)
    for tab in ("quality", "run"):
        page.find(f"#tab-{tab}").click()
    assert page.browser.title == HOSTILE
    assert page.all("img") == []
    assert [url for url in page.requests() if not url.startswith(OWN)] == []
    assert page.complaints() == []


def test_the_demo_of_the_command_line_opens_too(browser, folder, scored_by_cli):
    """Windows past the ends of contigs, Ns and duplicates, with the genome."""
    page = Page(browser, scored_by_cli)
    for button in page.all("td .go"):
        button.click()
    page.find("#tab-quality").click()
    assert "clipped" in page.find("#quality").text
    assert page.complaints() == []


@pytest.fixture(scope="module")
def scored_by_cli(tmp_path_factory):
    from tests.tiny import N_REFERENCES, REGIONS, Tiny, export, make_contigs, seeded, write_fasta

    folder = tmp_path_factory.mktemp("tiny")
    export(seeded(Tiny), folder / "model.pt2")
    write_fasta(make_contigs(), folder / "genome.fa")
    (folder / "peaks.bed").write_text(REGIONS)
    run = run_cli(
        "score", "-q", "-m", folder / "model.pt2", "-g", folder / "genome.fa",
        "-r", folder / "peaks.bed", "-o", folder / "out", "--target", 0,
        "-n", N_REFERENCES, "-d", "cpu",
    )  # fmt: skip
    assert run.status == 0, run.stderr
    run = run_cli("report", folder / "out.h5", "-g", folder / "genome.fa", "-o", folder / "p.html")
    assert run.status == 0, run.stderr
    return folder / "p.html"
