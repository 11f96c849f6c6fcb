from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.debug.doubled import Doubled


def assert_double(function, *inputs):
    """The doubles of a run in float32 are the results of the same run in float64."""
    exact = function(*[x.double() if x.is_floating_point() else x for x in inputs])
    doubled = Doubled()
    with doubled:
        result = function(*[x.clone() for x in inputs])
        found = doubled.of(result)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)
    assert not torch.equal(result.double(), exact)


def in_place(x):
    y = x * 3
    y[0] /= 7
    y.T.mul_(0.1)
    row = y[1]
    row.copy_(x[0] / 3)
    return y.sum(0)


def with_decisions(x):
    order = x.argsort(-1)
    return torch.where(x > 0, (x / 3).gather(-1, order), x.exp())


def attention(x):
    return F.scaled_dot_product_attention(x[None], x[None], x[None] / 3)


FUNCTIONS = [
    lambda x: (x / 3).sum(),
    lambda x: torch.softmax(x / 7, -1) @ x.T,
    lambda x: F.layer_norm(x, (5,)).to(torch.float16 if x.dtype == torch.float32 else x.dtype) * 1.1,
    in_place,
    with_decisions,
    attention,
    lambda x: torch.stack(torch.split(x / 3, 1, -1)).transpose(0, 1).reshape(-1).cumsum(0),
]


@pytest.mark.parametrize("index", range(len(FUNCTIONS)))
def test_without_rounding(index):
    torch.manual_seed(0)
    assert_double(FUNCTIONS[index], torch.randn(4, 5))


def test_a_training_step():
    def run(dtype, mode):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        x = torch.linspace(0, 1, 12).reshape(3, 4).to(dtype)
        with mode:
            for _ in range(2):
                optimizer.zero_grad()
                net(x).square().sum().backward()
                optimizer.step()
        return net

    doubled = Doubled()
    net, exact = run(torch.float32, doubled), run(torch.float64, Doubled())
    for p, q in zip(net.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(doubled.of(p), q.detach(), rtol=1e-6, atol=1e-9)
        assert (doubled.of(p) - q).abs().max() < 0.01 * (p.double() - q).abs().max() + 1e-12


def test_random_numbers_are_drawn_once():
    torch.manual_seed(0)
    plain = F.dropout(torch.ones(100), 0.5), torch.rand(3)
    torch.manual_seed(0)
    doubled = Doubled()
    with doubled:
        x = F.dropout(torch.ones(100), 0.5)
        assert torch.equal(doubled.of(x), plain[0].double())
        assert torch.equal(torch.rand(3), plain[1])


def test_whole_numbers_and_sparse_tensors_are_what_they_are():
    doubled = Doubled()
    with doubled:
        assert doubled.of(n := torch.arange(3)) is n
        assert doubled.of(s := torch.eye(2).to_sparse()) is s
        assert doubled.of(torch.ones(2, dtype=torch.complex64)).dtype == torch.complex128
