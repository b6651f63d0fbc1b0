"""Batches of a size that there is room for."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from seqlift import explain as module
from seqlift import memory
from seqlift.errors import MemoryShortError, MemoryWarning
from seqlift.explain import Explainer
from seqlift.memory import free_bytes, keep_freed_memory
from tests.helpers import assert_same_scores, explainer, with_shuffles
from tests.zoo import LENGTH, build


def fresh(**options):
    return Explainer(build("F.relu"), length=LENGTH, device="cpu", precision="float64", **options)


def short_of_memory(explained, monkeypatch, most, error):
    """Let batches of more pairs than that run out of memory."""
    plain = explained.model.multipliers
    sizes = []

    def limited(one_hot, references, options):
        sizes.append(references.shape[0] * references.shape[1])
        if sizes[-1] > most:
            raise error
        return plain(one_hot, references, options)

    monkeypatch.setattr(explained.model, "multipliers", limited)
    return sizes


ERRORS = {
    "device": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "host": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"
    ),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_batch_that_is_too_large_is_halved(monkeypatch, error):
    one_hot, references = with_shuffles(7, 4)
    expected = explainer("F.relu").contribute(one_hot, references)
    explained = fresh(batch_size=16)
    sizes = short_of_memory(explained, monkeypatch, 4, error)
    with pytest.warns(MemoryWarning, match="batches of [84] pairs") as caught:
        found = explained.contribute(one_hot, references)
    assert len(caught) == 2
    assert explained.batch_size == 4
    assert_same_scores(found, expected, 1e-11)
    assert sizes[:3] == [16, 8, 4] and set(sizes[3:]) == {4}
    explained.contribute(one_hot, references)  # without a warning: it has learned


def test_memory_for_no_pair_at_all_is_one_line(monkeypatch):
    explained = fresh(batch_size=4)
    short_of_memory(explained, monkeypatch, 0, ERRORS["host"])
    with pytest.warns(MemoryWarning), pytest.raises(MemoryShortError, match="one sequence and one"):
        explained.contribute(*with_shuffles(2, 3))


def test_other_errors_are_not_taken_for_it(monkeypatch):
    explained = fresh(batch_size=4)
    short_of_memory(explained, monkeypatch, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        explained.contribute(*with_shuffles(2, 3))


@pytest.mark.parametrize("free", [None, 2**40])
def test_with_enough_memory_the_cache_decides(monkeypatch, free):
    monkeypatch.setattr(module, "free_bytes", lambda: free)
    assert fresh().batch_size == module.POSITIONS_ON_CPU // LENGTH


def test_with_little_memory_batches_are_smaller(monkeypatch):
    explained = fresh()
    a_pair = explained.model.bytes_a_pair()
    monkeypatch.setattr(module, "free_bytes", lambda: 10 * a_pair)
    assert fresh().batch_size == 5
    monkeypatch.setattr(module, "free_bytes", lambda: 0)
    assert fresh().batch_size == 1


def test_a_wide_network_has_smaller_batches_whatever_is_free(monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda: 2**40)
    monkeypatch.setattr(module, "MEMORY_ON_CPU", 10 * fresh().model.bytes_a_pair())
    assert fresh().batch_size == 10


def test_the_estimate_grows_with_the_network():
    def estimate(channels, length, precision="float32"):
        model = nn.Sequential(nn.Conv1d(4, channels, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1))
        model(torch.zeros(1, 4, length))
        explained = Explainer(model, length=length, device="cpu", precision=precision)
        return explained.model.bytes_a_pair()

    small = estimate(8, 50)
    assert estimate(16, 50) == pytest.approx(2 * small, rel=0.05)
    assert estimate(8, 98) == pytest.approx(2 * small, rel=0.05)
    assert estimate(8, 50, "float64") == 2 * small


def test_free_memory_is_some_memory():
    found = free_bytes()
    assert found is None or 0 < found < 2**50


GROUPS = {
    "version 2, its own group": ("0::/\n", {".": ("memory.max", "memory.current")}),
    "version 2, a batch system's": (
        "0::/slurm/job_1/step\n",
        {"slurm/job_1": ("memory.max", "memory.current")},
    ),
    "version 1, a batch system's": (
        "9:cpu,cpuacct:/\n4:memory:/slurm/job_1\n0::/\n",
        {"memory/slurm/job_1": ("memory.limit_in_bytes", "memory.usage_in_bytes")},
    ),
    "a name that is no text": ("0::/caf\udce9\n\n", {".": ("memory.max", "memory.current")}),
    "version 1, a container that is told of a way outside": (
        "4:memory:/docker/abc\n",
        {"memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")},
    ),
}


@pytest.mark.parametrize(("own", "folders"), GROUPS.values(), ids=GROUPS)
def test_a_limit_on_a_control_group_counts(own, folders, tmp_path, monkeypatch):
    (tmp_path / "own").write_text(own, errors="surrogateescape")
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    for name, (limit, used) in folders.items():
        folder = tmp_path / "groups" / name
        folder.mkdir(parents=True)
        (folder / limit).write_text("500000\n")
        (folder / used).write_text("400000\n")
        (folder / "memory.stat").write_text("anon 300000\ninactive_file 20000\nactive_file 10000\n")
    assert free_bytes() == 130_000


def test_a_control_group_without_a_limit_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    assert not list(memory._left_in_groups())


def test_files_of_the_groups_below_make_room_in_version_1(tmp_path):
    (tmp_path / "memory.stat").write_text(
        "inactive_file 1\nactive_file 2\ntotal_inactive_file 30\ntotal_active_file 40\n"
    )
    assert memory._cached_files(tmp_path / "memory.stat") == 70


CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
sys.path.insert(0, "")
from seqlift.memory import free_bytes
print(free_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit is looked up in /proc")
def test_a_limit_on_the_process_counts():
    found = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    )
    assert 0 < int(found.stdout) < 2 * 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_can_be_kept():
    assert keep_freed_memory()
