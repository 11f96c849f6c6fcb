"""Training with quantized weights, as one program, and what comes out of it."""

from __future__ import annotations

import copy

import pytest
import torch

import tessera
from tessera.errors import QuantizeError, SettingError
from tessera.quantize import Rule, convert
from tessera.quantize.training import add_adapters


def model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))


def task() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    return model(), torch.randn(64, 6), torch.randint(3, (64,))


RULE = Rule("", weight="int4", act="int4", per="channel")


def plain_steps(made, x, y, count):
    optimizer = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(made(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("way", ["qat", "qlora"])
def test_a_training_step_is_one_program_and_trains_as_pytorch_does(way):
    net, x, y = task()
    settings = {"rules": [RULE]} if way == "qat" else {"target": "nf4"}
    compiled = tessera.quantize(net, train=way, **settings)
    plain = copy.deepcopy(compiled)
    optimizer = torch.optim.SGD([p for p in compiled.parameters() if p.requires_grad], lr=0.1)
    step = tessera.train_step(compiled, torch.nn.functional.cross_entropy, optimizer)
    losses = [float(step(x, y)) for _ in range(5)]
    assert losses == pytest.approx(plain_steps(plain, x, y, 5), rel=1e-3)
    assert losses[-1] < losses[0]
    assert (step.report.step_downs, len(step.report.compilations)) == ([], 1)


def test_what_was_trained_is_what_comes_out():
    net, x, y = task()
    trained = tessera.quantize(net, rules=[RULE], train="qat")
    losses = plain_steps(trained, x, y, 20)
    assert losses[-1] < losses[0]
    result = convert(trained)
    with torch.no_grad():
        torch.testing.assert_close(result(x), trained(x), rtol=1e-5, atol=1e-5)
    assert not [name for name, value in result.named_parameters() if value.ndim == 2]
    assert [name for name, value in trained.named_parameters() if value.ndim == 2]


def test_the_model_itself_does_not_train():
    net, x, y = task()
    before = copy.deepcopy(net.state_dict())
    plain_steps(tessera.quantize(net, rules=[RULE], train="qat"), x, y, 3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_qlora_trains_nothing_but_its_adapters():
    net, x, y = task()
    made = tessera.quantize(net, target="nf4", train="qlora", rank=2)
    torch.testing.assert_close(made(x), tessera.quantize(net, target="nf4")(x))
    assert {name.split(".")[1] for name, value in made.named_parameters() if value.requires_grad} == {"adapter"}
    losses = plain_steps(made, x, y, 30)
    assert losses[-1] < losses[0]


def test_bad_arguments_are_refused():
    with pytest.raises(SettingError, match="train='hard'"):
        tessera.quantize(model(), train="hard")
    with pytest.raises(QuantizeError, match="rank=0"):
        tessera.quantize(model(), target="nf4", train="qlora", rank=0)
    with pytest.raises(QuantizeError, match="no weight in quantization-aware training"):
        convert(model())
    with pytest.raises(QuantizeError, match="no quantized linear layer"):
        add_adapters(model(), ["0"], 4)
