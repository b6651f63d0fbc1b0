"""A hub is read back as its browsers read it, and held against what they document."""

import json
import os
import re
from importlib import resources
from pathlib import Path

import bbi
import numpy as np
import pyBigWig
import pytest

from seqlift.errors import InputDataWarning, InputError, OutputError, UsageError
from seqlift.output.bigwig_file import BigWigFile
from seqlift.output.bigwig_reader import BigWigReader
from seqlift.output.hub.limits import BEYOND, find_limits
from seqlift.output.hub.track import identifier, long_label, short_label
from seqlift.output.hub.write import write_hub

HG38 = {"chr1": 248_956_422, "chr20": 64_444_167}
ME = {"assembly": "hg38", "email": "me@x.org"}

# UCSC, "Track Database Definition", of bigWig and composite tracks in hubs: what a value may be.
NUMBER = r"-?\d+(\.\d+)?(e[-+]\d+)?"
SETTINGS = {
    "track": r"[A-Za-z][A-Za-z0-9_]*",
    "parent": r"[A-Za-z][A-Za-z0-9_]*( on| off)?",
    "compositeTrack": "on",
    "type": rf"bigWig( {NUMBER} {NUMBER})?",
    "shortLabel": ".{1,17}",
    "longLabel": ".{1,76}",
    "bigDataUrl": r"\S+",
    "html": r"\S+",
    "visibility": "hide|dense|full|squish|pack",
    "autoScale": "on|off|group",
    "alwaysZero": "on|off",
    "viewLimits": f"{NUMBER}:{NUMBER}",
    "viewLimitsMax": f"{NUMBER}:{NUMBER}",
    "maxHeightPixels": r"\d+:\d+:\d+",
    "color": r"\d+,\d+,\d+",
    "altColor": r"\d+,\d+,\d+",
    "priority": r"\d+(\.\d+)?",
    "logo": "on",
    "yLineOnOff": "on|off",
    "yLineMark": NUMBER,
    "dragAndDrop": "subTracks",
    "subGroup1": r"\w+ \S+( \w+=\S+)+",
    "subGroup2": r"\w+ \S+( \w+=\S+)+",
    "subGroups": r"\w+=\w+( \w+=\w+)*",
    "dimensions": r"dim[XY]=\w+( dim[XY]=\w+)*",
    "sortOrder": r"\w+=[+-]( \w+=[+-])*",
}
REQUIRED = {"track", "type", "shortLabel", "longLabel"}
# readthedocs of the WashU browser, "Datahub".
WASHU = {"type", "name", "url", "showOnHubLoad", "options", "metadata"}
WASHU_OPTIONS = {"color", "color2", "height", "yScale", "yMin", "yMax"}
# igv.js's documentation, "Tracks" and "Wig track".
IGV = {"type", "format", "name", "url", "graphType", "height", "color", "altColor", "order"}
IGV |= {"autoscale", "min", "max"}


