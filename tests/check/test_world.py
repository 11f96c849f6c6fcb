from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tessera.check.world import LARGE, SMALL, UNDECLARED, LoopsOverSize, World, name_of
from tessera.shapes.size import read_size


def test_examples_are_primes_far_from_each_other():
    for primes in (LARGE, SMALL):
        assert all(all(n % d for d in range(2, int(n**0.5) + 1)) for n in primes)
    assert min(b - a for a, b in pairwise(LARGE)) > 20


def test_sizes_are_written_in_declared_names():
    world = World({"B": 97, "S": 131})
    with world.mode:
        x = torch.empty(world.size(read_size("B")), world.size(read_size("2*S")), 3)
        assert world.texts(x.shape) == ["B", "2*S", "3"]
        assert world.texts(x.flatten(0, 1).shape) == ["2*B*S", "3"]
        assert world.number(x.shape[1]) == 262


def test_a_condition_of_the_users_is_noted_with_its_line_and_one_of_torchs_is_not():
    world = World({"B": 97, "S": 131})
    with world.mode:
        x = torch.empty(world.size(read_size("B")), 3)
        (x + x).sum(0).view(-1)
        assert not world.questions
        if x.shape[0] > 128:
            raise AssertionError
    (question,) = world.questions
    assert question.answer is False
    assert question.where.code == "if x.shape[0] > 128:"


def test_a_condition_on_data_is_answered_by_choice_and_the_same_one_the_same():
    for chosen in (True, False):
        world = World({"B": 97}, [chosen])
        with world.mode:
            condition = torch.empty(world.size(read_size("B"))).sum() > 0
            assert bool(condition) is chosen
        assert world.questions[0].of_data


def test_a_loop_on_data_ends():
    world = World({"B": 97})
    turns = 0
    with world.mode:
        x = torch.empty(world.size(read_size("B")))
        while x.sum() > 0:
            x = x - 1
            turns += 1
    assert 1 <= turns <= 5


def test_what_divides_is_noted():
    world = World({"D": 97})
    with world.mode:
        x = torch.empty(world.size(read_size("D")))
        assert world.text(x.shape[0] // 4) == "(D//4)"
        if x.shape[0] % 4 == 0:
            raise AssertionError
    assert any(int(divisor) == 4 for _, divisor in world.divisors)


def test_sizes_that_nobody_declared_are_known():
    world = World({"B": 97})
    with world.mode:
        x = torch.empty(world.size(read_size("B")), world.free("_", 1), world.free(UNDECLARED, 0))
        assert [world.is_free(size) for size in x.shape] == [False, False, True]
        assert world.texts(x.shape) == ["B", "_", "?"]
    assert world.has_free_sizes


def test_names_are_guessed_from_numbers_where_operators_know_no_symbols():
    world = World({"B": 97, "S": 131}, in_numbers=True)
    assert world.texts([97, 262, 132, 97 * 131, 512]) == ["B", "2*S", "S + 1", "B*S", "512"]
    assert name_of(3, {97: "B"}) == "3"


def test_a_loop_over_a_size_asks_for_small_numbers():
    world = World({"B": 97}, may_be_long=False)
    with world.mode, pytest.raises(LoopsOverSize):
        range(world.size(read_size("B")))


def test_a_size_that_became_a_number_keeps_its_name():
    world = World({"B": 7, "S": 11})
    with world.mode:
        for _ in range(world.size(read_size("B"))):
            pass
        assert world.texts([7, 3]) == ["B", "3"]


def test_a_bare_world_has_torchs_own_tensors_without_memory():
    world = World({"B": 97}, in_numbers=True, bare=True)
    held = nn.Parameter(torch.ones(3, 4).t())
    like = world.without_data(held)
    assert like is world.without_data(held)
    assert (like.is_meta, like.shape, like.stride(), like.requires_grad) == (True, held.shape, held.stride(), True)
    assert world.without_data(like) is like
    with world.mode:
        assert torch.zeros(world.size(read_size("B"))).is_meta


def test_what_was_made_without_memory_is_stood_for_by_what_a_run_takes():
    made = torch.empty(3, 4, device="meta")
    world = World({"B": 97}, in_numbers=True)
    with world.mode:
        assert (torch.empty(2, 3) @ world.without_data(made)).shape == (2, 4)
