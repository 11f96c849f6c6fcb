from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from tessera.errors import BatchError, EmptyDatasetError, LossError, SettingError
from tessera.nn.losses import weighted_loss
from tessera.optim import Optimizer, chain, ema_weights, sgd
from tessera.train.evaluate import evaluate

X, Y = torch.randn(21, 3), torch.randint(4, (21,))


def net():
    return torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 4)
    )


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        (X.numpy(), Y.numpy()),
        (X.tolist(), Y.tolist()),
        {"input": X, "labels": Y},
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=4),
        list(zip(X.split(4), Y.split(4), strict=True)),
        iter([(X, Y)]),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_it_is_the_loss_of_all_the_data(data, batch_size):
    if isinstance(data, type(iter([]))):
        data = iter([(X, Y)])
    module = net()
    state = {key: value.clone() for key, value in module.state_dict().items()}
    results = evaluate(module, data, metrics=["accuracy", "perplexity"], batch_size=batch_size)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    logits = module.eval()(X)
    expected = F.cross_entropy(logits, Y).item()
    assert results["loss"] == pytest.approx(expected, rel=1e-5)
    assert results["perplexity"] == pytest.approx(np.exp(expected), rel=1e-5)
    assert results["accuracy"] == pytest.approx((logits.argmax(1) == Y).float().mean().item())


def test_samples_have_weights():
    module, weight = torch.nn.Linear(3, 4), torch.rand(21)
    weight[:5] = 0
    expected = weighted_loss("cross_entropy")(module(X), Y, weight).item()
    plain = {"accuracy": (module(X).argmax(1) == Y).float().mean().item()}
    batches = [
        {"input": x, "labels": y, "sample_weight": w}
        for x, y, w in zip(X.split(4), Y.split(4), weight.split(4), strict=True)
    ]
    for results in (
        evaluate(module, (X, Y), metrics="accuracy", sample_weight=weight, batch_size=4),
        evaluate(module, (X, Y), metrics="accuracy", sample_weight=weight.tolist(), batch_size=4),
        evaluate(module, batches, metrics="accuracy"),
    ):
        assert results == pytest.approx({"loss": expected} | plain)
    with pytest.raises(BatchError):
        evaluate(module, (X, Y), sample_weight=-weight)


def test_averaged_weights():
    module = torch.nn.Linear(3, 4)
    optimizer = Optimizer(module, chain(sgd(0.5), ema_weights(0.9)))
    for _ in range(3):
        optimizer.step(F.cross_entropy(module(X), Y))
        optimizer.zero_grad()
    with optimizer.averaged_weights():
        expected = evaluate(module, (X, Y))
    assert evaluate(module, (X, Y), optimizer=optimizer) == expected
    assert evaluate(module, (X, Y)) != expected


def test_a_module_with_its_own_loss():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 4)

        def forward(self, x, labels):
            return {"loss": F.cross_entropy(self.layer(x), labels)}

    module = Own()
    assert evaluate(module, (X, Y), loss=None) == pytest.approx({"loss": module(X, Y)["loss"].item()})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half(dtype):
    module = torch.nn.Linear(3, 4).to(dtype)
    expected = F.cross_entropy(module(X.to(dtype)).float(), Y).item()
    assert evaluate(module, (X.numpy(), Y))["loss"] == pytest.approx(expected, rel=1e-2)


def test_a_model_without_parameters():
    assert evaluate(torch.nn.Identity(), (X, 2 * X), loss="mse") == pytest.approx({"loss": X.square().mean().item()})


def test_a_long_evaluation_shows_its_progress():
    out = io.StringIO()
    with redirect_stdout(out):
        evaluate(torch.nn.Linear(3, 4), (X, Y), batch_size=4, progress=True)
        evaluate(torch.nn.Linear(3, 4), (X, Y))
    assert out.getvalue() == "evaluate: 6 batches in 0.0 s\n"


@pytest.mark.parametrize(
    ("data", "settings", "error"),
    [
        ((X[:0], Y[:0]), {}, EmptyDatasetError),
        ([], {}, EmptyDatasetError),
        ((X, Y[:5]), {}, BatchError),
        (X, {}, BatchError),
        ((X, Y), {"batch_size": 0}, SettingError),
        ((X, Y), {"loss": "crossentropy"}, LossError),
        ((X, Y), {"loss": None, "metrics": "accuracy"}, SettingError),
        ((X, Y), {"metrics": "acuracy"}, SettingError),
    ],
)
def test_what_cannot_be_measured_is_refused(data, settings, error):
    with pytest.raises(error):
        evaluate(torch.nn.Linear(3, 4), data, **settings)


@pytest.mark.slow
def test_a_compiled_module_measures_the_same():
    import tessera

    module = net()
    fast = tessera.compile(module, mode="inference")
    for samples in range(12, 20):  # the last batch has one size after the other
        data = X[:samples], Y[:samples]
        assert evaluate(fast, data, batch_size=4) == pytest.approx(evaluate(module, data, batch_size=4), rel=1e-5)
    assert len(fast.report.compilations) <= 3  # full batches, smaller ones, one sample
