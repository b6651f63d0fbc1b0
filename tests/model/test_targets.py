"""The target: which number of the output it is, which activation is taken off, what is refused."""

import pytest
import torch
from torch import nn

from seqlift.errors import TargetError, UsageError
from seqlift.model.capture import capture
from seqlift.model.targets import select_target

LENGTH = 8


class Trunk(nn.Module):
    """A dense layer to (row, 6), and then a function that gives any outputs."""

    def __init__(self, function):
        super().__init__()
        self.dense = nn.Linear(4 * LENGTH, 6)
        self.softmax = nn.Softmax(-1)
        self.sigmoid = nn.Sigmoid()
        self.function = function

    def forward(self, x):
        return self.function(self, self.dense(x.flatten(1)))


def captured_of(function):
    torch.manual_seed(2)
    return capture(Trunk(function).double().eval(), LENGTH)


def sequences(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 4, LENGTH, dtype=torch.float64)


def values(captured, target, x, activation="keep") -> torch.Tensor:
    return select_target(captured, target, activation).graph(x)


# --- which number ---------------------------------------------------------------------------------

SHAPES = {
    "n": lambda z: z[:, 0],
    "n1": lambda z: z[:, :1],
    "nt": lambda z: z,
    "n1t": lambda z: z[:, None],
    "nt1": lambda z: z[..., None],
    "profile": lambda z: z.unflatten(1, (2, 3)),
    "positions": lambda z: z[:, :, None, None].expand(-1, -1, 1, 1),
    "rows": lambda z: z.reshape(-1, 3),
    "total": lambda z: z.sum(0),
}


@pytest.fixture(scope="module")
def several():
    """Outputs of all shapes."""
    return captured_of(lambda trunk, z: {name: shape(z) for name, shape in SHAPES.items()})


@pytest.fixture(scope="module")
def single():
    return captured_of(lambda trunk, z: z)


@pytest.mark.parametrize("target", [0, 5, "0", "5"])
def test_an_index_names_a_column_of_the_only_output(single, target):
    x = sequences()
    torch.testing.assert_close(values(single, target, x), single.graph(x)[0][:, int(target)])


@pytest.mark.parametrize(
    ("target", "shape", "column"),
    [
        ("n", "nt", 0),
        ("n.0", "nt", 0),
        ("n1", "nt", 0),
        ("n1.0", "nt", 0),
        ("nt.4", "nt", 4),
        ("n1t.4", "nt", 4),
        ("nt1.4", "nt", 4),
        ("positions.2", "nt", 2),
    ],
)
def test_output_and_index_name_a_column(several, target, shape, column):
    x = sequences()
    outputs = dict(zip(several.outputs, several.graph(x), strict=True))
    found = values(several, target, x)
    assert found.shape == (3,)
    torch.testing.assert_close(found, outputs[shape][:, column])


def test_the_only_output_may_be_named():
    captured = captured_of(lambda trunk, z: {"logits": z})
    x = sequences()
    for target in (1, "logits.1"):
        torch.testing.assert_close(values(captured, target, x), captured.graph(x)[0][:, 1])


def test_nested_outputs_are_named_by_their_path():
    captured = captured_of(lambda trunk, z: {"a": [z, -z], "b": z[:, 0]})
    x = sequences()
    torch.testing.assert_close(values(captured, "a.1.2", x), captured.graph(x)[1][:, 2])
    torch.testing.assert_close(values(captured, "b", x), captured.graph(x)[2])


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_target_has_one_number_a_sequence(several, rows):
    assert values(several, "nt1.1", sequences(rows)).shape == (rows,)


def test_the_target_keeps_its_name_and_drops_what_it_does_not_need():
    captured = captured_of(lambda trunk, z: {"logit": z[:, 0], "other": torch.erfinv(z)})
    targeted = select_target(captured, "logit")
    assert targeted.name == "logit"
    assert "erfinv" not in str(targeted.graph.graph)
    assert "erfinv" in str(captured.graph.graph)  # the captured graph is left as it was


def test_weights_are_shared_with_the_captured_graph(single):
    held = {p.data_ptr() for p in single.graph.state_dict().values()}
    assert {p.data_ptr() for p in select_target(single, 1).graph.state_dict().values()} == held


def refusal(captured, target) -> str:
    with pytest.raises(TargetError) as caught:
        select_target(captured, target)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("target", [-1, 6, 1.0, True, "-1", "6", "", " 1", "x", "²", "0."])
def test_what_is_no_column_of_the_only_output(single, target):
    assert refusal(single, target) == (
        f"target {str(target)!r} is not one number a sequence of this model; it has 0 to 5"
    )


def test_a_single_number_is_said_to_be_alone():
    assert refusal(captured_of(lambda trunk, z: z[:, 0]), 1).endswith("; it has 0 alone")


@pytest.mark.parametrize(
    "target",
    "0 nt nt.6 nt.-1 nt.x n.1 absent absent.0 profile.0 . rows total total.0".split(),
)
def test_what_is_no_column_of_several_outputs(several, target):
    assert refusal(several, target) == (
        f"target {target!r} is not one number a sequence of this model; it has n.0 alone; "
        "n1.0 alone; nt.0 to nt.5; n1t.0 to n1t.5; nt1.0 to nt1.5; output profile of shape "
        "(batch, 2, 3), read as profile.counts, profile, profile-bpnet, [CLASS.]position:P or "
        "[CLASS.]positions:A-B; positions.0 to positions.5; output rows of shape (2*s77, 3), "
        "which is not a row of numbers; output total of shape (6), which is not a row of numbers"
    )