def make_track(path, values=None, contig="chr20", start=1_000_000, contigs=HG38):
    """A track of 20 windows of 200 bases, or of the given values."""
    if values is None:
        values = np.random.default_rng(len(str(path))).normal(size=4000) ** 3
    with BigWigFile(path, contigs) as file:
        file.add(contig, start, np.asarray(values, np.float32))
    return str(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with three tracks."""
    monkeypatch.chdir(tmp_path)
    for name in ("ctcf.bw", "p73.bw", "ctcf.se.bw", "p73.se.bw"):
        values = np.random.default_rng(len(name)).normal(size=4000) ** 3
        make_track(name, np.abs(values) if ".se." in name else values)
    return tmp_path


def stanzas(path):
    """Read a file of settings as UCSC does: a blank line ends a stanza, a blank ends a key."""
    blocks = Path(path).read_text(encoding="utf-8").split("\n\n")
    read = []
    for block in blocks:
        pairs = [line.strip().split(" ", 1) for line in block.splitlines() if line.strip()]
        assert len({key for key, _ in pairs}) == len(pairs), "a setting is given twice"
        read.append(dict(pairs))
    return read


def check_hub(folder):
    """Follow a hub from hub.txt to its data, as UCSC's hubCheck does; return the tracks."""
    folder = Path(folder)
    (hub,) = stanzas(folder / "hub.txt")
    assert {"hub", "shortLabel", "longLabel", "genomesFile", "email"} <= hub.keys()
    assert re.fullmatch(r"\w+", hub["hub"])
    assert (folder / hub["descriptionUrl"]).is_file()
    (genome,) = stanzas(folder / hub["genomesFile"])
    assert set(genome) == {"genome", "trackDb"}
    trackdb = folder / genome["trackDb"]
    tracks = {stanza["track"]: stanza for stanza in stanzas(trackdb)}
    assert len(tracks) == len(stanzas(trackdb)), "two tracks of one name"
    for track in tracks.values():
        assert track.keys() >= REQUIRED
        for key, value in track.items():
            assert re.fullmatch(SETTINGS[key], value), (key, value)
        check_parent(track, tracks)
        if "compositeTrack" not in track:
            check_data(track, trackdb.parent)
        if "html" in track:
            assert (trackdb.parent / track["html"]).is_file()
    return tracks


def check_parent(track, tracks):
    if "parent" not in track:
        return
    parent = tracks[track["parent"].split()[0]]
    assert parent["compositeTrack"] == "on"
    groups = {}
    for key in ("subGroup1", "subGroup2"):
        if key in parent:
            tag, _, *members = parent[key].split()
            groups[tag] = {member.split("=")[0] for member in members}
    own = dict(pair.split("=") for pair in track["subGroups"].split())
    assert own.keys() == groups.keys()
    assert all(own[tag] in groups[tag] for tag in own)
    shown = {part.split("=")[1] for part in parent["dimensions"].split()}
    assert shown == {part.split("=")[0] for part in parent["sortOrder"].split()} == groups.keys()


def check_data(track, folder):
    with bbi.open(str(folder / track["bigDataUrl"])) as file:
        lowest, highest = file.info["summary"]["min"], file.info["summary"]["max"]
    lower, upper = map(float, track["viewLimits"].split(":"))
    least, most = map(float, track["viewLimitsMax"].split(":"))
    assert least <= lower <= 0 <= upper <= most
    assert lower < upper
    assert least <= lowest + 1e-5 * abs(lowest) and most >= highest - 1e-5 * abs(highest)


def check_json(folder, base=""):
    """Read both JSON files; return the tracks by browser, after each has been found."""
    washu = json.loads((folder / "washu.json").read_text(encoding="utf-8"))
    for track in washu:
        assert track.keys() == WASHU
        assert track["options"].keys() <= WASHU_OPTIONS
        assert track["type"] in ("dynseq", "bigwig")
        assert track["showOnHubLoad"] is True
    igv = json.loads((folder / "igv.json").read_text(encoding="utf-8"))
    assert igv.keys() == {"genome", "locus", "tracks"}
    assert re.fullmatch(r"[^:]+:\d+-\d+", igv["locus"])
    for track in igv["tracks"]:
        assert track.keys() <= IGV
        assert (track["type"], track["format"]) == ("wig", "bigwig")
    for track in [*washu, *igv["tracks"]]:
        assert track["url"].startswith(base)
        assert (folder / track["url"].removeprefix(base)).is_file()
    return washu, igv["tracks"]


def test_one_track(here):
    written = write_hub(["ctcf.bw"], "hub", **ME)
    (track,) = check_hub("hub").values()
    assert track["track"] == track["shortLabel"] == "ctcf"
    assert (track["logo"], track["autoScale"], track["visibility"]) == ("on", "off", "full")
    (washu,), (igv,) = check_json(here / "hub")
    assert (washu["type"], igv["graphType"]) == ("dynseq", "dynseq")
    assert Path("hub/hg38/ctcf.bw").read_bytes() == Path("ctcf.bw").read_bytes()
    assert written.links == {}
    assert sorted(str(p.relative_to("hub")) for p in Path("hub").rglob("*") if p.is_file()) == [
        "genomes.txt",
        "hg38/ctcf.bw",
        "hg38/description.html",
        "hg38/trackDb.txt",
        "hub.txt",
        "igv.json",
        "washu.json",
    ]


def test_several_tracks_and_their_errors_are_a_composite(here):
    write_hub(
        ["ctcf.bw", "p73.bw"],
        "hub",
        **ME,
        standard_error=["ctcf.se.bw", "p73.se.bw"],
        label=["CTCF (K562)", "p73 = TP73"],
        title="My model",
    )
    whole, *members = check_hub("hub").values()
    assert whole["shortLabel"] == "My model"
    assert [track["track"] for track in members] == [
        "CTCF_K562",
        "CTCF_K562_standard_error",
        "p73_TP73",
        "p73_TP73_standard_error",
    ]
    assert [track.get("logo") for track in members] == ["on", None, "on", None]
    assert members[1]["viewLimits"].startswith("0:")
    washu, igv = check_json(here / "hub")
    assert [track["type"] for track in washu] == ["dynseq", "bigwig"] * 2
    assert [track["graphType"] for track in igv] == ["dynseq", "bar"] * 2
    assert [track["metadata"]["target"] for track in washu][::2] == ["CTCF (K562)", "p73 = TP73"]
    for source, track in zip(
        ("ctcf.bw", "ctcf.se.bw", "p73.bw", "p73.se.bw"), members, strict=True
    ):
        assert Path("hub/hg38", track["bigDataUrl"]).read_bytes() == Path(source).read_bytes()


def test_the_settings_are_those_of_another_reader_of_ucscs_documents(here):
    known = pytest.importorskip("trackhub.constants").param_dict
    write_hub(["ctcf.bw", "p73.bw"], "hub", **ME, standard_error=["ctcf.se.bw", "p73.se.bw"])
    for track in check_hub("hub").values():
        kind = {"compositeTrack"} if "compositeTrack" in track else {"bigWig"}
        for key, value in track.items():
            if re.fullmatch("subGroup[12]", key):
                continue  # it knows them by another way
            assert set(known[key].types) & (kind | {"all", "subGroups"}), key
            assert known[key].validate(value), (key, value)


@pytest.mark.parametrize("autoscale", [False, True])
def test_limits_and_the_scale_are_the_same_in_all_browsers(here, autoscale):
    write_hub(["ctcf.bw"], "hub", **ME, autoscale=autoscale)
    (track,) = check_hub("hub").values()
    (washu,), (igv,) = check_json(here / "hub")
    assert (track["autoScale"], track["alwaysZero"]) == ("on" if autoscale else "off", "on")
    limits = tuple(map(float, track["viewLimits"].split(":")))
    options = washu["options"]
    if autoscale:
        assert (options["yScale"], igv["autoscale"]) == ("auto", True)
        assert not {"min", "max"} & igv.keys()
    else:
        assert (options["yScale"], igv["autoscale"]) == ("fixed", False)
        assert limits == (options["yMin"], options["yMax"]) == (igv["min"], igv["max"])


def limits_of(path):
    with BigWigReader(path) as track:
        return find_limits(track)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [500, 300_000])
