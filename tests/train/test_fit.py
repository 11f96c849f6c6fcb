from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset

from tessera.errors import (
    BatchError,
    EmptyDatasetError,
    LabelError,
    LossError,
    NonFiniteError,
    OptimizerError,
    SettingError,
)
from tessera.optim.adamw import adamw
from tessera.optim.chain import chain
from tessera.optim.transforms.clip_by_global_norm import clip_by_global_norm
from tessera.train.early_stopping import EarlyStopping
from tessera.train.fit import fit

RANDOM = torch.Generator().manual_seed(0)  # what a file draws when it is imported depends on what was imported before
X, Y = torch.randn(24, 4, generator=RANDOM), torch.randint(0, 3, (24,), generator=RANDOM)
BATCHES = list(zip(X.split(8), Y.split(8), strict=True))


def classifier(**options) -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 5, **options), torch.nn.Tanh(), torch.nn.Linear(5, 3, **options))


def sgd(module) -> torch.optim.SGD:
    return torch.optim.SGD(module.parameters(), lr=0.1)


def eager_losses(module, batches, epochs) -> list[float]:
    """The same training as plain PyTorch."""
    optimizer, losses = sgd(module), []
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", ["in memory", "list", "loader", "objects"])
def test_it_trains_as_pytorch_does(kind):
    batches = [(x.double(), y) for x, y in BATCHES]
    x, y = X.double(), Y
    data = {
        "in memory": (x, y),
        "list": batches,
        "loader": DataLoader(TensorDataset(x, y), batch_size=8),
        "objects": [SimpleNamespace(images=x, labels=y) for x, y in batches],
    }[kind]
    ours, theirs = classifier(dtype=torch.float64), classifier(dtype=torch.float64)
    expected = eager_losses(theirs, batches, epochs=4)
    history = fit(ours, data, optimizer=sgd(ours), epochs=4, shuffle=False, batch_size=8)
    torch.testing.assert_close(history.loss, expected, rtol=1e-12, atol=1e-12)
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-12)
    assert history.stopped == "4 epochs done"
    assert [epoch["steps"] for epoch in history.epochs] == [3] * 4
    means = torch.tensor(expected, dtype=torch.float64).view(4, 3).mean(1).tolist()
    torch.testing.assert_close([epoch["loss"] for epoch in history.epochs], means)


def test_thousands_of_small_steps_are_those_of_pytorch():
    x, y = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).double(), torch.tensor([[0.0], [1], [1], [0]]).double()

    def network():
        torch.manual_seed(3)
        layers = (torch.nn.Linear(2, 2), torch.nn.Sigmoid(), torch.nn.Linear(2, 1), torch.nn.Sigmoid())
        return torch.nn.Sequential(*layers).double()

    ours, theirs = network(), network()
    history = fit(ours, (x, y), loss="mse", optimizer=sgd(ours), epochs=500, batch_size=1, shuffle=False)
    optimizer, losses = sgd(theirs), []
    for step in range(2000):
        optimizer.zero_grad()
        loss = F.mse_loss(theirs(x[step % 4 : step % 4 + 1]), y[step % 4 : step % 4 + 1])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    torch.testing.assert_close(history.loss, torch.stack(losses).tolist(), rtol=1e-9, atol=1e-12)
    assert len(history.epochs) == 500


def test_a_seed_repeats_everything():
    def losses(seed):
        module = torch.nn.Sequential(classifier(), torch.nn.Dropout(0.5))
        return fit(module, (X, Y), optimizer=sgd(module), epochs=2, batch_size=8, seed=seed).loss

    assert losses(7) == losses(7) != losses(8)


def test_the_default_optimizer_learns():
    module = classifier()
    labels = X.argmax(1) % 3
    history = fit(module, (X, labels), steps=200, metrics="accuracy", batch_size=24)
    assert history.epochs[-1]["accuracy"] > history.epochs[0]["accuracy"]
    assert history.stopped == "200 steps done"


