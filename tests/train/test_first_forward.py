"""``fit`` makes the parameters that are to come, and trains as if they had been there."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import tessera
from tessera.errors import BatchError
from tessera.train.batches import BatchReader
from tessera.train.first_forward import make_parameters
from tessera.train.source import source

X, Y = torch.randn(48, 5, generator=torch.Generator().manual_seed(1)), torch.arange(48) % 3


def net(x):
    return tessera.nn.linear(tessera.nn.batch_norm(tessera.nn.linear(x, 4)), 3)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.batch_norm, self.linear_1 = (
            torch.nn.Linear(5, 4),
            torch.nn.BatchNorm1d(4),
            torch.nn.Linear(4, 3),
        )

    def forward(self, x):
        return self.linear_1(self.batch_norm(self.linear(x)))


DATA = {
    "in memory": lambda: (X, Y),
    "shuffled": lambda: DataLoader(TensorDataset(X, Y), 16, shuffle=True),
    "own generator": lambda: DataLoader(TensorDataset(X, Y), 16, True, generator=torch.Generator().manual_seed(3)),
    "a tessera Loader": lambda: tessera.data.Loader(tessera.data.arrays((X, Y)), 16, seed=3),
    "a list": lambda: [(X[:16], Y[:16]), (X[16:], Y[16:])],
}


def found(data, module):
    return source(data(), BatchReader.of(module), "training data", 16, shuffle=False)


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_batches_and_random_numbers_begin_anew(data):
    torch.manual_seed(0)
    lazy = tessera.function(net)
    begun = found(data, lazy)
    make_parameters(lazy, begun)
    ours = [batch.target for batch in begun.batches()]
    torch.manual_seed(0)
    written = Net()
    theirs = [batch.target for batch in found(data, written).batches()]
    assert len(ours) == len(theirs)
    assert all(map(torch.equal, ours, theirs))
    assert list(lazy.state_dict()) == list(written.state_dict())
    assert all(map(torch.equal, lazy.state_dict().values(), written.state_dict().values()))
    assert lazy.training


def test_fit_is_that_of_the_module_written_out():
    results = []  # bit for bit: the same program, found in the cache the second time
    for make in (Net, lambda: tessera.function(net)):
        torch.manual_seed(0)
        module = make()
        history = tessera.fit(module, DATA["shuffled"](), loss="cross_entropy", epochs=2, progress=False)
        results.append((history.loss, *(value.tolist() for value in module.state_dict().values())))
    assert results[0] == results[1]


def test_lazy_layers_of_torch_too():
    module = torch.nn.Sequential(torch.nn.LazyLinear(3))
    make_parameters(module, found(DATA["in memory"], module))
    assert module[0].weight.shape == (3, 5)


def test_an_iterator_is_not_used_up():
    batches = iter(DATA["a list"]())
    with pytest.raises(BatchError, match="no parameters before its first call"):
        tessera.fit(tessera.function(net), batches, loss="cross_entropy", progress=False)
    assert len(list(batches)) == 2


def test_a_module_with_parameters_is_not_called():
    module = Net()
    module.forward = None
    make_parameters(module, None)
