import pytest
import torch
from torch.nn import functional as F

import tessera
from tessera.backend.passes.stabilise import STABILISE
from tessera.backend.runner import run_before_autograd
from tests.backend.attention.captures import capture

FAR = torch.tensor([[200.0, 0.0, -200.0], [-300.0, -301.0, -310.0]])


def loss(x):
    return -torch.log(torch.softmax(x, dim=-1)).sum(-1)


def test_it_says_no_where_it_is_switched_off():
    captured = capture(loss, FAR)
    captured.stabilise = False
    (record,) = run_before_autograd(captured, [STABILISE])
    assert record.matches == 0


def test_a_graph_with_nothing_to_mend_is_the_same_graph():
    captured = capture(lambda x: x.softmax(-1) + 1, FAR)
    before = captured.graph_module
    run_before_autograd(captured, [STABILISE])
    assert captured.graph_module is before


@pytest.mark.parametrize("door", [tessera.compile, lambda f: torch.compile(f, backend="tessera")])
def test_compiled_values_and_gradients_are_finite(door):
    torch.compiler.reset()
    x = FAR.clone().requires_grad_()
    found = door(loss)(x)
    torch.testing.assert_close(found, -F.log_softmax(FAR, -1).sum(-1))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient, 3 * FAR.softmax(-1) - 1)
