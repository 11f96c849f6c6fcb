"""What a row of the table is held to: it fires, holds back at near misses, keeps what is right, mends what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tessera.backend.stability.rule import Rule
from tests.backend.stability.harness import Rewritten, error, truth, value_and_gradients

ULP = 64


@dataclass(frozen=True)
class Row:
    """A rule's example.

    Attributes:
        function: the naive spelling.
        fine: inputs for which it is right as it is.
        hostile: inputs for which it is not.
        near_misses: functions of the same inputs to which the rule does not apply.
        expected: the limit, where ``function`` has none on paper.
        inherent: in float32 a rounding of the inputs changes it as much, so that a trial leaves it.
    """

    function: Callable[..., Any]
    fine: tuple[Any, ...]
    hostile: tuple[Any, ...]
    near_misses: tuple[Callable[..., Any], ...]
    expected: Callable[..., Any] | None = None
    inherent: bool = False


def contract(rules: tuple[Rule, ...], rows: dict[str, Row]) -> tuple[Callable[..., None], ...]:
    """The tests of ``rules``, for their file."""
    names = [rule.name for rule in rules]

    def test_every_rule_has_a_row():
        assert sorted(rows) == sorted(names)

    @pytest.mark.parametrize("name", names)
    def test_it_fires_and_keeps_what_was_right(name):
        row = rows[name]
        inputs = [torch.tensor(one, dtype=torch.float64) for one in row.fine]
        trained = range(len(inputs))
        rewritten = Rewritten(row.function)
        found = value_and_gradients(rewritten.call, inputs, trained)
        assert any(name in note for note in rewritten.notes), rewritten.notes
        torch.testing.assert_close(found, value_and_gradients(row.function, inputs, trained), rtol=1e-9, atol=1e-12)

    narrow = [name for name in names if name in rows and not rows[name].inherent]

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [(name, dtype) for dtype, its in ((torch.float32, narrow), (torch.float64, names)) for name in its],
    )
    def test_it_mends_what_was_wrong(name, dtype):
        row = rows[name]
        inputs = [torch.tensor(one, dtype=dtype) for one in row.hostile]
        trained = range(len(inputs))
        value, gradients = value_and_gradients(Rewritten(row.function).call, inputs, trained)
        wanted, slopes = truth(row.expected or row.function, inputs, trained)
        assert error(value, wanted, dtype) <= ULP
        assert max(error(g, w, dtype) for g, w in zip(gradients, slopes, strict=True)) <= ULP

    @pytest.mark.parametrize("name", [name for name in names if rows.get(name, rows[names[0]]).near_misses])
    def test_it_holds_back(name):
        row = rows[name]
        for near in row.near_misses:
            rewritten = Rewritten(near)
            rewritten.call(*(torch.tensor(one, dtype=torch.float64) for one in row.fine))
            assert not any(name in note for note in rewritten.notes), rewritten.notes

    return (
        test_every_rule_has_a_row,
        test_it_fires_and_keeps_what_was_right,
        test_it_mends_what_was_wrong,
        test_it_holds_back,
    )