def test_outputs_that_are_no_tensors_are_said_to_be_none():
    captured = captured_of(lambda trunk, z: (z[:, 0], None, 3))
    x = sequences()
    torch.testing.assert_close(values(captured, "0", x), captured.graph(x)[0])
    assert refusal(captured, "1.0").endswith(
        "it has 0.0 alone; output 1, which is None, which is not a row of numbers; output 2, which "
        "is 3, which is not a row of numbers"
    )


# --- the activation -------------------------------------------------------------------------------

ENDINGS = {
    "sigmoid": lambda trunk, z: torch.sigmoid(z),
    "sigmoid method": lambda trunk, z: z.sigmoid(),
    "sigmoid module": lambda trunk, z: trunk.sigmoid(z),
    "sigmoid, (row,)": lambda trunk, z: torch.sigmoid(z[:, 2:3]).squeeze(),
    "sigmoid, squeezed": lambda trunk, z: torch.sigmoid(z[:, 2:3]).squeeze(-1),
    "sigmoid, flattened": lambda trunk, z: torch.sigmoid(z.unsqueeze(1)).flatten(1),
    "sigmoid, selected": lambda trunk, z: torch.sigmoid(z)[:, 2],
    "sigmoid, sliced": lambda trunk, z: torch.sigmoid(z)[:, 2:3],
    "sigmoid, viewed": lambda trunk, z: torch.sigmoid(z[..., None]).view(-1, 6),
    "softmax": lambda trunk, z: torch.softmax(z, 1),
    "softmax module": lambda trunk, z: trunk.softmax(z),
    "softmax functional": lambda trunk, z: nn.functional.softmax(z, dim=-1),
    "softmax, selected": lambda trunk, z: z.softmax(1)[:, 2],
    "softmax, typed": lambda trunk, z: z.softmax(1, dtype=torch.float64).to(torch.float64),
    "hidden sigmoid": lambda trunk, z: torch.sigmoid(z) * 2,
    "hidden softmax": lambda trunk, z: z.softmax(1) @ torch.eye(6, dtype=z.dtype),
    "log-softmax": lambda trunk, z: z.log_softmax(1),
    "tanh": lambda trunk, z: z.tanh(),
    "twice": lambda trunk, z: torch.sigmoid(torch.sigmoid(z)),
}


@pytest.fixture(scope="module")
def endings():
    return captured_of(
        lambda trunk, z: {name: end(trunk, z) for name, end in ENDINGS.items()} | {"logit": z}
    )


def target_of(name: str) -> str:
    """Name the number that comes of the third logit."""
    is_single = any(word in name for word in ("(row,)", "squeezed", "selected", "sliced"))
    return name if is_single else f"{name}.2"


@pytest.mark.parametrize("name", [name for name in ENDINGS if name.startswith(("sig", "softmax"))])
def test_a_final_activation_is_taken_off(endings, name):
    targeted = select_target(endings, target_of(name))
    assert targeted.activation == name.split()[0].rstrip(",")
    x = sequences()
    torch.testing.assert_close(targeted.graph(x), values(endings, "logit.2", x))


@pytest.mark.parametrize("name", ENDINGS)
def test_an_activation_is_kept_on_request(endings, name):
    targeted = select_target(endings, target_of(name), "keep")
    assert targeted.activation == ""
    x = sequences()
    expected = dict(zip(endings.outputs, endings.graph(x), strict=True))[name]
    column = expected if expected.dim() == 1 else expected[:, 2 if expected.shape[1] > 1 else 0]
    torch.testing.assert_close(targeted.graph(x), column)


@pytest.mark.parametrize(
    "name", ["hidden sigmoid", "hidden softmax", "log-softmax", "tanh", "logit"]
)
def test_activations_elsewhere_are_left(endings, name):
    targeted = select_target(endings, f"{name}.2")
    assert targeted.activation == ""
    x = sequences()
    torch.testing.assert_close(targeted.graph(x), values(endings, f"{name}.2", x))


def test_only_the_last_activation_is_taken_off(endings):
    x = sequences()
    expected = values(endings, "logit.2", x).sigmoid()
    torch.testing.assert_close(select_target(endings, "twice.2").graph(x), expected)


def test_an_activation_that_is_used_again_is_taken_off_for_its_own_target_only():
    def function(trunk, z):
        p = torch.sigmoid(z)
        return {"p": p, "gated": z * p, "again": p, "moved": p[:, 1]}

    captured = captured_of(function)
    x = sequences()
    logit, p, gated = trunk_logit(captured, x), captured.graph(x)[0], captured.graph(x)[1]
    for target, expected in [("p.1", logit), ("again.1", logit), ("moved", logit)]:
        torch.testing.assert_close(select_target(captured, target).graph(x), expected)
    torch.testing.assert_close(select_target(captured, "gated.1").graph(x), gated[:, 1])
    torch.testing.assert_close(captured.graph(x)[0], p)


def trunk_logit(captured, x) -> torch.Tensor:
    return torch.logit(captured.graph(x)[0][:, 1])


def test_an_unknown_activation_is_refused(single):
    with pytest.raises(UsageError, match=r"^target activation 'logit' is unknown; .* auto, keep$"):
        select_target(single, 0, "logit")