def test_at_most_one_base_in_ten_thousand_lies_beyond_each_limit(tmp_path, n, seed):
    """And limits closer by one in their second digit would leave out more."""
    values = np.random.default_rng(seed).standard_t(3, n).astype(np.float32)
    found = limits_of(make_track(tmp_path / "a.bw", values))
    step = 10 ** np.floor(np.log10(max(-found.lower, found.upper)) - 1)
    allowed = int(n * BEYOND)
    assert (values > found.upper).sum() <= allowed < (values > found.upper - 1.01 * step).sum()
    assert (values < found.lower).sum() <= allowed < (values < found.lower + 1.01 * step).sum()
    assert (found.minimum, found.maximum) == (values.min(), values.max())


def test_a_large_track_is_sampled_over_its_whole_length(tmp_path):
    """Ten times more blocks than are read; the second half is ten times as high as the first."""
    values = np.random.default_rng(0).uniform(0.5, 1, 20_480).astype(np.float32)
    values[1::2] *= -1
    values[len(values) // 2 :] *= 10
    with BigWigFile(tmp_path / "a.bw", HG38) as file:
        for i in range(len(values)):
            file.add("chr20", 3 * i, values[i : i + 1])
    read = []
    with BigWigReader(tmp_path / "a.bw") as track:
        block = track.block
        track.block = lambda number: read.append(number) or block(number)
        found = find_limits(track)
    assert (found.lower, found.upper) == (-10, 10)
    assert len(set(read)) == 2048
    assert (min(read), max(read)) == (0, 20_479)


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([0.0, 0.0], (-1, 1)),
        ([0.5, 0.25], (0, 0.5)),
        ([-0.0123, -0.5e-3], (-0.013, 0)),
        ([1234.5, -2.0], (-100, 1300)),
        ([1e-30, -1e-30], (-1e-30, 1e-30)),
    ],
)
def test_limits_hold_zero_and_have_two_digits(tmp_path, values, limits):
    found = limits_of(make_track(tmp_path / "a.bw", values))
    assert (found.lower, found.upper) == pytest.approx(limits, rel=1e-6)


