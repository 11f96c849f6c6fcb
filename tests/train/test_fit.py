from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset

from tessera.backend.rewrite import Pass
from tessera.checkpoint import latest
from tessera.errors import (
    BatchError,
    EmptyDatasetError,
    LabelError,
    LossError,
    NonFiniteError,
    OptimizerError,
    ResumeError,
    SettingError,
)
from tessera.optim import AdamW, Optimizer, cosine_decay, ema_weights, reduce_on_plateau
from tessera.optim import sgd as sgd_transformation
from tessera.optim.adamw import adamw
from tessera.optim.chain import chain
from tessera.optim.transforms.clip_by_global_norm import clip_by_global_norm
from tessera.train.callbacks.callback import Callback
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


def test_the_users_own_passes_and_the_time_for_tuning_reach_the_step():
    seen = []

    def look(program):
        seen.append(program.name)
        return 0

    model, look_on = torch.nn.Linear(3, 1), Pass("look_on", "bitwise", look)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = (torch.randn(8, 3), torch.randn(8, 1))
    fit(model, data, optimizer=optimizer, batch_size=4, passes=[look_on], tune="0s", progress=False)
    assert seen == ["training step of Linear"]
    _, step = vars(optimizer)["_step_of_last_fit"]
    assert any("tuned: " in note or "tuned before: " in note for note in step.report.compilations[0].notes)
    for wrong in ({"passes": [look]}, {"tune": "soon"}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            fit(model, data, **wrong)


def test_verified_steps_find_what_was_captured_wrongly():
    def loss(y, t):
        if torch.compiler.is_compiling():
            y = y * 1.01
        return (y - t).square().mean()

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    data = torch.randn(8, 3), torch.randn(8, 1)
    with pytest.warns(RuntimeWarning, match="the capture makes it so"):
        history = fit(model, data, loss=loss, batch_size=2, verify="shadow", progress=False)
    assert [mismatch.where.code for mismatch in history.report.mismatches] == ["y = y * 1.01"]
    with pytest.raises(SettingError, match="verify"):
        fit(torch.nn.Linear(3, 1), data, verify="shadows")


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
    assert history.stopped == (f"no better loss since epoch {best + 1}; the weights of epoch {best + 1} are back")
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
    "a precision": (SettingError, "precision='mixed'", BATCHES, {"precision": "mixed"}),
    "weights of a loss of its own": (
        SettingError, "class_weight was passed without loss", BATCHES, {"loss": None, "class_weight": {0: 2.0}},
    ),
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


def test_a_run_goes_on_where_it_was_cut(tmp_path):
    def run(folder, *callbacks):
        module = torch.nn.Sequential(classifier(), torch.nn.Dropout(0.2))
        optimizer = AdamW(module, lr=cosine_decay(1e-2, 20))
        return fit(
            module, (X, Y), optimizer=optimizer, epochs=4, batch_size=7, seed=3, validation=(X, Y), accumulate=2,
            checkpoint=folder, save_every=2, callbacks=callbacks,
        ), module  # fmt: skip

    class Cut(Callback):
        def __init__(self, at):
            self.every = at

        def step(self, run):
            if run.step == self.every:
                raise SystemError

    whole, expected = run(None)
    for at in (3, 5, 6, 11):
        with pytest.raises(SystemError):
            run(tmp_path, Cut(at))
    history, module = run(tmp_path)
    assert history.loss == whole.loss
    assert history.validation == whole.validation
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), expected.parameters(), strict=True))
    assert history.checkpoint == latest(tmp_path)


