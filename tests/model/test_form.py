"""Models that take another input than (row, 4, position): layouts, orders of bases, more inputs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

from seqlift.errors import CaptureError, ModelLoadError, ShapeError, UsageError
from seqlift.explain import Explainer
from seqlift.model.arranging import Taken, _require_whole
from seqlift.model.capture import capture, export, fixed_length, predict
from seqlift.model.form import LAYOUTS, Constant, InputForm, layout_of, parse_inputs
from tests.model.user_code import Net

LENGTH = 12

# From (row, 4, position) and back, written with numpy's words.
BACK = {
    "N4L": lambda x: x,
    "NL4": lambda x: x.permute(0, 2, 1),
    "N14L": lambda x: x[:, 0],
    "N41L": lambda x: x[:, :, 0],
    "N4L1": lambda x: x[..., 0],
    "N1L4": lambda x: x[:, 0].permute(0, 2, 1),
    "NL41": lambda x: x[..., 0].permute(0, 2, 1),
    "NL14": lambda x: x[:, :, 0].permute(0, 2, 1),
}


def sizes(layout: str, length: int = LENGTH) -> tuple[int, ...]:
    return tuple({"N": 2, "4": 4, "L": length, "1": 1}[axis] for axis in layout)


class Laid(nn.Module):
    """Takes one layout alone."""

    def __init__(self, layout):
        super().__init__()
        self.net, self.layout = Net(), layout

    def forward(self, x):
        fits = [
            axis == "L" or int(axis) == n
            for axis, n in zip(self.layout[1:], x.shape[1:], strict=False)
        ]
        if len(fits) != x.dim() - 1 or not all(fits):
            raise ValueError(f"takes {self.layout}")
        return self.net(BACK[self.layout](x))


class Controlled(nn.Module):
    """Takes a control track and a cell type beside the sequence."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.cells = nn.Embedding(5, 2)

    def forward(self, control, sequence, cell):
        return self.net(sequence) * (1 + control.sum((1, 2)))[:, None] + self.cells(cell)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def one_hot(rows: int = 3) -> torch.Tensor:
    letters = torch.randint(0, 4, (rows, LENGTH), generator=torch.Generator().manual_seed(4))
    return nn.functional.one_hot(letters, 4).transpose(1, 2).float()


def answers(model, x, form=None, length=LENGTH) -> torch.Tensor:
    return capture(model, length, form).graph(x)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_that_of_its_name(layout):
    x = one_hot(2)
    arranged = LAYOUTS[layout](x)
    assert tuple(arranged.shape) == sizes(layout)
    torch.testing.assert_close(BACK[layout](arranged), x)
    assert layout_of(sizes(layout)) == (layout, LENGTH)


def test_a_module_is_captured_in_the_layout_in_which_it_runs():
    for layout in LAYOUTS:
        model = Laid(layout).eval()
        torch.testing.assert_close(answers(model, one_hot()), model.net(one_hot()))


@pytest.mark.parametrize("layout", ["NL4", "N14L", "N4L1"])
def test_a_program_says_its_layout(layout):
    model = Laid(layout).eval()
    program = torch.export.export(
        model, (torch.zeros(sizes(layout)),), dynamic_shapes=({0: Dim("batch")},)
    )
    assert fixed_length(program) == LENGTH
    torch.testing.assert_close(answers(program, one_hot(), length=None), model.net(one_hot()))


def test_a_program_in_another_layout_and_of_any_length():
    model = Laid("NL4").eval()
    shapes = ({0: Dim("batch"), 1: Dim("length", min=6, max=400)},)
    program = torch.export.export(model, (torch.zeros(2, LENGTH, 4),), dynamic_shapes=shapes)
    assert fixed_length(program) is None
    torch.testing.assert_close(answers(program, one_hot()), model.net(one_hot()))


