import pytest
import torch

from tessera.backend.rewrite import Captured, EarlyPass, Pass
from tessera.backend.runner import run_before_autograd, run_pipeline
from tessera.errors import ProgramError
from tests.backend.hand_made import aten, program, run, targets

X = torch.linspace(-1, 1, 5)


def exp_of_neg(x):
    return (torch.exp(torch.neg(x)),)


def drop_neg(made):
    (neg,) = made.graph.find_nodes(op="call_function", target=aten.neg.default)
    neg.replace_all_uses_with(neg.args[0])  # the runner takes the dead node away
    return 1


def damage_and_raise(made):
    drop_neg(made)
    raise KeyError("lost a node")


def forget_a_value(made):
    (exp,) = made.graph.find_nodes(op="call_function", target=aten.exp.default)
    del exp.meta["val"]
    return 1


def test_a_pass_is_applied_counted_and_recorded():
    made = program(exp_of_neg, X)
    (record,) = run_pipeline(made, [Pass("drop_neg", "close", drop_neg)])
    assert targets(made) == [aten.exp.default]
    assert torch.equal(made.graph_module(X)[0], X.exp())  # the module's code follows its graph
    assert (record.name, record.promise, record.matches, record.note) == ("drop_neg", "close", 1, "")
    assert (record.operations_before, record.operations_after) == (2, 1)
    assert record.seconds > 0


@pytest.mark.parametrize(
    ("apply", "note"),
    [
        (damage_and_raise, "left out: KeyError: 'lost a node'"),
        (forget_a_value, "left out: ProgramError: A Program is malformed: node exp"),
    ],
)
def test_a_pass_that_fails_is_undone_and_the_next_one_still_runs(apply, note, caplog):
    made = program(exp_of_neg, X)
    bad, good = run_pipeline(made, [Pass("bad", "bitwise", apply), Pass("drop_neg", "close", drop_neg)])
    assert bad.note.startswith(note)
    assert (bad.matches, bad.operations_before, bad.operations_after) == (0, 2, 2)
    assert "pass bad was left out of hand-made" in caplog.text
    assert (good.matches, good.note) == (1, "")
    assert torch.equal(run(made, X)[0], X.exp())


def test_a_pass_that_finds_nothing_says_what_it_looks_for():
    made = program(exp_of_neg, X)
    records = run_pipeline(made, [Pass("a", "close", lambda _: 0, "a sine"), Pass("b", "close", drop_neg, "a neg")])
    assert [record.note for record in records] == ["found none: a sine", ""]


def test_a_failing_pass_alone_leaves_the_values():
    made = program(exp_of_neg, X)
    run_pipeline(made, [Pass("bad", "bitwise", damage_and_raise)])
    assert torch.equal(made.graph_module(X)[0], X.neg().exp())


def test_a_program_that_arrives_broken_is_refused():
    made = program(exp_of_neg, X)
    forget_a_value(made)
    with pytest.raises(ProgramError, match="has no shape and dtype"):
        run_pipeline(made, [])


def captured_exp():
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output((graph.call_function(torch.exp, (graph.call_method("neg", (x,)),)),))
    return Captured("captured", torch.fx.GraphModule({}, graph), [X])


def drop_captured_neg(captured):
    (neg,) = captured.graph_module.graph.find_nodes(op="call_method", target="neg")
    neg.replace_all_uses_with(neg.args[0])
    captured.graph_module.graph.erase_node(neg)
    return 1


def drop_and_raise(captured):
    drop_captured_neg(captured)
    raise KeyError("lost a node")


def test_an_early_pass_is_applied_to_a_copy_and_recorded():
    captured = captured_exp()
    before = captured.graph_module
    (record,) = run_before_autograd(captured, [EarlyPass("drop_neg", "close", drop_captured_neg)])
    assert torch.equal(captured.graph_module(X)[0], X.exp())
    assert torch.equal(before(X)[0], X.neg().exp())
    assert (record.matches, record.operations_before, record.operations_after) == (1, 2, 1)


def test_an_early_pass_that_fails_is_undone(caplog):
    captured = captured_exp()
    (record,) = run_before_autograd(captured, [EarlyPass("bad", "close", drop_and_raise)])
    assert torch.equal(captured.graph_module(X)[0], X.neg().exp())
    assert (record.matches, record.note) == (0, "left out: KeyError: 'lost a node'")
    assert "pass bad was left out of captured" in caplog.text
