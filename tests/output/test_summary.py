"""JSON that every reader accepts."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqlift.errors import OutputError
from seqlift.output.summary import write_summary
from seqlift.output.track_summary import TrackTally


def test_values_of_all_kinds_come_back_plain(tmp_path):
    summary = {
        "n_regions": np.int64(3),
        "mean": np.float32(0.5),
        "worst": float("nan"),
        "limits": (np.inf, 1.0),
        "genome": Path("data/genome.fa"),
        "deltas": np.array([[1.0, np.nan]]),
        "target": None,
        "complete": np.bool_(True),
        "name": "Zürich",
        "nested": {2: [True]},
    }
    write_summary(tmp_path / "a.json", summary)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "n_regions": 3,
        "mean": 0.5,
        "worst": None,
        "limits": [None, 1.0],
        "genome": "data/genome.fa",
        "deltas": [[1.0, None]],
        "target": None,
        "complete": True,
        "name": "Zürich",
        "nested": {"2": [True]},
    }


def test_named_tuples_keep_their_names(tmp_path):
    write_summary(tmp_path / "a.json", {"track": TrackTally().summary()})
    track = json.loads((tmp_path / "a.json").read_text())["track"]
    assert (track["n_bases"], track["mean"]) == (0, None)


def test_the_order_of_keys_does_not_matter(tmp_path):
    write_summary(tmp_path / "a.json", {"b": 1, "a": {"d": 2, "c": 3}})
    write_summary(tmp_path / "b.json", {"a": {"c": 3, "d": 2}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"results/a\.json cannot be written: No such file"):
        write_summary(tmp_path / "results" / "a.json", {})
