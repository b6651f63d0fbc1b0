"""Programs that were made to run code when they are loaded, and programs that are damaged."""

import io
import re
import zipfile
from pathlib import Path

import pytest
import torch

from seqlift.errors import ModelLoadError
from seqlift.model.load import load_model
from seqlift.model.torch_files import EXPORT_HINT
from tests.model.user_code import Planted


def refusal(source, **options) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def rewritten(program: str, member: str, change) -> None:
    """Write `made.pt2`, a copy of a program with one member changed or added."""
    with zipfile.ZipFile(program) as source, zipfile.ZipFile("made.pt2", "w") as target:
        root = source.namelist()[0].split("/")[0]
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content) if name == f"{root}/{member}" else content)
        if f"{root}/{member}" not in source.namelist():
            target.writestr(f"{root}/{member}", change(b""))


def replacing(old: bytes, new: bytes):
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return change


def planted(_: bytes) -> bytes:
    file = io.BytesIO()
    torch.save(((torch.zeros(1),), {"x": Planted()}), file)
    return file.getvalue()


GRAPH = "models/model.json"


def with_expression(text: bytes):
    pattern = re.compile(rb"Symbol\('s\d+', positive=True, integer=True\)")
    return lambda content: pattern.sub(text, content)


@pytest.mark.parametrize(
    ("member", "change", "risk"),
    [
        (
            "data/sample_inputs/model.pt",
            planted,
            "data/sample_inputs/model.pt, a pickle of more than tensors",
        ),
        (
            "data/weights/model_weights_config.json",
            replacing(b'"use_pickle": false', b'"use_pickle": true'),
            "a pickled object for conv.weight",
        ),
        (
            "data/weights/model_weights_config.json",
            replacing(b'"path_name": "weight_0"', b'"path_name": "opaque_obj_0"'),
            "a pickled object for conv.weight",
        ),
        (
            "data/aotinductor/model/model.so",
            lambda _: b"\x7fELF",
            "data/aotinductor/model/model.so, which is no part of a program's weights and graph",
        ),
        (
            GRAPH,
            replacing(b"torch.ops.aten.relu.default", b"torch.hub.os.system"),
            "a call of 'torch.hub.os.system', which is none of torch's operators",
        ),
        (
            GRAPH,
            replacing(b"torch.ops.aten.relu.default", b"torch.ops.aten.relu.load_library"),
            "a call of 'torch.ops.aten.relu.load_library', which is none of torch's operators",
        ),
        (
            GRAPH,
            replacing(b"torch.ops.aten.relu.default", b"_operator.methodcaller"),
            "a call of '_operator.methodcaller', which is none of torch's operators",
        ),
        (
            GRAPH,
            with_expression(b"open(chr(120), chr(119))"),
            "the expression 'open(chr(120), chr(119))', which is not arithmetic on sizes",
        ),
        (
            GRAPH,
            with_expression(b"Integer(1).__class__"),
            "the expression 'Integer(1).__class__', which is not arithmetic on sizes",
        ),
        (
            GRAPH,
            with_expression(b"Symbol('s.x')"),
            "the expression \"Symbol('s.x')\", which is not arithmetic on sizes",
        ),
        (
            GRAPH,
            replacing(b"{", b'{"default_factory_module": "this", '),
            "a collections.defaultdict, which names a function to import",
        ),
    ],
)
def test_programs_that_could_run_code(here, program, member, change, risk):
    rewritten(program, member, change)
    assert refusal("made.pt2") == (
        f"made.pt2 holds {risk}, so loading it could run code; {EXPORT_HINT}, "
        "or allow it with --allow-pickle if you trust where it came from"
    )
    assert not Path("code-ran").exists()


def test_torch_itself_runs_what_is_planted_in_a_program(here, program):
    """So the check above is needed; should torch mend this, the check may go."""
    rewritten(program, "data/sample_inputs/model.pt", planted)
    load_model("made.pt2", allow_pickle=True)
    assert Path("code-ran").exists()


@pytest.mark.parametrize(
    ("member", "change"),
    [
        (GRAPH, lambda content: content[:100]),
        (GRAPH, lambda content: b"{}"),
        (GRAPH, replacing(b'"major": ', b'"major": 9')),
        ("data/weights/weight_0", lambda content: content[:8]),
        ("data/weights/model_weights_config.json", lambda content: b"[]"),
        ("archive_version", lambda content: b"99"),
    ],
)
def test_damaged_programs(here, program, member, change, capfd):
    rewritten(program, member, change)
    message = refusal("made.pt2")
    assert message.startswith(
        f"made.pt2 is damaged, or from another torch than this one, {torch.__version__}"
    )
    assert message.endswith(EXPORT_HINT)
    assert "warnings above" not in message
    assert capfd.readouterr() == ("", "")
