import pytest
import torch
from torch import nn

import tessera
from tessera.errors import SettingError

X = torch.arange(12.0).reshape(4, 3)


def add(total, x):
    return total + x, total * x


def test_it_is_the_loop():
    last, ys = tessera.scan(add, torch.ones(3), X)
    carry, rows = torch.ones(3), []
    for x in X:
        carry, y = add(carry, x)
        rows.append(y)
    assert torch.equal(last, carry)
    assert torch.equal(ys, torch.stack(rows))


def test_reversed_it_begins_at_the_end_and_results_stay_where_they_belong():
    last, ys = tessera.scan(add, torch.ones(3), X, reverse=True)
    assert torch.equal(last, torch.ones(3) + X.sum(0))
    assert torch.equal(ys[3], X[3])
    assert torch.equal(ys[0], (1 + X[1:].sum(0)) * X[0])


def test_structures_stay():
    def step(carry, x):
        return {"a": carry["a"] + x[0], "n": carry["n"] + 1}, (x[1], [carry["n"]], None)

    carry, (second, (counts,), nothing) = tessera.scan(step, {"a": torch.zeros(3), "n": torch.tensor(0)}, (X, X))
    assert torch.equal(carry["a"], X.sum(0))
    assert torch.equal(second, X)
    assert counts.tolist() == [0, 1, 2, 3]
    assert nothing is None


def test_gradients_flow_through_everything():
    w = torch.randn(3, dtype=torch.float64, requires_grad=True)
    operands = torch.randn(3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda w, init, xs: tessera.scan(lambda h, x: ((h * w + x).tanh(), h * x), init, xs),
        (w, *(one.requires_grad_() for one in operands)),
    )


@pytest.mark.parametrize(
    ("init", "xs", "said"),
    [
        (0.0, X, "init holds a float"),
        (torch.zeros(3), [X, 1], "xs holds a int"),
        (torch.zeros(3), torch.tensor(1.0), "xs holds a tensor of no dimension"),
        (torch.zeros(3), (X, X[:2]), r"leading dimensions \[2, 4\]"),
        (torch.zeros(3), X[:0], r"leading dimensions \[0\]"),
        (torch.zeros(3), (), r"leading dimensions \[\]"),
        ((), X, "init 0 tensors"),
    ],
    ids=["number", "number in xs", "no dimension", "lengths", "empty", "nothing", "no carry"],
)
def test_what_cannot_be_scanned_is_said(init, xs, said):
    with pytest.raises(SettingError, match=said):
        tessera.scan(add, init, xs)


def test_a_carry_that_changes_is_said():
    with pytest.raises(SettingError, match=r"was float32\[\], and step made float32\[3\]"):
        tessera.scan(add, torch.zeros(()), X)


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        def step(state, now):
            h = self.cell(now, state["h"])
            return {"h": h}, (h, h * 2)

        carry, (first, second) = tessera.scan(step, {"h": x.new_zeros(x.shape[1], 4)}, x, reverse=True)
        return self.head(carry["h"] + first[0] * second.mean(0))


def test_a_training_step_holds_it_as_one_loop():
    torch.manual_seed(0)
    x, y = torch.randn(7, 3, 3, dtype=torch.float64), torch.randint(0, 2, (3,))
    eager, ours = Cell().double(), Cell().double()
    ours.load_state_dict(eager.state_dict())
    optimizer = torch.optim.SGD(eager.parameters(), 0.1)
    step = tessera.train_step(ours, "cross_entropy", torch.optim.SGD(ours.parameters(), 0.1))
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(eager(x), y)
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(step(x, y), loss.detach(), rtol=0, atol=1e-12)
    assert "whole" in step.report.rung
    assert "time loop of 7 steps as one loop" in str(step.report)
    for one, other in zip(ours.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
