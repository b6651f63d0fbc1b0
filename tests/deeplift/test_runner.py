"""When a batch is compiled, and that it makes no difference but in time."""

import pytest
import torch
from torch._inductor import config as inductor
from torch.utils import _pytree as pytree

from seqlift.deeplift import compiling
from seqlift.deeplift import runner as module
from seqlift.deeplift.ahead import Job
from seqlift.deeplift.runner import Runner
from seqlift.deeplift.scores import COMPARED, Part, agree
from seqlift.errors import CompileWarning
from seqlift.explain import Explainer
from tests.helpers import assert_same_scores, captured, explainer, with_shuffles

ROWS = 4
JOB = Job("mean difference", str)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Keep nothing of what is compiled, and know of nothing that was."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path


def mean_difference(one_hot, references):
    """A function of each region by itself, with something that is not a tensor beside it."""
    difference = one_hot.unsqueeze(1) - references
    return difference.mean(1), None, (difference.sum((2, 3)),)


@pytest.fixture
def compiled(monkeypatch):
    """Put the uncompiled program in the place of the compiled one, and count."""
    made = []

    def compile_(function, batch, job):
        made.append(function)
        return function

    monkeypatch.setattr(module, "compile_function", compile_)
    return made


def batch(n_regions, n_references=5):
    return tuple(part.float() for part in with_shuffles(n_regions, n_references))


def assert_same(found, expected):
    torch.testing.assert_close(found[0], expected[0])
    assert found[1] is None
    torch.testing.assert_close(found[2][0], expected[2][0])


@pytest.mark.parametrize("n_regions", [1, 2, 3, 4])
def test_batches_of_any_size_give_the_same(compiled, n_regions):
    run = Runner(mean_difference, JOB, "on", ROWS)
    assert_same(run(*batch(n_regions)), mean_difference(*batch(n_regions)))
    assert len(compiled) == (n_regions > ROWS / 2), "a fuller batch is filled up"


def test_one_program_serves_all_batches_of_a_kind(compiled):
    run = Runner(mean_difference, JOB, "on", ROWS)
    for n_regions in (4, 3, 4):
        run(*batch(n_regions))
    assert len(compiled) == 1
    run(*batch(4, n_references=6))
    assert len(compiled) == 2


def test_off_never_compiles(compiled):
    run = Runner(mean_difference, JOB, "off", ROWS)
    run(*batch(4), 10**12)
    run(*batch(4), 10**12)
    assert not compiled


@pytest.mark.parametrize("free", [10**8, None, 10**11])
def test_auto_does_not_compile_where_memory_is_short(compiled, monkeypatch, free):
    """The system would end this process, rather than the compiler."""
    monkeypatch.setattr(module, "free_bytes", lambda: free)
    run = Runner(mean_difference, JOB, "auto", ROWS)
    run(*batch(4), 10**12)
    run(*batch(4), 10**12)
    assert bool(compiled) == (free != 10**8)


def test_auto_compiles_when_the_work_that_is_left_is_worth_it(compiled, monkeypatch):
    monkeypatch.setattr(module, "COMPILE_SECONDS", 1e-3)
    run = Runner(mean_difference, JOB, "auto", ROWS)
    run(*batch(4), 10**9)
    assert not compiled, "the first batch is timed"
    run(*batch(4), 1)
    assert not compiled, "there is nothing left to save"
    run(*batch(4), 10**9)
    assert len(compiled) == 1


def test_auto_knows_what_was_compiled_before(compiled, monkeypatch):
    monkeypatch.setattr(module, "LOAD_SECONDS", 2e-3)
    monkeypatch.setattr(module, "READY_SECONDS", 1e-3)
    monkeypatch.setattr(module, "is_compiled", lambda job: False)

    def compiles(description, mode="auto"):
        compiled.clear()
        run = Runner(mean_difference, Job(description, str), mode, ROWS)
        for _ in range(2):
            run(*batch(4), 10**5)
        return len(compiled)

    assert not compiles("a function"), "too little is left for compiling it anew"
    assert compiles("a function", "on")
    assert not compiles("a function"), "it was not kept"
    monkeypatch.setattr(module, "is_compiled", lambda job: True)
    assert compiles("a function"), "it is there"
    assert not compiles("another function")


def test_where_nothing_can_be_noted_it_compiles_all_the_same(compiled, folder):
    (folder / "seqlift").write_text("a file in the folder's place")
    run = Runner(mean_difference, JOB, "on", ROWS)
    run(*batch(4))
    assert len(compiled) == 1


def test_auto_leaves_a_small_job_alone(compiled):
    run = Runner(mean_difference, JOB, "auto", ROWS)
    for _ in range(3):
        run(*batch(4), 1000)
    assert not compiled


def test_without_a_compiler_it_says_so_and_goes_on(monkeypatch):
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    run = Runner(mean_difference, JOB, "on", ROWS)
    with pytest.warns(CompileWarning, match="no C\\+\\+ compiler .*install g\\+\\+"):
        found = run(*batch(4))
    assert_same(found, mean_difference(*batch(4)))
    run(*batch(4))  # says it once: a warning here is an error


