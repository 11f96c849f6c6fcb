"""What a step is saved as, and what cannot be saved."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tessera.capture.saved_step import describe_model, describe_optimizer
from tessera.errors import ArtefactError
from tests.capture.saved_steps import Net


class Linear(nn.Module):
    """A linear layer, changed in one way or another."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.calls = 0

    def forward(self, x):
        return self.inner(x)


class Counting(Linear):
    def forward(self, x):
        self.calls += 1
        return self.inner(x)


class Marking(Linear):
    def forward(self, x):
        x.mul_(1.0)
        return self.inner(x)


ELSEWHERE = torch.ones(2)


def closed_over():
    weight = torch.ones(2)
    return lambda prediction, target: F.mse_loss(prediction * weight, target)


X, Y = torch.randn(4, 3), torch.randn(4, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "loss", "prepare", "word"),
    [
        (Counting, "mse", None, "changes something in Python at every call"),
        (Marking, "mse", None, "it writes to its batch"),
        (Linear, "mse", lambda m, _: m.inner.register_forward_hook(lambda *a: None), "a layer has hooks"),
        (Linear, "mse", lambda _, s: s(X[:3], Y[:3]), None),
        (Linear, "mse", lambda _, s: [s(X[:n], Y[:n]) for n in (3, 2)], "the size of its batch is open"),
    ],
    ids=["side effect", "writes its batch", "hooks", "another size", "many sizes"],
)
def test_what_cannot_be_saved(model, loss, prepare, word, tmp_path):
    module = model()
    step = tessera.train_step(module, loss, torch.optim.SGD(module.parameters(), lr=0.1))
    step(X.clone(), Y)
    if prepare is not None:
        prepare(module, step)
    if word is None:
        step.save(tmp_path / "a")
        return
    with pytest.raises(ArtefactError, match=rf"cannot be saved: .*{word}.*Leave that out"):
        step.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_tensors_of_the_loss_are_those_of_the_loss_that_is_passed(tmp_path):
    def made(loss):
        torch.manual_seed(0)
        module = Linear()
        return module, torch.optim.SGD(module.parameters(), lr=0.1), loss

    module, optimizer, loss = made(closed_over())
    step = tessera.train_step(module, loss, optimizer)
    step(X, Y)
    expected = step(X, Y)
    step.save(tmp_path / "a")
    module, optimizer, loss = made(closed_over())
    loaded = tessera.load(tmp_path / "a", model=module, optimizer=optimizer, loss=loss)
    loaded(X, Y)
    assert torch.equal(loaded(X, Y), expected)
    module, optimizer, _ = made(None)
    with pytest.raises(ArtefactError, match="loss"):
        tessera.load(tmp_path / "a", model=module, optimizer=optimizer)(X, Y)


def test_a_model_in_words():
    described = describe_model(Net())
    assert described["class"] == "Net"
    assert described["tied"] == {"again.weight": "middle.weight", "again.bias": "middle.bias"}
    assert described["tensors"]["first.1.running_mean"] == "Tensor float32[6], strides [1], cpu"


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=1.0),
        lambda p: torch.optim.AdamW(p, lr=1.0),
        lambda p: torch.optim.Adam(p, lr=1.0, amsgrad=True),
        lambda p: torch.optim.Adam(p, lr=torch.tensor(1.0)),
        lambda p: tessera.optim.Adam(p, lr=1.0),
        lambda p: tessera.optim.Adam(p, lr=tessera.optim.linear(1.0, 0.0, 10)),
        lambda p: tessera.optim.Adam(p, lr=tessera.optim.linear(1.0, 0.0, 11)),
        lambda p: tessera.optim.Optimizer(p, tessera.optim.adam(1.0)),
        lambda p: tessera.optim.Optimizer(p, tessera.optim.adam(2.0)),
        lambda p: torch.optim.Adam([{"params": p[:1]}, {"params": p[1:]}], lr=1.0),
    ],
    ids=range(10),
)
def test_an_optimizer_in_words_says_all_but_its_numbers(make):
    described = []
    for _ in range(2):
        module = nn.Linear(2, 2)
        described.append(describe_optimizer(make(list(module.parameters())), module))
    assert described[0] == described[1]
    SEEN[str(described[0])] = SEEN.get(str(described[0]), 0) + 1
    assert SEEN[str(described[0])] == 1, "another optimizer has the same words"


SEEN: dict[str, int] = {}


def test_a_learning_rate_may_change():
    module = nn.Linear(2, 2)
    first, second = (describe_optimizer(torch.optim.Adam(module.parameters(), lr=lr), module) for lr in (0.1, 1))
    assert first == second
