"""Functions that look at their variables by name, or set attributes of one, are found and run as they are."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.capture.left_alone import KEYED, codes_to_leave_alone, refuse_keys_with_effects
from tessera.capture.step_down import RunsEagerly


def _looks(x):
    k = 3
    return x * eval("k") + len(locals())


class Layer(torch.nn.Module):
    """Goes through a function."""

    def forward(self, x):
        return _looks(x)


def test_they_are_found():
    for called in (_looks, lambda x: _looks(x) + 1, torch.nn.Sequential(Layer()), Layer().forward):
        assert codes_to_leave_alone([called]) == [_looks.__code__]
    assert codes_to_leave_alone([lambda net: net.eval(), lambda x: x * 2, torch.nn.Linear(2, 2), None]) == []


def _counts(x):
    _counts.calls = getattr(_counts, "calls", 0) + 1
    return x * _counts.calls


def test_functions_that_set_attributes_of_one():
    module = torch.nn.Module()
    module.function = _counts
    assert codes_to_leave_alone([module]) == codes_to_leave_alone([_counts]) == [_counts.__code__]


def test_they_see_their_variables():
    x = torch.arange(3.0)
    torch.testing.assert_close(tessera.compile(lambda x: _looks(x * 2) + 1)(x), _looks(x * 2) + 1)


_ASKED = []


def _noting(pair):
    _ASKED.append(pair[0])
    return pair[1]


def _largest(x, pairs):
    return x * max(pairs, key=_noting)[1]


def test_a_key_that_notes_what_it_is_asked_for_runs_at_every_call():
    compiled, pairs = tessera.compile(_largest), [("a", 1), ("b", 3)]
    for _ in range(2):
        _ASKED.clear()
        assert compiled(torch.ones(2), pairs).tolist() == [3, 3]
        assert _ASKED == ["a", "b"]
    assert [entry.reason for entry in compiled.report.step_downs] == [KEYED.format("_largest")]


def test_a_key_that_only_computes_may_be_captured():
    refuse_keys_with_effects([lambda x, pairs: x * max(pairs, key=lambda pair: pair[1])[1]])
    refuse_keys_with_effects([lambda x, pairs: x * max(map(_noting, pairs))])
    with pytest.raises(RunsEagerly):
        refuse_keys_with_effects([lambda x, pairs: _largest(x * 2, pairs)])