def test_a_gradient_transformation_is_an_optimizer():
    module = classifier()
    before = module[0].weight.clone()
    fit(module, BATCHES, optimizer=chain(clip_by_global_norm(1.0), adamw(1e-2)))
    assert not torch.equal(module[0].weight, before)


def test_everything_at_once(tmp_path, capsys):
    module = classifier()
    module.eval()
    module[1].train()
    seen = []
    history = fit(
        module,
        (X.numpy().astype(np.float64), Y.numpy().astype(np.int32)),
        loss="cross_entropy",
        optimizer=sgd(module),
        epochs=3,
        validation=(X[:9], Y[:9]),
        clip_norm=1.0,
        metrics={"error": lambda prediction, target: (prediction.argmax(1) != target).float().mean()},
        early_stopping=5,
        checkpoint=tmp_path,
        callbacks=[lambda history: seen.append(len(history.validation))],
        batch_size=8,
    )
    assert seen == [1, 2, 3]
    assert set(history.epochs[0]) == {
        "epoch", "steps", "seconds", "loss", "error", "grad_norm", "validation loss", "validation error",
    }  # fmt: skip
    assert len(history.loss) == 9
    assert [part.training for part in module.modules()] == [False, False, True, False]
    module.eval()
    best = min(results["loss"] for results in history.validation)  # early stopping has put its weights back
    torch.testing.assert_close(best, F.cross_entropy(module(X[:9]), Y[:9]).item(), rtol=1e-5, atol=1e-6)
    assert torch.equal(load_file(tmp_path / "best.safetensors")["0.weight"], module[0].weight)
    assert history.report.subject == "training step of Sequential"
    assert capsys.readouterr().out == ""


def test_keyword_inputs():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = classifier()

        def forward(self, features, scale=None):
            return self.net(features * scale)

    ours, theirs = Named(), Named()
    data = [{"labels": y, "scale": torch.full((8, 1), 2.0), "features": x} for x, y in BATCHES]
    history = fit(ours, data, optimizer=sgd(ours))
    expected = eager_losses(theirs.net, [(x * 2.0, y) for x, y in BATCHES], epochs=1)
    torch.testing.assert_close(history.loss, expected, rtol=1e-5, atol=1e-6)


def test_accumulated_gradients_are_those_of_the_larger_batch():
    ours, theirs = classifier(dtype=torch.float64), classifier(dtype=torch.float64)
    fit(ours, [(x.double(), y) for x, y in BATCHES], optimizer=sgd(ours), accumulate=3)
    eager_losses(theirs, [(X.double(), Y)], epochs=1)
    torch.testing.assert_close(ours[0].weight, theirs[0].weight, rtol=1e-12, atol=1e-12)


def test_early_stopping_puts_the_best_weights_back():
    module = classifier()
    optimizer = torch.optim.SGD(module.parameters(), lr=50.0)  # every epoch makes it worse
    rule = EarlyStopping(patience=2)
    history = fit(module, BATCHES, optimizer=optimizer, epochs=20, validation=(X, Y), early_stopping=rule)
    losses = [results["loss"] for results in history.validation]
    best = losses.index(min(losses))
    assert len(losses) == best + 3
    assert history.stopped == f"no better loss for 2 epochs; the weights of epoch {best + 1} are back"
    module.eval()
    torch.testing.assert_close(F.cross_entropy(module(X), Y).item(), min(losses), rtol=1e-5, atol=1e-6)


def test_progress_is_shown_when_asked(capsys):
    module = classifier()
    fit(module, BATCHES, optimizer=sgd(module), epochs=2, progress=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2  loss ")
    assert second.startswith("epoch 2/2  loss ")


NOT_FINITE = [BATCHES[0], (BATCHES[1][0] * math.nan, BATCHES[1][1]), BATCHES[2]]


@pytest.mark.parametrize("kind", ["list", "in memory"])
def test_a_loss_that_is_not_a_number(kind):
    ours, theirs = classifier(), classifier()
    x = torch.cat([x for x, _ in NOT_FINITE])
    data = NOT_FINITE if kind == "list" else (x, Y)
    expected = eager_losses(theirs, NOT_FINITE[:1], epochs=1)
    with pytest.raises(NonFiniteError) as error:
        fit(ours, data, optimizer=sgd(ours), shuffle=False, batch_size=8)
    assert str(error.value).startswith("Step 2, epoch 1: ")
    torch.testing.assert_close(error.value.history.loss, expected, rtol=1e-5, atol=1e-6)
    assert error.value.history.stopped.startswith("Step 2, epoch 1: ")
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, reference)


