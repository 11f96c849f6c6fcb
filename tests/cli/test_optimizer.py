from __future__ import annotations

import pytest
import torch

from tessera import optim
from tessera.cli.optimizer import OPTIMIZERS, SCHEDULES, read_optimizer
from tessera.errors import OptimizerError, SettingError

LR = '{schedule = "warmup_cosine_decay", init_value = 0.0, peak_value = 0.1, warmup_steps = 2, decay_steps = 8}'

JOINED = (
    '{schedule = "join", boundaries = [2], schedules = [{schedule = "constant", value = 0.1}, '
    '{schedule = "linear", init_value = 0.1, end_value = 0.0, transition_steps = 4}]}'
)


def weights_after_training(make) -> torch.Tensor:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    made = make(module)
    optimizer = made if isinstance(made, torch.optim.Optimizer) else optim.Optimizer(module, made)
    for _ in range(5):
        optimizer.zero_grad()
        module(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    return module.weight.detach()


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ('optimizer = "AdamW"', optim.AdamW),
        ('[optimizer]\nname = "SGD"\nlr = 0.1\nmomentum = 0.9', lambda m: optim.SGD(m, lr=0.1, momentum=0.9)),
        ('[optimizer]\nname = "Adam"\nbetas = [0.8, 0.9]', lambda m: optim.Adam(m, betas=(0.8, 0.9))),
        (
            f'[optimizer]\nname = "AdamW"\nlr = {LR}',
            lambda m: optim.AdamW(m, lr=optim.warmup_cosine_decay(0.0, 0.1, 2, 8)),
        ),
        (
            '[[optimizer]]\nname = "clip_by_global_norm"\nmax_norm = 0.5\n[[optimizer]]\nname = "adamw"\nlr = 0.01',
            lambda m: optim.chain(optim.clip_by_global_norm(0.5), optim.adamw(0.01)),
        ),
        (
            '[optimizer]\nname = "partition"\nrules = {bias = {name = "sgd", lr = 0.1}, "" = {name = "lion"}}',
            lambda m: optim.partition({"bias": optim.sgd(0.1), "": optim.lion()}),
        ),
        (
            f'[optimizer]\nname = "SGD"\nlr = {JOINED}',
            lambda m: optim.SGD(m, lr=optim.join([optim.constant(0.1), optim.linear(0.1, 0.0, 4)], [2])),
        ),
        ('[optimizer]\nname = "torch.optim:SGD"\nlr = 0.1', lambda m: torch.optim.SGD(m.parameters(), lr=0.1)),
        ('[optimizer]\nname = "own.py:make"\nlr = 0.1', lambda m: torch.optim.SGD(m.parameters(), lr=0.1)),
    ],
)
def test_it_trains_as_the_same_code_does(project, entry, text, make):
    (project / "own.py").write_text(
        "import torch\ndef make(module, lr): return torch.optim.SGD(module.parameters(), lr)\n"
    )
    root = entry(text)
    torch.testing.assert_close(
        weights_after_training(lambda module: read_optimizer(root["optimizer"], module)),
        weights_after_training(make),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ('[optimizer]\nname = "AdmW"', "Write 'AdamW'.", 2),
        ('[optimizer]\nname = "constant"', "There is no optimizer 'constant'", 2),
        ("[optimizer]\nlr = 1", "[optimizer] has no name", 1),
        ("optimizer = 3", "optimizer = 3 is no table", 1),
        ('[optimizer]\nname = "SGD"\nlearning_rate = 1', "Write lr=.", 3),
        ('[optimizer]\nname = "SGD"\nlr = -1.0', "lr", 1),
        ('[optimizer]\nname = "SGD"\nlr = {schedule = "cosine"}', "Write 'cosine_decay'.", 3),
        ('[optimizer]\nname = "SGD"\nlr = {schedule = "constant"}', "missing a required argument", 3),
        ('[optimizer]\nname = "SGD"\n[optimizer.lr]\nschedule = "constant"\nvalu = 1', "Write value=.", 5),
        ('[[optimizer]]\nname = "clip_by_global_norm"\nmax = 1.0', "max_norm", 3),
        ('[[optimizer]]\nname = "scale"\nfactor = 2\n[[optimizer]]\nname = "AdamW"', "Write 'adamw'.", 5),
        ("optimizer = []", "optimizer is an empty array", 1),
    ],
)
def test_what_cannot_be_made_names_its_line(entry, text, words, line):
    root = entry(text)
    with pytest.raises((SettingError, OptimizerError)) as caught:
        read_optimizer(root["optimizer"], torch.nn.Linear(2, 2))
    assert words in str(caught.value)
    assert caught.value.where.line == line


def test_every_public_optimizer_and_schedule_has_a_name():
    assert {"AdamW", "adamw", "clip_by_global_norm", "sgd", "SOAP", "partition"} <= set(OPTIMIZERS)
    assert {"constant", "join", "one_cycle", "reduce_on_plateau"} <= set(SCHEDULES)
    assert not set(OPTIMIZERS) & set(SCHEDULES)
