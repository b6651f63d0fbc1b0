"""A program compiled once serves every process, and other weights."""

import shutil
import signal
import subprocess
import sys
import warnings

import pytest
import torch
from torch import fx

from seqlift.deeplift import ahead, compiling, kept
from seqlift.deeplift.ahead import Job, compile_ahead, find_library, is_compiled, is_ready

pytestmark = pytest.mark.skipif(not compiling.has_compiler(), reason="no C++ compiler")

ROWS, CHANNELS = 3, 5


class Layer(torch.nn.Module):
    """Something with weights, an input of another type, and a result that is no tensor."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(CHANNELS, CHANNELS, generator=generator)
        self.bias = torch.randn(CHANNELS, generator=generator)

    def forward(self, one_hot, references):
        total = (one_hot @ self.weight + self.bias).relu()
        return [(total, None, references.float().sum(1) * self.weight[0, 0])]

    def job(self):
        return Job("a layer", lambda: str(self.seed))


def inputs():
    return torch.rand(ROWS, CHANNELS), torch.randint(0, 2, (ROWS, 4), dtype=torch.int8)


def compile_layer(layer):
    program = fx.symbolic_trace(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, to itself
        return compile_ahead(program, inputs(), compiling.OPTIONS["cpu"], layer.job())


def assert_right(library, layer, batch=None):
    batch = inputs() if batch is None else batch
    ((total, nothing, scaled),) = library(*batch)
    ((expected, _, expected_scaled),) = layer(*batch)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(scaled, expected_scaled)
    assert nothing is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def layer(monkeypatch, folder):
    """A layer that has been compiled."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    layer = Layer(0)
    if not is_ready(layer.job()):
        compile_layer(layer)
    return layer


@pytest.fixture
def compiles(monkeypatch):
    """Count what is compiled."""
    made = []
    compile_ = ahead._compile
    monkeypatch.setattr(ahead, "_compile", lambda *given: (made.append(1), compile_(*given)))
    return made


def test_a_job_that_comes_again_is_ready(layer):
    assert_right(find_library(layer.job()), layer)


def test_it_is_ready_for_another_process(layer, folder):
    """A process that has not compiled anything: no name of this one's may be needed."""
    code = (
        "import sys\n"
        "from tests.deeplift.test_ahead import Layer, assert_right\n"
        "from seqlift.deeplift.ahead import find_library\n"
        "modules = set(sys.modules)\n"
        "assert_right(find_library(Layer(0).job()), Layer(0))\n"
        "print(sorted(name for name in set(sys.modules) - modules if 'inductor' in name))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n", "torch's compiler was imported"


def test_other_weights_need_no_compiler(layer, compiles):
    other = Layer(1)
    assert find_library(other.job()) is None
    assert_right(compile_layer(other), other)
    assert not compiles
    assert_right(find_library(other.job()), other)
    assert_right(find_library(layer.job()), layer)


def test_many_weights_are_not_kept(layer, monkeypatch, compiles):
    monkeypatch.setattr(ahead, "FEW_WEIGHTS", 4)
    compile_layer(layer)
    other = Layer(3)
    assert_right(compile_layer(other), other)
    assert not is_ready(other.job())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_library_is_done(layer, monkeypatch, number):
    """An exception raised inside a library does not come out of it as what it was."""
    heard = []

    class Interrupted:
        def run(self, inputs):
            signal.raise_signal(number)
            assert not heard
            return library.run(inputs)

    called = find_library(layer.job())
    library = called._library
    monkeypatch.setattr(called, "_library", Interrupted())
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        assert_right(called, layer)
    finally:
        signal.signal(number, before)
    assert heard == [number]


def test_inputs_may_lie_in_memory_as_they_will(layer):
    one_hot, references = inputs()
    one_hot = one_hot.t().contiguous().t()
    references = torch.cat([references, references], 1)[:, 1:5]
    assert not one_hot.is_contiguous() and not references.is_contiguous()
    assert_right(find_library(layer.job()), layer, (one_hot, references))


def test_what_does_not_load_is_compiled_anew(layer, monkeypatch):
    whole = kept.find(layer.job().description)
    spoilt = layer.job()._replace(description="a layer whose library is spoilt")
    with kept.making(spoilt.description) as scratch:
        shutil.copy(whole / ahead.ABOUT, scratch)
        (library,) = whole.glob("*.so")
        (scratch / library.name).write_text("no library")
    compiled = []

    def compile_(program, examples, options, path):
        compiled.append(program)
        shutil.copy(library, path)

    monkeypatch.setattr(ahead, "_compile", compile_)
    monkeypatch.setattr(layer, "job", lambda: spoilt)
    assert_right(compile_layer(layer), layer)
    assert compiled


def test_another_program_of_the_same_name_is_not_taken_for_it(layer, compiles):
    """Nothing else is held against the program, should a description say too little."""

    class Other(Layer):
        def forward(self, one_hot, references):
            return [(one_hot @ self.weight, None, references.float().sum(1))]

    other = Other(2)
    library = compile_layer(other)
    assert compiles
    assert_right(library, other)
    assert_right(find_library(other.job()), other)  # the other was loaded from that folder before
    assert find_library(layer.job()) is None, "its weights belong to another program"
    assert is_compiled(layer.job()) and not is_ready(layer.job())
