from __future__ import annotations

import torch

from tessera import torch_internals
from tessera.backend.blame import blame, wrong_ends
from tessera.backend.evaluation import Judge, evaluate
from tessera.backend.rewrite import Pass
from tests.backend.test_evaluation import program

aten = torch.ops.aten
X = torch.linspace(-1, 1, 6)


def job(x):
    a = x * 2
    b = aten.relu.default(a)
    c = b + 1
    return (c.sum(), a - 1)


def replacing(old, new):
    def apply(made):
        found = list(made.graph.find_nodes(op="call_function", target=old))
        for node in found:
            with made.graph.inserting_before(node):
                other = made.graph.call_function(new, node.args)
            other.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(other)
            made.graph.erase_node(node)
        return len(found)

    return Pass("rewrite", "close", apply)


def blamed(own=(), ends=None):
    made = program(job, X, results=2)
    for node in made.graph.nodes:
        node.meta["stack_trace"] = f'File "{node.name}.py", line 1, in job'
    plain = evaluate(made, [X])
    wrong = ends or {("result", 0): torch.tensor(99.0), ("result", 1): plain.results()[1]}
    judge = Judge(plain, [X], 0.0)
    off = wrong_ends(plain, judge, wrong)
    return blame(plain, judge, [X], own, off) if off else None


def test_what_agrees_has_nobody_to_blame():
    plain = evaluate(program(job, X, results=2), [X])
    assert blamed(ends={("result", i): value for i, value in enumerate(plain.results())}) is None


def test_the_pass_and_the_node_that_it_made_wrong():
    found = blamed([replacing(aten.add.Tensor, aten.add.Tensor), replacing(aten.relu.default, aten.abs.default)])
    assert found.who == "made so by the pass rewrite"
    assert found.operator == "aten.relu"
    assert found.where.file == "relu.py"
    assert "off by 2" in str(found)


def test_a_right_pass_is_not_blamed(monkeypatch):
    monkeypatch.setattr(torch_internals, "compile_with_inductor", lambda graph_module, _: _as_it_is(graph_module))
    found = blamed([replacing(aten.relu.default, aten.relu.default)])
    assert found.who == "the compiled code as a whole makes it so"


def test_inductor_and_the_first_node_that_it_gets_wrong(monkeypatch):
    def wrong(graph_module, _):
        for node in graph_module.graph.find_nodes(op="call_function", target=aten.relu.default):
            node.target = aten.abs.default
        graph_module.recompile()
        return _as_it_is(graph_module)

    monkeypatch.setattr(torch_internals, "compile_with_inductor", wrong)
    found = blamed()
    assert found.who == "made so by the code that Inductor wrote"
    assert (found.operator, found.where.file) == ("aten.relu", "relu.py")


def _as_it_is(graph_module):
    return torch_internals.InductorOutput(lambda inputs: graph_module(*inputs), "", {})


def test_a_wrong_number_is_found_as_a_wrong_operator_is():
    assert blamed([replacing(aten.mul.Tensor, aten.add.Tensor)]).where.file == "mul.py"

    def negate(made):
        (node,) = made.graph.find_nodes(op="call_function", target=aten.mul.Tensor)
        node.args = (node.args[0], -2)
        return 1

    assert blamed([Pass("negate", "close", negate)]).where.file == "mul.py"
