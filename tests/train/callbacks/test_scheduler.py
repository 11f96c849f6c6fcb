from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler

from tessera.errors import SettingError
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.scheduler import Scheduler
from tessera.train.fit import fit
from tessera.train.history import History
from tessera.train.run import Run

X, Y = torch.randn(24, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), torch.arange(24) % 3


def made(make, momentum=0.9):
    torch.manual_seed(1)
    module = torch.nn.Linear(4, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5, momentum=momentum)
    return module, optimizer, make(optimizer)


BY_STEPS = {
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 9),
    "one cycle": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=20),
    "lambda": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step),
    "sequential": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.LinearLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.8)], [4]
    ),
}


def by_hand(make, every, epochs=4):
    module, optimizer, scheduler = made(make)
    losses = []
    for _ in range(epochs):
        for x, y in zip(X.split(8), Y.split(8), strict=True):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if every and len(losses) % every == 0:
                scheduler.step()
        if not every:
            scheduler.step()
    return losses


class Cut(Callback):
    every = 5

    def step(self, run):
        if run.step == 5:
            raise SystemError


@pytest.mark.parametrize("name", BY_STEPS)
@pytest.mark.parametrize("every", [1, None])
def test_it_is_the_loop_by_hand_and_goes_on_after_a_cut(tmp_path, name, every):
    def run(folder, *others):
        module, optimizer, scheduler = made(BY_STEPS[name])
        callbacks = [Scheduler(scheduler, every=every), *others]
        history = fit(
            module, (X, Y), loss="cross_entropy", optimizer=optimizer, epochs=4, batch_size=8, shuffle=False,
            checkpoint=folder, save_every=None if folder is None else 2, callbacks=callbacks,
        )  # fmt: skip
        return history.loss, len(history.report.compilations)

    expected = by_hand(BY_STEPS[name], every)
    losses, compilations = run(None)
    torch.testing.assert_close(losses, expected, rtol=1e-10, atol=1e-12)
    assert compilations == 1
    with pytest.raises(SystemError):
        run(tmp_path, Cut())
    assert run(tmp_path)[0] == losses


def test_a_plateau_goes_by_a_result():
    _, optimizer, scheduler = made(lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5))
    callback, run = Scheduler(scheduler, every=3, monitor="error"), Run(torch.nn.Linear(1, 1), [], History())
    assert callback.every is None
    for error, rate in ((1.0, 0.5), (2.0, 0.25), (0.5, 0.25), (0.6, 0.125)):
        callback.measured(run, {"error": error})
        callback.epoch(run)
        assert optimizer.param_groups[0]["lr"] == rate
    with pytest.raises(SettingError, match="^Scheduler monitors 'error'. The results are 'loss'."):
        callback.measured(run, {"loss": 1.0})


def test_what_is_no_scheduler_is_refused():
    with pytest.raises(SettingError, match="It is a scheduler of torch.optim.lr_scheduler"):
        Scheduler(0.1)
