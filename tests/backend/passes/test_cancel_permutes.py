import itertools
from functools import partial

import torch

from tessera.backend.passes.cancel_permutes import PERMUTE, cancel_permutes
from tests.backend.hand_made import program, run, targets

X = torch.rand(2, 3, 4)


def test_permutes_that_undo_each_other_are_none():
    made = program(lambda x: (x.permute(0, 2, 1).permute(0, -1, 1).exp(),), X)
    assert cancel_permutes(made) == 1
    made.graph.eliminate_dead_code()
    assert PERMUTE not in targets(made)
    assert torch.equal(run(made, X)[0], X.exp())
    assert cancel_permutes(made) == 0


def three_times(first, second, x):
    return (x.permute(first).permute(second).permute(second).exp(),)


def test_any_two_or_three_permutes_are_one():
    for first, second in itertools.product(itertools.permutations(range(3)), repeat=2):
        made = program(partial(three_times, first, second), X)
        before = run(made, X)
        assert cancel_permutes(made) >= 1
        made.graph.eliminate_dead_code()
        assert targets(made).count(PERMUTE) <= 1
        assert torch.equal(run(made, X)[0], before[0])
        assert cancel_permutes(made) == 0


def test_what_lies_between_and_what_is_returned_keeps_them():
    made = program(lambda x: (x.permute(0, 2, 1).exp().permute(0, 2, 1), x.permute(2, 0, 1).permute(1, 2, 0)), X)
    assert cancel_permutes(made) == 0
    assert targets(made).count(PERMUTE) == 4
