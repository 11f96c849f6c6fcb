import random

import pytest

from tessera.backend.regions.runs import Run, longest_run


def test_what_follows_itself_is_found():
    assert longest_run("abcdecdecdef", 2) == Run(2, 3, 11)


def test_the_shortest_period_wins():
    assert longest_run("abababab", 1) == Run(0, 2, 8)
    assert longest_run("abababab", 3) == Run(0, 4, 8)


def test_what_repeats_apart_or_too_shortly_is_no_run():
    assert longest_run("abcxabc", 2) is None
    assert longest_run("aabb", 2) is None
    assert longest_run("", 1) is None


def test_none_equals_nothing():
    assert longest_run([None] * 8, 1) is None
    assert longest_run([None, "a", None, "a", "b", "a", "b"], 2) == Run(3, 2, 7)


def test_the_run_that_saves_most_is_chosen():
    assert longest_run("xyxyxy" + "abcdefabcdef", 2) == Run(6, 6, 18)
    assert longest_run("xyxyxyxyxy" + "abcdefabcdef", 2) == Run(0, 2, 10)


@pytest.mark.parametrize("seed", range(20))
def test_as_by_trying_everything(seed):
    draw = random.Random(seed)
    sequence = [draw.choice("abc") for _ in range(draw.randrange(2, 40))]
    shortest = draw.randrange(1, 4)
    saved = 0
    for period in range(shortest, len(sequence)):
        for start in range(len(sequence)):
            block, times = sequence[start : start + period], 1
            while sequence[start + times * period : start + (times + 1) * period] == block and len(block) == period:
                times += 1
            saved = max(saved, period * (times - 1))
    run = longest_run(sequence, shortest)
    assert (run.saved if run else 0) == saved
    if run:
        assert all(sequence[i] == sequence[i + run.period] for i in range(run.start, run.end - run.period))