def test_the_layout_that_is_said_is_the_only_one():
    with pytest.raises(CaptureError, match="takes NL4"):
        capture(Laid("NL4"), LENGTH, InputForm(layout="N14L"))
    model = Laid("NL4").eval()
    found = answers(model, one_hot(), InputForm(layout="NL4"))
    torch.testing.assert_close(found, model.net(one_hot()))


def test_four_positions_are_taken_for_the_plain_layout():
    assert layout_of((None, 4, 4)) == ("N4L", 4)
    assert layout_of((None, 4, 4), "NL4") == ("NL4", 4)


@pytest.mark.parametrize("bases", ["AGCT", "TCGA", "acgt", "CATG"])
def test_bases_of_another_order(bases):
    net = Net().eval()
    x = one_hot()
    theirs = torch.stack([x[:, "ACGT".index(base)] for base in bases.upper()], 1)
    torch.testing.assert_close(answers(net, x, InputForm(bases=bases)), net(theirs))


def test_the_order_of_bases_of_a_program():
    net, x = Net().eval(), one_hot()
    program = export(net, LENGTH)
    torch.testing.assert_close(answers(program, x, InputForm(bases="TGCA")), net(x.flip(1)))


@pytest.mark.parametrize("bases", ["ACG", "ACGU", "AACG", ""])
def test_what_is_no_order_of_bases(bases):
    with pytest.raises(UsageError, match=r"^the bases '.*' are no order of A, C, G and T$"):
        InputForm(bases=bases)


def test_an_unknown_layout():
    with pytest.raises(UsageError, match="the layout 'L4' is unknown; expected one of N4L, NL4"):
        InputForm(layout="L4")


# --- inputs beside the sequence -------------------------------------------------------------------


def form_of(*words) -> InputForm:
    constants, sequence = parse_inputs(words)
    return InputForm(constants=constants, sequence=sequence)


def controlled_program(model) -> torch.export.ExportedProgram:
    rows = {0: Dim("batch")}
    example = torch.zeros(2, 2, LENGTH), torch.zeros(2, 4, LENGTH), torch.zeros(2, dtype=torch.long)
    return torch.export.export(model, example, dynamic_shapes=(rows, rows, rows))


def by_hand(model, x, control=0.0, cell=0) -> torch.Tensor:
    filled = torch.full((len(x), 2, LENGTH), float(control))
    return model(filled, x, torch.full((len(x),), cell))


def test_inputs_of_a_program_are_zero_by_default():
    model, x = Controlled().eval(), one_hot()
    torch.testing.assert_close(
        answers(controlled_program(model), x, length=None), by_hand(model, x)
    )


def test_inputs_of_a_program_by_name():
    model, x = Controlled().eval(), one_hot()
    form = form_of("control=0.5", "cell=3")
    expected = by_hand(model, x, 0.5, 3)
    torch.testing.assert_close(answers(controlled_program(model), x, form, None), expected)


def test_inputs_of_a_module_have_their_shapes_from_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("cell.npy", np.int64(3))
    model, x = Controlled().eval(), one_hot()
    form = form_of("control=0.5:2x12", "cell=cell.npy", "sequence=sequence")
    torch.testing.assert_close(answers(model, x, form), by_hand(model, x, 0.5, 3))


def test_an_index_of_a_module_is_a_whole_number():
    model, x = Controlled().eval(), one_hot()
    form = form_of("control=0.5:2x12", "cell=3", "sequence=sequence")
    torch.testing.assert_close(answers(model, x, form), by_hand(model, x, 0.5, 3))
    torch.testing.assert_close(predict(model, x, form)[0], by_hand(model, x, 0.5, 3))


