"""Fifty steps under one seed: the masks and random numbers of a network are eager's, bit by bit, on every rung.

``random="torch"`` has the numbers of plain PyTorch; those of ``random="tessera"`` are the same eagerly and compiled.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import tessera
from tessera.random.eager_mode import drawing

STEPS = 50


class Masks(nn.Module):
    """Keeps the mask of a dropout in a buffer."""

    def __init__(self, layer, width):
        super().__init__()
        self.layer = layer
        self.register_buffer("mask", torch.zeros(8, width, dtype=torch.bool))

    def forward(self, x):
        y = self.layer(x + 3.0)  # no zero but those of the mask
        self.mask.copy_(y.detach() != 0)
        return y - 3.0


class Functional(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.3, self.training)


class Block(nn.Module):
    """Noise, dropout of both kinds, and a mask that is drawn again in the backward."""

    def __init__(self, checkpointed):
        super().__init__()
        self.checkpointed = checkpointed
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.drop = nn.Dropout(0.25)

    def inner(self, x):
        return self.second(self.drop(self.first(x).relu()))

    def forward(self, x):
        x = x + 0.1 * torch.randn_like(x)
        return x + (checkpoint(self.inner, x, use_reentrant=False) if self.checkpointed else self.inner(x))


class Broken(nn.Module):
    """Is captured in pieces: it decides by a number that is read out."""

    def forward(self, x):
        x = F.dropout(x, 0.2)
        if x.sum().item() > 1e9:
            x = x * 0
        return x + 0.01 * torch.rand(8, 16)


def network(*middle):
    return nn.Sequential(nn.Linear(6, 16), *middle, nn.Linear(16, 2))


NETWORKS = {
    "nn.Dropout": lambda: network(Masks(nn.Dropout(0.5), 16)),
    "F.dropout": lambda: network(Masks(Functional(), 16)),
    "tessera.nn.Dropout": lambda: network(Masks(tessera.nn.Dropout(0.5), 16)),
    "both kinds": lambda: network(Masks(nn.Dropout(0.5), 16), Masks(tessera.nn.Dropout(0.2), 16)),
    "checkpointed": lambda: network(Block(checkpointed=True), Masks(nn.Dropout(0.5), 16)),
    "noise": lambda: network(Block(checkpointed=False), Masks(nn.AlphaDropout(0.5), 16)),
    "in pieces": lambda: network(Broken(), Masks(nn.Dropout(0.5), 16)),
}
OPTIMIZERS = {
    "SGD": lambda net: torch.optim.SGD(net.parameters(), lr=0.01),
    "AdamW": lambda net: torch.optim.AdamW(net.parameters(), lr=0.001),
}


def masks_of(net):
    return [buffer.clone() for name, buffer in net.named_buffers() if name.endswith("mask")]


def trained(name, source, optimizer="SGD", ours=True, steps=STEPS):
    """The masks of every step, the generator behind it, and the last weights."""
    tessera.seed(0)
    net = NETWORKS[name]()
    chosen = OPTIMIZERS[optimizer](net)
    step = tessera.train_step(net, "mse", chosen, random=source) if ours else None
    x, y = torch.randn(8, 6), torch.randn(8, 2)
    seen = []
    for _ in range(steps):
        if step:
            step(x, y)
        else:
            chosen.zero_grad()
            with drawing(source, print, covers_backward=True):
                F.mse_loss(net(x), y).backward()
            chosen.step()
        seen.append((masks_of(net), torch.get_rng_state()))
    return seen, [p.detach() for p in net.parameters()], step


@pytest.mark.parametrize("source", ["torch", "tessera"])
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("nn.Dropout", "AdamW"),
        ("checkpointed", "SGD"),
        ("in pieces", "SGD"),
        pytest.param("F.dropout", "SGD", marks=pytest.mark.slow),
        pytest.param("tessera.nn.Dropout", "AdamW", marks=pytest.mark.slow),
        pytest.param("both kinds", "AdamW", marks=pytest.mark.slow),
        pytest.param("noise", "AdamW", marks=pytest.mark.slow),
        pytest.param("checkpointed", "AdamW", marks=pytest.mark.slow),
    ],
)
def test_fifty_steps_have_the_masks_of_eager(name, optimizer, source):
    found, weights, step = trained(name, source, optimizer)
    expected, plain, _ = trained(name, source, optimizer, ours=False)
    assert len(found) == len(expected) == STEPS
    for (ours, state), (masks, plain_state) in zip(found, expected, strict=True):
        assert masks
        assert all(torch.equal(a, b) for a, b in zip(ours, masks, strict=True))
        assert torch.equal(state, plain_state)
    assert not torch.equal(found[0][0][0], found[1][0][0])
    torch.testing.assert_close(weights, plain, rtol=1e-3, atol=1e-4)
    assert (step.report.rung == "whole step in one Program") is (name != "in pieces")


def test_the_two_sources_draw_other_masks_of_one_seed():
    (torchs, _, _), (ours, _, step) = (trained("nn.Dropout", source, steps=3) for source in ("torch", "tessera"))
    assert not any(torch.equal(a[0][0], b[0][0]) for a, b in zip(torchs, ours, strict=True))
    (made,) = step.report.compilations
    assert "Tessera's random numbers: 1 native_dropout" in made.notes
    assert not any(note.startswith("torch's random numbers") for note in made.notes)


def test_what_draws_from_torch_all_the_same_is_told():
    fast = tessera.compile(lambda x: torch.multinomial(x, 2) + F.dropout(x, 0.5).sum(), random="tessera")
    fast(torch.rand(4, 5))
    (made,) = fast.report.compilations
    (said,) = [note for note in made.notes if note.startswith("torch's random numbers")]
    assert "multinomial" in said
    assert "test_random_masks.py" in said


@pytest.mark.parametrize("source", ["torch", "tessera"])
def test_a_compiled_module_has_the_masks_of_eager_whatever_the_batch(source):
    def results(call, around):
        tessera.seed(4)
        torch.manual_seed(4)
        found = []
        for size in (1, 7, 2, 30, 5):
            x = torch.ones(size, 12, requires_grad=True)
            with around():
                y = call(x)
                y.sum().backward()
            found += [y.detach() != 0, x.grad != 0, torch.get_rng_state()]
        return found

    class Net(nn.Module):
        def forward(self, x: tessera.Tensor[B, 12]) -> tessera.Tensor[B, 12]:
            return F.dropout(x, 0.5, self.training)

    net = Net()
    fast = tessera.compile(net, random=source)
    found = results(fast, contextlib.nullcontext)
    expected = results(net, lambda: drawing(source, print, covers_backward=True))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(fast.report.compilations) == 2  # forward and backward, for all sizes


@pytest.mark.parametrize("source", ["torch", "tessera"])
def test_a_seed_and_a_random_state_repeat_the_masks(source):
    fast = tessera.compile(nn.Dropout(0.5), random=source)
    x = torch.ones(64)
    fast(x)
    tessera.seed(3)
    first, second = fast(x), fast(x)
    tessera.seed(3)
    with tessera.random_state(11):
        inside = fast(x)
    again = [fast(x), fast(x)]
    assert torch.equal(again[0], first)
    assert torch.equal(again[1], second)
    assert not torch.equal(first, second)
    with tessera.random_state(11):
        assert torch.equal(fast(x), inside)
    assert not torch.equal(inside, first)


def test_dropout_is_fused():
    fast = tessera.compile(lambda x: F.dropout(x * 2, 0.5).cos(), random="tessera")
    fast(torch.ones(40, 40, requires_grad=True)).sum().backward()
    forward, backward = fast.report.compilations
    assert forward.kernels == backward.kernels == 1
    assert forward.external_calls == 1  # the key


RUN = """
import sys, torch, tessera
tessera.seed(0)
net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Dropout(0.4), torch.nn.Linear(16, 2))
x = torch.randn(32, 6)
history = tessera.fit(
    net, (x, x[:, :2]), optimizer=torch.optim.AdamW(net.parameters(), lr=0.01), steps=int(sys.argv[3]), batch_size=8,
    checkpoint=sys.argv[1], save_every=1, random=sys.argv[2], seed=3,
)
torch.save([net.state_dict(), history.loss, torch.get_rng_state()], sys.argv[1] + "/end.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize("source", ["torch", "tessera"])
def test_resumed_in_another_process_the_masks_are_those_of_a_run_that_went_through(tmp_path, source):
    def ended(folder, *steps):
        (tmp_path / folder).mkdir()
        for count in steps:
            command = [sys.executable, "-c", RUN, str(tmp_path / folder), source, str(count)]
            root = str(Path(__file__).parents[2])
            subprocess.run(command, check=True, timeout=300, env={**os.environ, "PYTHONPATH": root})
        return torch.load(tmp_path / folder / "end.pt")

    (weights, loss, state), (whole, its_loss, its_state) = ended("cut", 3, 9), ended("whole", 9)
    assert loss == its_loss
    assert torch.equal(state, its_state)
    assert all(torch.equal(weights[name], whole[name]) for name in whole)


@pytest.mark.parametrize("door", [tessera.compile, lambda m, **o: tessera.train_step(m, "mse", sgd(m), **o)])
def test_another_source_is_refused(door):
    with pytest.raises(tessera.errors.SettingError, match='random="tessera"'):
        door(nn.Linear(2, 2), random="numpy")


def sgd(module):
    return torch.optim.SGD(module.parameters(), lr=0.1)
