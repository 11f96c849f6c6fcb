from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tessera.errors import BatchError, EmptyDatasetError, SettingError
from tessera.nn.model import model
from tessera.optim import Adam, Optimizer, chain, ema_weights, sgd
from tessera.train.predict import predict

X, Y = torch.randn(21, 3), torch.randint(4, (21,))


class Inputs(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index]


def net():
    return torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 4)
    )


@pytest.mark.parametrize(
    "data",
    [
        lambda: X,
        X.numpy,
        X.tolist,
        lambda: (X,),
        lambda: (X, Y),
        lambda: {"input": X},
        lambda: {"input": X, "labels": Y},
        lambda: TensorDataset(X),
        lambda: TensorDataset(X, Y),
        Inputs,
        lambda: DataLoader(Inputs(), batch_size=4),
        lambda: DataLoader(TensorDataset(X, Y), batch_size=4),
        lambda: list(X.split(5)),
        lambda: list(zip(X.split(5), Y.split(5), strict=True)),
        lambda: iter(X.split(5)),
    ],
)
def test_it_is_the_output_for_all_samples(data):
    module = net()
    state = {key: value.clone() for key, value in module.state_dict().items()}
    found = predict(module, data(), batch_size=4)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    torch.testing.assert_close(found, module.eval()(X).detach())
    assert not found.requires_grad
    assert type(found) is torch.Tensor


@pytest.mark.parametrize("batch_size", [1, 4, 21, 1000])
def test_the_size_of_a_batch_does_not_matter(batch_size):
    module = net().eval()
    torch.testing.assert_close(predict(module, X, batch_size=batch_size), module(X).detach())


def test_several_inputs_and_several_outputs():
    class Sums(torch.nn.Module):
        def forward(self, a, b, c=None):
            total = a + b if c is None else a + b + c
            return {"sum": total, "parts": (a, [b]), "nothing": None}

    for data in ((X, 2 * X), [(X[:5], 2 * X[:5]), (X[5:], 2 * X[5:])], {"a": X, "b": 2 * X}, ((X, 2 * X), Y)):
        found = predict(Sums(), data, batch_size=8)
        assert torch.equal(found["sum"], 3 * X)
        assert torch.equal(found["parts"][0], X)
        assert torch.equal(found["parts"][1][0], 2 * X)
        assert found["nothing"] is None
    assert torch.equal(predict(Sums(), {"a": X, "b": X, "c": X})["sum"], 3 * X)


def test_what_is_kept_may_be_chosen():
    class Cached(torch.nn.Module):
        def forward(self, x):
            return {"logits": x, "cache": object()}

    with pytest.raises(BatchError, match=r"returned an object of type object .* Write keep="):
        predict(Cached(), X)
    found = predict(Cached(), X, keep=lambda output: output["logits"].argmax(-1))
    assert torch.equal(found, X.argmax(-1))


def test_a_model_that_returns_nothing():
    class Silent(torch.nn.Module):
        def forward(self, x):
            return None

    assert predict(Silent(), X) is None


def test_a_model_that_uses_its_memory_again():
    class Reused(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("memory", torch.zeros(7, 3))

        def forward(self, x):
            return self.memory.copy_(x)

    assert torch.equal(predict(Reused(), X, batch_size=7), X)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_dtypes(dtype):
    module = torch.nn.Linear(3, 4).to(dtype)
    found = predict(module, X.double().numpy())
    assert found.dtype is dtype
    torch.testing.assert_close(found, module(X.to(dtype)).detach())


def test_a_decorated_model_that_has_been_trained():
    @model
    class Net:
        def __init__(self):
            self.layer = torch.nn.Linear(3, 4)

        def forward(self, x):
            return self.layer(x)

    module = Net()
    optimizer = Adam(module)
    optimizer.step(module(X).loss(Y))
    found = module.predict(X, batch_size=4)
    assert type(found) is torch.Tensor
    torch.testing.assert_close(found, module.layer(X).detach())


def test_averaged_weights():
    module = torch.nn.Linear(3, 4)
    optimizer = Optimizer(module, chain(sgd(0.5), ema_weights(0.9)))
    for _ in range(3):
        optimizer.step(module(X).square().mean())
        optimizer.zero_grad()
    with optimizer.averaged_weights():
        expected = module(X).detach()
    assert torch.equal(predict(module, X, optimizer=optimizer), expected)
    assert not torch.equal(predict(module, X), expected)


def test_modes_are_put_back_after_an_error():
    module = net()
    with pytest.raises(RuntimeError):
        predict(module, torch.randn(5, 9))
    assert all(part.training for part in module.modules())


def test_long_work_shows_its_progress():
    out = io.StringIO()
    with redirect_stdout(out):
        predict(torch.nn.Linear(3, 4), X, batch_size=4, progress=True)
        predict(torch.nn.Linear(3, 4), X)
    assert out.getvalue() == "predict: 6 batches in 0.0 s\n"


@pytest.mark.parametrize(
    ("data", "settings", "error"),
    [
        (X[:0], {}, EmptyDatasetError),
        ([], {}, EmptyDatasetError),
        (iter([]), {}, EmptyDatasetError),
        ([X[:0]], {}, BatchError),
        ((X, X[:5]), {}, None),  # labels are not looked at
        (np.float32(1), {}, BatchError),
        ("text", {}, BatchError),
        (None, {}, BatchError),
        (X, {"batch_size": 0}, SettingError),
    ],
)
def test_what_cannot_be_predicted_is_refused(data, settings, error):
    if error is None:
        assert len(predict(torch.nn.Linear(3, 4), data, **settings)) == len(X)
        return
    with pytest.raises(error):
        predict(torch.nn.Linear(3, 4), data, **settings)


def test_inputs_of_different_lengths_are_refused():
    class Sum(torch.nn.Module):
        def forward(self, a, b):
            return a + b

    with pytest.raises(BatchError):
        predict(Sum(), (X, X[:5]))


def test_outputs_of_another_size_than_the_batch_are_refused():
    class Sequences(torch.nn.Module):
        def forward(self, x):  # [samples, time] -> [time, samples]
            return x.T

    with pytest.raises(BatchError, match=r"returned a .* of shape \[3, 21\] for a batch of 21 samples"):
        predict(Sequences(), X)
