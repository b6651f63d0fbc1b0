"""Models as graphs: what is captured, what is refused in which words, and what is left alone."""

import inspect
import warnings
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.export import Dim

from seqlift.deeplift.coverage import require_covered
from seqlift.errors import CaptureError, SeqliftError, ShapeError, UnsupportedOperatorError
from seqlift.model.capture import capture, fixed_length
from seqlift.model.load import load_model
from tests.model.export import exported, saved
from tests.model.user_code import Net

LENGTH = 12
ANY_LENGTH = ({0: Dim("batch"), 2: Dim("length", min=6, max=400)},)


class Of(nn.Module):
    """A function of a convolution's result (row, 3, position) and of any layers."""

    def __init__(self, function, *layers):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5, padding=2)
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x), *self.layers)


def refusal(kind: type[SeqliftError], model, length: int | None = LENGTH) -> str:
    with pytest.raises(kind) as caught:
        capture(model, length)
    message = str(caught.value)
    assert "\n" not in message
    return message


def example(rows: int, length: int = LENGTH, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(rows, 4, length).to(dtype)


# --- the graph is the model ----------------------------------------------------------------------


def test_the_graph_gives_what_the_model_gives(net):
    captured = capture(net, LENGTH)
    assert captured.outputs == ("0",)
    for rows in (1, 2, 7):
        x = example(rows)
        torch.testing.assert_close(captured.graph(x)[0], net(x))


SQUEEZES = {
    "all": lambda x: x.sum(1, keepdim=True).squeeze(),
    "one by one": lambda x: x.sum(1, keepdim=True).squeeze(0).squeeze(1),
    "listed": lambda x: x.sum((1, 2), keepdim=True).squeeze((0, 1, 2)),
    "nothing to squeeze": lambda x: x.squeeze(),
}


def test_squeezing_drops_no_batch_of_one():
    captured = capture(Of(lambda x: {k: f(x) for k, f in SQUEEZES.items()}), LENGTH)
    x = example(2)
    one, two = captured.graph(x[:1]), captured.graph(x)
    for name, squeezed, pair in zip(captured.outputs, one, two, strict=True):
        torch.testing.assert_close(squeezed, pair[:1], msg=name)
    torch.testing.assert_close(two[0], captured.graph(x)[1])
    assert two[2].shape == (2,)


CONSTANTS = {
    "arange": lambda x: x * torch.arange(x.shape[2]),
    "zeros": lambda x: x + torch.zeros(x.shape[0], 3, 1),
    "new_ones": lambda x: torch.cat([x, x.new_ones(x.shape[0], 1, x.shape[2])], 1),
    "linspace": lambda x: x * torch.linspace(0, 1, LENGTH),
    "tensor": lambda x: x + torch.tensor([[1.0], [2.0], [3.0]]),
    "mask": lambda x: x.masked_fill(torch.ones(LENGTH, LENGTH).triu()[0] > 0, 0.5),
}


def test_constants_made_in_forward():
    model = Of(lambda x: {name: make(x) for name, make in CONSTANTS.items()}).eval()
    captured = capture(model, LENGTH)
    require_covered(captured.graph.graph)
    for rows in (1, 5):
        x = example(rows)
        found = dict(zip(captured.outputs, captured.graph(x), strict=True))
        torch.testing.assert_close(found, model(x))


def test_a_model_that_returns_a_constant():
    captured = capture(Of(lambda x: torch.full((x.shape[0], 2), 3.0)), LENGTH)
    require_covered(captured.graph.graph)
    assert captured.graph(example(4))[0].tolist() == [[3.0, 3.0]] * 4


def test_layers_that_behave_otherwise_in_training_are_captured_in_evaluation():
    model = Of(lambda x, *layers: layers[1](layers[0](x)), nn.Dropout(0.9), nn.BatchNorm1d(3))
    x = example(3)
    (found,) = capture(model.train(), LENGTH).graph(x)
    torch.testing.assert_close(found, model.eval()(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_types(dtype):
    model = Net().to(dtype).eval()
    captured = capture(model, LENGTH)
    assert captured.dtype == dtype
    x = example(2, dtype=dtype)
    torch.testing.assert_close(captured.graph(x)[0], model(x))


# --- programs -----------------------------------------------------------------------------------


def test_a_loaded_program_says_its_length(net, program):
    loaded = load_model(program).model
    assert fixed_length(loaded) == LENGTH
    captured = capture(loaded)
    assert captured.length == LENGTH
    x = example(1)
    torch.testing.assert_close(captured.graph(x)[0], net(x))


def test_a_module_does_not_say_its_length(net):
    assert fixed_length(net) is None
    assert refusal(ShapeError, net, None) == (
        "the model does not say how many positions it takes; give the length"
    )


def test_a_program_takes_its_own_length_only(program):
    assert refusal(ShapeError, load_model(program).model, 13) == (
        "the model takes 12 positions; 13 were given"
    )


def test_a_program_of_any_length_is_told_one(net, tmp_path):
    loaded = load_model(saved(exported(net, LENGTH, ANY_LENGTH), tmp_path / "net.pt2")).model
    assert fixed_length(loaded) is None
    assert refusal(ShapeError, loaded, None) == (
        "the model takes any number of positions; give the length"
    )
    captured = capture(loaded, 30)
    assert captured.length == 30
    x = example(2, 30)
    torch.testing.assert_close(captured.graph(x)[0], net(x))


@pytest.mark.parametrize("length", [5, 401])
def test_a_program_says_which_lengths_it_takes(net, length):
    assert refusal(ShapeError, exported(net, LENGTH, ANY_LENGTH), length) == (
        f"the model takes from 6 to 400 positions; {length} were given"
    )


def test_a_program_takes_multiples_only_if_it_was_exported_so():
    model = Of(lambda x: x.unflatten(2, (-1, 4)).sum(3))
    program = exported(model, LENGTH, ({0: Dim("batch"), 2: 4 * Dim("quarter", min=2, max=99)},))
    assert capture(program, 20).length == 20
    message = refusal(ShapeError, program, 22)
    assert message.startswith("the model takes 4*")
    assert message.endswith("from 2 to 99; 22 were given")


def test_a_program_of_a_fixed_batch_is_refused(net):
    assert refusal(ShapeError, exported(net, LENGTH, None, rows=8)) == (
        "the model was exported for a batch of exactly 8; export it again with "
        'dynamic_shapes=({0: torch.export.Dim("batch")},)'
    )


def test_a_program_exported_in_training_is_not_covered():
    model = Of(lambda x, norm: norm(x), nn.BatchNorm1d(3)).train()
    captured = capture(exported(model, LENGTH))
    with pytest.raises(UnsupportedOperatorError) as caught:
        require_covered(captured.graph.graph)
    message = str(caught.value)
    assert "batch_norm" in message
    assert "\n" not in message


# --- inputs that are not a sequence ---------------------------------------------------------------


class TwoInputs(nn.Module):
    def forward(self, x, strand):
        return x * strand


def program_of(model, *inputs) -> torch.export.ExportedProgram:
    shapes = tuple({0: Dim("batch")} for _ in inputs)
    return torch.export.export(model, inputs, dynamic_shapes=shapes)


def test_a_module_of_two_inputs_is_refused():
    assert refusal(ShapeError, TwoInputs()) == (
        "the model's forward also takes strand; give each as --input strand=0:SHAPE, with the "
        "shape behind the row axis such as 2x1000"
    )


@pytest.mark.parametrize(
    ("shape", "shown"), [((2, 9, 5), "(any, 9, 5)"), ((2, 4), "(any, 4)"), ((2,), "(any)")]
)
def test_programs_of_another_input_are_refused(shape, shown):
    assert refusal(ShapeError, program_of(nn.ReLU(), torch.zeros(shape)), None) == (
        f"the model takes input of shape {shown}; expected (any, 4, position), or these axes in "
        "another order"
    )


def test_a_module_that_takes_another_shape_is_refused():
    message = refusal(CaptureError, nn.Sequential(nn.Conv1d(LENGTH - 1, 3, 1)))
    assert message.startswith("torch.export cannot follow the model: ")


# --- models that cannot be followed ---------------------------------------------------------------


class Branching(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x


class Raising(nn.Module):
    def forward(self, x):
        raise KeyError("no such\nlayer")


class Converting(nn.Module):
    def forward(self, x):
        return torch.tensor(x.numpy())


def line_of(model, text: str) -> str:
    lines, first = inspect.getsourcelines(type(model))
    (offset,) = (i for i, line in enumerate(lines) if text in line)
    return f"{inspect.getsourcefile(type(model))}:{first + offset}"


@pytest.mark.parametrize(
    ("model", "message", "line"),
    [
        (Branching(), "Could not guard on data-dependent expression", "if x.sum()"),
        (Raising(), "'no such\\nlayer'", "raise KeyError"),
        (Converting(), ".numpy() is not supported for tensor subclasses.", "x.numpy()"),
    ],
    ids=["branching", "raising", "numpy"],
)
def test_the_error_keeps_torchs_words_and_names_the_users_line(model, message, line, capfd):
    found = refusal(CaptureError, model)
    assert found.startswith(f"torch.export cannot follow the model: {message}")
    assert found.endswith(f" (at {line_of(model, line)})")
    assert capfd.readouterr() == ("", "")  # torch prints graphs and logs


@pytest.mark.parametrize(
    "function",
    [lambda x: x.view(2, -1), lambda x: x if x.shape[0] == 2 else -x],
    ids=["view", "condition"],
)
def test_a_model_for_a_fixed_number_of_rows_is_refused(function):
    assert refusal(CaptureError, Of(function)) == (
        "the model works for a fixed number of sequences at a time; write its shapes with "
        "x.shape[0] or -1, and no conditions on it"
    )


def test_a_random_activation_is_refused():
    model = Of(lambda x: nn.functional.rrelu(x, training=True))
    assert refusal(CaptureError, model) == (
        "the model calls rrelu with training=True, so its output is random; "
        f"use training=self.training (at {line_of(model, 'return self.function')})"
    )


def test_warnings_of_the_model_do_not_get_out():
    def noisy(x):
        warnings.warn("old style", FutureWarning, stacklevel=2)
        return x

    capture(Of(noisy), LENGTH)  # pytest would turn the warning into an error


# --- names of outputs -----------------------------------------------------------------------------

Heads = namedtuple("Heads", "profile counts")


@dataclass
class Prediction:
    profile: torch.Tensor
    counts: torch.Tensor


torch.export.register_dataclass(Prediction)


def test_outputs_are_named_by_their_path():
    def function(x):
        return {
            "tensor": x,
            "tuple": (x,),
            "list": [x, -x],
            "named": Heads(x, -x),
            "class": Prediction(x, -x),
            "nested": [{"a": (x, {"b": -x})}],
        }

    captured = capture(Of(function), LENGTH)
    assert captured.outputs == (
        *("tensor", "tuple.0", "list.0", "list.1", "named.profile", "named.counts"),
        *("class.profile", "class.counts", "nested.0.a.0", "nested.0.a.1.b"),
    )
    x = example(2)
    found = dict(zip(captured.outputs, captured.graph(x), strict=True))
    for name in ("list.1", "named.counts", "class.counts", "nested.0.a.1.b"):
        torch.testing.assert_close(found[name], -found["tensor"])


@pytest.mark.parametrize(
    ("function", "names"),
    [(lambda x: (x,), ("0",)), (lambda x: Heads(x, -x), ("profile", "counts"))],
    ids=["tuple", "namedtuple"],
)
def test_the_outermost_container_has_no_name(function, names):
    assert capture(Of(function), LENGTH).outputs == names


def test_an_output_that_torch_does_not_know_is_refused():
    @dataclass
    class Unknown:
        x: torch.Tensor

    message = refusal(CaptureError, Of(Unknown))
    assert "Unknown" in message