@pytest.mark.parametrize(
    ("values", "shown"), [([1, 0.5], "0.5"), ([1, np.inf], "inf"), ([np.nan, 0.5], "nan")]
)
def test_the_first_number_that_is_not_whole_is_shown(values, shown):
    constant = Constant(torch.tensor(values), (2,))
    assert not constant.is_whole
    form = InputForm(constants={"cell": constant})
    with pytest.raises(ShapeError, match=f"takes whole numbers; found {shown}; give it whole ones"):
        _require_whole({"cell": Taken((2,), torch.int64)}, form)
    assert Constant(torch.tensor([True])).is_whole
    assert Constant(torch.tensor([-2.0, 0])).is_whole


def test_an_index_that_is_none():
    model = Controlled().eval()
    assert refusal(ShapeError, controlled_program(model), None, form_of("cell=2.5")) == (
        "the input cell takes whole numbers; found 2.5; give it whole ones, as in --input cell=1"
    )
    form = form_of("control=0.5:2x12", "cell=2.5", "sequence=sequence")
    assert "scalar types: Long" in refusal(CaptureError, model, LENGTH, form)
    with pytest.raises(ShapeError, match=r"^the model looks up what is not there \(index out of "):
        Explainer(capture(controlled_program(model), None, form_of("cell=9")), device="cpu")


def test_an_array_is_given_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    control = np.random.default_rng(0).normal(size=(2, LENGTH)).astype(np.float32)
    np.save("control.npy", control)
    model, x = Controlled().eval(), one_hot()
    rows = torch.from_numpy(control).expand(len(x), 2, LENGTH)
    expected = model(rows, x, torch.zeros(len(x), dtype=torch.long))
    found = answers(controlled_program(model), x, form_of("control=control.npy"), None)
    torch.testing.assert_close(found, expected)


def test_an_optional_input_is_left_out():
    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x, control=None):
            return self.net(x) if control is None else None

    model = Optional().eval()
    torch.testing.assert_close(answers(model, one_hot()), model.net(one_hot()))


def test_the_sequence_may_be_named_among_several_that_could_be():
    class Two(nn.Module):
        def forward(self, a, b):
            return a.sum((1, 2)) - 2 * b.sum((1, 2))

    rows = {0: Dim("batch")}
    example = torch.zeros(2, 4, LENGTH), torch.zeros(2, 4, LENGTH)
    program = torch.export.export(Two(), example, dynamic_shapes=(rows, rows))
    x = one_hot()
    torch.testing.assert_close(answers(program, x, length=None), x.sum((1, 2)))
    found = answers(program, x, form_of("b=sequence"), None)
    torch.testing.assert_close(found, -2 * x.sum((1, 2)))


def refusal(error, *arguments) -> str:
    with pytest.raises(error) as caught:
        capture(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_inputs_that_do_not_fit():
    program = controlled_program(Controlled().eval())
    assert refusal(ShapeError, program, None, form_of("ctl=1")) == (
        "the model has no input 'ctl'; it has control, sequence, cell"
    )
    assert refusal(ShapeError, program, None, form_of("control=1:2x13")) == (
        "the input control was given with shape (2, 13); the model takes (2, 12) behind the row "
        "axis"
    )
    assert refusal(ShapeError, Controlled(), LENGTH, form_of("sequence=sequence")) == (
        "the model's forward also takes control, cell; give each as --input control=0:SHAPE, with "
        "the shape behind the row axis such as 2x1000"
    )
    assert refusal(ShapeError, Net(), LENGTH, form_of("strand=1")) == (
        "the model has no input 'strand'; it has x"
    )


@pytest.mark.parametrize(
    "word", ["control", "=3", "control=", "control=x", "control=1:2xx3", "control=nan", "a=1:0"]
)
def test_words_that_are_no_inputs(word):
    with pytest.raises(UsageError, match=r"^(found )?the input '") as caught:
        parse_inputs([word])
    assert "\n" not in str(caught.value)


def test_arrays_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npy").write_text("no array")
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    for name in ("absent.npy", "text.npy", "objects.npy"):
        with pytest.raises(ModelLoadError, match=rf"^{name} cannot be read as an \.npy array: "):
            parse_inputs([f"control={name}"])