def test_a_run_counts_once_for_each_base(tmp_path):
    """A million bases at 1 outweigh a hundred at 5, though they are one value in the file."""
    with pyBigWig.open(str(tmp_path / "a.bw"), "w") as file:
        file.addHeader(list(HG38.items()))
        file.addEntries(
            ["chr1"] * 2, [0, 2_000_000], ends=[2_000_000, 2_000_100], values=[1.0, 5.0]
        )
    found = limits_of(tmp_path / "a.bw")
    assert (found.lower, found.upper, found.maximum) == (0, 1, 5)


def test_what_is_no_number_is_left_out(tmp_path):
    """NaN and infinity, which pyBigWig writes as values."""
    with pyBigWig.open(str(tmp_path / "a.bw"), "w") as file:
        file.addHeader(list(HG38.items()))
        values = [np.nan, 1.0, np.inf, -0.5]
        file.addEntries("chr1", 100, values=values, span=1, step=1)
    found = limits_of(tmp_path / "a.bw")
    assert found == (-0.5, 1, -0.5, 1, "chr1", 51, 151)


@pytest.mark.parametrize(
    ("at", "place"), [(0, (0, 100)), (1500, (1450, 1550)), (1999, (1900, 2000))]
)
def test_the_place_to_look_at_is_about_the_strongest_base(tmp_path, at, place):
    values = np.full(2000, 0.1)
    values[at] = -3
    found = limits_of(make_track(tmp_path / "a.bw", values, "chr1", 0, {"chr1": 2000}))
    assert (found.contig, found.start, found.end) == ("chr1", *place)


def test_links_lead_to_what_was_written(here):
    written = write_hub(["ctcf.bw"], "hub", **ME, url="https://host.org/~me/my%20hub/hub.txt")
    base = "https://host.org/~me/my%20hub/"
    check_json(here / "hub", base)
    assert written.links == {
        "UCSC": "https://genome.ucsc.edu/cgi-bin/hgTracks?db=hg38"
        f"&hubUrl={base}hub.txt&position={written.locus}",
        "WashU": f"https://epigenomegateway.wustl.edu/browser/?genome=hg38&hub={base}washu.json",
        "IGV": f"https://igv.org/app/?sessionURL={base}igv.json",
    }


@pytest.mark.parametrize("url", ["https://host.org/a", "https://host.org/a/", "https://host.org"])
def test_addresses_have_one_slash(here, url):
    write_hub(["ctcf.bw"], "hub", **ME, url=url)
    check_json(here / "hub", url.rstrip("/") + "/")


def test_an_address_without_https_is_warned_of(here):
    with pytest.warns(InputDataWarning, match=r"^http://host/ is not https: "):
        write_hub(["ctcf.bw"], "hub", **ME, url="http://host/")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"email": "me"}, "'me' is no email address"),
        ({"email": "me@x.org\nhub b"}, "is no email address"),
        ({"assembly": "GRCh38"}, "UCSC calls GRCh38 hg38; give that as --assembly"),
        ({"assembly": "HG38"}, "UCSC writes HG38 as hg38; give that as --assembly"),
        ({"assembly": "../hg38"}, "'../hg38' is no name of an assembly"),
        ({"assembly": "my genome"}, "'my genome' is no name of an assembly"),
        ({"url": "host.org/hub"}, "--url 'host.org/hub' is no address of a folder"),
        ({"url": "https://host.org/a?b=c"}, "is no address of a folder"),
        ({"label": ["a"]}, "2 tracks and 1 --label; give one for each track, in their order"),
        ({"standard_error": ["p73.se.bw"]}, "2 tracks and 1 --standard-error; give one for each"),
        ({"label": ["a", "β"]}, "--label 'β' has no letter from A to Z and no digit"),
        ({"label": ["a", " "]}, "an empty --label has no letter"),
        ({"label": ["a b", "A.B"]}, "ctcf.bw and p73.bw would both be called 'A_B'; tell them"),
        ({"label": ["a", "Contributions"]}, "the folder of all tracks and p73.bw would both be"),
        ({"title": "\n"}, "--title '' has no letter"),
    ],
)
def test_names_that_cannot_be(here, options, error):
    with pytest.raises(UsageError) as raised:
        write_hub(["ctcf.bw", "p73.bw"], "hub", **ME | options)
    assert str(raised.value).startswith(error) or error in str(raised.value)
    assert not Path("hub").exists()


