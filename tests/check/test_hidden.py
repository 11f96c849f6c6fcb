from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera
from tessera import Tensor


class Scored(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(4, 1)


class Squared(Scored):
    def forward(self, x: Tensor["B", 4], wanted: Tensor["B"]) -> Tensor[()]:
        return ((self.score(x) - wanted) ** 2).mean()


class OfTorch(Scored):
    def forward(self, x: Tensor["B", 4], wanted: Tensor["B"]) -> Tensor[()]:
        return F.smooth_l1_loss(self.score(x), wanted)


class Ordered(Scored):
    """Every item against every other, as it is meant."""

    def forward(self, x: Tensor["B", 4], wanted: Tensor["B"]) -> Tensor[()]:
        score = self.score(x).squeeze(-1)
        return (score.unsqueeze(1) - wanted).abs().mean()


class Masked(Scored):
    """The mask says that pairs are meant."""

    def forward(self, x: Tensor["B", 4], wanted: Tensor["B"]) -> Tensor[()]:
        apart = torch.ones(x.shape[0], x.shape[0]).triu(1)
        return ((self.score(x) - wanted) * apart).mean()


class Attends(Scored):
    """A score of each pair is the sum of one for each of the two."""

    def forward(self, x: Tensor["B", 4]) -> Tensor["B", 4]:
        one = self.score(x)
        return torch.softmax(F.leaky_relu(one + one.squeeze(1)), dim=-1) @ x


class Fits(Scored):
    def forward(self, x: Tensor["B", 4], wanted: Tensor["B", 1], scale: Tensor[1]) -> Tensor[()]:
        return F.mse_loss(self.score(x), wanted) + F.l1_loss(self.score(x), scale)


class Ranked(Scored):
    """Each score less each other."""

    def forward(self, x: Tensor["B", 4]) -> Tensor[()]:
        score = self.score(x)
        return F.softplus(-(score - 0.1 - score.squeeze(-1))).mean()


class Unequal(nn.Module):
    """The same sum, of each item and each other: Gini's mean difference."""

    def forward(self, x: Tensor["B", 4]) -> Tensor[()]:
        return (x.sum(1, keepdim=True) - x.sum(1)).abs().mean()


class Weighed(Scored):
    """A sum of other columns is another number."""

    def forward(self, x: Tensor["B", 4]) -> Tensor[()]:
        return (x.sum(1, keepdim=True) - x[:, :2].sum(1)).abs().mean()


def chosen(q: Tensor["B", "A"], action: Tensor["B", torch.int64], reward: Tensor["B"]) -> Tensor[()]:
    taken = q.gather(1, action.unsqueeze(1))
    return (taken - reward).square().mean()


@pytest.mark.parametrize(
    ("target", "line"), [(Squared, "mean()"), (OfTorch, "smooth_l1_loss"), (Weighed, "abs()"), (chosen, "gather")]
)
def test_a_mean_that_hides_every_item_against_every_other_is_an_error(target, line):
    (finding,) = tessera.check(target() if isinstance(target, type) else target).errors
    assert line in finding.where.code
    assert "every item against every other" in str(finding)


@pytest.mark.parametrize("target", [Ordered, Masked, Attends, Fits, Ranked, Unequal])
def test_what_is_meant_is_none(target):
    assert tessera.check(target()).ok
