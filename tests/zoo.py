"""Small models with random weights, one for each way of writing a sequence model.

Every entry of `ZOO` is a function that takes nothing and returns a module from (row, 4, LENGTH) to (row, 2). The
weights are those of the generator's current seed; `build` sets it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

LENGTH = 24
CHANNELS = 6
ZOO: dict[str, Callable[[], nn.Module]] = {}
GROUP = 12  # models that are captured together, and tested in one process (see conftest.py)


class Net(nn.Module):
    """A convolution, any function of (row, CHANNELS, LENGTH), and two dense outputs."""

    def __init__(self, function, *modules, shift=0.0):
        super().__init__()
        self.first = nn.Conv1d(4, CHANNELS, 5, padding=2)
        self.parts = nn.ModuleList(modules)
        self.function = function
        self.shift = shift
        self.last = nn.LazyLinear(2)

    def forward(self, x):
        x = self.function(self.first(x) + self.shift, *self.parts)
        return self.last(x.flatten(1))


def build(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
    """Make one model of the zoo, with batch-norm statistics as after training."""
    torch.manual_seed(seed)
    model = ZOO[name]().to(dtype)
    model.train(False)
    model(torch.zeros(2, 4, LENGTH, dtype=dtype))  # lazy layers take their size
    for module in model.modules():
        if getattr(module, "running_var", None) is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model


def group_of(name: str) -> int:
    """Return which models a model is captured with."""
    return list(ZOO).index(name) // GROUP


def add(name: str, function, *factories, shift=0.0) -> None:
    assert name not in ZOO
    ZOO[name] = lambda: Net(function, *(factory() for factory in factories), shift=shift)


# --- element-wise, written as functions -------------------------------------------------------------------------
for name, function in {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "Tensor.relu_": lambda x: (x + 0).relu_(),
    "gelu": F.gelu,
    "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "elu-alpha": lambda x: F.elu(x, 0.3),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 0.7),
    "leaky-relu": F.leaky_relu,
    "rrelu": lambda x: F.rrelu(x),
    "relu6": F.relu6,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 0.1, -0.2),
    "sigmoid": torch.sigmoid,
    "log-sigmoid": F.logsigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "square": torch.square,
    "x**2": lambda x: x**2,
    "x**3": lambda x: x**3,
    "abs": torch.abs,
    "clamp": lambda x: x.clamp(-0.3, 0.4),
    "clamp-min": lambda x: x.clamp(min=0.1),
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "2**x": lambda x: 2**x,
    "log1p-relu": lambda x: torch.log1p(F.relu(x)),
    "x*sigmoid(x)": lambda x: x * torch.sigmoid(x),
    "x/(1+x*x)": lambda x: x / (1 + x * x),
    "1/x": lambda x: 1 / (x.abs() + 0.5),
    "exp-activation": lambda x: torch.exp(x).mean(-1),
}.items():
    add(name, function)
for name, function in {
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "x**1.5": lambda x: x**1.5,
    "reciprocal": torch.reciprocal,
}.items():
    add(name, lambda x, f=function: f(x.square() + 0.1))

# --- element-wise, written as modules ----------------------------------------------------------------------------


class MyReLU(nn.ReLU):
    """A subclass, which rules keyed by class do not know."""


for factory in [
    nn.ReLU, MyReLU, nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU, nn.PReLU, nn.Softplus,
    nn.Softsign, nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.ReLU6,
]:  # fmt: skip
    add(f"nn.{factory.__name__}", lambda x, act: act(x), factory)
add("nn.PReLU-channels", lambda x, act: act(x), lambda: nn.PReLU(CHANNELS))
add("ReLU(inplace)", lambda x, act: act(x), lambda: nn.ReLU(inplace=True))


def _conv(width: int = 3, **kwargs):
    return lambda: nn.Conv1d(CHANNELS, CHANNELS, width, padding="same", **kwargs)


def _reused(x, act, *convs):
    for conv in convs:
        x = act(conv(x))
    return act(x) + act(-x)


add("one ReLU five times", _reused, nn.ReLU, _conv(), _conv(), _conv())
add("dropout", lambda x, d, act: d(act(F.dropout(x, 0.5, False))), lambda: nn.Dropout(0.5), nn.ReLU)

# --- products and gates -------------------------------------------------------------------------------------------
add("tanh*sigmoid gate", lambda x, a, b: torch.tanh(a(x)) * torch.sigmoid(b(x)), _conv(), _conv())
add("GLU", lambda x: F.glu(x, 1))
add("nn.GLU-last", lambda x, g: g(x), nn.GLU)
add("x*x", lambda x: x * x)
add("mul broadcast", lambda x: x * x.mean(-1, keepdim=True))
add("ratio", lambda x: torch.exp(x) / torch.exp(x).sum(1, keepdim=True))
add(
    "bilinear",
    lambda x, b: b(x.transpose(1, 2), F.relu(x).transpose(1, 2)),
    lambda: nn.Bilinear(CHANNELS, CHANNELS, 3),
)
add(
    "weights of the batch's size, relu",
    lambda x, d: F.relu(torch.bmm(x, d.weight.T.expand(x.shape[0], -1, -1))),
    lambda: nn.Linear(LENGTH, 5),
)
add(
    "bias of the batch's size, relu",
    lambda x, d: F.relu(torch.addmm(d.bias.expand(x.shape[0], -1), x.mean(-1), d.weight.T)),
    lambda: nn.Linear(CHANNELS, 5),
)
add("gram matrix", lambda x: x @ x.transpose(1, 2))
add("einsum", lambda x: torch.einsum("bcl,bdl->bcd", x, F.relu(x)))
add("outer", lambda x: x.mean(-1)[:, :, None] * F.relu(x).mean(-1)[:, None, :])


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(CHANNELS, 3), nn.Linear(3, CHANNELS)

    def forward(self, x):
        scale = torch.sigmoid(self.up(F.relu(self.down(x.mean(-1)))))
        return x * scale.unsqueeze(-1)


add("squeeze-excite", lambda x, se: se(F.relu(x)), SqueezeExcite)

# --- wiring -------------------------------------------------------------------------------------------------------
add("residual", lambda x, c: F.relu(x) + F.relu(c(F.relu(x))), _conv(dilation=2))


def _dense_block(x, *convs):
    for conv in convs:
        x = torch.cat([x, F.relu(conv(x))], 1)
    return x


add(
    "dense block",
    _dense_block,
    lambda: nn.Conv1d(6, 4, 3, padding=1),
    lambda: nn.Conv1d(10, 4, 3, padding=1),
)
add(
    "concatenation",
    lambda x, a, b: torch.cat([F.relu(a(x)), torch.tanh(b(x))], 2),
    _conv(),
    _conv(5),
)
add("split", lambda x: torch.cat([F.relu(a) * b for a, b in [x.split(3, 1)]], 1))
add("chunk", lambda x: torch.stack([torch.tanh(p) for p in x.chunk(3, 2)], 1).sum(1))
add("assignment", lambda x: _assigned(x))
add(
    "reverse complement trunk",
    lambda x, c: torch.maximum(F.relu(c(x)), F.relu(c(x.flip([1, 2])))),
    _conv(),
)
add(
    "flatten",
    lambda x, dense: F.relu(dense(x.reshape(x.shape[0], -1))),
    lambda: nn.Linear(CHANNELS * LENGTH, 7),
)
add("constant where", lambda x: torch.where(torch.arange(LENGTH) % 2 == 0, F.relu(x), x))
add("index", lambda x: F.relu(x)[:, [0, 2, 4]][..., torch.arange(0, LENGTH, 3)])
add(
    "pad", lambda x: F.relu(F.pad(x, (2, 1)))[..., 1:-2] + F.pad(x, (1, 1), mode="reflect")[..., 2:]
)
add("unfold", lambda x: F.relu(x).unfold(2, 5, 3).mean(-1))
add("roll", lambda x: F.relu(x) * torch.roll(x, 1, 2))
add("cumsum", lambda x: torch.tanh(F.relu(x).cumsum(-1)))


def _assigned(x):
    y = F.relu(x)
    y[:, :, 3:6] = torch.tanh(x[:, :, 3:6])
    return y


# --- pooling --------------------------------------------------------------------------------------------------------
for name, function in {
    "max-pool": lambda x: F.max_pool1d(x, 4),
    "max-pool overlap": lambda x: F.max_pool1d(x, 5, 2),
    "max-pool padding": lambda x: F.max_pool1d(x, 4, 2, 2),
    "max-pool dilation": lambda x: F.max_pool1d(x, 3, 1, 1, dilation=3),
    "max-pool ceil": lambda x: F.max_pool1d(x, 5, 5, ceil_mode=True),
    "relu then max-pool": lambda x: F.max_pool1d(F.relu(x), 4, 2),
    "max-pool then relu": lambda x: F.relu(F.max_pool1d(x, 4, 2)),
    "max-pool then max-pool": lambda x: F.max_pool1d(F.max_pool1d(x, 3, 2), 3, 2),
    "adaptive max": lambda x: F.adaptive_max_pool1d(x, 5),
    "amax": lambda x: x.amax(-1),
    "amin": lambda x: x.amin(-1),
    "amax keepdim": lambda x: x - x.amax((1, 2), keepdim=True),
    "amax axes": lambda x: x.amax((1, 2)).unsqueeze(1),
    "max(dim)": lambda x: F.relu(x).max(-1)[0],
    "min(dim)": lambda x: x.min(-1).values,
    "max(dim=1)": lambda x: x.max(dim=1).values,
    "global max": lambda x: F.adaptive_max_pool1d(x, 1),
    "maximum": lambda x: torch.maximum(x, x.flip(-1)),
    "minimum": lambda x: torch.minimum(x, x.mean(-1, keepdim=True)),
    "maxout": lambda x: torch.maximum(x[:, :3], x[:, 3:]),
    "avg-pool": lambda x: F.relu(F.avg_pool1d(x, 3, 2, 1)),
    "adaptive avg": lambda x: F.relu(F.adaptive_avg_pool1d(x, 5)),
    "lp-pool": lambda x: F.lp_pool1d(x, 2, 3),
    "lp-pool 3": lambda x: F.lp_pool1d(x.abs() + 0.1, 3, 4, 2),
    "mean": lambda x: F.relu(x.mean(-1)),
    "sum": lambda x: torch.tanh(x.sum(1)),
    "std": lambda x: x.std(-1),
    "var": lambda x: x.var(1),
    "norm": lambda x: x.norm(dim=1),
    "norm 1": lambda x: x.norm(1, dim=1),
    "normalize": lambda x: F.normalize(x, dim=1),
    "standardise": lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True),
}.items():
    add(name, function)
add("nn.MaxPool1d", lambda x, p: p(F.relu(x)), lambda: nn.MaxPool1d(4, 2))
add("nn.AdaptiveMaxPool1d", lambda x, p: p(x), lambda: nn.AdaptiveMaxPool1d(3))

# --- normalisation --------------------------------------------------------------------------------------------------
add("batch norm", lambda x, n: F.relu(n(x)), lambda: nn.BatchNorm1d(CHANNELS))
add(
    "batch norm dense",
    lambda x, n: F.relu(n(x.mean(-1))),
    lambda: nn.BatchNorm1d(CHANNELS, affine=False),
)
add("layer norm", lambda x, n: F.relu(n(x)), lambda: nn.LayerNorm(LENGTH))
add("layer norm 2 axes", lambda x, n: n(x), lambda: nn.LayerNorm([CHANNELS, LENGTH]))
add("layer norm channels", lambda x, n: n(x.transpose(1, 2)), lambda: nn.LayerNorm(CHANNELS))
add("RMS norm", lambda x, n: n(x), lambda: nn.RMSNorm(LENGTH))
add("group norm", lambda x, n: F.relu(n(x)), lambda: nn.GroupNorm(2, CHANNELS))
add("instance norm", lambda x, n: F.relu(n(x)), lambda: nn.InstanceNorm1d(CHANNELS, affine=True))
add(
    "instance norm tracked",
    lambda x, n: F.relu(n(x)),
    lambda: nn.InstanceNorm1d(CHANNELS, track_running_stats=True),
)
add("local response norm", lambda x, n: n(x), lambda: nn.LocalResponseNorm(3))
add("softmax channels", lambda x: x.softmax(1))
add("softmax positions", lambda x: F.softmax(5 * x, -1))
add("softmin", lambda x: F.softmin(x, 1))
add("log-softmax", lambda x: F.log_softmax(x, 2))
add("logsumexp", lambda x: x.logsumexp(-1))
add("logsumexp axes", lambda x: x.logsumexp((1, 2), keepdim=True))
add("entropy", lambda x: -(x.softmax(-1) * x.log_softmax(-1)).sum(-1))

# --- attention and recurrence ---------------------------------------------------------------------------------------
# Recurrences are kept short by pooling first: their cost is in the steps.


def _attention_pooling(x, score):
    weights = score(x.transpose(1, 2)).softmax(1)
    return (x.transpose(1, 2) * weights).sum(1)


add("attention pooling", _attention_pooling, lambda: nn.Linear(CHANNELS, 1))
add(
    "attention by hand",
    lambda x: (x.transpose(1, 2) @ x / 2).softmax(-1) @ F.relu(x).transpose(1, 2),
)
add("sdpa", lambda x: F.scaled_dot_product_attention(x, F.relu(x), x))
add("sdpa causal", lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True))


def _self_attention(x, attention):
    x = x.transpose(1, 2)
    return attention(x, x, x, need_weights=False)[0]


def _weighted_attention(x, attention):
    x = x.permute(2, 0, 1)
    return attention(x, x, x)[0].transpose(0, 1)


add(
    "multi-head attention",
    _self_attention,
    lambda: nn.MultiheadAttention(CHANNELS, 2, batch_first=True),
)
add(
    "multi-head attention, batch second",
    _weighted_attention,
    lambda: nn.MultiheadAttention(CHANNELS, 3),
)
add(
    "transformer encoder layer",
    lambda x, t: t(x.transpose(1, 2)),
    lambda: nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True),
)
add(
    "transformer encoder layer, norm first, GELU",
    lambda x, t: t(x.permute(2, 0, 1)).transpose(0, 1),
    lambda: nn.TransformerEncoderLayer(CHANNELS, 2, 8, activation="gelu", norm_first=True),
)
add(
    "LSTM",
    lambda x, r: r(F.avg_pool1d(x, 3).transpose(1, 2))[0],
    lambda: nn.LSTM(CHANNELS, 4, batch_first=True),
)
add(
    "LSTM last state",
    lambda x, r: r(F.max_pool1d(x, 6).transpose(1, 2))[1][0].transpose(0, 1),
    lambda: nn.LSTM(CHANNELS, 4, batch_first=True),
)
add(
    "bidirectional LSTM",
    lambda x, r: r(F.max_pool1d(x, 8).transpose(1, 2))[0],
    lambda: nn.LSTM(CHANNELS, 4, batch_first=True, bidirectional=True, num_layers=2),
)
add(
    "GRU",
    lambda x, r: r(F.max_pool1d(x, 4).transpose(1, 2))[0],
    lambda: nn.GRU(CHANNELS, 4, batch_first=True),
)
add(
    "bidirectional GRU",
    lambda x, r: r(F.avg_pool1d(x, 8).permute(2, 0, 1))[0].transpose(0, 1),
    lambda: nn.GRU(CHANNELS, 4, bidirectional=True),
)

add(
    "two-layer bidirectional LSTM, batch second",
    lambda x, r: r(F.avg_pool1d(x, 4).permute(2, 0, 1))[0].transpose(0, 1),
    lambda: nn.LSTM(CHANNELS, 4, bidirectional=True, num_layers=2, bias=False),
)
add(
    "LSTM with projections",
    lambda x, r: r(F.avg_pool1d(x, 4).transpose(1, 2))[0],
    lambda: nn.LSTM(CHANNELS, 5, batch_first=True, num_layers=2, proj_size=3),
)


def _all_states(x, recurrent):
    output, (hidden, memory) = recurrent(F.avg_pool1d(x, 4).transpose(1, 2))
    return torch.cat([output[:, 2], *hidden * memory, *memory.tanh()], 1)


add(
    "LSTM, all its outputs",
    _all_states,
    lambda: nn.LSTM(CHANNELS, 4, batch_first=True, bidirectional=True),
)


def _from_constant(x, recurrent):
    state = torch.linspace(-1, 1, 4, dtype=x.dtype).expand(1, x.shape[0], -1)
    return recurrent(F.avg_pool1d(x, 4).transpose(1, 2), (state, 2 * state))[0]


def _from_varying(x, recurrent):
    steps, state = F.avg_pool1d(x, 4).permute(2, 0, 1), x.amax(-1)[None, :, :4]
    state = (state, F.relu(state)) if isinstance(recurrent, nn.LSTM) else state
    return recurrent(steps, state)[0].transpose(0, 1)


add("LSTM from a constant state", _from_constant, lambda: nn.LSTM(CHANNELS, 4, batch_first=True))
add("LSTM from a varying state", _from_varying, lambda: nn.LSTM(CHANNELS, 4))
add("GRU from a varying state", _from_varying, lambda: nn.GRU(CHANNELS, 4))
add(
    "bidirectional GRU last states",
    lambda x, r: r(F.max_pool1d(x, 4).transpose(1, 2))[1].transpose(0, 1),
    lambda: nn.GRU(CHANNELS, 4, batch_first=True, bidirectional=True, num_layers=2, bias=False),
)
add(
    "RNN",
    lambda x, r: r(F.avg_pool1d(x, 3).transpose(1, 2))[0],
    lambda: nn.RNN(CHANNELS, 4, batch_first=True, bidirectional=True),
)
add(
    "RNN with ReLU",
    lambda x, r: r(F.avg_pool1d(x, 3).transpose(1, 2))[1].transpose(0, 1),
    lambda: nn.RNN(CHANNELS, 4, 2, nonlinearity="relu", bias=False, batch_first=True),
)

# --- up-sampling and two dimensions ---------------------------------------------------------------------------------
add(
    "transposed convolution",
    lambda x, c: F.relu(c(F.relu(x))),
    lambda: nn.ConvTranspose1d(CHANNELS, 3, 4, stride=2, padding=1),
)
add("upsample nearest", lambda x: F.relu(F.interpolate(F.avg_pool1d(x, 2), scale_factor=2)))
add(
    "upsample linear",
    lambda x: F.relu(F.interpolate(x, scale_factor=2, mode="linear", align_corners=False)),
)
add("pixel shuffle", lambda x: F.relu(F.pixel_shuffle(x[:, :4].unflatten(2, (4, 6)), 2)))
add("squeeze", lambda x: F.relu(x.mean(-1, keepdim=True)).squeeze())
add("squeeze axes", lambda x: F.relu(x.mean(-1, keepdim=True)).squeeze((0, -1)))
add("repeat interleave", lambda x: F.relu(x).repeat_interleave(2, -1))


class TwoDimensional(nn.Module):
    """Conv2d over (row, 1, 4, position), as DeepSEA and Basset were written."""

    def __init__(self, pool):
        super().__init__()
        self.first = nn.Conv2d(1, CHANNELS, (4, 5), padding=(0, 2))
        self.pool = pool
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.last = nn.LazyLinear(2)

    def forward(self, x):
        return self.last(self.pool(F.relu(self.norm(self.first(x.unsqueeze(1))))).flatten(1))


ZOO["conv2d"] = lambda: TwoDimensional(nn.Identity())
ZOO["conv2d max-pool"] = lambda: TwoDimensional(nn.MaxPool2d((1, 4), (1, 2), (0, 1)))
ZOO["conv2d max-pool dilation, ceil"] = lambda: TwoDimensional(
    nn.MaxPool2d((1, 3), (1, 3), dilation=(1, 2), ceil_mode=True)
)
ZOO["conv2d adaptive max"] = lambda: TwoDimensional(nn.AdaptiveMaxPool2d((1, 3)))


class Siamese(nn.Module):
    """One trunk on the sequence and on its reverse complement, stacked in the batch or one after the other."""

    def __init__(self, stacked):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv1d(4, CHANNELS, 5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten()
        )
        self.last = nn.LazyLinear(2)
        self.stacked = stacked

    def forward(self, x):
        reverse = x.flip([1, 2])
        if self.stacked:
            forward, backward = self.trunk(torch.cat([x, reverse])).chunk(2)
        else:
            forward, backward = self.trunk(x), self.trunk(reverse)
        return self.last(forward * backward + torch.maximum(forward, backward))


ZOO["siamese"] = lambda: Siamese(stacked=False)
ZOO["siamese in one batch"] = lambda: Siamese(stacked=True)
