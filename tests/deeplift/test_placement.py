"""Nothing in the engine names a device, or brings a value back to the host.

Fake tensors that claim to be on a CUDA device run the two lanes forwards; they have shapes, types
and devices, but no numbers, and refuse to be mixed with tensors of the CPU. Tensors on the meta
device run forwards and backwards the same way.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from seqlift.deeplift.interpreter import _TwoLanes, multipliers
from seqlift.deeplift.lanes import Lanes
from seqlift.model import placement
from tests.helpers import explainer
from tests.zoo import LENGTH, ZOO

REGIONS, REFERENCES = 2, 3


class _Watching(_TwoLanes):
    """Collects where the tensors of every node are."""

    def run_node(self, n):
        found = super().run_node(n)
        tensors = pytree.tree_leaves(
            [(v.sequence, v.reference) if isinstance(v, Lanes) else v for v in [found]]
        )
        self.devices = getattr(self, "devices", set())
        self.devices |= {str(t.device) for t in tensors if isinstance(t, torch.Tensor)}
        return found


@pytest.mark.parametrize("name", ZOO)
def test_all_values_are_on_the_device_of_the_graph(name, monkeypatch):
    explained = explainer(name, "float32")
    # Fake tensors hold no numbers that could be checked for NaN.
    monkeypatch.setattr(placement, "_require_numbers", lambda *_: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        graph = placement.place(explained._graph, torch.float32, torch.device("cuda:0"))
        one_hot = torch.empty(REGIONS, 4, LENGTH, device="cuda:0")
        reference = torch.empty(REGIONS * REFERENCES, 4, LENGTH, device="cuda:0")
        if explained.repeats_sequence:
            one_hot = one_hot.repeat_interleave(REFERENCES, 0)
        lanes = _Watching(graph)
        found = lanes.run(Lanes(one_hot, reference.requires_grad_()))
    assert found.reference.shape == (REGIONS * REFERENCES,)
    assert lanes.devices == {"cuda:0"}


@pytest.mark.parametrize("name", ZOO)
def test_no_rule_needs_a_number_on_the_host(name):
    explained = explainer(name, "float32")
    graph = placement.place(explained._graph, torch.float32, torch.device("meta"))
    one_hot = torch.empty(REGIONS, 4, LENGTH, device="meta")
    references = torch.empty(REGIONS, REFERENCES, 4, LENGTH, device="meta")
    found = multipliers(graph, one_hot, references, repeat=explained.repeats_sequence)
    assert found.multipliers.shape == references.shape
    assert {t.device.type for t in found} == {"meta"}