def test_the_page_about_the_tracks_is_text_alone(here):
    write_hub(["ctcf.bw"], "hub", **ME, label=["A<script>"])
    page = Path("hub/hg38/description.html").read_text()
    assert "A&lt;script&gt;: contribution scores" in page
    assert "<script" not in page


def test_a_track_given_twice(here):
    with pytest.raises(UsageError, match=r"^ctcf\.bw and ctcf\.bw would both be called"):
        write_hub(["ctcf.bw", "./ctcf.bw"], "hub", **ME)


def test_labels_are_cut_in_the_middle_and_stay_in_one_line(here):
    label = "ENCSR000\tA very\nlong name of an experiment in K562 and other cells, replicate 12"
    write_hub(["ctcf.bw"], "hub", **ME, label=[label])
    (track,) = check_hub("hub").values()
    assert track["shortLabel"].endswith("ate 12")
    assert short_label("x" * 17) == "x" * 17
    assert len(short_label("x" * 18)) == 17
    assert len(short_label("x" * 40, " SE")) == 17
    assert len(long_label("x" * 77)) == 76
    assert identifier("4C-seq", "it") == "track_4C_seq"


@pytest.mark.parametrize(
    ("contigs", "assembly", "error"),
    [
        (
            {"chr20": 63_025_520},
            "hg38",
            "a.bw: chr20 has 63,025,520 bp, in hg38 it has 64,444,167 (hg19 has the same); "
            "give the --assembly that was scored",
        ),
        (
            {"20": 64_444_167},
            "hg19",
            "a.bw: 20 has 64,444,167 bp, in hg19 it has 63,025,520 (hg38 has the same); "
            "give the --assembly that was scored",
        ),
        (
            {"chr20": 5_000_000},
            "mm39",
            None,  # the mouse has no chromosome 20
        ),
        (
            {"chr1": 5_000_000},
            "mm39",
            "a.bw: chr1 has 5,000,000 bp, in mm39 it has 195,154,279; "
            "give the --assembly that was scored",
        ),
    ],
)
def test_a_track_of_another_assembly(here, contigs, assembly, error):
    (contig,) = contigs
    make_track("a.bw", contig=contig, contigs=contigs)
    if error is None:
        write_hub(["a.bw"], "hub", assembly=assembly, email="me@x.org")
        return
    with pytest.raises(InputError) as raised:
        write_hub(["a.bw"], "hub", assembly=assembly, email="me@x.org")
    assert str(raised.value) == error
    assert not Path("hub").exists()


@pytest.mark.parametrize(
    ("contig", "length", "assembly", "warned"),
    [
        ("20", 64_444_167, "hg38", "'20' where hg38 has 'chr20'"),
        ("X", 1_000_000, "canFam6", "'X' where canFam6 has 'chrX'"),
        ("MT", 1_000_000, "mm10", "'MT' where mm10 has 'chrM'"),
        ("III", 13_783_801, "ce11", "'III' where ce11 has 'chrIII'"),
        ("20", 1_000_000, "GCF_009914755.1", None),
        ("chrUn_KI270302v1", 1_000_000, "hg38", None),
        ("chrM", 1_000_000, "hg19", None),
        ("scaffold_12", 1_000_000, "xenTro10", None),
    ],
)
def test_contigs_named_as_ensembl_does(here, recwarn, contig, length, assembly, warned):
    make_track("a.bw", contig=contig, start=0, contigs={contig: length})
    write_hub(["a.bw"], "hub", assembly=assembly, email="me@x.org")
    messages = [str(warning.message) for warning in recwarn]
    assert len(messages) == (warned is not None)
    assert all(warned in message and "\n" not in message for message in messages)


