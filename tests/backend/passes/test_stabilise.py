import pytest
import torch
from torch import nn
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


def test_it_is_switched_off_at_every_door():
    torch.compiler.reset()
    assert not torch.isfinite(tessera.compile(loss, stabilise=False)(FAR)).all()


def test_a_training_step_is_stabilised_and_the_report_says_so():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(200.0))

        def forward(self, x):
            return torch.softmax(x * self.scale, -1)

    def nll(p, y):
        return -torch.log(p).gather(1, y[:, None]).mean()

    x, y = torch.tensor([[1.0, 0.0], [0.5, 1.0]]), torch.tensor([1, 0])
    for stabilise in (True, False):
        model = Model()
        step = tessera.train_step(model, nll, torch.optim.SGD(model.parameters(), 1.0), stabilise=stabilise)
        assert torch.isfinite(step(x, y)) == stabilise
        assert torch.isfinite(model.scale) == stabilise
        said = "log(softmax) -> log_softmax at" in str(step.report)
        assert said == stabilise
