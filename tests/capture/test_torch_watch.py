"""A function of torch that is replaced counts in the next call."""

from __future__ import annotations

import torch

import tessera
from tessera.capture.torch_watch import TorchWatch


def _of_torch(x):
    return torch.relu(x) + torch.nn.functional.silu(x) * 0


def test_a_function_of_torch_that_is_replaced(monkeypatch):
    compiled, x = tessera.compile(_of_torch), torch.ones(3)
    assert compiled(x)[0] == 1
    with monkeypatch.context() as patch:
        patch.setattr(torch, "relu", lambda x: x * 7)
        assert compiled(x)[0] == 7
        patch.setattr(torch.nn.functional, "silu", lambda x: x + float("inf"))
        assert compiled(x)[0].isnan()
    assert compiled(x)[0] == 1


def test_what_is_watched(monkeypatch):
    watch = TorchWatch()
    for module, name in (
        (torch, "relu"),
        (torch, "float32"),
        (torch, "Generator"),
        (torch, "none_such"),
        (tessera, "nn"),
    ):
        watch.see(module, name)
    watch.settle()
    assert watch.holds()
    monkeypatch.setattr(torch, "Generator", None)  # a class: Dynamo guards it
    assert watch.holds()
    monkeypatch.delattr(torch, "relu")
    assert not watch.holds()
    watch.forget()
    assert watch.holds()


def test_a_function_that_is_replaced_while_it_is_captured(monkeypatch):
    watch = TorchWatch()
    watch.see(torch, "relu")
    monkeypatch.setattr(torch, "relu", torch.sin)
    watch.settle()
    assert not watch.holds()


def test_what_nobody_named_may_change_again_and_again(monkeypatch):
    watch = TorchWatch()
    watch.see(torch, "relu")
    watch.settle()
    for value in (1, 2):
        monkeypatch.setattr(torch, "nobody_named_this", value, raising=False)
        assert watch.holds()
    relu = torch.relu
    monkeypatch.setattr(torch, "relu", torch.sin)
    assert not watch.holds()
    assert not watch.holds()
    monkeypatch.setattr(torch, "relu", relu)
    assert watch.holds()
