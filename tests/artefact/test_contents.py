"""A hash of all that a value holds."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
import torch

from tessera.artefact.contents import CannotTell, contents_hash
from tessera.optim import adam, chain, clip_by_global_norm, cosine_decay, ema_weights, partition, rmsprop, sgd

STEP = 3


@dataclass(frozen=True)
class Part:
    number: float
    cache: dict = field(default_factory=dict, compare=False)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def reads_a_global(x):
    return x + STEP


def closing_over(value):
    return lambda x: x + value


PAIRS = (
    (lambda: chain(clip_by_global_norm(1.0), adam(1e-3)), lambda: chain(clip_by_global_norm(2.0), adam(1e-3))),
    (lambda: chain(clip_by_global_norm(1.0), adam(1e-3)), lambda: chain(adam(1e-3), clip_by_global_norm(1.0))),
    (lambda: adam(cosine_decay(1e-3, 10)), lambda: adam(cosine_decay(1e-3, 11))),
    (lambda: rmsprop(1e-3), lambda: sgd(1e-3)),
    (lambda: chain(sgd(1.0), ema_weights(0.9)), lambda: chain(sgd(1.0), ema_weights(0.99))),
    (
        lambda: partition([(lambda p: p.ndim == 2, sgd(1.0)), (lambda p: True, adam(1.0))]),
        lambda: partition([(lambda p: p.ndim == 1, sgd(1.0)), (lambda p: True, adam(1.0))]),
    ),
    (lambda: torch.ones(2), lambda: torch.tensor([1.0, 2.0])),
    (lambda: Part(1.0), lambda: Part(2.0)),
    (lambda: Slotted(1), lambda: Slotted(2)),
    (lambda: closing_over(1), lambda: closing_over(2)),
    (lambda: closing_over({"a": [1]}), lambda: closing_over({"a": [2]})),
    (lambda: [1, [2]], lambda: [[1], 2]),
    (lambda: Part(1.0).__eq__, lambda: Part(2.0).__eq__),
)


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_equal_contents_have_one_hash_and_others_another(pair):
    one, other = pair
    assert contents_hash(one()) == contents_hash(one()) != contents_hash(other())


def test_what_does_not_count_in_a_comparison_does_not_count():
    assert contents_hash(Part(1.0, {"seen": 1})) == contents_hash(Part(1.0))


def test_a_global_that_a_function_reads_counts(monkeypatch):
    before = contents_hash(reads_a_global)
    monkeypatch.setitem(globals(), "STEP", 4)
    assert contents_hash(reads_a_global) != before


def test_what_holds_itself():
    value = [1]
    value.append(value)
    assert contents_hash(value) != contents_hash([1, [1]])


def test_what_nobody_can_look_into():
    with pytest.raises(CannotTell, match="lock"):
        contents_hash([threading.Lock()])
