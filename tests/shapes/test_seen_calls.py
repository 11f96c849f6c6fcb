from __future__ import annotations

import pickle
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
    assert known.bindings(known.looked_at(*SAME[call]))


@pytest.mark.parametrize("call", range(len(OTHER)))
def test_any_other_is_not(call):
    known = seen(mixed, ((X,), {}))
    assert not known.bindings(known.looked_at(*OTHER[call]))


def test_tensors_in_lists_are_looked_at_one_by_one():
    known = seen(mixed, ((X, [torch.ones(2), torch.ones(2)]), {}))
    assert known.bindings(known.looked_at((X, [torch.zeros(2), torch.zeros(2)]), {}))
    assert not known.bindings(known.looked_at((X, [torch.ones(2)]), {}))
    assert not known.bindings(known.looked_at((X, (torch.ones(2), torch.ones(2))), {}))


def test_a_result_is_known_with_its_call():
    known = seen(mixed, ((X,), {}), ((torch.ones(5, 4),), {}))
    call = known.looked_at((X,), {})
    assert known.fits(call, torch.zeros(2, 3))
    assert not known.fits(call, torch.zeros(2, 4))
    assert not known.fits(call, [torch.zeros(2, 3)])
    known.add(call, known.bindings(call), torch.zeros(2, 7))
    assert known.fits(call, torch.zeros(2, 7))
    assert not known.fits(known.looked_at((torch.ones(5, 4),), {}), torch.zeros(2, 7))


def remembered(function, args, result):
    """What is known after one call, which was met a second time."""
    known = seen(function, (args, {}))
    call = known.looked_at(args, {})
    known.add(call, known.bindings(call), result)
    known.remember(call, args, {}, result)
    return known


def test_the_last_call_is_told_by_its_tensors():
    known = remembered(mixed, (X,), torch.ones(2, 3))
    last = known.last((torch.zeros(4, 2).t(),), {})
    assert last.call == known.looked_at((X,), {})
    assert last.bound.sizes == {"B": 2}
    assert last.gives(torch.zeros(2, 3))
    assert not any(map(last.gives, (torch.zeros(2, 4), torch.zeros(2, 3).double(), [torch.zeros(2, 3)], None)))


@pytest.mark.parametrize("call", range(len(OTHER)))
def test_no_other_call_is_like_the_last(call):
    assert remembered(mixed, (X,), torch.ones(2, 3)).last(*OTHER[call]) is None


def test_where_no_data_flows_no_call_is_like_the_last():
    known = remembered(mixed, (X,), torch.ones(2, 3))
    with torch_internals.new_fake_mode():
        assert known.last((X,), {}) is None
    sizes = []
    torch.func.vmap(lambda x: sizes.append(known.last((x,), {})) or x)(torch.ones(3, 2, 4))
    assert sizes == [None]


def test_sizes_that_alternate_make_few_guards(monkeypatch):
    known, made = seen(mixed), []
    monkeypatch.setattr(torch_internals, "alike", lambda tensor: made.append(tensor) or (lambda _: False))
    for size in range(256):
        args = (torch.ones(2 + size % 2, 4),)
        call = known.looked_at(args, {})
        known.add(call, check_call(read_contract(mixed), args, {}), args[0])
        known.remember(call, args, {}, args[0])
    assert 0 < len(made) <= 2 * 9


def no_result(x: Tensor[B, 4]):
    return x


def test_where_no_result_is_declared_any_fits():
    last = remembered(no_result, (X,), X).last((X,), {})
    assert last.gives(torch.ones(7))
    assert last.gives(None)


def test_what_is_known_stays_in_its_process():
    known = pickle.loads(pickle.dumps(remembered(no_result, (X,), X)))
    assert known.last((X,), {}) is None
    assert known.bindings(known.looked_at((X,), {})) is None


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
        assert known.bindings(known.looked_at(args, {}))
        for width in range(10):
            known.add(known.looked_at(args, {}), check_call(contract, args, {}), torch.ones(size, width))
    calls = [known.looked_at((torch.ones(size, 4),), {}) for size in range(10)]
    assert sum(known.bindings(call) is not None for call in calls) <= 4
