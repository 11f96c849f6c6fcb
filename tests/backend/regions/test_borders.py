import torch

from tessera.backend.regions.borders import base_of, is_selection, is_view, keep_borders_small
from tessera.program import Phase
from tests.backend.hand_made import aten, program, run

A, B = torch.rand(4, 4), torch.rand(4, 4)


def phased(function, *inputs, backward):
    """A Program whose last ``backward`` operations belong to the backward."""
    made = program(function, *inputs)
    nodes = [node for node in made.graph.nodes if node.op == "call_function"]
    for i, node in enumerate(nodes):
        node.meta["phase"] = Phase.BACKWARD if i >= len(nodes) - backward else Phase.FORWARD
    return made


def small(made):
    keep_borders_small(made.graph)
    made.graph.eliminate_dead_code()
    made.graph.lint()


def test_a_view_stands_before_each_of_its_readers():
    made = program(lambda a, b: (torch.exp(a.t()), torch.mm(b, b).cos() + a.t()), A, B)
    before = run(made, A, B)
    small(made)
    order = [node.target for node in made.graph.nodes if node.op == "call_function"]
    t = aten.t.default
    assert order == [t, aten.exp.default, aten.mm.default, aten.cos.default, t, aten.add.Tensor]
    for now, then in zip(run(made, A, B), before, strict=True):
        assert torch.equal(now, then)


def test_simple_arithmetic_is_done_again_in_the_backward():
    def function(a, b):
        shifted = a * 2 + b
        return (torch.tanh(shifted), shifted * a)

    made = phased(function, A, B, backward=1)
    before = run(made, A, B)
    small(made)
    again = made.graph.find_nodes(op="call_function", target=aten.add.Tensor)
    assert [node.meta["phase"] for node in again] == [Phase.FORWARD, Phase.BACKWARD]
    for now, then in zip(run(made, A, B), before, strict=True):
        assert torch.equal(now, then)


def test_what_is_costly_stored_random_or_needs_much_is_kept():
    def costly(a, b):
        slow = torch.tanh(a)
        return (torch.sigmoid(slow), slow * b)

    def stored(a, b):
        factor = a * 2
        return (torch.mm(factor, b), factor * b)

    def drawn(a, b):
        mask = torch.rand_like(a) > 0.5
        return (torch.where(mask, a, b), mask * b)

    for function in (costly, stored, drawn):
        made = phased(function, A, B, backward=1)
        count = len(made.graph.nodes)
        small(made)
        assert len(made.graph.nodes) == count

    inputs = [torch.rand(4) for _ in range(6)]
    made = phased(
        lambda *t: ((t[0] + t[1] + t[2] + t[3] + t[4]).tanh(), (t[0] + t[1] + t[2] + t[3] + t[4]) * t[5]),
        *inputs,
        backward=5,
    )
    reader = made.results[1]
    for node in made.graph.nodes:
        if node.op == "call_function":
            node.meta["phase"] = Phase.BACKWARD if node is reader else Phase.FORWARD
    small(made)
    assert sum(node.meta.get("phase") is Phase.BACKWARD for node in made.graph.nodes) <= 4


def test_views_are_told_from_results():
    made = program(lambda a: (a.split(2)[0].t() + 1, torch.sort(a)[0]), A)
    first, second = made.results
    view = first.all_input_nodes[0]
    assert is_view(view)
    assert base_of(view).op == "placeholder"
    assert is_selection(second)
    assert not is_view(second)
    assert base_of(second) is second
