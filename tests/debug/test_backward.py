from __future__ import annotations

import gc
import weakref

import pytest
import torch

import tessera
from tessera.errors import NonFiniteValueError


def test_a_graph_from_before_the_block_is_followed_too():
    w = torch.zeros(2, requires_grad=True)
    loss = (w * 1).sqrt().sum()
    with pytest.raises(NonFiniteValueError, match="a line outside of the block") as caught, tessera.debug_mode():
        loss.backward()
    assert caught.value.phase == "backward"


def test_what_a_formula_masks_itself_is_not_told():
    w = torch.zeros(3, requires_grad=True)
    with tessera.debug_mode() as debug:
        norm = w.norm() * 1.0
        norm.backward()
    assert w.grad.tolist() == [0.0, 0.0, 0.0]
    assert debug.found == []


def test_graphs_that_are_given_up_are_freed():
    with tessera.debug_mode():
        w = torch.ones(2, requires_grad=True)
        y = (w * 2).exp().sum() * 2
        kept = weakref.ref(w)
        del w, y
        gc.collect()
        assert kept() is None


def test_hooks_are_gone_after_the_block():
    w = torch.zeros(2, requires_grad=True)
    with tessera.debug_mode():
        loss = (w * 1).sqrt().sum() * 2
    loss.backward()
    assert w.grad.isinf().all()


def test_a_second_backward_through_a_kept_graph():
    w = torch.ones(2, requires_grad=True)
    with tessera.debug_mode():
        loss = (w * 2).square().sum()
        loss.backward(retain_graph=True)
        loss.backward()
    assert w.grad.tolist() == [16.0, 16.0]
