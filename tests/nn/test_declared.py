from __future__ import annotations

import pytest
import torch

import tessera
from tessera import Tensor
from tessera.errors import AnnotationError, NumericsError, ShapeError
from tessera.nn.declared import verified_later


def test_a_body_that_cannot_be_right_is_refused_at_decoration():
    with pytest.raises(ShapeError, match=r'Type mismatch in .*wrong.*\n  Expected: Tensor\["B", 256\]'):

        @tessera.function
        def wrong(x: Tensor[B, 512]) -> Tensor[B, 256]:
            return x


def test_a_body_that_names_what_is_not_there_yet_is_checked_at_the_first_call():
    @tessera.function
    def early(x: Tensor[B, 4]) -> Tensor[B, 4]:
        return later(x)

    def later(x):
        return x.t()

    with pytest.raises(ShapeError):
        early(torch.ones(2, 4))


def test_a_malformed_annotation_is_refused_at_decoration():
    with pytest.raises(AnnotationError, match=r'Tensor\["B", "S"\]'):

        @tessera.function
        def f(x: Tensor["B S"]):
            return x


def test_arguments_and_results_are_checked_at_every_call():
    @tessera.function
    def classify(x: Tensor[B, 4], y: Tensor[B]) -> Tensor[B, 3]:
        return tessera.nn.linear(x, 3) + y[:, None]

    assert classify(torch.ones(2, 4), torch.ones(2)).shape == (2, 3)
    assert [tuple(p.shape) for p in classify.parameters()] == [(3, 4), (3,)]
    with pytest.raises(ShapeError, match="declared B = 2 by 'x'"):
        classify(torch.ones(2, 4), torch.ones(3))
    with pytest.raises(ShapeError, match="has 1 dimensions"):
        classify(torch.ones(4), torch.ones(2))
    with pytest.raises(ShapeError, match="it is no such thing"):
        classify([1, 2], torch.ones(2))


def test_calls_that_were_seen_hide_no_other():
    width = 3

    @tessera.function
    def cut(x: Tensor[B, D], y: Tensor[B]) -> Tensor[B, 3]:
        return x[:, :width] * y[:, None]

    for _ in range(4):
        assert cut(torch.ones(2, 5), torch.ones(2)).shape == (2, 3)
        with pytest.raises(ShapeError, match="declared B = 2 by 'x'"):
            cut(torch.ones(2, 5), torch.ones(3))
    width = 4
    for _ in range(3):
        with pytest.raises(ShapeError, match=r"Returned: Tensor\[2, 4\]"):
            cut(torch.ones(2, 5), torch.ones(2))
    width = 3
    assert cut(torch.ones(2, 5), torch.ones(2)).shape == (2, 3)
    assert tessera.vmap(cut)(torch.ones(6, 2, 5), torch.ones(6, 2)).shape == (6, 2, 3)


def test_a_check_makes_no_layers():
    @tessera.function
    def f(x: Tensor[B, 4]) -> Tensor[B, 3]:
        return tessera.nn.linear(x, 3)

    assert tessera.check(f).ok
    assert not f.has_layers
    f(torch.ones(2, 4))
    assert f.has_layers
    assert tessera.check(f).ok


def test_within_verified_later_nothing_is_refused():
    with verified_later():

        @tessera.function
        def wrong(x: Tensor[B, 512]) -> Tensor[B, 256]:
            return x

    with pytest.raises(ShapeError):
        wrong(torch.ones(2, 512))


def test_a_declared_function_compiles_and_trains():
    @tessera.function
    def net(x: Tensor[B, 4]) -> Tensor[B, 3]:
        return tessera.nn.linear(x.relu(), 3)

    x = torch.randn(5, 4)
    expected = net(x)
    torch.testing.assert_close(tessera.compile(net)(x), expected)
    step = tessera.train_step(net, "cross_entropy", torch.optim.SGD(net.parameters(), lr=0.1))
    losses = [step(x, torch.tensor([0, 1, 2, 0, 1])) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_promise_b3_a_certain_overflow_is_told_before_it_happens():
    @tessera.function
    def risky(x: Tensor) -> Tensor:
        y = x * 1e10
        return tessera.exp(y)

    with pytest.raises(NumericsError, match="stable_exp") as caught:
        risky(torch.randn(4))
    assert caught.value.where.code == "return tessera.exp(y)"

    @tessera.function
    def fine(x: Tensor) -> Tensor:
        return tessera.stable_exp(x * 1e10)

    assert torch.isfinite(fine(torch.randn(4))).all()
