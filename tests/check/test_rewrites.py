from __future__ import annotations

import contextlib

import pytest
import torch

from tessera.check.call import Call
from tessera.check.rewrites import rewrites, turns
from tessera.check.world import World

WORLD = World({"B": 97, "S": 131}, in_numbers=True)


def results(function, *args, sizes=(), **kwargs):
    """The shapes that edits of a call give it."""
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    result = function(*args, **kwargs)
    call = Call(function, args, kwargs, None, tensors, result=result)
    found = {}
    for rewrite in rewrites(call, sizes, WORLD):
        try:
            changed, others, named = rewrite.pieces((function, args, kwargs))
            made = rewrite.after(changed(*others, **named))
        except (RuntimeError, IndexError, TypeError, ValueError):
            continue
        shape = tuple(made) if isinstance(made, torch.Size) else tuple(made.shape)
        found[shape] = min(rewrite.cost, found.get(shape, 9.0))
    return found


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (lambda: results(torch.mean, torch.ones(2, 3), 1), (2, 1)),
        (lambda: results(torch.mean, torch.ones(2, 3), 1), (3,)),
        (lambda: results(torch.stack, [torch.ones(2, 3)] * 4, 0), (8, 3)),
        (lambda: results(torch.Tensor.permute, torch.ones(2, 3, 4), 0, 2, 1), (4, 2, 3)),
        (lambda: results(torch.Tensor.transpose, torch.ones(2, 3, 4), 1, 2), (2, 3, 4)),
        (lambda: results(torch.einsum, "ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)), (4, 2)),
        (lambda: results(torch.einsum, "ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)), (2,)),
        (lambda: results(torch.Tensor.__getitem__, torch.ones(5, 6), (slice(None), None)), (1, 5, 6)),
        (lambda: results(torch.Tensor.__getitem__, torch.ones(5, 6), (slice(None), 0)), (5, 1)),
        (lambda: results(torch.Tensor.__getitem__, torch.ones(5, 6), (slice(None), slice(1, None))), (5, 6)),
        (lambda: results(torch.Tensor.__getitem__, torch.ones(5, 6), slice(-2, None)), (5, 2)),
        (lambda: results(torch.Tensor.float, torch.zeros(5, dtype=torch.int64), sizes=[7]), (5, 7)),
        (lambda: results(torch.matmul, torch.ones(2, 3), torch.ones(3, 2)), (3, 3)),
        (lambda: results(torch.zeros, 97, 3, sizes=[131]), (131, 3)),
        (lambda: results(torch.Tensor.reshape, torch.ones(2, 3, 4), 6, 4), (4, 6)),
        (lambda: results(torch.flatten, torch.ones(2, 3, 4, 5), 2, 3), (2, 12, 5)),
        (lambda: results(torch.nn.functional.pad, torch.ones(2, 3), (0, 4)), (6, 3)),
        (lambda: results(torch.nn.functional.pad, torch.ones(2, 3), (0, 0, 0, 4)), (2, 7)),
        (lambda: results(torch.mul, torch.ones(2, 3), torch.ones(3)), (2,)),
        (lambda: results(torch.matmul, torch.ones(2, 2), torch.ones(2)), (2, 2)),
        (lambda: results(torch.cumsum, torch.ones(2, 3), 1), (3,)),
        (lambda: results(torch.einsum, "bi,bj->bj", torch.ones(2, 3), torch.ones(2, 3)), (2, 3)),
        (lambda: results(torch.Tensor.__getitem__, torch.ones(5), (slice(None), None)), (5, 1, 1)),
        (lambda: results(torch.sum, torch.ones(2, 3, 4, 5), dim=(2, 3)), (2,)),
        (lambda: results(torch.sum, torch.ones(2, 3, 4, 5), (1, 2, 3)), (2, 5)),
        (lambda: results(torch.Tensor.amax, torch.ones(2, 3, 4), 2), (2,)),
        (lambda: results(torch.arange, 0, 8), (4,)),
        (
            lambda: results(torch.einsum, "bchw,bchv->bchv", torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 6)),
            (2, 4, 5, 6),
        ),
    ],
)
def test_what_is_usually_meant_is_among_the_edits(made, shape):
    assert shape in made()


def test_a_number_that_is_written_does_not_become_a_declared_size():
    assert (131, 97) not in results(torch.zeros, 5, 97, sizes=[131])
    assert (131, 131) not in results(torch.zeros, 5, 97, sizes=[131])


def test_to_keep_a_dimension_is_cheaper_than_another_axis_and_that_than_another_order():
    found = results(torch.sum, torch.ones(2, 3, 4), 1)
    assert found[2, 1, 4] < found[3, 4] < found[2, 4, 1] < found[4, 2]


def test_turns_keep_the_numbers():
    tensor = torch.arange(6.0).reshape(2, 1, 3)
    for _, text, turn in turns(tensor):
        assert turn(tensor).numel() == 6, text


def test_the_sizes_of_a_shape_may_be_read_in_another_order():
    x = torch.ones(2, 3, 4)
    call = Call(torch.Tensor.shape.__get__, (x,), {}, None, [x], result=x.shape)
    assert torch.Size([2, 4, 3]) in [rewrite.after(x.shape) for rewrite in rewrites(call, [], WORLD)]


def test_a_factor_that_was_not_transposed_is_the_usual_slip_of_a_product():
    call = Call(torch.matmul, (torch.ones(2, 3), torch.ones(2, 3)), {}, None, [])
    costs = {rewrite.text: rewrite.cost for rewrite in rewrites(call, [], WORLD)}
    turned = ".transpose(-2, -1) of an operand of matmul"
    assert costs[turned] < costs["b @ a in place of a @ b"] <= costs[".unsqueeze(1) of an operand of matmul"] + 0.2


def test_a_bound_becomes_a_smaller_number_rather_than_a_larger_one():
    call = Call(torch.Tensor.__getitem__, (torch.ones(9), slice(2, None)), {}, None, [torch.ones(9)])
    costs = {rewrite.text: rewrite.cost for rewrite in rewrites(call, [], WORLD)}
    assert costs["[1:]"] < costs["[3:]"]


def test_another_axis_than_the_last_is_less_likely():
    written_last = results(torch.sum, torch.ones(2, 3), -1)[(3,)]
    written_first = results(torch.sum, torch.ones(2, 3), -2)[(2,)]
    assert written_first < written_last


def cost_of(text: str, function, *args) -> float:
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    call = Call(function, args, {}, None, tensors)
    with contextlib.suppress(RuntimeError):
        call.result = function(*args)
    return min(one.cost for one in rewrites(call, [], WORLD) if one.text == text)


def test_who_lays_out_a_tensor_to_fit_others_adds_the_dimension_that_is_missing():
    shaped = cost_of(".unsqueeze(1) behind view", torch.Tensor.view, torch.ones(4), -1, 1, 1)
    used = cost_of(".unsqueeze(1) of an operand of mul", torch.mul, torch.ones(4, 1, 1), torch.ones(4, 3, 5, 5))
    assert shaped < used
    assert cost_of(".unsqueeze(1) behind view", torch.Tensor.view, torch.ones(4), 2, 2) > shaped


def test_what_meets_a_tensor_of_another_rank_is_seldom_turned_round():
    text = ".transpose(-2, -1) of an operand of sub"
    assert cost_of(text, torch.sub, torch.ones(4, 4), torch.ones(4)) > cost_of(
        text, torch.sub, torch.ones(4, 4), torch.ones(4, 4)
    )


def test_a_sum_is_forgotten_where_two_tensors_were_put_together():
    text = "[:, 0] behind sub"
    assert cost_of(text, torch.sub, torch.ones(2, 3), torch.ones(2, 3)) < cost_of(text, torch.sub, torch.ones(2, 3), 1)


def test_a_dimension_is_added_where_things_are_broadcast():
    def cost(function, *args) -> float:
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        call = Call(function, args, {}, None, tensors, result=function(*args))
        return min(one.cost for one in rewrites(call, [], WORLD) if one.text.startswith(".unsqueeze(-1) of an operand"))

    scattered = cost(torch.index_add, torch.ones(2), 0, torch.tensor([0]), torch.ones(1))
    assert cost(torch.mul, torch.ones(2), torch.ones(2, 2)) < scattered


def test_an_axis_that_is_not_said_may_be_another():
    assert results(torch.stack, [torch.ones(2, 3)] * 4)[2, 3, 4] < 1.1
    assert results(torch.mean, torch.ones(2, 3))[2,] < 1.1


def test_the_last_dimension_is_taken_away_as_a_line_that_meets_several_ranks_says_it():
    assert [text for _, text, _ in turns(torch.ones(2, 1)) if "squeeze(" in text and "un" not in text] == [
        ".squeeze(-1)",
        ".squeeze(1)",
    ]


def test_who_lays_two_out_against_each_other_wrote_their_order():
    against = results(torch.Tensor.__and__, torch.ones(2, 1, 3).bool(), torch.ones(2, 4, 1).bool())
    alike = results(torch.Tensor.__and__, torch.ones(2, 4, 3).bool(), torch.ones(2, 4, 1).bool())
    assert against[2, 3, 4] < alike[2, 3, 4]


def test_an_index_gets_a_dimension_before_what_it_adds():
    x = torch.ones(2, 3)
    found = results(torch.Tensor.__getitem__, x, (slice(None), None, None))
    assert (2, 3, 1, 1) in found


def test_an_einsum_that_sums_is_seldom_to_sum_over_nothing_or_over_the_batch():
    found = results(torch.einsum, "bfc,bfc->bf", torch.ones(5, 2, 3), torch.ones(5, 2, 3))
    assert found[5, 3] < found[2, 5] + 0.01 < found[5, 2, 3]
    assert found[5, 3] < found[2, 3]
    alone = results(torch.einsum, "fc->f", torch.ones(2, 3))
    assert alone[3,] < 1, "one tensor has no batch"


def test_a_dimension_is_missed_where_a_tensor_is_laid_out_to_fit():
    def cost(function, *args):
        call = Call(function, args, {}, None, [args[0]], result=function(*args))
        return min(one.cost for one in rewrites(call, [], WORLD) if one.text.startswith(".unsqueeze(1) behind"))

    x = torch.ones(5, 1)
    assert cost(torch.Tensor.expand, x, -1, 3) < cost(torch.Tensor.repeat, x, 1, 3)
