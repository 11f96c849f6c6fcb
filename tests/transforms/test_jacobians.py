import pytest
import torch
from torch import nn

import tessera
from tessera.errors import TransformError


def numbers(*shape):
    return torch.randn(shape, dtype=torch.float64)


def function(x, y):
    return torch.cat([x.sin() * y.sum(), (x * y)[:2]])


@pytest.mark.parametrize("transform", [tessera.jacrev, tessera.jacfwd], ids=["jacrev", "jacfwd"])
def test_the_jacobian_is_autograds(transform):
    x, y = numbers(3), numbers(3)
    expected = torch.autograd.functional.jacobian(function, (x, y))
    torch.testing.assert_close(transform(function, argnums=(0, 1))(x, y), expected)
    found, aux = transform(lambda x, y: (function(x, y), y), has_aux=True)(x, y)
    torch.testing.assert_close(found, expected[0])
    torch.testing.assert_close(aux, y)


def test_chunks_are_the_same():
    x, y = numbers(3), numbers(3)
    torch.testing.assert_close(tessera.jacrev(function, chunk_size=2)(x, y), tessera.jacrev(function)(x, y))


def test_the_hessian_is_autograds_eager_and_compiled():
    x, y = numbers(3), numbers(3)

    def one(x, y):
        return (x.sin() * y).sum() ** 2

    expected = torch.autograd.functional.hessian(one, (x, y))
    found = tessera.hessian(one, argnums=(0, 1))(x, y)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(tessera.compile(tessera.hessian(one))(x, y), expected[0][0])


def test_with_respect_to_a_module():
    model, x = nn.Linear(2, 3).double(), numbers(2)
    jacobian = tessera.jacrev(model, wrt=model)(x)
    assert {name: tuple(j.shape) for name, j in jacobian.items()} == {"weight": (3, 3, 2), "bias": (3, 3)}
    torch.testing.assert_close(jacobian["bias"], torch.eye(3, dtype=torch.float64))
    hessian = tessera.hessian(lambda x: model(x).square().sum(), wrt=model)(x)
    torch.testing.assert_close(hessian["bias"]["bias"], 2 * torch.eye(3, dtype=torch.float64))


def test_what_has_no_jacobian_is_said():
    with pytest.raises(TransformError, match="argument 0 of tessera.jacfwd is int64"):
        tessera.jacfwd(torch.sin)(torch.arange(3))
    with pytest.raises(TransformError, match="argnums=2"):
        tessera.hessian(torch.sin, argnums=2)(numbers(2))
