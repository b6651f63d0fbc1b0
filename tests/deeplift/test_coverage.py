"""What has no rule is one error, before any sequence is read, that names the user's lines."""

import functools
import inspect
import re
import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.deeplift.coverage import OperatorUse, folds_batch, operator_table, require_covered
from seqlift.errors import CaptureError, UnsupportedOperatorError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.targets import select_target
from tests.helpers import capture_together, zoo_graph
from tests.zoo import CHANNELS, LENGTH


def as_forward(function):
    """Name a function "forward": torch keeps the source lines of functions of that name alone."""
    code = function.__code__.replace(co_name="forward")
    return types.FunctionType(code, function.__globals__, "forward", None, function.__closure__)


class Model(nn.Module):
    """Any function of a convolution's output, averaged to one number."""

    def __init__(self, function, *parts):
        super().__init__()
        self.conv = nn.Conv1d(4, CHANNELS, 3, padding="same")
        self.parts = nn.ModuleList(parts)
        self.function = as_forward(function)

    def forward(self, x):
        return self.function(self.conv(x), *self.parts).flatten(1).mean(1)


def graph_of(model: nn.Module):
    return select_target(capture(model.double().train(False), LENGTH), 0).graph.graph


def line_of(function, text: str) -> str:
    """Return ``file:line`` of the only line of a function that holds a text."""
    lines, first = inspect.getsourcelines(function)
    (place,) = [i for i, line in enumerate(lines) if text in line]
    return f"{inspect.getsourcefile(function)}:{first + place}"


# --- no rule -------------------------------------------------------------------------------------


def fourier(x):
    return torch.fft.rfft(x).abs()


def argmax_as_a_number(x):
    return x * x.argmax(-1, keepdim=True)


def comparison_that_picks(x):
    return torch.where(x > 0.3, x, x.square())


def multiplied_by_a_comparison(x):
    return x * (x > 0)


def index_by_data(x):
    return x.gather(2, x.argsort(-1))


def rounded(x):
    return x.round()


def cast_to_integer(x):
    return x + x.long()


def largest_few(x):
    return x.topk(3).values


def several(x):
    x = x + torch.sort(x).values
    x = x * torch.floor(x)
    return torch.floor(x) * x.sign()


UNSUPPORTED = [
    (fourier, "torch.fft", "aten._fft_r2c.default"),
    (argmax_as_a_number, "x.argmax", "aten.argmax.default"),
    (comparison_that_picks, "where", "aten.gt.Scalar"),
    (comparison_that_picks, "where", "aten.where.self"),
    (multiplied_by_a_comparison, "> 0", "aten.gt.Scalar"),
    (index_by_data, "argsort", "aten.sort.default"),
    (index_by_data, "argsort", "aten.gather.default"),
    (rounded, "x.round", "aten.round.default"),
    (cast_to_integer, "x.long", "aten._to_copy.default"),
    (largest_few, "x.topk", "aten.topk.default"),
]


def refused(function, *parts) -> str:
    return refusal(graph_of(Model(function, *parts)))


def refusal(graph) -> str:
    with pytest.raises(UnsupportedOperatorError) as caught:
        require_covered(graph)
    message = str(caught.value)
    assert "\n" not in message
    return message


@functools.cache
def graphs_of(*functions):
    """Capture functions together, which is quicker than one by one."""
    found = capture_together([Model(function).double().train(False) for function in functions])
    graphs = [select_target(captured, 0).graph.graph for captured in found]
    return dict(zip(functions, graphs, strict=True))


@pytest.mark.parametrize(("function", "text", "operator"), UNSUPPORTED)
def test_what_has_no_rule_is_named_with_the_users_line(function, text, operator):
    graph = graphs_of(*dict.fromkeys(row[0] for row in UNSUPPORTED))[function]
    assert f"{operator} ({line_of(function, text)}, " in refusal(graph)


def test_all_that_has_no_rule_is_in_one_message():
    message = refused(several)
    sort = line_of(several, "torch.sort")
    assert f"aten.sort.default ({sort}, 1×) has no rule" in message
    for text in ("x * torch.floor", "x.sign()"):
        assert f"aten.floor.default ({line_of(several, text)}, 1×) has no rule" in message
    assert message.startswith("the model uses 3 operators without a DeepLIFT rule: ")
    assert "seqlift inspect" in message


def test_one_line_that_runs_often_is_counted():
    def often(x):
        for _ in range(4):
            x = x.floor()
        return x

    assert f"aten.floor.default ({line_of(often, 'x.floor')}, 4×) has no rule" in refused(often)


