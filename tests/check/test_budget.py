from __future__ import annotations

import time

from tessera.check.budget import Budget


def test_a_part_is_spent_from_the_whole():
    whole = Budget(10)
    part = Budget(3, whole)
    part.spend(2)
    assert (part.left, whole.left) == (1, 8)
    assert not part.is_over()
    part.spend()
    assert part.is_over()
    assert not whole.is_over()


def test_there_may_be_more_for_what_comes_last():
    budget = Budget(1)
    budget.spend(5)
    assert budget.is_over(4)
    assert not budget.is_over(5)


def test_it_is_over_too_where_nothing_new_comes():
    budget = Budget(100, idle=3)
    budget.spend(2)
    budget.has_news()
    budget.spend(2)
    assert not budget.is_over()
    budget.spend()
    assert budget.is_over()


def test_seconds_decide_only_where_there_are_very_many(monkeypatch):
    now = time.thread_time()
    budget = Budget()
    monkeypatch.setattr(time, "thread_time", lambda: now + 60)
    assert not any(budget.is_over() for _ in range(1000))
    monkeypatch.setattr(time, "thread_time", lambda: now + 6000)
    assert any(budget.is_over() for _ in range(1000))
