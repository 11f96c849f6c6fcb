from __future__ import annotations

import torch

from tessera.train.batches import Batch
from tessera.train.probe import probe


class Counting(torch.nn.Module):
    """Leaves every trace a forward can leave."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.seen = []

    def forward(self, x):
        self.calls += 1
        self.seen.append(len(x))
        return self.norm(self.linear(x)) + torch.rand(3)


def test_the_prediction_without_a_trace():
    module, x = Counting(), torch.randn(4, 2)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    prediction = probe(module, Batch((x,), torch.zeros(4)))
    assert prediction.shape == (4, 3)
    assert not prediction.requires_grad
    assert module.seen == []
    assert module.training
    assert torch.equal(torch.get_rng_state(), random)
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key])


def test_weights_are_shared_not_copied():
    class Weights(torch.nn.Linear):
        def forward(self, _):
            return self.weight

    module = Weights(2, 2)
    assert probe(module, Batch((torch.zeros(1),), torch.zeros(1))) is module.weight


def test_keyword_inputs():
    class Named(torch.nn.Module):
        def forward(self, *, left, right):
            return left - right

    batch = Batch((torch.tensor([3.0]), torch.tensor([1.0])), torch.zeros(1), ("left", "right"))
    assert probe(Named(), batch) == 2.0


def test_a_model_that_fails_answers_nothing():
    assert probe(torch.nn.Linear(2, 3), Batch((torch.zeros(4, 5),), torch.zeros(4))) is None
