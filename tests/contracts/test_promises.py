"""The promises, as their users write them: a test for each row, under its number."""

from __future__ import annotations

import copy
import logging
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import tessera
import tessera as ts
from tessera import Tensor
from tessera.errors import WeightsError
from tessera.nn.tensor import _default_device
from tessera.nn.whole_steps import WholeSteps
from tessera.train import LossScale


@tessera.model
class TesseraModel:
    def __init__(self):
        self.layers = tessera.nn.Sequential([
            tessera.nn.Linear(784, 512), tessera.nn.ReLU(), tessera.nn.Linear(512, 10)])  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def plain_twin(model: torch.nn.Module) -> torch.nn.Sequential:
    """The same network with the same weights as a plain module."""
    twin = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
    twin.load_state_dict({name.removeprefix("layers."): value for name, value in model.state_dict().items()})
    return twin


@pytest.fixture
def dataset():
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(10, 784, generator=generator)
    labels = torch.randint(0, 10, (12, 16), generator=generator)
    return [SimpleNamespace(images=centres[y] + torch.randn(16, 784, generator=generator), labels=y) for y in labels]


def test_a1_a_familiar_model_and_loop(dataset):
    model = TesseraModel()
    twin = plain_twin(model)
    losses, expected = [], []

    optimizer = tessera.optim.Adam(model)
    for batch in dataset:
        loss = model(batch.images).loss(batch.labels)
        optimizer.step(loss)
        losses.append(loss.item())

    reference = torch.optim.Adam(twin.parameters())
    for batch in dataset:
        reference.zero_grad()
        loss = F.cross_entropy(twin(batch.images), batch.labels)
        loss.backward()
        reference.step()
        expected.append(loss.item())
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    assert losses[-1] < losses[0] / 2
    (step,) = WholeSteps.of(optimizer)._steps.values()
    assert step.report.rung == "whole step in one Program"
    assert step.report.step_downs == []


