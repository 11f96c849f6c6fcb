import math

import pytest
import torch

from tests.backend.stability.harness import Rewritten

X = torch.tensor([0.3, -2.0, 1.5])


def _focal(x):
    y = torch.tensor([1.0, 0.0, 1.0])
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    return (1 - p_t) ** 2 * torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")


def _clipped_surrogate(x):
    ratio = torch.exp(x - 0.5)
    return torch.min(ratio * x, torch.clamp(ratio, 0.8, 1.2) * x)


LEFT = {
    "PPO's clipped surrogate": _clipped_surrogate,
    "log(1 - p + eps)": lambda x: torch.log(1 - torch.sigmoid(x) + 1e-7),
    "log(eps + (1 - tanh^2))": lambda x: torch.log(1e-6 + (1 - torch.tanh(x) ** 2)),
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "gelu with a named factor": lambda x: x * (0.5 * (1.0 + torch.erf(x * 0.7071067811865476))),
    "gelu by tanh": lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
    "1 - p + 0.5 x": lambda x: (1 - torch.sigmoid(x)) + 0.5 * x,
    "a mixture": lambda x: (1 - torch.sigmoid(x)) * x[0] + torch.sigmoid(x) * x[1],
    "focal loss": lambda x: (1 - torch.exp(-x)) ** 2 * x,
    "focal loss of a binary cross-entropy": _focal,
    "Adam's correction": lambda x: x / (1 - 0.999 ** x[0]),
    "features of linear attention": lambda x: (torch.nn.functional.elu(x[:, None]) + 1) @ x[None],
}
REWRITTEN = {
    "log(1 - p)": lambda x: torch.log(1 - torch.sigmoid(x)),
    "(1 - p) of a power": lambda x: (1 - torch.sigmoid(x)) ** 3,
    "1 - 0.9 ** n of several": lambda x: 1 - 0.9**x,
    "elu(x) + 1": lambda x: torch.nn.functional.elu(x) + 1,
    "(1 - exp(-y)) ** 2 * z": lambda x: (1 - torch.exp(-x)) ** 2 * x[0],
    "a moment with eps": lambda x: (x * x).mean() - x.mean() ** 2 + 1e-6,
    "a gate of something else": lambda x: x[0] * (1 + torch.erf(x[1:])),
    "a distribution": lambda x: 0.5 * (1 + torch.erf(x / math.sqrt(2))),
}


@pytest.mark.parametrize("name", [*LEFT, *REWRITTEN])
def test_a_users_own_arrangement(name):
    rewritten = Rewritten((LEFT | REWRITTEN)[name])
    rewritten.call(X.clone().requires_grad_())
    assert bool(rewritten.notes) == (name in REWRITTEN)


def test_one_thing_in_two_spellings():
    def log_one_minus_exp(x):
        return torch.where(x > -math.log(2), torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))

    alone = Rewritten(log_one_minus_exp)
    alone.call(-X.abs())
    assert not alone.notes
    one = Rewritten(lambda x: torch.log1p(-torch.exp(x)))
    one.call(-X.abs())
    assert one.notes
