from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from tessera import Tensor, torch_internals
from tessera.shapes import seen_calls
from tessera.shapes.call import check_call
from tessera.shapes.seen_calls import SeenCalls
from tessera.shapes.signature import read_contract


@dataclass
class Batch:
    ids: Tensor[B, S]


def mixed(x: Tensor[B, 4], beside: list[Tensor[B]] | None = None, scale: float = 1.0) -> Tensor[B, "T"]:
    return x * scale


def of_records(batch: Batch) -> Tensor[B]:
    return batch.ids[:, 0]


def seen(function, *calls):
    """What is known after these calls, each with a result of shape [2, 3]."""
    contract = read_contract(function)
    known = SeenCalls(contract)
    for args, kwargs in calls:
        known.add(known.looked_at(args, kwargs), check_call(contract, args, kwargs), torch.ones(2, 3))
    return known


X = torch.ones(2, 4)
SAME = [((X,), {}), ((torch.zeros(2, 4),), {}), ((torch.nn.Parameter(X),), {}), ((X,), {"scale": 3.0})]
OTHER = [
    ((torch.ones(3, 4),), {}),
    ((X.double(),), {}),
    ((X.to("meta"),), {}),
    ((X[0],), {}),
    ((X, [torch.ones(2)]), {}),
    ((), {"x": X}),
    ((X,), {"beside": None}),
    ((X, None, 2.0, 3.0), {}),
    (([1.0, 2.0],), {}),
]


@pytest.mark.parametrize("call", range(len(SAME)))
def test_a_call_with_the_same_sizes_dtypes_and_devices_is_known(call):
    known = seen(mixed, ((X,), {}))
    assert known.holds(known.looked_at(*SAME[call]))


@pytest.mark.parametrize("call", range(len(OTHER)))
def test_any_other_is_not(call):
    known = seen(mixed, ((X,), {}))
    assert not known.holds(known.looked_at(*OTHER[call]))


def test_tensors_in_lists_are_looked_at_one_by_one():
    known = seen(mixed, ((X, [torch.ones(2), torch.ones(2)]), {}))
    assert known.holds(known.looked_at((X, [torch.zeros(2), torch.zeros(2)]), {}))
    assert not known.holds(known.looked_at((X, [torch.ones(2)]), {}))
    assert not known.holds(known.looked_at((X, (torch.ones(2), torch.ones(2))), {}))


def test_a_result_is_known_with_its_call():
    known = seen(mixed, ((X,), {}), ((torch.ones(5, 4),), {}))
    call = known.looked_at((X,), {})
    assert known.fits(call, torch.zeros(2, 3))
    assert not known.fits(call, torch.zeros(2, 4))
    assert not known.fits(call, [torch.zeros(2, 3)])
    known.add(call, known.bindings(call), torch.zeros(2, 7))
    assert known.fits(call, torch.zeros(2, 7))
    assert not known.fits(known.looked_at((torch.ones(5, 4),), {}), torch.zeros(2, 7))


def test_what_names_stand_for_can_be_added_to():
    known = seen(mixed, ((X,), {}))
    call = known.looked_at((X,), {})
    known.bindings(call).bind("T", 3, "return value")
    assert known.bindings(call).sizes == {"B": 2}


def test_records_and_tensors_without_data_are_always_looked_at():
    known = seen(of_records)
    assert known.looked_at((Batch(torch.ones(2, 3)),), {}) is None
    known = seen(mixed)
    with torch_internals.new_fake_mode():
        assert known.looked_at((X,), {}) is None
        fake = torch.ones(2, 4)
    assert known.looked_at((fake,), {}) is None


def test_it_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(seen_calls, "_MOST", 4)
    known, contract = seen(mixed), read_contract(mixed)
    for size in range(10):
        args = (torch.ones(size, 4),)
        known.add(known.looked_at(args, {}), check_call(contract, args, {}), torch.ones(size, 3))
        assert known.holds(known.looked_at(args, {}))
        for width in range(10):
            known.add(known.looked_at(args, {}), check_call(contract, args, {}), torch.ones(size, width))
    assert sum(known.holds(known.looked_at((torch.ones(size, 4),), {})) for size in range(10)) <= 4
