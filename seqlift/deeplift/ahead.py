"""Programs compiled ahead of time, for a CPU.

torch makes a library of a program, which takes ten seconds and more; loaded, it needs neither
torch's compiler nor the program. A library is for a job whatever the values of its weights, which
are handed over in each call. They are kept beside it, unless they are many: then the program is
written again, to have them. So the same job is ready at once when it comes again, and the next fold
of an ensemble soon.
"""

# ruff: noqa: ANN401  (a program returns what its function returns)

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch._subclasses import FakeTensorMode
from torch.utils import _pytree as pytree

from seqlift.deeplift import kept

__all__ = ["Job", "Library", "compile_ahead", "find_library", "is_compiled", "is_ready"]

# Bytes of weights that are kept; more are sooner computed than many of them read and held.
FEW_WEIGHTS = 2**26

OUTPUT_PATH = "aot_inductor.output_path"

ABOUT, CONSTANTS = "about.json", "constants.pt"


class Job(NamedTuple):
    """What a program is for.

    Attributes
    ----------
    description : str
        The same for functions that do the same with other weights, here and in other processes.
    weights : callable
        Returns a digest of the values of the weights.
    """

    description: str
    weights: Callable[[], str]

    def with_weights(self) -> str:
        """Describe what is computed, weights included."""
        return f"{self.description} {self.weights()}"


class Library:
    """A program in machine code.

    Parameters
    ----------
    folder : Path
        Need not be there afterwards.
    constants : sequence of Tensor
    """

    def __init__(self, folder: Path, constants: Sequence[Tensor]) -> None:
        self._constants = list(constants)
        self._outputs = json.loads((folder / ABOUT).read_text())["outputs"]
        path = folder / _library_name(_program(folder))
        # torch's own function for it would import the compiler, which takes a second.
        self._library = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)

    def __call__(self, *inputs: Tensor) -> Any:
        """Run it on tensors of the shapes and types that it was compiled for.

        Raises
        ------
        RuntimeError
            Whatever failed in it; most often memory. Not every version of torch tells.
        """
        with _signals_held():
            found = self._library.run([each.contiguous() for each in inputs] + self._constants)
        return pytree.tree_map(lambda i: None if i is None else found[i], self._outputs)


def is_compiled(job: Job) -> bool:
    """Say whether there is a library for a job, whatever its weights."""
    return kept.find(job.description) is not None


def is_ready(job: Job) -> bool:
    """Say whether there is a library for a job, and its weights beside it."""
    library, weights = kept.find(job.description), kept.find(job.with_weights())
    try:
        return bool(library and weights and _program(library) == _program(weights))
    except OSError:  # it went meanwhile
        return False


def find_library(job: Job) -> Library | None:
    """Return the library of a job that has come before, with the same weights; else None."""
    weights = kept.find(job.with_weights())
    if weights is None:
        return None
    try:
        program, constants = _program(weights), torch.load(weights / CONSTANTS, weights_only=True)
    except (OSError, RuntimeError):  # it went meanwhile
        return None
    return _load(job, constants, program)


def _load(job: Job, constants: Sequence[Tensor], program: str) -> Library | None:
    """Load what was compiled for a job, if it was of this program."""
    folder = kept.find(job.description)
    try:
        if folder is not None and _program(folder) == program:
            return Library(folder, constants)
    except (OSError, RuntimeError):  # it went meanwhile, or is of no use here
        pass
    return None


def compile_ahead(
    program: fx.GraphModule, examples: Sequence[Tensor], options: dict[str, Any], job: Job
) -> Library:
    """Compile a program, unless it has been compiled, and keep it.

    Parameters
    ----------
    program : fx.GraphModule
        From `seqlift.deeplift.program.write_program`; of no use afterwards.
    examples : sequence of Tensor
        Of the shapes and types to come.
    options : dict
        Of torch's compiler.
    job : Job

    Returns
    -------
    Library

    Raises
    ------
    Exception
        Whatever torch's compiler raises.
    """
    constants = _hand_over_constants(program)
    outputs = _flatten_outputs(program)
    program = fx.GraphModule(program, program.graph)  # without what is no longer read
    kinds = [(each.dtype, each.shape, each.stride()) for each in constants]
    code = kept.digest(f"{program.code} {kinds} {options}".encode())
    about = json.dumps({"outputs": outputs, "program": code})
    _keep_weights(job, constants, about)
    known = _load(job, constants, code)
    if known is not None:
        return known
    with kept.making(job.description) as folder:
        inputs = (*(each.contiguous() for each in examples), *constants)
        _compile(program, inputs, options, folder / _library_name(code))
        (folder / ABOUT).write_text(about)
        return Library(folder, constants)


def _compile(
    program: fx.GraphModule, examples: tuple[Tensor, ...], options: dict[str, Any], library: Path
) -> None:
    from torch._inductor import aot_compile  # importing it takes a second

    shapes = FakeTensorMode()  # without it sizes would be unknown
    for node, example in zip(program.graph.find_nodes(op="placeholder"), examples, strict=True):
        node.meta["val"] = shapes.from_tensor(example)
    # In a folder of its own: other processes may compile the same.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, torch.no_grad():
        made = Path(str(aot_compile(program, examples, options={**options, OUTPUT_PATH: folder})))
        shutil.copyfile(made, library)
        calls = made.with_suffix(".json")  # of operators that are not torch's; read beside it
        if calls.exists():
            shutil.copyfile(calls, library.with_suffix(".json"))


def _library_name(program: str) -> str:
    """Name a library by its program: what is loaded under a path is not loaded from it again."""
    return f"{program[:16]}.so"


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals wait: an exception inside a library would be lost on its way out of it."""
    held: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def _program(folder: Path) -> str:
    """Return the digest of the program that the files of a folder belong to."""
    return str(json.loads((folder / ABOUT).read_text())["program"])


def _keep_weights(job: Job, constants: Sequence[Tensor], about: str) -> None:
    if sum(each.nbytes for each in constants) > FEW_WEIGHTS:
        return
    with contextlib.suppress(OSError, RuntimeError), kept.making(job.with_weights()) as folder:
        torch.save(list(constants), folder / CONSTANTS)
        (folder / ABOUT).write_text(about)


def _hand_over_constants(program: fx.GraphModule) -> list[Tensor]:
    """Make the tensors that a program holds its last inputs, and return them."""
    constants: dict[str, tuple[Tensor, fx.Node]] = {}
    graph = program.graph
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for node in [node for node in graph.nodes if node.op == "get_attr"]:
        value, name = getattr(program, str(node.target)), str(node.target)
        if not isinstance(value, Tensor):
            continue
        if name not in constants:
            with graph.inserting_after(last):
                last = graph.placeholder(f"constant_{len(constants)}")
            constants[name] = value.detach(), last
        node.replace_all_uses_with(constants[name][1])
        graph.erase_node(node)
    return [value for value, _ in constants.values()]


def _flatten_outputs(program: fx.GraphModule) -> Any:
    """Make a program return its tensors in a row; return what it returned, with their places."""
    node = program.graph.output_node()
    (outputs,) = node.args
    numbers = itertools.count()
    places = pytree.tree_map(lambda one: None if one is None else next(numbers), outputs)
    node.args = ([one for one in pytree.tree_leaves(outputs) if one is not None],)
    return places