CHANGED = {
    "another model": ({"width": 6}, "model.0.weight was 'float32[5, 4]' and is 'float32[6, 4]'"),
    "another optimizer": ({"lr": 0.2}, "optimizer.group 0.lr was 0.1 and is 0.2"),
    "other data": ({"x": X + 1}, "data.0"),
    "another loss": ({"loss": "nll"}, "training.loss was 'cross_entropy' and is 'nll'"),
    "other accumulation": ({"accumulate": 2}, "training.accumulate was 1 and is 2"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_run_that_has_changed_is_told_what_differs(tmp_path, case):
    def run(*, width=5, lr=0.1, x=X, loss="cross_entropy", accumulate=1):
        module = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 3))
        optimizer = torch.optim.SGD(module.parameters(), lr=lr)
        return fit(module, (x, Y), optimizer=optimizer, loss=loss, accumulate=accumulate, checkpoint=tmp_path)

    run()
    change, words = CHANGED[case]
    with pytest.raises(ResumeError) as error:
        run(**change)
    assert words in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_without_resume_a_run_begins_anew(tmp_path):
    def run(**options):
        module = classifier()
        return fit(module, BATCHES, optimizer=sgd(module), checkpoint=tmp_path, **options).loss

    assert run() == run(resume=False) == run(epochs=2)[:3]


def test_class_and_sample_weights_are_those_of_torch():
    weights = torch.rand(24, generator=RANDOM, dtype=torch.float64)
    of_class = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    x = X.double()

    def reference(epochs=2):
        module = classifier(dtype=torch.float64)
        optimizer, losses = sgd(module), []
        for _ in range(epochs):
            for part in range(0, 24, 8):
                rows = slice(part, part + 8)
                optimizer.zero_grad()
                w = weights[rows] * of_class[Y[rows]]
                loss = (w * F.cross_entropy(module(x[rows]), Y[rows], reduction="none")).sum() / w.sum()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    def losses(data, **options):
        module = classifier(dtype=torch.float64)
        return fit(
            module, data, optimizer=sgd(module), epochs=2, batch_size=8, shuffle=False, class_weight=[1.0, 2.0, 0.5],
            **options,
        ).loss  # fmt: skip

    expected = reference()
    in_dicts = [
        {"input": x[i : i + 8], "labels": Y[i : i + 8], "sample_weight": weights[i : i + 8]} for i in range(0, 24, 8)
    ]
    torch.testing.assert_close(losses((x, Y), sample_weight=weights), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses(in_dicts), expected, rtol=1e-12, atol=1e-12)


def test_metrics_with_a_state_are_measured_on_held_out_data():
    torchmetrics = pytest.importorskip("torchmetrics")
    module = classifier()
    metric = torchmetrics.F1Score("multiclass", num_classes=3, average="macro")
    history = fit(module, BATCHES, optimizer=sgd(module), metrics={"f1": metric}, validation=(X, Y))
    module.eval()
    expected = torchmetrics.functional.f1_score(module(X), Y, "multiclass", num_classes=3, average="macro")
    assert history.validation[-1]["f1"] == pytest.approx(expected.item())
    assert "f1" not in history.metrics
    with pytest.raises(SettingError, match="no validation data was passed"):
        fit(module, BATCHES, metrics={"f1": metric})


def test_validation_sees_the_averaged_weights_and_a_plateau_sees_it():
    module = classifier()
    optimizer = Optimizer(module, chain(sgd_transformation(0.5), ema_weights(0.9)))
    history = fit(module, BATCHES, optimizer=optimizer, validation=(X, Y), epochs=2)
    module.eval()
    with optimizer.averaged_weights():
        averaged = F.cross_entropy(module(X), Y).item()
    assert history.validation[-1]["loss"] == pytest.approx(averaged, rel=1e-5)
    assert F.cross_entropy(module(X), Y).item() != pytest.approx(averaged, rel=1e-3)
    plateau = Optimizer(module, sgd_transformation(reduce_on_plateau(1e-12, patience=1, factor=0.5)))
    before = [p.clone() for p in module.parameters()]
    fit(module, BATCHES, optimizer=plateau, validation=(X, Y), epochs=6)
    assert plateau.learning_rates() == [1e-12 * 0.5**2]
    assert all(torch.allclose(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("given", ["log.csv", EarlyStopping, 3])
def test_what_is_no_callback_is_refused(given):
    raising(SettingError, "A callback is a tessera.train.Callback", BATCHES, callbacks=[given])
    raising(SettingError, "A callback is a tessera.train.Callback", BATCHES, callbacks=given)


def test_one_callback_needs_no_list():
    seen = []
    fit(torch.nn.Linear(4, 3), BATCHES, callbacks=seen.append)
    assert len(seen) == 1
