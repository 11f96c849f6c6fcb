import pytest
import torch

from tessera.backend.verify import verify
from tessera.errors import ProgramError
from tessera.program import COPY, Role, Value
from tests.backend.hand_made import aten, program

X, Y = torch.ones(3), torch.ones(3)


def update(x, y):
    new = torch.exp(x) + y
    x.copy_(new)
    return (new,)


def last(made, target):
    return list(made.graph.find_nodes(op="call_function", target=target))[-1]


def add_before_output(made, target, *args, like=None):
    with made.graph.inserting_before(made.graph.output_node()):
        node = made.graph.call_function(target, args)
    if like is not None:
        node.meta["val"] = like.meta["val"]
    return node


def test_a_sound_program_passes():
    verify(program(update, X, Y))


def unnamed_input(made):
    made.inputs.pop()


def surplus_output(made):
    made.outputs.append(Value("more", Role.RESULT))


def out_of_order(made):
    last(made, aten.exp.default).append(made.placeholders[1])
    made.placeholders[0].prepend(last(made, aten.add.Tensor))


def method_call(made):
    with made.graph.inserting_before(made.graph.output_node()):
        made.graph.call_method("exp", (made.placeholders[0],))


def update_of_a_value(made):
    exp = last(made, aten.exp.default)
    add_before_output(made, COPY, exp, made.placeholders[1])


def second_update(made):
    add_before_output(made, COPY, made.placeholders[0], made.placeholders[1])


def no_value(made):
    del last(made, aten.exp.default).meta["val"]


def read_after_update(made):
    x = made.placeholders[0]
    add_before_output(made, aten.neg.default, x, like=x)


def update_of_another_dtype(made):
    source = last(made, aten.add.Tensor)
    source.meta["val"] = source.meta["val"].double()


def update_of_another_rank(made):
    source = last(made, aten.add.Tensor)
    source.meta["val"] = source.meta["val"].unsqueeze(0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unnamed_input, "the graph has 2 placeholders for 1 named inputs"),
        (surplus_output, "the graph returns 1 values for 2 named outputs"),
        (out_of_order, "used before it has been defined"),
        (method_call, "is a call_method, which no Program holds"),
        (update_of_a_value, r"aten.copy_.* writes to something that is not an input"),
        (second_update, "input x_1 is written twice"),
        (no_value, r"node exp \(aten.exp.*\) has no shape and dtype"),
        (read_after_update, r"aten.neg.* reads x_1 after its update"),
        (update_of_another_dtype, r"x_1 of type torch.float32\[3\] would be updated with torch.float64\[3\]"),
        (update_of_another_rank, r"x_1 of type torch.float32\[3\] would be updated with torch.float32\[1, 3\]"),
    ],
)
def test_every_broken_invariant_is_named(damage, message):
    made = program(update, X, Y)
    damage(made)
    with pytest.raises(ProgramError, match=message) as raised:
        verify(made)
    assert "a defect in Tessera or in a pass" in str(raised.value)


def test_an_assertion_on_values_returns_nothing():
    made = program(lambda x: (x + 1,), X)
    with made.graph.inserting_before(made.graph.output_node()):
        made.graph.call_function(torch.ops.aten._assert_async.msg, (made.placeholders[0], "no"))
    verify(made)