def test_a_long_list_is_cut():
    functions = [torch.ceil, torch.trunc, torch.frac, torch.floor, torch.round, torch.erfc]
    functions += [torch.lgamma, torch.digamma, torch.erfinv, torch.sinc, torch.i0, torch.atanh]
    functions += [torch.acosh, torch.special.ndtri]

    def many(x):
        return sum(function(x) for function in functions)

    message = refused(many)
    found = int(re.match(r"the model uses (\d+) operators", message)[1])
    assert found >= len(functions)
    assert message.count(line_of(many, "sum(")) == 12
    assert f"; and {found - 12} more; " in message


def test_the_error_comes_before_any_sequence_is_read():
    with pytest.raises(UnsupportedOperatorError, match=r"aten\.floor\.default"):
        Explainer(Model(lambda x: torch.floor(x)), length=LENGTH)


def test_what_the_target_does_not_need_may_have_no_rule():
    class TwoHeads(nn.Module):
        def forward(self, x):
            return {"good": x.square().mean((1, 2)), "bad": torch.floor(x).mean((1, 2))}

    captured = capture(TwoHeads(), LENGTH)
    require_covered(select_target(captured, "good").graph.graph)
    with pytest.raises(UnsupportedOperatorError):
        require_covered(select_target(captured, "bad").graph.graph)


def test_an_argument_that_may_not_vary_is_refused():
    def clamp_by_itself(x):
        return x.clamp(max=x.mean(-1, keepdim=True))

    message = refused(clamp_by_itself)
    assert f"({line_of(clamp_by_itself, 'clamp(')}, 1×) has a rule, but not for this" in message


def test_positions_of_a_maximum_are_refused():
    def with_positions(x):
        values, positions = x.max(-1)
        return values * positions

    assert "uses the position or the statistic" in refused(with_positions)


def test_an_untraceable_condition_gives_torchs_message_and_the_users_line():
    def condition(x):
        if x.mean() > 0:
            return x
        return -x

    with pytest.raises(CaptureError) as caught:
        capture(Model(condition), LENGTH)
    message = str(caught.value)
    assert "\n" not in message
    assert "data-dependent" in message
    assert message.endswith(f"(at {line_of(condition, 'if x.mean')})")


# --- mixing the sequences of a batch ------------------------------------------------------------


def centred_over_the_batch(x):
    return x - x.mean(0)


def centred_over_everything(x):
    return x - x.mean()


def standardised_over_the_batch(x):
    return x / x.std(0, keepdim=True)


def softmax_over_the_batch(x):
    return x.softmax(0)


def log_softmax_over_the_batch_behind(x):
    return x.permute(1, 2, 0).log_softmax(-1).permute(2, 0, 1)


def cumulated_over_the_batch(x):
    return x.cumsum(0)


def reversed_batch(x):
    return x + x.flip(0)


def reversed_batch_by_name(x):
    return x + x.flip(dims=[-3])


def rolled_batch(x):
    return x + x.roll(1, 0)


def rolled_flat(x):
    return x + x.roll(1)


def similarity_of_sequences(x):
    rows = x.flatten(1)
    return (rows @ rows.T).softmax(-1) @ rows


def differences_between_sequences(x):
    return (x[:, None] - x[None]).square().mean(1)


def greatest_of_the_batch(x):
    return x - x.amax(0, keepdim=True)


def attention_over_the_batch(x):
    x = x.permute(2, 0, 1)[:, None]  # (position, head, row, channel)
    return F.scaled_dot_product_attention(x, x, x)[:, 0].permute(1, 2, 0)


def only_the_first(x):
    return x + x[:1]


MIXING = [
    (centred_over_the_batch, "mean"),
    (centred_over_everything, "mean"),
    (standardised_over_the_batch, "std"),
    (softmax_over_the_batch, "x.softmax"),
    (log_softmax_over_the_batch_behind, ".log_softmax("),
    (cumulated_over_the_batch, "cumsum"),
    (reversed_batch, "x.flip"),
    (reversed_batch_by_name, "flip"),
    (rolled_batch, "x.roll"),
    (rolled_flat, "x.roll"),
    (similarity_of_sequences, "rows.T"),
    (differences_between_sequences, "x[:, None]"),
    (greatest_of_the_batch, "amax"),
    (attention_over_the_batch, "scaled_dot_product"),
    (only_the_first, "x[:1]"),
]


@pytest.mark.parametrize(("function", "text"), MIXING)
def test_what_mixes_the_sequences_of_a_batch_is_refused(function, text):
    message = refusal(graphs_of(*(row[0] for row in MIXING))[function])
    place = re.escape(line_of(function, text))
    assert re.search(rf"\({place}, \d×\) mixes the sequences of a batch", message)


