import pytest
import torch

import tessera
from tessera.errors import TransformError


def numbers(*shape):
    return torch.randn(shape, dtype=torch.float64)


def function(x, y):
    return (x @ y).sin(), {"sum": x.sum() * y.sum()}


def test_forwards_and_backwards_are_the_same_derivative():
    x, y = numbers(2, 3), numbers(3, 2)
    u, v = numbers(2, 3), numbers(3, 2)
    value, change = tessera.jvp(function, (x, y), (u, v))
    again, pull = tessera.vjp(function, x, y)
    torch.testing.assert_close(value, again)
    cotangent = (numbers(2, 2), {"sum": numbers()})
    a, b = pull(cotangent)
    forwards = (change[0] * cotangent[0]).sum() + change[1]["sum"] * cotangent[1]["sum"]
    torch.testing.assert_close(forwards, (a * u).sum() + (b * v).sum())


def test_a_second_result_is_handed_on():
    x = numbers(3)
    value, change, aux = tessera.jvp(lambda x: (x**2, "aux"), (x,), (torch.ones_like(x),), has_aux=True)
    torch.testing.assert_close(change, 2 * x)
    assert aux == "aux"
    value, pull, aux = tessera.vjp(lambda x: (x**2, "aux"), x, has_aux=True)
    torch.testing.assert_close(pull(torch.ones_like(value))[0], 2 * x)
    assert aux == "aux"


def test_compiled_it_is_the_same():
    x, v = numbers(3), numbers(3)

    def both(x, v):
        value, change = tessera.jvp(torch.sin, (x,), (v,))
        return value, change, tessera.vjp(torch.cos, x)[1](v)[0]

    torch.testing.assert_close(tessera.compile(both)(x, v), both(x, v))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tessera.jvp(torch.sin, torch.ones(2), torch.ones(2)), r"a Tensor for its arguments.*\(x,\), \(v,\)"),
        (
            lambda: tessera.jvp(torch.sin, (torch.ones(2),), (torch.ones(3),)),
            r"tangents \[3\] float32 for primals \[2\]",
        ),
        (lambda: tessera.jvp(torch.sin, (torch.ones(2),), (1.0,)), "tangents of tessera.jvp holds a float"),
        (lambda: tessera.vjp(torch.sin, torch.arange(3)), "arguments of tessera.vjp is int64"),
        (lambda: tessera.vjp(torch.sin, torch.ones(3), has_aux=True), "returned a Tensor"),
    ],
    ids=["no tuple", "shapes", "no tensor", "whole numbers", "no pair"],
)
def test_what_does_not_fit_is_said(call, said):
    with pytest.raises(TransformError, match=f"(?s){said}"):
        call()