def test_a2_fit_of_a_model(dataset, tmp_path, capsys):
    train, val = dataset[:10], dataset[10:]
    model = TesseraModel()
    history = model.fit(train, validation=val, epochs=3, checkpoint=tmp_path / "runs/a", progress=True)
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [f"epoch {e}/3" for e in (1, 2, 3)]
    assert [epoch["epoch"] for epoch in history.epochs] == [1, 2, 3]
    assert len(history.loss) == 30
    assert history.epochs[2]["loss"] < history.epochs[0]["loss"]
    assert len(history.validation) == 3
    kept = TesseraModel()
    kept.load(tmp_path / "runs/a/last.safetensors")
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(kept.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize("door", ["model", "any module"])
def test_a2_fit_goes_on_where_it_was(door, dataset, tmp_path):
    train, val = dataset[:10], dataset[10:]
    torch.manual_seed(0)
    straight = TesseraModel() if door == "model" else plain_twin(TesseraModel())
    begun, resumed = copy.deepcopy(straight), copy.deepcopy(straight)

    def fit(module, epochs, folder):
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
        if door == "model":
            return module.fit(train, validation=val, epochs=epochs, checkpoint=folder, optimizer=optimizer)
        return tessera.fit(
            module, train, loss=F.cross_entropy, optimizer=optimizer, validation=val, epochs=epochs, checkpoint=folder
        )

    expected = fit(straight, 3, tmp_path / "runs/straight")
    fit(begun, 1, tmp_path / "runs/a")
    history = fit(resumed, 3, tmp_path / "runs/a")  # in a new process: a new model, a new optimizer
    assert history.loss == expected.loss
    assert all(map(torch.equal, resumed.parameters(), straight.parameters()))
    assert fit(resumed, 3, tmp_path / "runs/a").loss == expected.loss  # nothing is left to do


def test_a2_fit_of_any_module(dataset):
    train = dataset
    module = plain_twin(TesseraModel())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    history = tessera.fit(module, train, loss=F.cross_entropy, optimizer=optimizer)
    assert history.loss[-1] < history.loss[0]
    assert history.stopped == "1 epoch done"


def answers_alike(fast, module):
    x = torch.randn(4, 784, requires_grad=True)
    torch.testing.assert_close(fast(x), module(x))
    ours, theirs = (
        torch.autograd.grad(answer(x).square().sum(), [x, *module.parameters()]) for answer in (fast, module)
    )
    torch.testing.assert_close(ours, theirs)


def test_a3_tessera_compile():
    module = plain_twin(TesseraModel())
    fast = tessera.compile(module)
    answers_alike(fast, module)
    assert fast.report.rung == "one graph"
    assert list(fast.state_dict()) == list(module.state_dict())


def test_a3_torch_compile():
    module = plain_twin(TesseraModel())
    fast = torch.compile(module, backend="tessera")
    answers_alike(fast, module)


def test_a3_a_decorator():
    module = plain_twin(TesseraModel())

    @tessera.compile(mode="inference")
    def predict(x):
        return module(x).softmax(-1)

    x = torch.randn(4, 784)
    torch.testing.assert_close(predict(x), module(x).softmax(-1))
    assert not predict(x).requires_grad
    assert predict.report.rung == "one graph"


def test_a6_a_tensor_has_its_place(caplog):
    data = np.arange(6.0).reshape(2, 3)
    _default_device.cache_clear()
    with caplog.at_level(logging.INFO, logger="tessera"):
        x = tessera.tensor(data)
    assert x.device.type == ("cpu" if not torch.accelerator.is_available() else x.device.type)
    assert "placed on" in caplog.text
    assert np.array_equal(x.cpu().numpy(), data)


def test_a6_parameters_are_kept_for_a_function(dataset):
    @tessera.function
    def classify(x):
        x = tessera.nn.linear(x, 512).relu()
        x = tessera.dropout(x, 0.1)
        return tessera.nn.linear(x, 10)

    history = classify.fit(dataset, epochs=2)
    assert history.loss[-1] < history.loss[0] / 2
    assert history.report.rung == "whole step in one Program"
    twin = torch.nn.Sequential(
        torch.nn.Linear(784, 512), torch.nn.ReLU(), tessera.nn.Dropout(0.1), torch.nn.Linear(512, 10)
    )
    twin.load_state_dict(dict(zip(twin.state_dict(), classify.state_dict().values(), strict=True)))
    x = tessera.tensor(dataset[0].images, device="cpu")
    for training in (True, False):
        torch.manual_seed(3)
        ours = classify.train(training)(x)
        torch.manual_seed(3)
        assert torch.equal(ours, twin.train(training)(x))


def test_a7_benchmark():
    model, x = TesseraModel(), torch.randn(1, 784)
    assert tessera.benchmark(model, x) < 5


def test_a9_an_optimizer_is_a_composition(dataset):
    lr, steps = 1e-3, 3
    model = TesseraModel()
    twin = plain_twin(model)
    tx = ts.optim.chain(
        ts.optim.clip_by_global_norm(1.0), ts.optim.rmsprop(ts.optim.cosine_decay(lr, steps)), ts.optim.accumulate(4)
    )
    history = model.fit(dataset, loss="cross_entropy", optimizer=tx)

    reference, losses = torch.optim.RMSprop(twin.parameters(), lr=lr), []
    for update in range(3):
        twin.zero_grad()
        for batch in dataset[4 * update : 4 * update + 4]:
            loss = F.cross_entropy(twin(batch.images), batch.labels)
            (loss / 4).backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        reference.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * update / steps)) / 2
        reference.step()
    torch.testing.assert_close(history.loss, losses, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(list(model.parameters()), list(twin.parameters()), rtol=1e-3, atol=1e-4)
    assert history.report.rung == "whole step in one Program"
    assert len(history.report.compilations) == 1


def test_b1_shapes_are_types_checked_before_anything_runs():
    B, S, D, H = ts.dims("B S D H")

    @ts.function
    def project(x: ts.Tensor[B, D_in, 512]) -> ts.Tensor[B, D_out, 128]:
        return ts.nn.Linear(512, 128)(x)

    @tessera.function
    def attention(q: Tensor[B, H, S, D], k: Tensor[B, H, S, D], v: Tensor[B, H, S, D]) -> Tensor[B, H, S, D]:
        scores = q @ k.transpose(-2, -1)
        return scores @ v

    assert project(torch.ones(2, 3, 512)).shape == (2, 3, 128)
    assert len(list(project.parameters())) == 2
    assert attention(*torch.randn(3, 2, 4, 5, 6)).shape == (2, 4, 5, 6)
    with pytest.raises(tessera.errors.ShapeError) as caught:

        @tessera.function
        def wrong(x: Tensor[B, 512]) -> Tensor[B, 256]:
            return x

    name = f"{test_b1_shapes_are_types_checked_before_anything_runs.__name__}.<locals>.wrong"
    assert str(caught.value).startswith(
        f'Type mismatch in \'{name}\':\n  Expected: Tensor["B", 256]\n  Returned: Tensor["B", 512]\n'
    )


def test_b2_an_error_names_the_line_and_lists_fixes():
    @tessera.function
    def attention(q: Tensor[B, H, S, D], k: Tensor[B, H, S, D]) -> Tensor[B, H, S, S]:
        return q @ k.transpose(-2, -1)

    with pytest.raises(tessera.errors.ShapeError) as caught:
        attention(torch.ones(2, 4, 5, 64), torch.ones(2, 4, 5, 128))
    text = str(caught.value)
    assert re.search(r"^Shape Error in '.*attention' at .*test_promises.py:\d+$", text, re.MULTILINE)
    assert 'Expected: Tensor["B", "H", "S", "D"] where B = 2, H = 4, S = 5, D = 64' in text
    assert "Received: Tensor[2, 4, 5, 128]" in text
    assert "declared D = 64 by 'q', and is 128" in text
    assert "Possible fixes:\n    1. " in text


def test_b3_likely_overflow_is_told_before_it_happens():
    @tessera.function
    def risky(x: Tensor) -> Tensor:
        y = x * 1e10
        return tessera.exp(y)

    with pytest.warns(tessera.errors.NumericsWarning), pytest.raises(tessera.errors.NumericsError, match="stable_exp"):
        risky(torch.randn(8))


def test_b4_nan_is_caught_where_it_is_born():
    compiled = tessera.compile(lambda x: (x - x.max()).sqrt().sum())
    with pytest.raises(ArithmeticError) as caught, tessera.debug_mode():
        compiled(torch.randn(4))
    assert "sqrt" in str(caught.value)
    assert "test_promises.py" in str(caught.value)


def test_b5_tessera_check(tmp_path, capsys):
    from tessera.cli.main import main

    (tmp_path / "promised_b5.py").write_text(
        'from tessera import Tensor\n\n\ndef f(x: Tensor["B", 4]) -> Tensor["B"]:\n    return x.sum(0)\n'
    )
    assert main(["check", str(tmp_path)]) == 1
    assert "Returned: Tensor[4]" in capsys.readouterr().out


def test_b6_plain_python_stays_python():
    limits = {"high": 2.0}

    @tessera.compile
    def f(x):
        if x.sum() > limits["high"]:
            return x - 1
        return x + 1

    x = torch.ones(3)
    assert torch.equal(f(x), x - 1)
    limits["high"] = 5.0
    assert torch.equal(f(x), x + 1)


def test_b7_transforms_compose():
    def loss(w, x):
        return (x @ w).tanh().sum()

    w, x = torch.randn(3), torch.randn(5, 3)
    per_sample = tessera.vmap(tessera.grad(loss), in_dims=(None, 0))
    torch.testing.assert_close(per_sample(w, x).sum(0), tessera.grad(loss)(w, x))
    torch.testing.assert_close(tessera.compile(per_sample)(w, x), per_sample(w, x))
    torch.testing.assert_close(tessera.hessian(lambda w: loss(w, x))(w), torch.func.hessian(lambda w: loss(w, x))(w))


def test_c1_the_compiler_says_what_it_did(caplog):
    with caplog.at_level(logging.INFO, logger="tessera"):
        fast = tessera.compile(lambda x: torch.sin(x) * 2 + 1)
        fast(torch.randn(8))
    said = " ".join(record.getMessage() for record in caplog.records if record.levelname == "INFO")
    assert "Fused 3 operations into 1 kernel" in said  # sin, times, plus: one loop
    (compilation,) = fast.report.compilations
    assert (compilation.operations, compilation.kernels, compilation.external_calls) == (3, 1, 0)
    assert 0 < compilation.inductor_seconds < 60


def test_c1_a_matrix_product_is_a_library_call_and_is_counted():
    fast = tessera.compile(lambda x, w: torch.relu(x @ w))
    fast(torch.randn(64, 64), torch.randn(64, 64))
    (compilation,) = fast.report.compilations
    assert (compilation.operations, compilation.kernels, compilation.external_calls) == (2, 1, 1)


class Float16(torch.nn.Module):
    """A model whose matrix products run in float16, where small gradients become 0."""

    def __init__(self):
        super().__init__()
        self.layers = plain_twin(TesseraModel())

    def forward(self, x):
        with torch.autocast("cpu", torch.float16):
            return self.layers(x).float()


@pytest.mark.parametrize("scale", ["auto", LossScale(initial=2.0**10, interval=2)], ids=str)
def test_c2_loss_scaling(dataset, scale):
    def small(prediction, target):
        return F.cross_entropy(prediction, target) * 1e-7

    scaled = Float16()
    unscaled, exact = copy.deepcopy(scaled), copy.deepcopy(scaled.layers)
    histories = []
    for module, loss_scale in ((scaled, scale), (unscaled, None), (exact, None)):
        optimizer = torch.optim.SGD(module.parameters(), lr=1e6)  # small loss, large steps
        histories.append(tessera.fit(module, dataset, loss=small, optimizer=optimizer, loss_scale=loss_scale))
    ours, without, theirs = (history.loss for history in histories)
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=1e-8)
    assert abs(without[-1] - theirs[-1]) > 0.1 * theirs[-1]  # unscaled, small gradients were lost
    assert histories[0].report.rung == "whole step in one Program"


CHECKPOINTS = {
    "w.pt": lambda weights, path: torch.save(weights, path),
    "w.bin": lambda weights, path: torch.save(weights, path),
    "w.pth": lambda weights, path: torch.save({"epoch": 3, "state_dict": weights}, path),
    "w.safetensors": save_file,
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_f3_checkpoints_load_as_they_are(name, tmp_path):
    saved, model = TesseraModel(), TesseraModel()
    CHECKPOINTS[name](saved.state_dict(), tmp_path / name)
    model.load(tmp_path / name)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), saved.parameters(), strict=True))


class Harmful:
    """What an attacker puts into a checkpoint: unpickled, it would write a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_f3_no_code_in_a_checkpoint_ever_runs(name, zipped, tmp_path):
    model, ran = TesseraModel(), tmp_path / "ran"
    torch.save({**model.state_dict(), "note": Harmful(ran)}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError):
        model.load(tmp_path / name)
    assert not ran.exists()
    with (tmp_path / name).open("rb") as file:
        torch.load(file, weights_only=False)  # it is harmful indeed
    assert ran.exists()
