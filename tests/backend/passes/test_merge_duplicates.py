import random

import pytest
import torch

from tessera.backend.passes.merge_duplicates import merge_duplicates
from tests.backend.hand_made import aten, program, run, targets

X = torch.linspace(-1, 1, 6).reshape(2, 3)


def chain_twice(x):
    return (torch.exp(x.sum(1, keepdim=True)) + torch.exp(x.sum(1, keepdim=True)),)


def test_equal_computations_become_one():
    made = program(chain_twice, X)
    before = run(made, X)
    assert merge_duplicates(made) == 2  # the sums, and then the exponentials of the one sum
    assert targets(made) == [aten.sum.dim_IntList, aten.exp.default, aten.add.Tensor]
    assert torch.equal(run(made, X)[0], before[0])
    assert merge_duplicates(made) == 0


@pytest.mark.parametrize(
    "near_miss",
    [
        lambda x: (torch.exp(x), torch.exp(x + 1)),
        lambda x: (x.sum(0), x.sum(1)),
        lambda x: (x.sum(1), x.sum(1, keepdim=True)),
        lambda x: (aten.full([2], 1, dtype=torch.int64), aten.full([2], 1.0, dtype=torch.int64)),
        lambda x: (aten.mul.Tensor(x, 0.0), aten.mul.Tensor(x, -0.0)),
        lambda x: (torch.sub(x, x), torch.sub(x, x, alpha=2)),
        lambda x: (torch.rand_like(x), torch.rand_like(x)),
        lambda x: (torch.bernoulli(x), torch.bernoulli(x)),
    ],
)
def test_what_only_looks_equal_stays(near_miss):
    def inside(x):
        first, second = near_miss(x)
        return (torch.sin(first), torch.cos(second))  # neither value is a result itself: results are never merged

    made = program(inside, X)
    before = targets(made)
    assert merge_duplicates(made) == 0
    assert targets(made) == before


def test_writes_stay():
    def write(x, y):
        x.copy_(y)
        x.copy_(y)
        return (y,)

    made = program(write, X, X)
    assert merge_duplicates(made) == 0
    assert targets(made) == [aten.copy_.default] * 2


def test_calls_that_are_no_operators_stay():
    made = program(lambda x: (torch.exp(x),), X)
    with made.graph.inserting_before(made.graph.output_node()):
        for _ in range(2):
            made.graph.call_function(random.random)
    assert merge_duplicates(made) == 0
    assert targets(made).count(random.random) == 2


def test_two_results_stay_two_tensors():
    made = program(lambda x: (torch.exp(x), torch.exp(x), torch.exp(x).view(3, 2)), X)
    assert merge_duplicates(made) == 0
    assert len({value.data_ptr() for value in run(made, X)}) == 3


def test_a_result_may_replace_a_value_inside():
    made = program(lambda x: (torch.exp(x), torch.sin(torch.exp(x))), X)
    before = run(made, X)
    assert merge_duplicates(made) == 1
    assert all(map(torch.equal, run(made, X), before))


def test_two_results_that_equal_a_value_inside_stay_two_tensors():
    made = program(lambda x: (torch.sin(torch.exp(x)), torch.exp(x), torch.exp(x)), X)
    before = run(made, X)
    merge_duplicates(made)
    after = run(made, X)
    assert all(map(torch.equal, after, before))
    assert after[1].data_ptr() != after[2].data_ptr()


def test_one_of_several_results_stays_a_tensor_of_its_own():
    def twice(x):
        return x.sort(stable=True)[1], x.sort(stable=True)[1], x.sort(stable=True)[0] * 2

    made = program(twice, X)
    merge_duplicates(made)
    first, second, _ = run(made, X)
    assert torch.equal(first, second)
    assert first.data_ptr() != second.data_ptr()
