"""Recurrent layers of any configuration train and predict as in eager, in one Program with one loop a direction."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import tessera
from tests.contracts.against_eager import WHOLE, Job, assert_trains_like_eager, momentum

KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


class Recurrent(nn.Module):
    """A recurrent layer, drawn: called once or twice, with a first state that is learned, computed or left out."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        kind = draw.choice(list(KINDS))
        layers, hidden = draw.choice([1, 1, 2, 3]), draw.choice([4, 5, 8])
        named = {
            "num_layers": layers,
            "bias": draw.random() < 0.7,
            "batch_first": draw.random() < 0.5,
            "bidirectional": draw.random() < 0.4,
            "dropout": draw.choice([0.0, 0.3]) if layers > 1 else 0.0,
        }
        if kind == "LSTM" and draw.random() < 0.4:
            named["proj_size"] = hidden - 1
        if kind == "RNN":
            named["nonlinearity"] = draw.choice(["tanh", "relu"])
        self.state, self.twice = draw.choice(["none", "learned", "computed"]), draw.random() < 0.3
        output = named.get("proj_size", hidden)
        ways = 2 if named["bidirectional"] else 1
        self.layer = KINDS[kind](6, hidden, **named)
        self.sizes = [output, hidden] if kind == "LSTM" else [hidden]
        self.first = nn.Parameter(torch.randn(layers * ways, 1, hidden))
        self.again, self.head = nn.Linear(output * ways, 6), nn.Linear(output * ways, 3)

    def forward(self, x):
        batch = x.shape[0 if self.layer.batch_first else 1]
        state = None
        if self.state != "none":
            scale = 1.0 if self.state == "learned" else x.mean()
            parts = [(self.first[..., :size] * scale).expand(-1, batch, -1).contiguous() for size in self.sizes]
            state = tuple(parts) if len(parts) > 1 else parts[0]
        y, last = self.layer(x, state)
        if self.twice:
            y, last = self.layer(torch.tanh(self.again(y)), last)
        parts = last if isinstance(last, tuple) else (last,)
        return self.head(y.mean(1 if self.layer.batch_first else 0)) + sum(part.sum() for part in parts)


def job(seed: int) -> Job:
    draw = random.Random(seed)

    def make() -> Recurrent:
        return Recurrent(random.Random(seed))

    def batches():
        generator = torch.Generator().manual_seed(seed)
        size, turns = draw.randint(1, 5), draw.randint(1, 7)
        shape = (size, turns, 6) if make().layer.batch_first else (turns, size, 6)
        return [tuple(torch.randn(*s, dtype=torch.float64, generator=generator) for s in (shape, (size, 3)))] * 3

    found = batches()
    return Job(name=f"recurrent layer {seed}", module=make, batches=lambda: found, optimizer=momentum, rung=WHOLE)


def check(seed: int) -> None:
    report = str(assert_trains_like_eager(job(seed)).report)
    assert "as one loop" in report
    assert "eagerly" not in report


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("seed", range(3))
def test_a_drawn_layer_trains_as_eager_does(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("seed", range(3, 40))
def test_many_drawn_layers_train_as_eager_does(seed):
    check(seed)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("seed", [1, 5])
def test_inference_is_that_of_eager_and_one_loop(seed):
    torch.manual_seed(0)
    module = Recurrent(random.Random(seed)).double().eval()
    x = job(seed).batches()[0][0]
    fast = tessera.compile(module, mode="inference")
    torch.testing.assert_close(fast(x), module(x), rtol=0, atol=1e-12)
    assert "as one loop" in str(fast.report)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_low_precision_stays_near(precision):
    torch.manual_seed(0)
    module = nn.LSTM(6, 8, batch_first=True)
    x = torch.randn(4, 5, 6)
    fast = tessera.compile(module, mode="inference", precision=precision)
    torch.testing.assert_close(fast(x)[0], module(x)[0], rtol=0, atol=0.02)