def raising(expected, words, data, **options) -> None:
    """``fit`` raises an error of type ``expected`` that says ``words``, and the model is as it was."""
    module = torch.nn.Sequential(classifier(), torch.nn.BatchNorm1d(3))
    module.eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(expected) as error:
        fit(module, data, **options)
    assert words in str(error.value)
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not module.training


BAD_DATA = {
    "float labels": (LabelError, "torch.float32", (X, Y.float()), {"loss": "cross_entropy"}),
    "float labels, torch's loss": (
        LabelError, "CrossEntropyLoss says: expected ", (X, Y.float()), {"loss": torch.nn.CrossEntropyLoss()},
    ),
    "labels beyond the classes": (LabelError, "The training data has labels that are out of range", (X, Y + 1), {}),
    "labels in the last batch": (LabelError, "1 of 24, from 3 to 3", (X, torch.cat([Y[:-1], torch.tensor([3])])), {}),
    "validation labels": (LabelError, "The validation data has labels", (X, Y), {"validation": (X, Y + 1)}),
    "labels of a stream": (LabelError, "Batch 1 has labels", [(X, Y - 1)], {}),
    "no labels": (BatchError, "Batch 1 of the training data is a torch.float32 tensor of shape [8, 4]: ", [X[:8]], {}),
    "only inputs": (BatchError, "The training data is a tuple of 1: it has no labels", (X,), {}),
    "a batch of zero samples": (BatchError, "Batch 1 of the training data has no samples", [(X[:0], Y[:0])], {}),
    "no batches": (EmptyDatasetError, "yielded no batch", [], {}),
    "no samples": (EmptyDatasetError, "has no samples", (X[:0], Y[:0]), {}),
    "no validation samples": (EmptyDatasetError, "The validation data", (X, Y), {"validation": (X[:0], Y[:0])}),
    "an iterator for two epochs": (BatchError, "is an iterator, and 2 epochs", iter(BATCHES), {"epochs": 2}),
    "an iterator to validate": (
        BatchError, "The validation data is an iterator", (X, Y), {"validation": iter(BATCHES), "epochs": 2},
    ),
    "a number": (BatchError, "which holds no batches", 3, {}),
    "a vector as loss": (LossError, "a tensor of shape [8]", BATCHES, {"loss": lambda p, t: p.sum(1)}),
    "a loss that there is not": (LossError, "There is no loss named 'crossentropy'", BATCHES, {"loss": "crossentropy"}),
    "a precision": (SettingError, "precision='bf16'", BATCHES, {"precision": "bf16"}),
    "no epochs": (SettingError, "epochs=0", BATCHES, {"epochs": 0}),
    "not a number": (NonFiniteError, "Step 1, epoch 1: ", [(X * math.nan, Y)], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_input_says_what_is_wrong_and_loses_nothing(case):
    expected, words, data, options = BAD_DATA[case]
    raising(expected, words, data, **options)


def test_an_optimizer_of_another_model():
    raising(OptimizerError, "4 of the 4 parameters of this SGD", BATCHES, optimizer=sgd(classifier()))


def test_an_optimizer_of_two_models():
    ours, other = classifier(), classifier()
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    optimizer = torch.optim.SGD([*ours.parameters(), *other.parameters()], lr=0.1)
    with pytest.raises(OptimizerError, match="^4 of the 8 parameters of this SGD are not"):
        fit(ours, BATCHES, optimizer=optimizer)
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())


def test_a_bad_label_later_in_a_stream_stops_before_its_step():
    ours, theirs = classifier(), classifier()
    expected = eager_losses(theirs, BATCHES[:2], epochs=1)
    with pytest.raises(LabelError, match="^Batch 3 has labels that are out of range"):
        fit(ours, [*BATCHES[:2], (X[:8], Y[:8] + 5)], optimizer=sgd(ours))
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, reference)
    assert len(expected) == 2


