from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tessera
from tessera.cli.config import read_config
from tessera.cli.job import read_job
from tessera.errors import SettingError, TesseraError
from tessera.train.metrics import resolve_metrics


def job(project, *overrides: str):
    return read_job(read_config(project / "run.toml", overrides))


def test_it_trains_as_the_same_code_does(project):
    mine = job(project, "fit.checkpoint=false", "validation='net.py:held_out'").run()
    import net

    torch.manual_seed(3)
    module = net.Net()
    theirs = tessera.fit(
        module, net.train(), loss="cross_entropy", optimizer=tessera.optim.SGD(module, lr=0.1), epochs=2, seed=3,
        validation=net.held_out, progress=False,
    )  # fmt: skip
    assert mine.loss == theirs.loss
    assert mine.validation == theirs.validation


@pytest.mark.parametrize(
    ("override", "first"),
    [("model={name='net.py:Net', hidden=6}", (6, 4)), ("model='net.py:built'", (5, 4)), ("model.hidden=7", (7, 4))],
)
def test_a_model_is_built_or_taken(project, override, first):
    assert job(project, override).module.layers[0].weight.shape == first


def test_a_model_that_is_there_is_the_one_trained(project):
    found = job(project, "model='net.py:built'").module
    import net

    assert found is net.built


@pytest.mark.parametrize(
    ("form", "names", "value"),
    [
        ("'accuracy'", ["accuracy"], 2 / 3),
        ("'net.py:error'", ["error"], 1 / 3),
        ("['accuracy', 'net.py:error']", ["accuracy", "error"], 1 / 3),
        ("{wrong='net.py:error', right='accuracy'}", ["wrong", "right"], 2 / 3),
        ("{name='net.py:Share', of=2}", ["share"], 1 / 6),
    ],
)
def test_metrics_of_every_form(project, form, names, value):
    (project / "net.py").write_text(
        (project / "net.py").read_text() + "class Share:\n"
        "    def __init__(self, of: int): self.of, self.__name__ = of, 'share'\n"
        "    def __call__(self, prediction, target): return error(prediction, target) / self.of\n"
    )
    found = resolve_metrics(job(project, f"metrics={form}").settings["metrics"])
    assert list(found) == names
    assert found[names[-1]](torch.eye(3), torch.tensor([0, 1, 0])).item() == pytest.approx(value)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("'mse'", 4.0),
        ("'torch.nn:MSELoss'", 4.0),
        ("'torch.nn.functional:l1_loss'", 2.0),
        ("{name='torch.nn:HuberLoss', delta=0.5}", 0.875),
    ],
)
def test_losses_by_name_by_class_and_by_function(project, form, value):
    loss = job(project, f"loss={form}").settings["loss"]
    assert loss(torch.zeros(3), torch.full((3,), 2.0)).item() == pytest.approx(value)


def test_a_model_with_its_own_loss(project):
    assert job(project, "loss='own'").settings["loss"] is None


def test_the_folder_of_a_run(project):
    assert job(project).folder == project / "runs" / "run"
    assert job(project, "fit.checkpoint='x'").folder == project / "x"
    assert job(project, "fit.checkpoint='/x'").folder == Path("/x")
    none = job(project, "fit.checkpoint=false")
    assert (none.folder, none.settings["checkpoint"]) == (None, None)


def test_a_seed_is_that_of_the_weights_too(project):
    first, second, third = (job(project, f"fit.seed={seed}").module for seed in (1, 1, 2))
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, third.layers[0].weight)


def test_callbacks_by_name_and_of_ones_own(project):
    (project / "own.py").write_text(
        "from tessera.train.callbacks.callback import Callback\n"
        "class Mine(Callback):\n    def __init__(self, n): self.n = n\n"
        "def stop(history): return True\n"
        "def after(n): return lambda history: len(history.epochs) == n\n"
    )
    listed = (
        '[{name="EarlyStopping", patience=3}, {name="own.py:Mine", n=4}, {name="own.py:stop"}, '
        '{name="own.py:after", n=2}]'
    )
    found = job(project, f"callbacks={listed}").settings["callbacks"]
    assert (found[0].patience, found[1].n, found[2].__name__) == (3, 4, "stop")
    history = job(project, f"callbacks={listed}", "fit.checkpoint=false", "fit.epochs=9").run()
    assert len(history.epochs) == 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("modle='x'", "Write 'model'."),
        ("fit.epohcs=3", "[fit] has the key 'epohcs'."),
        ("fit.checkpoint=3", "checkpoint = 3 was passed"),
        ("fit.checkpoint=true", "checkpoint = True was passed"),
        ("fit=3", "fit = 3 is no table"),
        ("fit.model='x'", "[fit] has the key 'model'"),
        ("fit.epochs='2'", "fit.epochs = '2' was written. epochs of fit is a whole number."),
        ("fit.resume='no'", "resume of fit is true or false."),
        ("callbacks=[{name='CSVLogger', path=3}]", "path of CSVLogger is a text or a path"),
        ("model=3", "model = 3 is no table"),
        ("model={hidden=3}", "[model] has no name"),
        ("model.hiden=3", "Write 'hidden'."),
        ("model='net.py:train'", "net.py:train gave a tuple"),
        ("model='net.py:held_out'", "net.py:held_out is a tuple."),
        ("model={name='net.py:built', hidden=3}", "net.py:built takes no hidden: it is a Net."),
        ("loss='cross_entropi'", "cross_entropy"),
        ("loss={delta=1}", "[loss] has no name"),
        ("loss=3", "loss"),
        ("metrics='acuracy'", "acuracy"),
        ("metrics={error=3}", "3"),
        ("metrics=['accuracy', 'acuracy']", "acuracy"),
        ("device='gpu0'", "device = 'gpu0' cannot be used"),
        ("device=true", "device = True cannot be used"),
        ("callbacks=3", "callbacks = 3 is no array"),
        ("callbacks=['CSVLogger']", "is no table"),
        ("callbacks=[{path='x'}]", "has no name"),
        ("callbacks=[{name='EarlyStoping', patience=1}]", "Write 'EarlyStopping'."),
        ("callbacks=[{name='EarlyStopping', patienc=1}]", "Write 'patience'."),
        ("callbacks=[{name='EarlyStopping', patience=-1}]", "patience"),
    ],
)
def test_what_makes_no_sense_names_the_key(project, override, words):
    with pytest.raises(TesseraError) as caught:
        job(project, override).run()
    assert words in str(caught.value)


def test_a_config_without_model_or_data(project):
    for text, key in (("", "model"), ("model = 'net.py:Net'", "data")):
        (project / "run.toml").write_text(text)
        with pytest.raises(SettingError, match=f"has no '{key}'"):
            job(project)
