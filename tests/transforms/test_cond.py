import pytest
import torch

import tessera
from tessera.errors import TransformError

UP, DOWN = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0])


def double(x):
    return x * 2


def negate(x):
    return -x


def branch(x):
    return tessera.cond(x.sum() > 0, double, negate, (x,))


def test_one_of_the_two_runs():
    assert torch.equal(branch(UP), UP * 2)
    assert torch.equal(branch(DOWN), -DOWN)
    ran = []
    tessera.cond(True, lambda: ran.append("true"), lambda: ran.append("false"))
    assert ran == ["true"]


def test_compiled_both_are_one_graph():
    compiled = tessera.compile(branch)
    for x in (UP, DOWN, UP):
        assert torch.equal(compiled(x), branch(x))
    assert compiled.report.rung == "one graph", str(compiled.report)
    assert len(compiled.report.compilations) == 1


def test_gradients_eager_and_compiled():
    for x in (UP, DOWN):
        expected = torch.full((2,), 2.0 if x is UP else -1.0)
        assert torch.equal(tessera.grad(lambda x: branch(x).sum())(x), expected)
        leaf = x.clone().requires_grad_()
        tessera.compile(branch)(leaf).sum().backward()
        assert torch.equal(leaf.grad, expected)


def test_each_element_of_a_vmap_takes_its_own_branch():
    batch = torch.stack([UP, DOWN, UP * 3])
    expected = torch.stack([branch(x) for x in batch])
    assert torch.equal(tessera.vmap(branch)(batch), expected)
    assert torch.equal(tessera.compile(tessera.vmap(branch))(batch), expected)
    each = tessera.vmap(tessera.grad(lambda x: branch(x).sum()))(batch)
    assert torch.equal(each, torch.tensor([[2.0, 2.0], [-1.0, -1.0], [2.0, 2.0]]))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((UP > 0, double, negate, (UP,)), r"was given bool\[2\] to decide by.*torch.where"),
        ((1.0, double, negate, (UP,)), "was given a float to decide by"),
        ((True, double, UP, (UP,)), "a function and a Tensor.*two functions"),
        ((True, double, negate, UP), r"a Tensor for its operands.*\(x,\)"),
    ],
    ids=["several", "a number", "no function", "no tuple"],
)
def test_what_cannot_decide_is_said(args, said):
    with pytest.raises(TransformError, match=f"(?s){said}"):
        tessera.cond(*args)


def test_branches_of_a_vmap_that_differ_are_said():
    with pytest.raises(TransformError, match=r"float32\[2\] and float32\[\]"):
        tessera.vmap(lambda x: tessera.cond(x.sum() > 0, double, torch.sum, (x,)))(torch.stack([UP, DOWN]))
