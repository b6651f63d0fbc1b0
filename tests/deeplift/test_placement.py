"""Nothing in the engine names a device, or brings a value back to the host.

On the meta device tensors have a shape and a type but no numbers: reading one is an error, and so
is mixing them with tensors of the CPU. What runs there, forwards and backwards, runs on any device.
What depends on the kind of device is seen with fake tensors of a CUDA device that is not there.
"""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils import _pytree as pytree

from seqlift.deeplift.coverage import folds_batch
from seqlift.deeplift.interpreter import _TwoLanes, multipliers
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.rules.convolution import convolution
from seqlift.deeplift.rulesets import assign
from seqlift.deeplift.streams import Streams
from seqlift.model.placement import place
from tests.helpers import zoo_graph
from tests.zoo import LENGTH, ZOO

META = torch.device("meta")
CUDA = torch.device("cuda:0")
REGIONS, REFERENCES = 2, 3


class Watching(_TwoLanes):
    """Collects where the results of all nodes are."""

    def __init__(self, graph, rules):
        super().__init__(graph, rules)
        self.devices = set()

    def run_node(self, n):
        found = super().run_node(n)
        tensors = pytree.tree_leaves(everything(found))
        self.devices |= {t.device for t in tensors if isinstance(t, torch.Tensor)}
        return found


def everything(value):
    """Return the tensors of a value on two lanes, or in two parts."""
    if isinstance(value, Streams):
        return everything(value.lanes), value.positive, value.negative
    return (value.sequence, value.reference) if isinstance(value, Lanes) else value


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("rules", ["rescale", "reveal-cancel"])
def test_a_model_runs_on_a_device_without_help_from_the_host(name, rules):
    graph = place(zoo_graph(name, torch.float32), torch.float32, META)
    one_hot = torch.empty(REGIONS, 4, LENGTH, device=META)
    references = torch.empty(REGIONS, REFERENCES, 4, LENGTH, device=META)
    assigned = assign(graph.graph, rules)
    repeat = folds_batch(graph.graph)
    found = multipliers(graph, one_hot, references, repeat=repeat, rules=assigned)
    assert found.multipliers.shape == references.shape
    assert {t.device for t in found} == {META}
    watching = Watching(graph, assigned)
    repeated = one_hot.repeat_interleave(REFERENCES, 0)
    watching.run(Lanes(repeated, references.flatten(0, 1).requires_grad_()))
    assert watching.devices == {META}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_convolutions_have_channels_last_on_a_cuda_device(dtype, monkeypatch):
    # Unlike `contiguous`, `clone` asks for no CUDA library.
    def laid_out(value, memory_format=torch.contiguous_format):
        return value.clone(memory_format=memory_format)

    seen = []

    def seeing(image, kernel, *rest):
        seen.extend([image, kernel])
        return plain(image, kernel, *rest)

    plain = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.Tensor, "contiguous", laid_out)
    monkeypatch.setattr(torch.nn.functional, "conv2d", seeing)
    with FakeTensorMode():
        value = torch.empty(2, 16, LENGTH, device=CUDA, dtype=dtype)
        found = convolution(value, torch.empty(24, 16, 3, device=CUDA, dtype=dtype))
    assert found.device == CUDA and found.shape == (2, 24, LENGTH - 2)
    assert len(seen) == 2
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in seen)


@pytest.mark.parametrize(
    "slip",
    [
        lambda x: x + torch.zeros(3),
        lambda x: torch.where(torch.ones(3) > 0, x, 0),
        lambda x: torch.cat([x, torch.zeros(3)]),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x.cpu() + 1,
    ],
)
def test_the_meta_device_tells_slips(slip):
    with pytest.raises((RuntimeError, NotImplementedError)):
        slip(torch.zeros(3, device=META))
