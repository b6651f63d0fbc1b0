"""The page's data against the scores file, and what keeps the page to itself."""

import base64
import hashlib
import html
import html.parser
import re
from pathlib import Path

import numpy as np
import pytest

import seqlift.report
from seqlift.genome.regions import Region
from seqlift.report.page import page
from tests.report.files import data_of, windows, write_scores
from tests.tiny import run_cli

IGV = Path(seqlift.report.__file__).parent / "igv"


class Scripts(html.parser.HTMLParser):
    """The scripts of a page as an HTML parser of another's finds them, and what it points to."""

    def __init__(self):
        super().__init__()
        self.scripts, self.links, self.kind, self.policy = [], [], None, ""

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "script":
            self.kind = attributes.get("type", "javascript")
            self.scripts.append((self.kind, ""))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]

    def handle_endtag(self, tag):
        self.kind = None if tag == "script" else self.kind

    def handle_data(self, data):
        if self.kind:
            self.scripts[-1] = (self.kind, self.scripts[-1][1] + data)


def parsed(text):
    found = Scripts()
    found.feed(text)
    found.close()
    return found


def test_the_page_points_nowhere_and_lets_only_its_own_scripts_run():
    found = parsed(page("a title", {"a": 1}))
    assert found.links == []
    kinds = [kind for kind, _ in found.scripts]
    assert kinds == ["application/json", "javascript", "javascript"]
    for _, script in found.scripts[1:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found.policy
        assert "sourceMappingURL=igv" not in script
    assert found.policy.count("sha256-") == 2
    assert "default-src 'none'" in found.policy
    assert "unsafe-inline'" not in found.policy.partition("script-src")[2].partition(";")[0]
    assert "http" not in found.policy


@pytest.mark.parametrize(
    "text", ["</script><script>", "<!-- <script>", "{{script}}", "\u2028 é & \" '", "]]>"]
)
def test_text_stays_text(text):
    made = page(text, {"name": text})
    found = parsed(made)
    assert len(found.scripts) == 3
    assert found.scripts[0][1].isascii()
    assert not set("<>&") & set(found.scripts[0][1])
    titles = re.findall(r"<title>(.*?)</title>", made.partition("<style>")[0], re.DOTALL)
    assert [html.unescape(title) for title in titles] == [text]


def test_igv_is_what_its_notice_says():
    notice = (IGV / "README.md").read_text()
    own = (IGV / "igv.min.js").read_bytes()
    assert hashlib.sha256(own).hexdigest() in notice
    (version,) = re.findall(r"version (\d+\.\d+\.\d+)", notice)
    assert f'"{version}"'.encode() in own
    assert tuple(map(int, version.split("."))) >= (3, 8, 0)
    assert (IGV / "LICENSE").read_text().startswith("The MIT License (MIT)")


def test_500_regions_take_less_than_20_megabytes(tmp_path):
    """Two tracks of random numbers each, which nothing packs better than real ones."""
    write_scores(tmp_path / "a.h5", windows(500, length=2114, step=5000))
    run = run_cli("report", tmp_path / "a.h5", "-o", tmp_path / "page.html")
    assert run.status == 0, run.stderr
    assert "500 of 500 regions" in run.stderr
    assert (tmp_path / "page.html").stat().st_size < 10e6
    assert len(data_of(tmp_path / "page.html")["regions"]["chrom"]) == 500


def test_names_of_contigs_and_regions_may_be_anything(tmp_path):
    name = "HLA-A*01:01:01:01"
    regions = [
        Region(name, 0, 40, "<b>é</b>", "-", 3, 1),
        Region(name, -10, 30, "a b", ".", None, 2),
        Region("7", 5, 45, ".", ".", None, 3),
    ]
    write_scores(tmp_path / "a.h5", regions)
    assert run_cli("report", tmp_path / "a.h5", "-o", tmp_path / "p.html").status == 0
    data = data_of(tmp_path / "p.html")
    assert data["regions"]["name"] == ["<b>é</b>", "a b", "."]
    assert data["contigs"] == [[name, 40], ["7", 45]]
    assert data["stretches"] == [[0, 0, 40], [1, 5, 45]]
    assert set("".join(data["sequences"])) <= set("ACGTN")


def test_numbers_that_do_not_exist_are_left_out(tmp_path):
    """One reference has no standard error, and a window of N alone nothing at all."""
    regions = windows(2)
    path = write_scores(
        tmp_path / "a.h5", regions, n_references=1, one_hot=np.zeros((2, 4, 40), np.uint8)
    )
    import h5py

    with h5py.File(path, "r+") as file:
        file["quality/standard_error"][:] = np.nan
        file["quality/delta"][:] = 0
        file["quality/completeness_error"][0] = 0
        file["quality/prediction"][1] = np.nan
    assert run_cli("report", path, "-o", tmp_path / "p.html").status == 0
    numbers = data_of(tmp_path / "p.html")["files"][0]["numbers"]
    assert numbers["completeness"] == [0.0, None]
    assert numbers["prediction"][1] is None
    assert numbers["strength"] == [0.0, 0.0]
