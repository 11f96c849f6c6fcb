from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.nn.deferred import Deferred, read_all


class Later(Deferred):
    """Its value is that of a function, called when it is first read."""

    value = None

    def read(self):
        if self.value is None:
            self.value = self.compute()
        return self.value


def later(compute):
    deferred = Later.without_value()
    deferred.compute = compute
    return deferred


def done(value):
    deferred = Later.of(value)
    deferred.value = value
    return deferred


@pytest.fixture
def weight():
    return torch.randn(3, 4, requires_grad=True)


READS = {
    "shape": lambda t: t.shape,
    "len": len,
    "indexing": lambda t: t[0],
    "iteration": list,
    "printing": str,
    "repr": repr,
    "format": lambda t: f"{t.sum():.3f}",
    "float": lambda t: float(t.detach().sum()),
    "comparison": lambda t: (t > 0).tolist(),
    "arithmetic from the left": lambda t: t * 2,
    "arithmetic from the right": lambda t: 2 - t,
    "with a tensor": lambda t: torch.ones(3, 4) + t,
    "in a list": lambda t: torch.stack([t, torch.ones(3, 4), t]),
    "in a dict": lambda t: torch.einsum("ij,kj->ik", t, t),
    "by keyword": lambda t: torch.sum(input=t, dim=0),
    "as an index": lambda t: torch.arange(12)[t.argmax()],
    "numpy": lambda t: np.asarray(t.detach()).tolist(),
    "tolist": lambda t: t.tolist(),
    "grad_fn": lambda t: type(t.grad_fn),
    "requires_grad": lambda t: t.requires_grad,
    "view": lambda t: t.T.reshape(-1),
    "dtype, device": lambda t: (t.dtype, t.device, t.is_leaf, t.ndim),
    "functional": lambda t: torch.nn.functional.mse_loss(t, torch.zeros(3, 4)),
    "torch.is_tensor": torch.is_tensor,
    "membership": lambda t: 0.5 in t,
    "unpacking": lambda t: [*t.unbind()][1],
}


def equal(ours, theirs):
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return ours == theirs


@pytest.mark.parametrize("use", READS.values(), ids=READS)
def test_whatever_reads_it_sees_the_tensor(use, weight):
    assert equal(use(later(lambda: weight * 3)), use(weight * 3))
    assert equal(use(done(weight * 3)), use(weight * 3))


@pytest.mark.parametrize(
    "backward",
    [
        lambda t: t.sum().backward(),
        lambda t: t.backward(torch.ones(3, 4)),
        lambda t: torch.autograd.backward([t], [torch.ones(3, 4)]),
        lambda t: t.retain_grad() or t.sum().backward(),
    ],
)
def test_gradients_flow_through_it(backward, weight):
    backward(later(lambda: weight * 3))
    assert torch.equal(weight.grad, torch.full((3, 4), 3.0))


def test_gradients_are_taken_of_it(weight):
    assert torch.equal(torch.autograd.grad(later(lambda: weight * 3).sum(), weight)[0], torch.full((3, 4), 3.0))


def test_it_is_computed_once_and_only_when_read(weight):
    calls = []
    deferred = later(lambda: calls.append(1) or weight * 3)
    assert isinstance(deferred, torch.Tensor)
    assert hash(deferred) == hash(deferred)
    assert not hasattr(deferred, "_private")
    assert calls == []
    assert deferred.sum() == deferred.sum()
    assert calls == [1]


def test_in_place_changes_and_hooks_reach_the_value(weight):
    deferred, seen = later(lambda: weight * 3), []
    deferred.register_hook(seen.append)
    deferred.add_(1.0)
    assert torch.equal(deferred.detach(), weight.detach() * 3 + 1)
    deferred.sum().backward()
    assert len(seen) == 1
    deferred += 1.0
    assert type(deferred) is torch.Tensor


def test_what_was_attached_to_the_value_is_there(weight):
    tagged = weight * 3
    tagged.tag = "mine"
    assert later(lambda: tagged).tag == "mine"
    with pytest.raises(AttributeError, match="tga"):
        _ = later(lambda: tagged).tga


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def test_below_torch_function_a_value_that_is_there_is_seen(weight):
    Double.apply(done(weight * 3)).sum().backward()
    assert torch.equal(weight.grad, torch.full((3, 4), 6.0))


def test_below_torch_function_a_value_that_is_not_there_is_an_error_and_no_number(weight):
    with pytest.raises(RuntimeError, match="invalid gradient"):
        Double.apply(later(lambda: weight * 3)).sum().backward()
    with pytest.raises(BufferError):
        torch.utils.dlpack.to_dlpack(later(weight.detach))
    assert weight.grad is None


def test_read_all_looks_into_lists_tuples_and_dicts(weight):
    value = weight * 3
    given = [later(lambda: value), (1, {"x": later(lambda: value)}), "text", value]
    read = read_all(given)
    assert read[0] is value
    assert read[1][1]["x"] is value
    assert read[2:] == ["text", value]