def test_the_table_of_assemblies_is_sound():
    """Against the first chromosome of each, as the consortia publish it."""
    lines = (resources.files("seqlift.output.hub") / "assemblies.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    sizes = {(assembly, contig): int(length) for assembly, contig, length in rows}
    assert len(sizes) == len(rows)
    assert {
        name: n for (name, contig), n in sizes.items() if contig in ("chr1", "chrI", "chr2L")
    } == {
        "hg19": 249_250_621,
        "hg38": 248_956_422,
        "hs1": 248_387_328,
        "mm9": 197_195_432,
        "mm10": 195_471_971,
        "mm39": 195_154_279,
        "danRer11": 59_578_282,
        "dm6": 23_513_712,
        "ce11": 15_072_434,
        "sacCer3": 230_218,
    }


def test_files_that_are_no_tracks(here):
    Path("peaks.bed").write_text("chr1\t1\t2\n")
    Path("cut.bw").write_bytes(Path("ctcf.bw").read_bytes()[:2000])
    with BigWigFile("empty.bw", HG38):
        pass
    for path, error in (
        ("peaks.bed", "peaks.bed is not a bigWig; give a track that `seqlift score`"),
        ("cut.bw", "cut.bw is damaged or cut short"),
        ("empty.bw", "empty.bw has no values; give a track of at least one region"),
        ("none.bw", "none.bw cannot be read: No such file or directory"),
        (".", ". cannot be read: Is a directory"),
    ):
        before = sorted(here.iterdir())
        with pytest.raises(InputError) as raised:
            write_hub(["ctcf.bw", path], "hub", **ME, label=["a", "b"])
        assert str(raised.value).startswith(error)
        assert sorted(here.iterdir()) == before


def test_a_hub_is_replaced_on_request_alone(here):
    write_hub(["ctcf.bw"], "hub", **ME)
    with pytest.raises(OutputError, match=r"^hub/ exists \(use --force\)$"):
        write_hub(["p73.bw"], "hub", **ME)
    assert Path("hub/hg38/ctcf.bw").exists()
    write_hub(["p73.bw"], "hub", **ME, force=True)
    assert list(check_hub("hub")) == ["p73"]
    assert not Path("hub/hg38/ctcf.bw").exists()
    assert [path.name for path in here.iterdir() if "tmp" in path.name] == []


def test_a_hub_can_be_made_from_its_own_tracks(here):
    write_hub(["ctcf.bw"], "hub", **ME)
    write_hub(["hub/hg38/ctcf.bw"], "hub", **ME, autoscale=True, force=True)
    assert Path("hub/hg38/ctcf.bw").read_bytes() == Path("ctcf.bw").read_bytes()
    with pytest.raises(OutputError, match="lies in hub/, which is replaced; copy without --link"):
        write_hub(["hub/hg38/ctcf.bw"], "hub", **ME, link=True, force=True)


@pytest.mark.parametrize("name", ["paper.docx", "sub/hub.txt", "hg38/deep/ctcf.bw"])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_with_other_files_is_never_replaced(here, name, force):
    target = here / "out" / name
    target.parent.mkdir(parents=True)
    target.write_text("three years of work")
    with pytest.raises(OutputError, match="has files that this command does not write"):
        write_hub(["ctcf.bw"], "out", **ME, force=force)
    assert target.read_text() == "three years of work"


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("none/hub", "none/ does not exist; make it first"),
        ("ctcf.bw", "ctcf.bw is a file; give the name of a folder"),
    ],
)
def test_folders_that_cannot_be(here, output, error):
    with pytest.raises(OutputError) as raised:
        write_hub(["ctcf.bw"], output, **ME, force=True)
    assert str(raised.value) == error


def test_an_empty_folder_is_filled(here):
    Path("hub").mkdir()
    write_hub(["ctcf.bw"], "hub/", **ME)
    check_hub("hub")


def test_a_full_disk_leaves_the_old_hub(here, full_disk):
    write_hub(["ctcf.bw"], "hub", **ME)
    before = {path: path.read_bytes() for path in Path("hub").rglob("*") if path.is_file()}
    full_disk(4000)
    with pytest.raises(OutputError, match="hub cannot be written: File too large"):
        write_hub(["ctcf.bw"], "hub", **ME, force=True, autoscale=True)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in here.iterdir() if "tmp" in path.name] == []


def test_links_in_place_of_copies(here):
    Path("ctcf.bw").chmod(0o600)
    write_hub(["ctcf.bw"], "hub", **ME, link=True)
    assert Path("hub/hg38/ctcf.bw").readlink() == here / "ctcf.bw"
    check_hub("hub")
    write_hub(["ctcf.bw"], "copied", **ME)
    umask = os.umask(0)
    os.umask(umask)
    # What a web server may read does not hang on the original's permissions.
    assert Path("copied/hg38/ctcf.bw").stat().st_mode & 0o777 == 0o666 & ~umask
