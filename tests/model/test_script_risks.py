"""What TorchScript may hold: whatever could run code, or touch a file, is refused and does not."""

import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from seqlift.errors import ModelLoadError
from seqlift.model.load import load_model
from seqlift.model.script_operators import OPERATORS, is_operator
from seqlift.model.script_risks import find_risky_operator
from tests.model.test_formats import script
from tests.model.user_code import Net


def refusal(source) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Planting(nn.Module):
    """Writes a file by torch's own operators, when it is loaded."""

    def __init__(self):
        super().__init__()
        self.weight = torch.zeros(1)

    def forward(self, x):
        return x + self.weight

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        planted = torch.from_file("code-ran", True, 4, dtype=torch.uint8)
        self.weight = state[0] + 0 * planted.sum()
        self.training = state[1]


class Writing(nn.Module):
    def forward(self, x):
        return x + torch.from_file("code-ran", True, 4, dtype=torch.float32).sum()


class Saving(nn.Module):
    def forward(self, x):
        torch.save(x, "code-ran")
        return x


class Deep(nn.Module):
    """Writes in a branch of a loop of a function of a part."""

    def __init__(self):
        super().__init__()
        self.part = Writing()

    def forward(self, x):
        for i in range(x.dim()):
            if i == 0:
                x = self.part(x)
        return x


class Forked(nn.Module):
    def forward(self, x):
        return torch.jit.wait(torch.jit.fork(write, x))


def write(x):
    return x + torch.from_file("code-ran", True, 4, dtype=torch.float32).sum()


@pytest.mark.parametrize("kind", [Planting, Writing, Saving, Deep, Forked])
def test_torchscript_writes_nothing(here, kind):
    script(kind(), "bad.pt", trace=False)
    Path("code-ran").unlink(missing_ok=True)
    assert (
        "which is not on the list of operators that only compute (others could write files"
        in refusal("bad.pt")
    )
    assert not Path("code-ran").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.load("bad.pt")(torch.zeros(1))
    assert Path("code-ran").exists()  # so this test could have failed


class Spaced(nn.Module):
    def forward(self, x):
        return x + torch.relu(x)


@pytest.mark.parametrize(
    "code",
    ["torch.save(x, 'code-ran')", "torch . \\\n save(x, 'code-ran')", "torch.save(x, 'code' 'x')"],
)
def test_code_that_was_written_by_hand(here, code):
    """Whatever it looks like, it is read as torch reads it."""
    script(Spaced(), "good.pt", trace=False)
    with zipfile.ZipFile("good.pt") as good, zipfile.ZipFile("bad.pt", "w") as bad:
        for member in good.namelist():
            text = good.read(member)
            if member.endswith("test_script_risks.py"):
                text = text.replace(b"    return", f"    _1 = {code}\n    return".encode())
                assert code.encode() in text
            bad.writestr(member, text)
    message = refusal("bad.pt")
    assert message.startswith(
        ("bad.pt is TorchScript with 'aten::save', which is not on the list", "bad.pt ca")
    )
    assert not list(Path().glob("code*"))


def test_a_class_of_torch_s_own_is_not_made(here):
    """Such classes run code of theirs when they are unpickled."""
    script(Net(), "good.pt", trace=False)
    name = b"__torch__.torch.classes.quantized\nConv2dPackedParamsBase\n"
    with zipfile.ZipFile("good.pt") as good, zipfile.ZipFile("bad.pt", "w") as bad:
        for member in good.namelist():
            planted = b"\x80\x02c" + name + b"."
            bad.writestr(
                member, planted if member.endswith("/constants.pkl") else good.read(member)
            )
    message = refusal("bad.pt")
    assert "with '__torch__.torch.classes.quantized.Conv2dPackedParamsBase', which" in message


class Usual(nn.Module):
    """What people write: modes as words, checks that raise, prints, conditions on shapes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 5, padding="same")
        self.norm = nn.BatchNorm1d(8)
        self.lstm = nn.LSTM(8, 3, batch_first=True, bidirectional=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.dense = nn.Linear(6, 2)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        assert x.dim() == 3, f"takes three axes, and not {x.dim()}"
        print("seen")
        y = nn.functional.gelu(self.norm(self.conv(x)), approximate="tanh")
        y = nn.functional.pad(nn.functional.max_pool1d(y, 2), [1, 1], "constant", 0.0)
        z, _ = self.lstm(y.transpose(1, 2))
        z, _ = self.attention(z, z, z)
        z = self.drop(torch.einsum("rpc,c->rpc", z, torch.ones(6)))
        parts = torch.chunk(z, 2, dim=2)
        return {"out": self.dense(torch.cat(parts, 2).mean(1)), "half": torch.div(z, 2).sum([1, 2])}


def test_what_people_write_is_allowed(here):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(Usual().eval())
    assert find_risky_operator(made.inlined_graph) == ""


def test_no_operator_that_names_a_file_is_allowed():
    """By what torch itself says of its operators."""
    schemas = [s for s in torch._C._jit_get_all_schemas() if s.name.startswith("aten::")]
    naming = {
        schema.name.removeprefix("aten::")
        for schema in schemas
        for argument in schema.arguments
        if "str" in str(argument.type)
        and any(word in argument.name.lower() for word in ("file", "path", "url", "code"))
    }
    assert {"from_file", "save"} <= naming
    assert not [name for name in naming if is_operator(name)]
    assert OPERATORS <= {schema.name.removeprefix("aten::") for schema in schemas}


def test_no_operator_on_memory_is_allowed():
    """Those that believe what they are told of sizes, addresses and places in others."""
    schemas = [s for s in torch._C._jit_get_all_schemas() if s.name.startswith("aten::")]
    names = {schema.name.removeprefix("aten::") for schema in schemas}
    words = ("backward", "from_file", "nested", "resize", "set_", "sparse", "strided", "unsafe")
    assert len(names) > 1000
    assert not [n for n in names if is_operator(n) and any(word in n for word in words)]
    # They read beyond weights that are of another size.
    assert not is_operator("_weight_norm") and not is_operator("native_batch_norm")


class Crashing(nn.Module):
    def forward(self, x):
        crow, col = torch.tensor([0, 200_000_000]), torch.tensor([0])
        return x + torch._convert_indices_from_csr_to_coo(crow, col).sum()


def test_what_would_crash_is_not_run(here):
    script(Crashing(), "bad.pt", trace=False)
    code = "from seqlift.model.load import load_model; load_model('bad.pt')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    expected = "with 'aten::_convert_indices_from_csr_to_coo', which is not on the list"
    assert expected in found.stderr


class WithoutGradients(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            return x + 1


def test_a_with_block_is_named(here):
    script(WithoutGradients(), "block.pt", trace=False)
    assert "as a block like `with torch.no_grad():` makes, which is not followed; leave it" in (
        refusal("block.pt")
    )
