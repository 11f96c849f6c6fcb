import pytest
import torch
from torch import nn

import tessera
from tessera.errors import TransformError


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def numbers(*shape):
    return torch.randn(shape, dtype=torch.float64)


def test_the_gradient_is_autograds():
    x, y = numbers(3), numbers(3)
    mine = tessera.grad(lambda x, y: (x.sin() * y).sum(), argnums=(1, 0))(x, y)
    x.requires_grad_()
    y.requires_grad_()
    close(mine, torch.autograd.grad((x.sin() * y).sum(), (y, x)))


def test_nests_named_arguments_and_a_second_result():
    given = {"a": numbers(2), "b": [numbers(3)]}

    def loss(weights, *, scale):
        value = (weights["a"] ** 2).sum() * scale + weights["b"][0].sum()
        return value, {"scale": scale}

    (value, aux), gradients = tessera.value_and_grad(loss, has_aux=True)(given, scale=3.0)
    close(value, loss(given, scale=3.0)[0])
    close(gradients["a"], 6 * given["a"])
    close(gradients["b"][0], torch.ones(3, dtype=torch.float64))
    assert aux == {"scale": 3.0}
    gradients, aux = tessera.grad(loss, has_aux=True)(given, scale=3.0)
    close(gradients["a"], 6 * given["a"])


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double()


def test_parameters_of_a_module_by_name_buffers_move_and_gradients_stay_unset():
    model, x, y = net(), numbers(5, 3), numbers(5, 1)
    twin = net()
    twin.load_state_dict(model.state_dict())
    value, gradients = tessera.value_and_grad(lambda x, y: (model(x) - y).square().mean(), wrt=model)(x, y)
    expected = (twin(x) - y).square().mean()
    expected.backward()
    close(value, expected.detach())
    close(gradients, {name: p.grad for name, p in twin.named_parameters()})
    close(dict(model.named_buffers()), dict(twin.named_buffers()))
    assert all(p.grad is None for p in model.parameters())


def test_frozen_parameters_are_left_out_and_unused_ones_are_zero():
    model = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Linear(2, 1), "c": nn.Linear(2, 1)})
    model["b"].requires_grad_(requires_grad=False)
    gradients = tessera.grad(lambda x: model["a"](model["b"].weight * x).sum(), wrt=model)(torch.ones(2))
    assert sorted(gradients) == ["a.bias", "a.weight", "c.bias", "c.weight"]
    assert not gradients["c.weight"].any()


def test_a_tessera_function_is_a_module_too():
    @tessera.function
    def predict(x):
        return tessera.nn.linear(x, 2).tanh()

    x = torch.randn(4, 3)
    predict(x)
    gradients = tessera.grad(lambda x: predict(x).sum(), wrt=predict)(x)
    predict(x).sum().backward()
    torch.testing.assert_close(gradients, {name: p.grad for name, p in predict.named_parameters()})


def test_gradients_sample_by_sample():
    model, x = nn.Linear(3, 1).double(), numbers(4, 3)
    each = tessera.vmap(tessera.grad(lambda x: model(x).sum() ** 2, wrt=model))(x)
    for i in range(4):
        close({n: g[i] for n, g in each.items()}, tessera.grad(lambda x: model(x).sum() ** 2, wrt=model)(x[i]))


def test_compiled_it_is_the_same():
    model, x = nn.Linear(3, 2).double(), numbers(4, 3)
    plain = tessera.value_and_grad(lambda x: model(x).square().sum(), wrt=model)
    close(tessera.compile(plain)(x), plain(x))
    third = tessera.grad(tessera.grad(lambda x: x**4))
    close(tessera.compile(third)(x[0, 0]), third(x[0, 0]))


@pytest.mark.parametrize(
    ("function", "args", "settings", "said"),
    [
        (lambda x: x * 2, (torch.ones(3),), {}, r"returned a float32 tensor of shape \[3\].*one number.*jacrev"),
        (lambda x: x.sum().item(), (torch.ones(3),), {}, "returned a float.*without .item"),
        (lambda x: x.sum(), (2.0,), {}, r"argument 0 of tessera.grad holds a float.*torch.tensor\(2.0\)"),
        (lambda x: x.sum(), (torch.arange(3),), {}, "argument 0 of tessera.grad is int64.*x.float"),
        (lambda x: x.sum(), (torch.ones(3),), {"argnums": 1}, "argnums=1, and the call has 1 positional.*argnums=0"),
        (lambda x: x.sum(), (torch.ones(3),), {"has_aux": True}, "has_aux=True.*returned a Tensor.*return loss, other"),
        (lambda x: x.sum(), (torch.ones(3),), {"wrt": "model"}, "wrt=str was passed.*wrt=model"),
        (lambda x: x.sum(), (torch.ones(3),), {"wrt": nn.ReLU()}, "No parameter of ReLU requires a gradient"),
        (torch.ones(3), (), {}, "tessera.grad was given a Tensor.*rather than"),
    ],
    ids=["several numbers", "a number of Python", "no tensor", "whole numbers", "argnums", "aux", "wrt", "no parameter",
         "no function"],
)  # fmt: skip
def test_what_has_no_gradient_is_said(function, args, settings, said):
    with pytest.raises(TransformError, match=f"(?s){said}"):
        tessera.grad(function, **settings)(*args)


def test_a_function_that_was_not_called_has_no_parameters_yet():
    @tessera.function
    def predict(x):
        return tessera.nn.linear(x, 2)

    with pytest.raises(TransformError, match="has not been called yet.*Call it once"):
        tessera.grad(lambda x: predict(x).sum(), wrt=predict)(torch.ones(2, 3))


def test_with_respect_to_a_module_it_is_one_graph():
    model = nn.Linear(3, 2)
    compiled = tessera.compile(tessera.grad(lambda x: model(x).square().sum(), wrt=model))
    compiled(torch.ones(3))
    assert compiled.report.rung == "one graph", str(compiled.report)
