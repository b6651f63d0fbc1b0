"""Models that once passed coverage and got wrong numbers, or none."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.errors import UnsupportedOperatorError
from seqlift.explain import Explainer
from tests.helpers import assert_complete

LENGTH = 16


class Model(nn.Module):
    def __init__(self, function, *parts):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, 6, 5, padding=2)
        self.parts = nn.ModuleList(parts)
        self.function = function
        self.last = nn.LazyLinear(1)

    def forward(self, x):
        return self.last(self.function(self.first(x), *self.parts).flatten(1))


def built(function, *parts):
    model = Model(function, *parts).eval()
    model(torch.zeros(2, 4, LENGTH))
    return model


def pairs():
    generator = torch.Generator().manual_seed(1)
    letters = torch.randint(0, 4, (2, LENGTH), generator=generator)
    others = torch.randint(0, 4, (2, 5, LENGTH), generator=generator)
    one_hot = F.one_hot(letters, 4).transpose(1, 2)
    return one_hot, F.one_hot(others, 4).transpose(2, 3)


def explain(model, precision):
    return Explainer(model, length=LENGTH, precision=precision, device="cpu").contribute(*pairs())


def padding_mask(x, layer):
    x = x.transpose(1, 2)
    mask = torch.zeros(x.shape[0], x.shape[1], dtype=torch.bool, device=x.device)
    return layer(x, src_key_padding_mask=mask)


COVERED = {
    "overlapping view": lambda x: F.relu(x.sum(1).unfold(1, 3, 1)),
    "expanded view": lambda x: F.relu(x.mean(-1)[:, :, None].expand(-1, -1, LENGTH)) * x,
    "expand_as": lambda x: torch.tanh(x.mean(1, keepdim=True).expand_as(x)),
    "mask of ones": lambda x: x * torch.ones_like(x[:, :1], dtype=torch.bool),
    "far logits": lambda x: (300 * x).logsumexp(-1) / 300,
    "far log-softmax": lambda x: (300 * x).log_softmax(-1) / 300,
    "far attention": lambda x: F.scaled_dot_product_attention(60 * x, 60 * x, x),
    "small maxima": lambda x: (1e-8 * x).amax(-1) * 1e8,
    "small leaky ReLU": lambda x: F.leaky_relu(1e-8 * x) * 1e8,
    "count of what is not zero": lambda x: F.relu(x).norm(0, dim=1),
    "offset": lambda x: F.relu(x) + 300,
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", COVERED)
def test_they_are_complete(name, precision):
    found = explain(built(COVERED[name]), precision)
    error = found.completeness_error.max() / found.delta.abs().mean()
    assert error < {"float32": 1e-3, "float64": 1e-10}[precision]


def test_a_padding_mask_of_the_batchs_size_is_complete():
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    assert_complete(explain(built(padding_mask, layer), "float64"))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.pad(x, (0, 0, 0, 0, 1, 0))[:-1] + x,
        lambda x: x + x[torch.arange(x.shape[0] - 1, -1, -1)].square(),
        lambda x: x + torch.arange(x.shape[0])[:, None, None],
        lambda x: x / x.shape[0],
    ],
)
def test_what_depends_on_the_batch_is_refused(function):
    with pytest.raises(UnsupportedOperatorError):
        explain(built(function), "float64")


def test_dropout_inside_attention_is_refused():
    model = built(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5))
    with pytest.raises(UnsupportedOperatorError, match="random"):
        explain(model, "float64")


def test_a_position_that_sees_nothing_gets_what_torch_gives():
    mask = torch.ones(6, 6).tril(-1).bool()  # nothing for the first channel
    model = built(lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=mask)).double()
    found = explain(model, "float64")
    with torch.no_grad():
        expected = model(pairs()[0].double())[:, 0]
    torch.testing.assert_close(found.prediction, expected)
    assert_complete(found)


def test_a_large_offset_does_not_hide_an_error():
    from seqlift.deeplift.scores import completeness_tolerance

    found = explain(built(COVERED["offset"]), "float32")
    wrong = found._replace(completeness_error=found.delta.abs())
    assert bool((wrong.completeness_error > completeness_tolerance(wrong)).any())
