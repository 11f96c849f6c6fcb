import pytest
import torch

from tessera.backend.loops import recurrent
from tessera.backend.loops.derivative import differentiate
from tessera.backend.loops.row_wise import for_rows, rows_of
from tests.backend.loops.loops import LOOPS, draw, written_out
from tests.backend.loops.test_body import body_of

CELLS = {
    "LSTM": (recurrent.lstm_turn, [draw(6, 4), draw(6, 4, seed=1)], [draw(2, 6, 16)], [draw(16, 4)]),
    "projected": (recurrent.lstm_turn, [draw(6, 3), draw(6, 4)], [draw(2, 6, 16)], [draw(16, 3), draw(3, 4)]),
    "GRU": (recurrent.gru_turn, [draw(6, 4)], [draw(2, 6, 12)], [draw(12, 4), draw(12)]),
}


@pytest.mark.parametrize("name", CELLS)
def test_rows_of_a_cell_are_apart_on_both_ways(name):
    turn, init, xs, shared = CELLS[name]
    body = body_of((turn, init, xs, shared))
    found = differentiate(body, [0], range(len(shared)))
    assert [rows_of(one) for one in (body, found.forward, found.backward)] == [6, 6, 6]
    half = for_rows(body, 3)
    expected = written_out(turn, init, xs, shared)
    below = written_out(half.graph, [one[3:] for one in init], [one[:, 3:] for one in xs], shared)
    for i, (part, whole) in enumerate(zip(below, expected, strict=True)):
        torch.testing.assert_close(part, whole[3:] if i < len(init) else whole[:, 3:])


MEETING = {
    "a sum over rows": lambda h, x, w: [h + x.sum(0, keepdim=True)],
    "a product with rows": lambda h, x, w: [torch.mm(h, x[:4]) + x],
    "a softmax over rows": lambda h, x, w: [(h + x).softmax(0)],
    "rows turned": lambda h, x, w: [h + x.flip(0)],
    "something for each row that is shared": lambda h, x, w: [h + x * w.sum(1, keepdim=True)],
    "rows of zeros": lambda h, x, w: [torch.zeros(6, 4, dtype=torch.float64) + h],
    "random numbers": lambda h, x, w: [h + torch.rand_like(x)],
    "a part of the rows": lambda h, x, w: [torch.cat([h[:3], x[3:]])],
}


@pytest.mark.parametrize("name", MEETING)
def test_rows_that_meet_are_not_shared_out(name):
    turn = MEETING[name]
    assert rows_of(body_of((turn, [draw(6, 4)], [draw(2, 6, 4)], [draw(6, 4)]))) == 0


def test_tensors_without_rows_and_sums_are_not_shared_out():
    assert rows_of(body_of(LOOPS["counted"]())) == 0
    assert rows_of(differentiate(body_of(LOOPS["used_twice"]()), [0], [0, 1]).backward) == 0
