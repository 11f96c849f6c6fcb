import copy

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import tessera
from tessera.backend.memory.liveness import Liveness
from tessera.backend.memory.marked import recompute_marked
from tessera.backend.verify import verify
from tests.backend.memory.steps import Residual, step_program

BATCH = torch.rand(256, 32), torch.rand(256, 32)


class Marked(Residual):
    """The same, each block marked."""

    def forward(self, x):
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=False)
        return x


def test_what_is_marked_is_not_kept():
    made = step_program(Marked(4), BATCH)
    before = Liveness(made.graph).peak().size
    assert recompute_marked(made)
    verify(made)
    assert Liveness(made.graph).peak().size < 0.75 * before
    assert "torch.utils.checkpoint" in made.notes[-1]


def test_where_nothing_is_marked_nothing_changes():
    made = step_program(Residual(2), BATCH)
    before = str(made.graph)
    assert recompute_marked(made) == 0
    assert str(made.graph) == before


def test_training_with_marks_is_training():
    torch.manual_seed(0)
    ours = Marked(2).double()
    theirs = copy.deepcopy(ours)
    x, y = (value.double() for value in BATCH)
    step = tessera.train_step(ours, nn.functional.mse_loss, torch.optim.Adam(ours.parameters(), lr=1e-2))
    twin = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for _ in range(2):
        twin.zero_grad()
        expected = nn.functional.mse_loss(theirs(x), y)
        expected.backward()
        twin.step()
        torch.testing.assert_close(step(x, y), expected.detach())
    assert "values are computed again" in str(step.report)
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-6, atol=1e-9)
