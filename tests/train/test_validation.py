from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.train.batches import BatchReader
from tessera.train.metrics import accuracy
from tessera.train.source import source
from tessera.train.validation import validate


def data(found, batch_size=4):
    return source(found, BatchReader(torch.float32, torch.device("cpu")), "validation data", batch_size, shuffle=False)


def test_batches_count_by_their_samples():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(), torch.nn.Linear(5, 2))
    x, y = torch.randn(10, 3), torch.randint(0, 2, (10,))
    results = validate(net, F.cross_entropy, {"accuracy": accuracy}, data((x, y)))
    assert all(part.training for part in net.modules())
    net.eval()
    torch.testing.assert_close(results["loss"], F.cross_entropy(net(x), y).item(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(results["accuracy"], accuracy(net(x), y).item(), rtol=1e-5, atol=1e-6)
    assert list(results) == ["loss", "accuracy"]


def test_nothing_is_learned():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    validate(net, F.mse_loss, {}, data((torch.randn(4, 3), torch.randn(4, 5))))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_keyword_inputs():
    class Sum(torch.nn.Module):
        def forward(self, *, a, b):
            return a + b

    batch = {"a": torch.ones(2), "b": torch.ones(2), "target": torch.zeros(2)}
    assert validate(Sum(), F.mse_loss, {}, data([batch])) == {"loss": 4.0}
