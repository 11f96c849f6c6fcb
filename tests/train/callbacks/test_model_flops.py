from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

import tessera
from tessera.torch_internals import recurrent_kernels
from tessera.train.batches import Batch
from tessera.train.callbacks.model_flops import _recurrent_formulas, model_flops


class Attention(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.project, self.causal = nn.Linear(8, 24), causal

    def forward(self, x):
        q, k, v = self.project(x).view(2, 10, 3, 2, 4).permute(2, 0, 3, 1, 4)
        return scaled_dot_product_attention(q, k, v, is_causal=self.causal)


LINEAR = 2 * 16 * 8 * 4  # of one product of [16, 8] and [8, 4]
CASES = {
    # The gradient of the first layer's input is nobody's.
    "linear": (lambda: nn.Linear(8, 4), (16, 8), 2 * LINEAR),
    "half": (lambda: nn.Linear(8, 4).bfloat16(), (16, 8), 2 * LINEAR),
    "two": (lambda: nn.Sequential(nn.Linear(8, 4), nn.Dropout(), nn.Linear(4, 8)), (16, 8), 5 * LINEAR),
    "convolution": (lambda: nn.Conv2d(3, 8, 3), (2, 3, 16, 16), 2 * 2 * 2 * 14 * 14 * 8 * 3 * 9),
    "norm": (lambda: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)), (16, 8), 2 * LINEAR),
    # Scores and mixing: each 2 * batch * heads * 10 * 10 * 4, once forward and twice backward.
    "attention": (lambda: Attention(causal=False), (2, 10, 8), 2 * 2 * 20 * 8 * 24 + 3 * 2 * 2 * 4 * 100 * 4),
    "causal": (lambda: Attention(causal=True), (2, 10, 8), 2 * 2 * 20 * 8 * 24 + 3 * 2 * 2 * 4 * 100 * 4),
    # Four gates over 5 steps of 2 samples; the kernel of the backward does both gradients.
    "lstm": (lambda: nn.LSTM(8, 16), (5, 2, 8), 3 * 2 * 10 * (8 + 16) * 64),
}


def batch_of(module, shape):
    x = torch.ones(shape, dtype=next(module.parameters()).dtype)
    return Batch((x,), None)


@pytest.mark.parametrize("name", CASES)
def test_the_count(name):
    make, shape, flops = CASES[name]
    module = make()
    assert model_flops(module, batch_of(module, shape)) == flops


def test_frozen_layers_have_no_gradient():
    module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 8))
    module[0].requires_grad_(requires_grad=False)
    assert model_flops(module, batch_of(module, (16, 8))) == 3 * LINEAR


def test_inputs_by_name_and_outputs_that_are_objects():
    class Output:
        def __init__(self, logits):
            self.logits, self.loss, self.extra = logits, logits.sum(), None

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, *, scale, features):
            return Output(self.layer(features * scale))

    batch = Batch((torch.ones(16, 8), torch.ones(())), None, ("features", "scale"))
    assert model_flops(Model(), batch) == 2 * LINEAR


def test_a_model_of_tessera():
    @tessera.model
    class Net:
        def __init__(self):
            self.layer = tessera.nn.Linear(8, 4)

        def forward(self, x):
            return self.layer(x)

    assert model_flops(Net(), Batch((torch.ones(16, 8),), None)) == 2 * LINEAR


def test_it_leaves_no_trace():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Dropout())
            self.calls, self.seen = 0, []
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.count += 1
            self.seen.append(x)
            return self.layers(x + torch.randn_like(x))

    module = Model()
    module(torch.randn(16, 8)).sum().backward()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    grads = [param.grad.clone() for param in module.parameters()]
    parameters = list(map(id, module.parameters()))
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one
    assert model_flops(module, Batch((torch.ones(16, 8),), None)) == 2 * LINEAR
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == drawn[1:]  # noqa: NPY002 - as above
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(torch.equal(p.grad, grad) for p, grad in zip(module.parameters(), grads, strict=True))
    assert (module.calls, len(module.seen), list(map(id, module.parameters()))) == (1, 1, parameters)
    assert not torch._C._len_torch_dispatch_stack()


def test_hooks_see_nothing():
    module, seen = nn.Linear(8, 4), []
    module.register_forward_hook(lambda *args: seen.append(args))
    with pytest.raises(ValueError, match="hooks"):
        model_flops(module, Batch((torch.ones(16, 8),), None))
    assert not seen


def test_a_branch_on_a_value_is_an_error_and_leaves_no_trace():
    class Branch(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x

    module = Branch(8, 4)
    with pytest.raises(Exception, match=r"."):
        model_flops(module, Batch((torch.ones(16, 8),), None))
    assert not torch._C._len_torch_dispatch_stack()
    assert module(torch.ones(16, 8)).shape == (16, 4)


def test_a_step_that_is_one_program_goes_on_as_it_is():
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 2), torch.randn(4, 3), torch.randn(4, 2)
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=0.1))
    step(x, y)
    report = str(step.report)
    model_flops(model, Batch((x,), y))
    step(x, y)
    assert str(step.report) == report


def test_the_kernel_of_a_gpu_takes_its_weights_as_a_list():
    forward, backward = (next(k for k in kinds if "cudnn" in str(k)) for kinds in recurrent_kernels())
    formulas = _recurrent_formulas()
    shapes = [torch.Size([64, 8]), torch.Size([64, 16]), torch.Size([64]), torch.Size([64])]
    flops = 2 * 10 * (8 + 16) * 64
    assert formulas[forward](torch.Size([5, 2, 8]), shapes, 4) == flops
    assert formulas[backward](torch.Size([5, 2, 8]), shapes, 4) == 2 * flops