def test_a_compiler_that_fails_is_no_end_of_the_run(monkeypatch):
    def fails(*_):
        raise RuntimeError("internal\nmany lines")

    monkeypatch.setattr(module, "compile_function", fails)
    run = Runner(mean_difference, JOB, "on", ROWS)
    with pytest.warns(CompileWarning, match="RuntimeError: internal\\)$"):
        found = run(*batch(4))
    assert_same(found, mean_difference(*batch(4)))


def test_compiled_code_gives_the_same():
    if not compiling.has_compiler():
        pytest.skip("no C++ compiler")
    calls = []

    def counted(one_hot, references):
        calls.append(1)
        return mean_difference(one_hot, references)

    run = Runner(counted, JOB, "on", ROWS)
    assert_same(run(*batch(3)), mean_difference(*batch(3)))
    followed = len(calls)
    assert_same(run(*batch(4)), mean_difference(*batch(4)))
    assert len(calls) == followed, "the second batch ran compiled code alone"


def test_memory_that_does_not_suffice_is_not_taken_for_a_compiler_that_fails(monkeypatch):
    """A batch half as large may do, compiled."""

    def compile_(*_):
        def run(*_):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

        return run

    monkeypatch.setattr(module, "compile_function", compile_)
    with pytest.raises(RuntimeError, match="can't allocate"):
        Runner(mean_difference, JOB, "on", ROWS)(*batch(4))


@pytest.mark.parametrize("message", ["API call failed", "can't allocate memory"])
def test_a_library_that_fails_later_leaves_the_batch_to_the_rules(monkeypatch, message):
    """But for memory: then the batch is too large."""
    ran = []

    def compile_(function, *_):
        def run(*given):
            if ran:
                raise RuntimeError(message)
            ran.append(given)
            return function(*given)

        return run

    monkeypatch.setattr(module, "compile_function", compile_)
    run = Runner(mean_difference, JOB, "on", ROWS)
    run(*batch(4))
    assert ran
    if "memory" in message:
        with pytest.raises(RuntimeError, match="can't allocate"):
            run(*batch(4))
        return
    with pytest.warns(CompileWarning, match="without compiling, slower: API call failed$"):
        assert_same(run(*batch(4)), mean_difference(*batch(4)))
    assert_same(run(*batch(4)), mean_difference(*batch(4)))  # says it once


def test_compiled_code_that_is_wrong_is_not_used(monkeypatch):
    """Whatever a compiler makes of it, the scores are those of the rules."""
    made = []

    def compile_(function, *_):
        made.append(function)
        return lambda *batch: pytree.tree_map_only(torch.Tensor, lambda x: 2 * x, function(*batch))

    monkeypatch.setattr(module, "compile_function", compile_)
    one_hot, references = with_shuffles(6, 4)
    options = {"precision": "float64", "batch_size": 8}
    expected = explainer("residual", **options, compile="off").contribute(one_hot, references)
    explained = Explainer(captured("residual"), device="cpu", **options, compile="on")
    with pytest.warns(CompileWarning, match="gives other scores than the rules do") as caught:
        found = explained.contribute(one_hot, references)
    assert len(caught) == len(made) == 1, "it is tried once"
    assert_same_scores(found, expected, 1e-12)


def parts(make):
    """Return parts of three regions, five references and 24 positions."""
    return Part(
        make(3, 4, 24), make(3, 5, 24), make(3, 5), make(3, 5), torch.ones(3), make(3, 5),
        make(3, 5, 4, 24),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        (lambda value: value, True),
        (lambda value: value * 1.01, True),
        (lambda value: value * 1.2, False),
        (lambda value: value * float("nan"), False),
        (lambda value: torch.cat([value[:2], 2 * value[2:]]), False),
    ],
)
@pytest.mark.parametrize("field", COMPARED)
def test_rounding_is_told_from_errors(field, change, is_right):
    expected = parts(torch.randn)
    found = expected._replace(**{field: change(getattr(expected, field))})
    assert agree(found, expected) is is_right


def test_a_model_that_sees_nothing_is_no_error():
    expected = parts(torch.zeros)
    found = expected._replace(tracks=expected.tracks + 1e-9, multipliers=None)
    assert agree(found, expected._replace(multipliers=None))


@pytest.mark.parametrize("kind", compiling.OPTIONS)
def test_torchs_compiler_knows_its_options(kind):
    assert all(hasattr(inductor, name) for name in compiling.OPTIONS[kind])


def test_other_devices_than_the_cpu_have_torchs_own_compiler(monkeypatch):
    given = []

    def compile_(program, **options):
        given.append(options)
        return program

    monkeypatch.setattr(compiling.torch, "compile", compile_)
    there = tuple(part.to("meta") for part in batch(4))
    found = compiling.compile_function(mean_difference, there, JOB)(*there)
    expected = mean_difference(*there)
    assert found[0].shape == expected[0].shape and found[1] is None
    assert found[2][0].device == expected[2][0].device
    assert given == [{"fullgraph": True, "dynamic": False, "options": None}]
