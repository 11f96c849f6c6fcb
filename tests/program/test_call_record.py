from __future__ import annotations

import pytest
import torch

from tessera.errors import SourceLine
from tessera.program import CallRecord, Part, parts_of
from tests.backend.hand_made import program


def nodes():
    made = program(lambda x: (x.exp() + x.neg(),), torch.ones(3))
    found = [node for node in made.graph.nodes if node.op == "call_function"]
    for number, node in enumerate(found):
        node.meta["stack_trace"] = f'  File "/home/me/net.py", line {10 + (number > 0)}, in forward\n    y = x'
        node.meta["phase"] = "forward"
    return found


def test_work_is_shared_out_among_the_lines():
    exp, neg, add = nodes()
    first, second = parts_of({exp: 1.0, neg: 1.0, add: 2.0})
    assert (first.where.line, first.share, first.operations) == (11, 0.75, ["aten.neg", "aten.add"])
    assert (second.where.line, second.share, second.phase) == (10, 0.25, "forward")


def test_a_node_that_stands_for_others_gives_their_lines():
    exp, neg, _ = nodes()
    inside = [Part(SourceLine("a.py", 1), "backward", 0.5, ["aten.mm"]), Part(None, "update", 0.5, ["aten.add"])]
    exp.meta["made_of"] = inside
    parts = parts_of({exp: 3.0, neg: 1.0})
    assert {str(part.where): part.share for part in parts} == {
        "a.py:1": 0.375,
        "None": 0.375,
        str(parts_of({neg: 1})[0].where): 0.25,
    }
    assert [one.share for one in inside] == [0.5, 0.5]  # what the node carries stays as it is


@pytest.mark.parametrize("work", [{}, "nothing"])
def test_without_work_there_is_no_share(work):
    parts = parts_of(dict.fromkeys(nodes(), 0.0) if work else {})
    assert all(part.share == 0 for part in parts)


def test_a_call_belongs_to_the_phase_of_most_of_it():
    parts = [Part(None, "forward", 0.4, ["a"]), Part(None, "backward", 0.3, ["b"]), Part(None, "backward", 0.3, ["a"])]
    call = CallRecord("mm", "library", parts=parts)
    assert call.phase == "backward"
    assert call.operations == ["a", "b"]
    assert CallRecord("mm", "library").phase == ""