def test_training_on_needs_no_new_compilation():
    module = classifier()
    optimizer = sgd(module)
    first = fit(module, BATCHES, optimizer=optimizer)
    compiled = len(first.report.compilations)
    second = fit(module, BATCHES, optimizer=optimizer)
    assert second.report is first.report
    assert len(second.report.compilations) == compiled
    assert len(second.loss) == 3


class OwnLoss(torch.nn.Module):
    """Returns its own loss, as the models of Hugging Face do."""

    def __init__(self):
        super().__init__()
        self.net = classifier(dtype=torch.float64)

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.parametrize("kind", ["in memory", "dict in memory", "list", "dicts", "Dataset"])
def test_a_module_that_returns_its_own_loss(kind):
    x = X.double()
    data = {
        "in memory": (x, Y),
        "dict in memory": {"x": x, "labels": Y},
        "list": [(a.double(), b) for a, b in BATCHES],
        "dicts": [{"labels": b, "x": a.double()} for a, b in BATCHES],
        "Dataset": TensorDataset(x, Y),
    }[kind]
    ours, theirs = OwnLoss(), classifier(dtype=torch.float64)
    expected = eager_losses(theirs, [(a.double(), b) for a, b in BATCHES], epochs=2)
    history = fit(ours, data, loss=None, optimizer=sgd(ours), epochs=2, shuffle=False, batch_size=8, validation=data)
    torch.testing.assert_close(history.loss, expected, rtol=1e-12, atol=1e-12)
    held_out = torch.stack([F.cross_entropy(theirs(a.double()), b) for a, b in BATCHES]).mean().item()
    torch.testing.assert_close(history.validation[-1]["loss"], held_out, rtol=1e-12, atol=1e-12)


class Autoencoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x):
        return (self.layer(x) - x).square().mean()


@pytest.mark.parametrize(
    "data", [X, (X,), X.numpy(), list(X.split(8)), {"x": X}], ids=["tensor", "tuple", "array", "list", "dict"]
)
def test_a_module_with_its_own_loss_needs_no_labels(data):
    module = Autoencoder()
    expected = [module(x).item() for x in X.split(8)]
    history = fit(
        module, data, loss=None, optimizer=torch.optim.SGD(module.parameters(), lr=0.0), shuffle=False, batch_size=8
    )
    torch.testing.assert_close(history.loss, expected)


def test_no_loss_in_eval_mode_is_told():
    class OnlyInTraining(Autoencoder):
        def forward(self, x):
            return super().forward(x) if self.training else self.layer(x)

    module = OnlyInTraining()
    with pytest.raises(LossError, match="in eval mode as well"):
        fit(module, X, loss=None, optimizer=sgd(module), validation=X)


def test_several_optimizers_train_as_they_do_in_pytorch():
    ours, theirs = classifier(dtype=torch.float64), classifier(dtype=torch.float64)

    def optimizers(net):
        return [torch.optim.SGD(net[0].parameters(), lr=0.1), torch.optim.Adam(net[2].parameters(), lr=0.01)]

    chosen = optimizers(ours)
    fit(ours, [(x.double(), y) for x, y in BATCHES], optimizer=chosen)
    reference = optimizers(theirs)
    for x, y in BATCHES:
        F.cross_entropy(theirs(x.double()), y).backward()
        for optimizer in reference:
            optimizer.step()
            optimizer.zero_grad()
    for mine, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("given", ["adam", torch.optim.SGD, [], [adamw()]])
def test_what_is_no_optimizer_is_refused(given):
    raising(
        OptimizerError,
        "It is an optimizer, a list of several, or a gradient transformation. ",
        BATCHES,
        optimizer=given,
    )
