from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import pytest
import torch

import tessera
from tessera.backend import own_passes
from tessera.backend.own_passes import resolve_passes
from tessera.backend.rewrite import Pass
from tessera.backend.runner import run_pipeline
from tessera.errors import SettingError
from tests.backend.hand_made import aten, program, run, targets, updating_program

X = torch.linspace(-1, 1, 6).view(2, 3)


def function(x):
    return (torch.exp(torch.neg(x)) * 2,)


def node(made, target):
    return made.graph.find_nodes(op="call_function", target=target)[0]


def drop_neg(made):
    found = made.graph.find_nodes(op="call_function", target=aten.neg.default)
    for neg in found:
        neg.replace_all_uses_with(neg.args[0])
    return len(found)


def dangle(made):
    exp = node(made, aten.exp.default)
    exp.args = (copy.copy(exp.args[0]),)
    return 1


def use_before_definition(made):
    neg, exp = node(made, aten.neg.default), node(made, aten.exp.default)
    neg.args = (exp,)
    return 1


def change_shape(made):
    neg = node(made, aten.neg.default)
    neg.target, neg.args = aten.sum.dim_IntList, (neg.args[0], [0])
    return 1


def lie_about_the_dtype(made):
    neg = node(made, aten.neg.default)
    neg.meta["val"] = neg.meta["val"].double()
    return 1


def say_nothing_of_the_shape(made):
    neg = node(made, aten.neg.default)
    with made.graph.inserting_after(neg):
        new = made.graph.call_function(aten.abs.default, (neg,))
    neg.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    return 1


def call_python(made):
    node(made, aten.exp.default).target = torch.exp
    return 1


def change_in_place(made):
    node(made, aten.neg.default).target = aten.neg_.default
    return 1


def return_another_output(made):
    made.graph.output_node().args = ((node(made, aten.exp.default).args[0].args[0],) * 2,)
    return 1


def return_a_smaller_output(made):
    neg = node(made, aten.neg.default)
    with made.graph.inserting_before(made.graph.output_node()):
        row = made.graph.call_function(aten.select.int, (neg, 0, 0))
    row.meta["val"] = neg.meta["val"][0]
    made.graph.output_node().args = ((row,),)
    return 1


def erase_everything(made):
    for one in reversed(list(made.graph.nodes)):
        made.graph.erase_node(one)
    return 1


def damage_and_raise(made):
    drop_neg(made)
    raise KeyError("lost a node")


def loop_for_ever(made):
    drop_neg(made)
    while True:
        pass


def change_and_say_zero(made):
    lie_about_the_dtype(made)
    return 0


BAD = [
    dangle,
    use_before_definition,
    change_shape,
    lie_about_the_dtype,
    say_nothing_of_the_shape,
    call_python,
    change_in_place,
    return_another_output,
    return_a_smaller_output,
    erase_everything,
    damage_and_raise,
    loop_for_ever,
    change_and_say_zero,
    lambda made: "three",
    lambda made: -1,
    lambda made: 2.5,
    lambda made: None,
]


@pytest.mark.parametrize("apply", BAD, ids=lambda apply: apply.__name__)
def test_what_no_pass_may_do_is_undone_and_named(apply, monkeypatch, caplog):
    monkeypatch.setattr(own_passes, "LONGEST_S", 0.2)
    made = program(function, X)
    with caplog.at_level(logging.WARNING, "tessera"):
        bad, good = run_pipeline(made, [], [Pass("bad", "close", apply), Pass("drop_neg", "close", drop_neg)])
    assert bad.note.startswith("left out: ")
    assert bad.matches == 0
    written = Path(bad.note.rsplit("a bug report is in ", 1)[1])
    assert written.exists()
    assert str(written) in caplog.text
    assert "pass bad was left out of hand-made" in caplog.text
    assert (good.matches, good.note) == (1, "")
    assert torch.equal(run(made, X)[0], X.exp() * 2)


def test_a_dropped_update_is_seen():
    def update(number, old):
        return [old[0] * number]

    def drop(made):
        made.graph.erase_node(next(made.graph.find_nodes(op="call_function", target=aten.copy_.default).__iter__()))
        return 1

    made = updating_program(update, torch.tensor(2.0), [X])
    (record,) = run_pipeline(made, [], [Pass("drop", "close", drop)])
    assert "is not updated any more" in record.note
    assert aten.copy_.default in targets(made)


def test_a_change_is_counted_even_where_the_pass_does_not():
    def quietly(made):
        drop_neg(made)
        return 0

    made = program(function, X)
    (record,) = run_pipeline(made, [], [Pass("quietly", "close", quietly)])
    assert record.matches == 1
    assert aten.neg.default not in targets(made)
    assert torch.equal(made.graph_module(X)[0], X.exp() * 2)


@pytest.mark.parametrize(
    ("passes", "words"),
    [([drop_neg], "a function"), ("bad", "'bad', a str"), ([Pass("a", "close", drop_neg)] * 2, "'a' twice")],
)
def test_what_is_no_pass_is_said(passes, words):
    with pytest.raises(SettingError, match=words):
        resolve_passes(passes)
    with pytest.raises(SettingError, match=words):
        tessera.compile(torch.exp, passes=passes)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x):
        return torch.neg(self.layer(x))


def test_they_run_at_every_door():
    own = tessera.Pass("drop_neg", "close", drop_neg)
    bad = tessera.Pass("bad", "close", damage_and_raise)
    net = Net()
    fast = tessera.compile(net, passes=[bad, own], mode="inference")
    torch.testing.assert_close(fast(X), -net(X))
    notes = {record.name: record.note[:8] for record in fast.report.compilations[0].passes}
    assert (notes["bad"], notes["drop_neg"]) == ("left out", "")
    assert "pass drop_neg [close]: 1 match" in str(fast.report)
    again = pickle.loads(pickle.dumps(fast.plain())), copy.deepcopy(fast)
    torch.testing.assert_close(again[1](X), -net(X))


def test_a_training_step_goes_on_without_a_bad_one():
    losses = []
    for passes in ([], [Pass("bad", "close", loop_over_updates)]):
        torch.manual_seed(0)
        net = Net()
        step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1), passes=passes)
        losses.append([step(X, X[:, :2]).item() for _ in range(3)])
    assert losses[0] == losses[1]
    assert "is not updated any more" in str(step.report)
    assert step.report.rung == "whole step in one Program"


def loop_over_updates(made):
    for copy_ in list(made.graph.find_nodes(op="call_function", target=aten.copy_.default)):
        made.graph.erase_node(copy_)
    for many in list(made.graph.find_nodes(op="call_function", target=torch.ops.tessera.update_many.default)):
        made.graph.erase_node(many)
    return 1
