import pytest
import torch

import tessera
from tessera.errors import TransformError


def collatz(n, turns):
    return torch.where(n % 2 == 0, n // 2, 3 * n + 1), turns + 1


def turns(n):
    return tessera.while_loop(lambda n, _: n != 1, collatz, (n, torch.zeros((), dtype=torch.int64)))[1]


def expected(n):
    count = 0
    while n != 1:
        n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
    return count


def test_it_is_the_loop():
    assert [turns(torch.tensor(n)).item() for n in range(1, 12)] == [expected(n) for n in range(1, 12)]


def test_compiled_it_is_one_graph_whatever_the_number_of_turns():
    compiled = tessera.compile(turns)
    assert [compiled(torch.tensor(n)).item() for n in range(1, 12)] == [expected(n) for n in range(1, 12)]
    assert len(compiled.report.compilations) == 1, str(compiled.report)


def test_under_vmap_those_that_are_done_stay():
    assert tessera.vmap(turns)(torch.arange(1, 12)).tolist() == [expected(n) for n in range(1, 12)]


def grow(x):
    return tessera.while_loop(lambda x: x < 10, lambda x: (x * x + 1,), (x,))[0]


def test_gradients_eager_and_compiled():
    x = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    y = x
    while y < 10:
        y = y * y + 1
    (right,) = torch.autograd.grad(y, x)
    torch.testing.assert_close(tessera.grad(grow)(x.detach()), right)
    torch.testing.assert_close(torch.autograd.grad(tessera.compile(grow)(x), x)[0], right)
    each = tessera.vmap(tessera.grad(grow))(torch.tensor([1.5, 20.0], dtype=torch.float64))
    torch.testing.assert_close(each, torch.stack([right, torch.ones_like(right)]))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((lambda x: x < 3, lambda x: x + 1, torch.tensor(0)), "carry a Tensor.*tuple of tensors"),
        ((lambda x: x < 3, lambda x: x + 1, (0,)), r"carry a int.*torch.tensor\(0\)"),
        ((lambda: True, lambda: (), ()), "carry nothing"),
        ((None, lambda x: x, (torch.tensor(0),)), "a NoneType and a function"),
        ((lambda x: x < 3, lambda x: x.float(), (torch.tensor(0),)), r"was given int64\[\] and returned float32\[\]"),
        ((lambda x: x < 3, lambda x: x, (torch.zeros(2),)), r"condition .* a tensor of shape \[2\].*\.any\(\)"),
    ],
    ids=["no tuple", "a number", "nothing", "no function", "another dtype", "several truths"],
)
def test_what_cannot_loop_is_said(args, said):
    with pytest.raises(TransformError, match=f"(?s){said}"):
        tessera.while_loop(*args)
