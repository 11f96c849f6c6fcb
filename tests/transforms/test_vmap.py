import pytest
import torch

import tessera
from tessera.errors import TransformError

X, Y = torch.arange(6.0).reshape(2, 3), torch.arange(8.0).reshape(2, 4)


def test_it_is_the_loop():
    found = tessera.vmap(torch.outer)(X, Y)
    torch.testing.assert_close(found, torch.stack([torch.outer(x, y) for x, y in zip(X, Y, strict=True)]))


def test_dims_in_and_out_nests_and_what_stays():
    def function(given, w):
        return given["x"] * w, given["x"].sum()

    scaled, sums = tessera.vmap(function, in_dims=({"x": 1}, None), out_dims=(1, 0))({"x": X}, torch.tensor(2.0))
    torch.testing.assert_close(scaled, X * 2)
    torch.testing.assert_close(sums, X.sum(0))
    torch.testing.assert_close(tessera.vmap(torch.sin, chunk_size=1)(X), X.sin())


def test_random_numbers():
    def noisy(x):
        return x + torch.rand(())

    zeros = torch.zeros(8)
    with pytest.raises(RuntimeError, match="randomness"):
        tessera.vmap(noisy)(zeros)
    assert tessera.vmap(noisy, randomness="same")(zeros).unique().numel() == 1
    assert tessera.vmap(noisy, randomness="different")(zeros).unique().numel() == 8


def test_compiled_it_is_the_same():
    function = tessera.vmap(lambda x, y: torch.outer(x, y).sin().sum(0), in_dims=(0, None))
    torch.testing.assert_close(tessera.compile(function)(X, Y[0]), function(X, Y[0]))


@pytest.mark.parametrize(
    ("settings", "args", "said"),
    [
        ({"randomness": "yes"}, (X,), "randomness='yes'.*'different'"),
        ({"in_dims": (0, 0)}, (X,), "for 2 arguments, and was called with 1"),
        ({"in_dims": 2}, (X,), r"dim 2 of argument 0, which holds a tensor of shape \[2, 3\]"),
        ({}, (X, 2.0), r"dim 0 of argument 1, which holds 2.0.*in_dims=\(0, None\)"),
        ({}, (X, Y.T), "different sizes to map over, argument 0: 2, argument 1: 4.*None"),
        ({"in_dims": (None,)}, (X,), "map over nothing"),
    ],
    ids=["randomness", "count", "no such dim", "a number", "sizes", "nothing"],
)
def test_what_cannot_be_mapped_is_said(settings, args, said):
    with pytest.raises(TransformError, match=f"(?s){said}"):
        tessera.vmap(lambda *values: values[0], **settings)(*args)


def test_a_softmax_inside_is_compiled_too():  # a pass that looks for attention traces what is around it
    function = tessera.vmap(tessera.grad(lambda x: torch.softmax(x, 0).square().sum()))
    compiled = tessera.compile(function)
    torch.testing.assert_close(compiled(X), function(X))
    assert compiled.report.rung == "one graph", str(compiled.report)
