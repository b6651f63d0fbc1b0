"""A program computes what the rules do, one by one."""

import pytest
import torch

from seqlift.deeplift.interpreter import multipliers
from seqlift.deeplift.program import is_followed, write_program
from seqlift.deeplift.rulesets import assign
from tests.helpers import explainer, with_shuffles

aten = torch.ops.aten

# One of each kind of rule; `Explainer` runs the same rules on every model of the zoo.
SOME = [
    "F.relu",
    "nn.LogSigmoid",
    "tanh*sigmoid gate",
    "squeeze-excite",
    "ratio",
    "dense block",
    "max-pool",
    "max-pool overlap",
    "batch norm",
    "layer norm",
    "softmax positions",
    "multi-head attention",
    "bidirectional LSTM",
    "conv2d max-pool",
    "siamese in one batch",
]


def scorer(explained, rules="rescale"):
    graph = explained.model.graphs[0]
    assigned = assign(graph.graph, rules)

    def score(one_hot, references):
        repeat = explained.model.repeats_sequence
        return tuple(multipliers(graph, one_hot, references, repeat=repeat, rules=assigned))

    return score


def doubles(n_regions=2, n_references=3):
    return tuple(part.double() for part in with_shuffles(n_regions, n_references))


@pytest.mark.parametrize("name", SOME)
def test_a_program_gives_the_same_multipliers(name):
    score, examples = scorer(explainer(name)), doubles()
    program = write_program(score, examples)
    others = doubles()  # not the tensors that it was written with
    with torch.no_grad():
        for found, expected in zip(program(*others), score(*others), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("rules", ["reveal-cancel", "genomics"])
@pytest.mark.parametrize("name", ["F.relu", "gelu", "max-pool", "batch norm"])
def test_the_other_rules_can_be_written_out(name, rules):
    score, examples = scorer(explainer(name), rules), doubles()
    program = write_program(score, examples)
    with torch.no_grad():
        torch.testing.assert_close(program(*examples)[0], score(*examples)[0])


def test_what_depends_on_weights_alone_is_computed_once():
    program = write_program(scorer(explainer("F.relu")), doubles())
    constants = {node for node in program.graph.nodes if node.op == "get_attr"}
    for node in program.graph.nodes:
        if node.op == "call_function" and node.all_input_nodes:
            assert not constants.issuperset(node.all_input_nodes), node


def test_what_is_computed_twice_is_computed_once():
    def both(x, y):
        return (x + y).tanh() * 2, (x + y).tanh() * 3

    program = write_program(both, (torch.zeros(3), torch.zeros(3)))
    assert [node.target for node in program.graph.nodes].count(aten.tanh.default) == 1


def test_nothing_is_overwritten_nor_has_a_side_effect():
    def overwriting(x):
        y = x + 1
        y.mul_(2)
        return y

    program = write_program(overwriting, (torch.zeros(3),))
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert called and not any(target._schema.is_mutable for target in called)
    x = torch.ones(3)
    assert program(x).tolist() == [4, 4, 4] and x.tolist() == [1, 1, 1]


def test_a_function_can_tell_that_it_is_followed():
    seen = []
    write_program(lambda x: (seen.append(is_followed()), x + 1)[1], (torch.zeros(1),))
    assert all(seen) and not is_followed()
    with pytest.raises(ZeroDivisionError):
        write_program(lambda x: x / (1 // 0), (torch.zeros(1),))
    assert not is_followed()
