from __future__ import annotations

import pytest
import torch

from tessera.check.known_results import KnownResults


class Counted:
    def __init__(self) -> None:
        self.known, self.times = KnownResults(), 0

    def __call__(self, function, *args, **kwargs):
        def run():
            self.times += 1
            return function(*args, **kwargs)

        with torch.no_grad():
            return self.known.of(function, args, kwargs, run)


def bare(*sizes, **kind):
    return torch.empty(sizes, device="meta", **kind)


def looks(tensor):
    return tensor.is_meta, tensor.shape, tensor.stride(), tensor.dtype


def test_a_call_of_the_same_shapes_is_looked_up():
    call = Counted()
    first = call(torch.matmul, bare(3, 4), bare(4, 5))
    second = call(torch.matmul, bare(3, 4), bare(4, 5))
    assert call.times == 1
    assert first is not second
    assert looks(first) == looks(second)
    for other in ((bare(3, 4), bare(4, 6)), (bare(3, 4), bare(5, 4).t()), (bare(3, 4).half(), bare(4, 5).half())):
        assert looks(call(torch.matmul, *other)) == looks(torch.matmul(*other))
    assert call.times == 4


def test_several_results_and_numbers_among_the_arguments():
    call = Counted()
    for _ in range(2):
        _, indices = call(torch.Tensor.topk, bare(3, 9), 2, dim=1)
        assert looks(indices) == (True, (3, 2), (2, 1), torch.int64)
        assert call(torch.Tensor.topk, bare(3, 9), 4, dim=1).values.shape == (3, 4)
        assert call(torch.Tensor.__getitem__, bare(3, 9), slice(1, None)).shape == (2, 9)
        assert call(torch.cat, [bare(3, 9), bare(3, 9)], 1).shape == (3, 18)
        assert call(torch.cat, [bare(3, 9), bare(3, 9), bare(3, 9)], 1).shape == (3, 27)
    assert call.times == 5


def test_what_raised_raises_again():
    call = Counted()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="3"):
            call(torch.add, bare(3), bare(4))
    assert call.times == 1


def test_what_changes_a_tensor_hands_it_on_or_gives_none_runs_each_time():
    call, x = Counted(), bare(3, 4)
    for _ in range(2):
        assert call(torch.Tensor.add_, x, 1) is x
        assert call(torch.Tensor.contiguous, x) is x
        assert call(torch.Tensor.size, x, 0) == 3
        assert len(list(call(torch.Tensor.__iter__, x))) == 3
        assert call(torch.zeros, 3).device.type == "cpu"
    assert call.times == 10


def test_another_default_dtype_is_another_call():
    call = Counted()
    before = torch.get_default_dtype()
    try:
        assert call(torch.zeros, 3, device="meta").dtype is torch.float32
        torch.set_default_dtype(torch.float64)
        assert call(torch.zeros, 3, device="meta").dtype is torch.float64
    finally:
        torch.set_default_dtype(before)
