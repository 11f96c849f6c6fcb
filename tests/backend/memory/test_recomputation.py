import copy
import random

import pytest
import torch
from torch import fx, nn

from tessera.backend.memory.fence import FENCE
from tessera.backend.memory.liveness import Liveness, size_of
from tessera.backend.memory.recomputation import recompute
from tessera.backend.memory.sides import Sides
from tessera.backend.verify import verify
from tests.backend.memory.steps import Residual, step_program

BATCH = torch.rand(64, 32), torch.rand(64, 32)


class Branches(nn.Module):
    """Values read twice, reductions, views, an embedding, several results of one operator."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Embedding(16, 32), nn.Linear(32, 96)
        self.out = nn.Linear(32, 32)

    def forward(self, x):
        x = x + self.embed(torch.arange(x.shape[0], device=x.device) % 16)
        q, k, v = (part.reshape(1, 4, -1, 8) for part in self.mix(x).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(q.sin(), k, v).reshape(x.shape)
        values, _ = torch.topk(y, 4)
        return (
            torch.tanh(self.out(y)) * x.softmax(-1) + values.mean(-1, keepdim=True) + torch.cumsum(x, 0).exp().log1p()
        )


MODULES = {
    "residual": lambda: Residual(3),
    "dropout": lambda: Residual(2, dropout=0.3),
    "branches": Branches,
    "tanh": lambda: nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 32)),
}


def run(made):
    """What the graph returns and writes, on its own examples."""
    inputs = [value.detach().clone() for value in made.examples]
    torch.manual_seed(3)
    results = fx.GraphModule(made.graph_module, made.graph)(*inputs)
    return [*results, *inputs]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_dropped_the_values_stay(name, seed):
    torch.manual_seed(seed)
    made = step_program(MODULES[name](), BATCH, make=torch.optim.Adam)
    before = run(made)
    sides = Sides(made.graph)
    able = [node for node in sides.kept if sides.can_be_repeated(node)]
    dropped = random.Random(seed).sample(able, k=max(1, len(able) * (seed + 1) // 3))
    assert recompute(made.graph, dropped)
    verify(made)
    for now, then in zip(run(made), before, strict=True):
        assert torch.equal(now, then)


def test_what_is_dropped_is_not_read_late():
    made = step_program(Residual(2), BATCH)
    sides = Sides(made.graph)
    node = max((n for n in sides.kept if sides.can_be_repeated(n)), key=size_of)
    begin = sides.kept[node]
    assert Liveness(made.graph).last_read(node) > Liveness(made.graph).order[begin]
    recompute(made.graph, [node])
    after = Liveness(made.graph)
    assert after.last_read(node) < after.order[begin]
    assert list(made.graph.find_nodes(op="call_function", target=FENCE))


def test_nothing_dropped_changes_nothing():
    made = step_program(Residual(1), BATCH)
    before = str(made.graph)
    assert recompute(made.graph, []) == []
    assert str(made.graph) == before


def test_a_chain_of_hundreds_is_no_recursion():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(32, 32)

        def forward(self, x):
            x = self.linear(x)
            for _ in range(200):
                x = torch.tanh(x)
            return x

    made = step_program(Deep(), BATCH)
    before = run(copy.copy(made))
    recompute(made.graph, list(Sides(made.graph).kept))
    for now, then in zip(run(made), before, strict=True):
        assert torch.equal(now, then)
