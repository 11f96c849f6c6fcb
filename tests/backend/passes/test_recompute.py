import copy
import random

import pytest
import torch
from torch import nn

import tessera
from tessera.backend.memory.fence import FENCE
from tessera.backend.memory.liveness import Liveness
from tessera.backend.passes import recompute as module
from tessera.backend.passes.recompute import recompute
from tessera.backend.verify import verify
from tessera.errors import MemoryBudgetError
from tessera.program import MemoryBudget, resolve_memory_budget
from tests.backend.memory.steps import Residual, step_program

BATCH = torch.rand(256, 32), torch.rand(256, 32)


@pytest.fixture
def simulated(monkeypatch):
    """Nobody writes code: the simulation stands for it."""
    monkeypatch.setattr(module, "_peak_of_code", lambda program: Liveness(program.graph).peak().size)


def made_with(budget, blocks=4, **options):
    torch.manual_seed(0)
    made = step_program(Residual(blocks, **options), BATCH)
    made.memory_budget = resolve_memory_budget(budget)
    return made


def test_it_fires_and_keeps_the_budget():
    made = made_with(0.75)
    before = module._peak_of_code(made)
    assert recompute(made)
    verify(made)
    assert list(made.graph.find_nodes(op="call_function", target=FENCE))
    assert module._peak_of_code(made) < 0.77 * before
    (head, *places) = made.notes
    assert "values are computed again" in head
    assert any("steps.py" in place for place in places)


@pytest.mark.parametrize("budget", [None, 1.0, "1TiB", "auto"], ids=str)
@pytest.mark.usefixtures("simulated")
def test_it_holds_back_where_there_is_room(budget):
    made = made_with(budget)
    before = str(made.graph)
    assert recompute(made) == 0
    assert str(made.graph) == before
    assert made.notes == []


@pytest.mark.usefixtures("simulated")
def test_what_the_machine_has_free_is_a_budget(monkeypatch):
    made = made_with("auto")
    free = Liveness(made.graph).peak().size * 8 // 10
    monkeypatch.setattr(module, "free_memory", lambda _: free)
    assert recompute(made)
    assert Liveness(made.graph).peak().size < 0.9 * free


@pytest.mark.usefixtures("simulated")
def test_where_the_machine_has_too_little_the_step_takes_the_least_it_can(monkeypatch):
    made = made_with("auto", blocks=2)
    monkeypatch.setattr(module, "free_memory", lambda _: 1000)
    assert recompute(made)


@pytest.mark.usefixtures("simulated")
def test_an_impossible_budget_is_an_error_and_the_smallest_one_named_works():
    with pytest.raises(MemoryBudgetError, match="needs .* at least") as caught:
        recompute(made_with("1KiB"))
    smallest = caught.value.fix.split("'")[1]
    assert recompute(made_with(smallest))


@pytest.mark.usefixtures("simulated")
def test_a_smaller_budget_never_takes_more_memory():
    peaks = []
    for tenths in range(10, 6, -1):
        made = made_with(tenths / 10)
        recompute(made)
        peaks.append(Liveness(made.graph).peak().size)
    assert peaks == sorted(peaks, reverse=True)
    assert len(set(peaks)) == len(peaks)


def steps_beside_eager(make, budget, seed, **options):
    """Three steps with a budget and three of eager's, in float64; returns both and the step's Report."""
    torch.manual_seed(seed)
    ours = make().double()
    theirs = copy.deepcopy(ours)
    x, y = (value.double() for value in BATCH)
    optimizer, twin = (torch.optim.Adam(m.parameters(), lr=1e-2) for m in (ours, theirs))
    step = tessera.train_step(ours, nn.functional.mse_loss, optimizer, memory_budget=budget, **options)
    torch.manual_seed(seed)
    found = [step(x, y) for _ in range(3)]
    torch.manual_seed(seed)
    for loss in found:
        twin.zero_grad()
        expected = nn.functional.mse_loss(theirs(x), y)
        expected.backward()
        twin.step()
        torch.testing.assert_close(loss, expected.detach())
    for name, their in theirs.state_dict().items():  # buffers too: they are updated once
        torch.testing.assert_close(ours.state_dict()[name], their, rtol=1e-6, atol=1e-9, msg=name)
    return step.report


def test_training_keeps_its_value():
    report = steps_beside_eager(lambda: Residual(2), 0.9, seed=0)
    assert "values are computed again" in str(report)
    assert report.rung == "whole step in one Program"


class Hostile(nn.Module):
    """Tied weights, operations in place, a buffer that counts, dropout and a norm, each in turn."""

    def __init__(self):
        super().__init__()
        self.into, self.norm, self.dropout = nn.Linear(32, 64), nn.BatchNorm1d(64), nn.Dropout(0.3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        for _ in range(5):
            wide = self.dropout(self.norm(self.into(x))).mul_(1.5).relu_()
            x = x + torch.tanh(wide @ self.into.weight)
            self.seen += x.detach().abs().mean()
        return x


def test_tied_weights_buffers_and_writes_in_place_keep_their_value():
    assert "values are computed again" in str(steps_beside_eager(Hostile, 0.9, seed=3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_training_of_random_modules_keeps_its_value(seed):
    draw = random.Random(seed)
    layers = []
    for _ in range(draw.randint(2, 5)):
        wide = draw.choice([32, 64, 96])
        activation = draw.choice([nn.GELU, nn.ReLU, nn.Tanh, nn.SiLU, nn.Softplus])()
        norm = draw.choice([nn.LayerNorm(32), nn.BatchNorm1d(32), nn.Identity()])
        layers += [norm, nn.Linear(32, wide), activation, nn.Dropout(draw.choice([0.0, 0.2])), nn.Linear(wide, 32)]
    try:
        steps_beside_eager(lambda: nn.Sequential(*layers), draw.choice([0.9, 0.8, 0.7]), seed)
    except MemoryBudgetError as error:
        smallest = float(error.fix.split("memory_budget=")[1].split(",")[0])
        steps_beside_eager(lambda: nn.Sequential(*layers), min(1.0, smallest + 0.05), seed)


@pytest.mark.usefixtures("simulated")
def test_an_impossible_budget_reaches_the_user_and_changes_nothing():
    model = Residual(1)
    before = copy.deepcopy(model.state_dict())
    step = tessera.train_step(model, nn.functional.mse_loss, torch.optim.Adam(model.parameters()), memory_budget="1KiB")
    with pytest.raises(MemoryBudgetError, match="optimizer state"):
        step(*BATCH)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_budget_is_none():
    assert made_with(None).memory_budget is None
    assert made_with("auto").memory_budget == MemoryBudget()


def test_a_step_in_pieces_says_that_it_has_no_budget():
    class Breaks(nn.Linear):
        def forward(self, x):
            torch._dynamo.graph_break()
            return super().forward(x)

    model = Breaks(32, 32)
    step = tessera.train_step(model, nn.functional.mse_loss, torch.optim.SGD(model.parameters()), memory_budget=0.5)
    step(*BATCH)
    assert "memory_budget=0.5 is not kept" in str(step.report)