def test_batch_norm_without_running_statistics_is_refused():
    norm = nn.BatchNorm1d(CHANNELS, track_running_stats=False)
    assert "batch_norm" in refused(lambda x, part: part(x), norm)


def test_attention_that_takes_the_batch_for_positions_is_refused():
    """The usual slip: `batch_first` forgotten."""
    attention = nn.MultiheadAttention(CHANNELS, 2)

    def slip(x, part):
        x = x.transpose(1, 2)
        return part(x, x, x, need_weights=False)[0]

    assert "mixes the sequences of a batch" in refused(slip, attention)


NOT_MIXING = [
    lambda x: x.softmax(1),
    lambda x: x.permute(2, 0, 1).softmax(-1).permute(1, 2, 0),
    lambda x: x.flip([1, 2]),
    lambda x: x.cumsum(-1),
    lambda x: torch.cat([x, x.flip([1, 2])]).unflatten(0, (2, -1)).amax(0),
    lambda x: x.flatten(0, 1).softmax(-1).unflatten(0, (-1, CHANNELS)),
]


@pytest.mark.parametrize("function", NOT_MIXING)
def test_what_keeps_sequences_apart_is_covered(function):
    require_covered(graphs_of(*NOT_MIXING)[function])


# --- the table ----------------------------------------------------------------------------------


class Described(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 2, 3)
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        gate = torch.sigmoid(self.weight)  # the same for every sequence
        x = self.conv(x)
        x = torch.relu(x)
        x = x * x
        x = x.amax(-1)
        x = x * gate
        x = torch.log_softmax(x, 1)
        return x.narrow(1, 0, 1)


@functools.cache
def described() -> list[OperatorUse]:
    return operator_table(graph_of(Described()))


@pytest.mark.parametrize(
    ("text", "operator", "kind"),
    [
        ("torch.sigmoid", "aten.sigmoid.default", "constant"),
        ("self.conv(x)", "aten.conv1d.default", "linear"),
        ("torch.relu", "aten.relu.default", "rescale"),
        ("x * x", "aten.mul.Tensor", "product"),
        ("x.amax", "aten.amax.default", "max"),
        ("x * gate", "aten.mul.Tensor", "linear"),
        ("torch.log_softmax", "aten.log_softmax.int", "normalise"),
        ("x.narrow", "aten.slice.Tensor", "linear"),
    ],
)
def test_the_table_tells_operator_line_and_kind(text, operator, kind):
    line = line_of(Described.forward, text)
    (use,) = [u for u in described() if u.line == line]
    assert (use.operator, use.kind, use.problem) == (operator, kind, "")
    assert bool(use.formula) == (kind != "constant")


def test_a_factor_that_is_constant_has_the_linear_formula():
    products = [use.formula for use in described() if use.operator == "aten.mul.Tensor"]
    assert products[0].startswith("m_a = (b + b₀)/2")
    assert products[1] == "m = coefficient"


def test_a_problem_stands_in_the_table_beside_the_rest():
    def function(x):
        return torch.floor(x) + F.relu(x)

    kinds = {u.operator: u.kind for u in operator_table(graph_of(Model(function)))}
    assert kinds["aten.floor.default"] == "none"
    assert kinds["aten.relu.default"] == "rescale"


def test_an_operator_that_reads_the_shape_alone_is_inert_and_carries_nothing():
    def function(x):
        return x.flatten(1).reshape(x.shape[0], -1) * torch.ones_like(x).flatten(1)

    table = operator_table(graph_of(Model(function)))
    kinds = {use.operator: use.kind for use in table}
    assert kinds["aten.ones_like.default"] == "inert"
    assert kinds["aten.mul.Tensor"] == "linear", "ones are the same for every sequence"


def test_a_graph_without_source_lines_says_so():
    graph = graph_of(Described())
    for node in graph.nodes:
        node.meta.pop("stack_trace", None)
    assert {use.line for use in operator_table(graph)} == {"?"}


# --- batch folding --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folds"),
    [
        ("F.relu", False),
        ("layer norm channels", False),
        ("sdpa", False),
        ("multi-head attention", True),
        ("siamese", False),
        ("siamese in one batch", True),
    ],
)
def test_models_that_fold_the_batch_are_told_apart(name, folds):
    assert folds_batch(zoo_graph(name).graph) == folds


def test_a_transposed_batch_counts_as_folded():
    assert folds_batch(graph_of(Model(lambda x: x.permute(2, 0, 1).relu().permute(1, 2, 0))))
