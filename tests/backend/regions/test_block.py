import torch

from tessera.backend.regions.block import calls_library, describe, find_block
from tessera.backend.regions.runs import longest_run
from tests.backend.hand_made import program

X, W = torch.rand(4, 4), torch.rand(4, 4)


def operations(function, *inputs):
    made = program(function, *inputs)
    return [node for node in made.graph.nodes if node.op == "call_function"]


def block_in(nodes, shortest=2):
    run = longest_run([describe(node) for node in nodes], shortest)
    return run and find_block(nodes, run)


def chain(x, *weights):
    for w in weights:
        x = torch.tanh(torch.mm(x, w)) + x
    return (x,)


def test_a_block_knows_what_it_reads_and_returns():
    nodes = operations(chain, X, W, W + 1, W + 2, W + 3)
    block = block_in(nodes)
    assert block.saved == 3 * (len(block.windows) - 1)
    assert [len(window) for window in block.windows] == [3] * len(block.windows)
    for place, window in enumerate(block.windows):
        inside = set(window)
        read = {n for node in window for n in node.all_input_nodes if n not in inside}
        assert read == {operand[place] for operand in block.operands}
        assert all(node in (window[i] for i in block.results) for node in window if not set(node.users) <= inside)


def test_it_begins_where_no_kernel_reaches_over_the_border():
    def function(x, *weights):
        for w in weights:
            x = torch.mm(torch.sin(x), w) + x
        return (x,)

    block = block_in(operations(function, X, *[W] * 6))
    assert [str(node.target) for node in block.windows[0]] == ["aten.mm.default", "aten.add.Tensor", "aten.sin.default"]


def test_places_that_read_otherwise_are_left_out():
    def function(x, *weights):
        for i, w in enumerate(weights):
            h = torch.tanh(torch.mm(x, w))
            x = h + (h if i == 2 else x)
        return (x,)

    nodes = operations(function, X, *[W] * 6)
    odd = nodes[8]
    block = block_in(nodes)
    assert block is None or not any(odd in window for window in block.windows)


def test_descriptions_differ_where_operations_do():
    def one(value):
        (node,) = operations(value, X)
        return describe(node)

    assert one(lambda x: (x + 1,)) == one(lambda x: (x + 1,))
    different = [
        lambda x: (x + 1,),
        lambda x: (x + 1.0,),
        lambda x: (x + True,),
        lambda x: (x * 1,),
        lambda x: (x + x,),
    ]
    assert len({one(value) for value in different}) == len(different)
    assert one(lambda x: (x * 0.0,)) != one(lambda x: (x * -0.0,))
    (a,), (b,) = operations(lambda x: (x + 1,), X), operations(lambda x: (x + 1,), X.double())
    assert describe(a) != describe(b)


def test_what_writes_or_has_no_fixed_shape_is_not_described():
    assert [describe(n) for n in operations(lambda x: (x.nonzero(),), X)] in ([None], [None, None])
    (node, *_) = operations(lambda x: (x.add_(1),), X)
    assert describe(node) is None


def test_library_calls():
    kinds = {str(n.target): calls_library(n) for n in operations(lambda x: (torch.mm(x, x).tanh(),), X)}
    assert kinds == {"aten.mm.default": True, "aten.tanh.default": False}
