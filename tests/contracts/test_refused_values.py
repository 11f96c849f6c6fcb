"""What eager refuses for the values that it holds, compiled code refuses with the same error, and so does a step."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import tessera

ONES, NAN = torch.ones(2, 3), float("nan")
t = torch.tensor

PROBABILITIES = {
    "bce": (F.binary_cross_entropy, t([2.0, 0.5]), t([0.0, 1.0])),
    "bce of nan": (F.binary_cross_entropy, t([NAN, 0.5]), t([0.0, 1.0])),
    "bce of labels": (F.binary_cross_entropy, t([0.2, 0.5]), t([0.0, 7.0])),
    "bce of sigmoid": (lambda x, y: F.binary_cross_entropy(x.sigmoid(), y), t([0.2, 0.5]), t([0.0, 7.0])),
    "bce in vmap": (lambda p, y: torch.func.vmap(F.binary_cross_entropy)(p, y), t([[2.0], [0.5]]), t([[0.0], [1.0]])),
    "bernoulli": (torch.bernoulli, t([2.0, 0.5])),
    "assertion": (lambda x: (torch._assert_async((x > 0).all()), x * 2)[1], t([-1.0])),
}
OTHERS = {
    "whole division": (lambda x, y: x // y, t([1, 2]), t([0, 1])),
    "whole remainder": (lambda x, y: x % y, t([1, 2]), t([0, 1])),
    "division cut off": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), t([1, 2]), t([0, 1])),
    "fmod": (torch.fmod, t([1, 2]), t([0, 1])),
    "multinomial": (lambda p: torch.multinomial(p, 1), t([-2.0, 0.5])),
    "multinomial of nothing": (lambda p: torch.multinomial(p, 1), t([0.0, 0.0])),
    "normal": (torch.normal, torch.ones(2), t([-1.0, 1.0])),
    "nll": (F.nll_loss, ONES, t([0, 3])),
    "cross entropy": (F.cross_entropy, ONES, t([0, -1])),
    "cross entropy, ignored": (lambda x, y: F.cross_entropy(x, y, ignore_index=-1), ONES, t([0, -2])),
    "nll of images": (F.nll_loss, torch.ones(2, 3, 2, 2), torch.full((2, 2, 2), 9)),
    "index_select": (lambda x, y: x.index_select(0, y), ONES, t([0, 2])),
    "take": (torch.take, ONES, t([0, 7])),
    "gather": (lambda x, y: x.gather(1, y), ONES, t([[0], [-4]])),
    "scatter": (lambda x, y: torch.zeros(2, 3).scatter(1, y, x), ONES, t([[0, 7, 1], [0, 1, 2]])),
    "scatter_add": (lambda x, y: torch.zeros(2, 3).scatter_add(1, y, x), ONES, t([[0, -7, 1], [0, 1, 2]])),
    "index_add": (lambda x, y: torch.zeros(2, 3).index_add(0, y, x), ONES, t([0, 5])),
    "index_put": (lambda x, y: torch.zeros(2, 3).index_put((y,), x), ONES, t([0, 5])),
    "embedding": (lambda x, y: F.embedding(y, x), ONES, t([-1])),
    "embedding_bag": (lambda x, y: F.embedding_bag(y, x, t([0])), ONES, t([4])),
    "one_hot": (lambda y: F.one_hot(y, 3), t([3])),
    "one_hot of less than 0": (lambda y: F.one_hot(y, 3), t([-1])),
    "bincount": (torch.bincount, t([-1])),
    "repeat_interleave": (lambda x, y: x.repeat_interleave(y), torch.ones(2), t([-1, 1])),
    "cholesky": (torch.linalg.cholesky, -torch.eye(3)),
    "inverse": (torch.linalg.inv, torch.zeros(3, 3)),
    "solve": (lambda x: torch.linalg.solve(x, torch.ones(3)), torch.zeros(3, 3)),
    "poisson": (torch.poisson, t([-1.0])),
    "truth of several": (lambda x: 1 if x else 0, torch.ones(2)),
    "item of several": (lambda x: x.item(), torch.ones(2)),
    "assert": (lambda x: torch._assert(bool((x > 0).all()), "no"), t([-1.0])),
    "multi margin": (F.multi_margin_loss, ONES, t([0, 5])),
}


def refused(function, args):
    torch.manual_seed(0)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the type is what is asked for
        function(*args)
    return raised


def check(function, args):
    eager, compiled = refused(function, args), refused(tessera.compile(function), args)
    assert compiled.type is eager.type
    assert str(eager.value)[:60] in str(compiled.value)


@pytest.mark.parametrize("name", PROBABILITIES)
def test_what_is_no_probability_is_refused(name):
    function, *args = PROBABILITIES[name]
    check(function, args)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_values_are_refused(name):
    function, *args = OTHERS[name]
    check(function, args)


@pytest.mark.parametrize("last", [torch.nn.Identity, torch.nn.Sigmoid])
def test_a_step_that_is_refused_trains_nothing(last):
    net = torch.nn.Sequential(torch.nn.Linear(3, 1), last())
    step = tessera.train_step(net, F.binary_cross_entropy, torch.optim.SGD(net.parameters(), 0.1))
    before = net[0].weight.detach().clone()
    with pytest.raises(RuntimeError, match="should be between 0 and 1"):
        step(9 * ONES, t([[1.0], [7.0]]))
    assert torch.equal(net[0].weight, before)
