"""Calibration data in all its forms, and what is said of data that is none."""

from __future__ import annotations

import pytest
import torch

from tessera.errors import QuantizeError
from tessera.quantize.calibration import calibration_batches, observe


def model() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


X = torch.randn(70, 4, generator=torch.Generator().manual_seed(1))
Y = torch.zeros(70, dtype=torch.long)


@pytest.mark.parametrize(
    "data",
    [
        X,
        (X, Y),
        X.numpy(),
        torch.utils.data.TensorDataset(X, Y),
        [X[:35], X[35:]],
        [(X[:35], Y[:35]), (X[35:], Y[35:])],
    ],
    ids=["tensor", "pair", "array", "dataset", "batches", "pairs"],
)
def test_sees_every_sample_once(data):
    batches = calibration_batches(model(), data)
    assert torch.equal(torch.cat([batch.inputs[0] for batch in batches]), X)


def test_statistics_are_those_of_all_inputs():
    net = model()
    seen = observe(net, {"0": net[0]}, calibration_batches(net, X), frozenset({"0"}))["0"]
    assert (seen.least, seen.largest) == (X.min().item(), X.max().item())
    assert seen.rows == 70
    torch.testing.assert_close(seen.total, X.sum(0))
    torch.testing.assert_close(seen.reach, X.abs().amax(0))
    torch.testing.assert_close(seen.magnitude, X.abs().sum(0))
    torch.testing.assert_close(seen.gram, X.T @ X)
    assert not net[0]._forward_pre_hooks
    assert net.training


@pytest.mark.parametrize("data", [X[:0], [], (X[:0], Y[:0])], ids=["tensor", "list", "pair"])
def test_empty_data_is_refused(data):
    with pytest.raises(QuantizeError, match="The calibration data is empty"):
        calibration_batches(model(), data)


@pytest.mark.parametrize(("bad", "word"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_data_that_is_not_finite_is_refused(bad, word):
    spoilt = X.clone()
    spoilt[40, 1] = bad
    with pytest.raises(QuantizeError, match=f"Batch 1 of the calibration data, of shape .*, holds {word}"):
        calibration_batches(model(), spoilt)


def test_data_of_another_shape_is_refused():
    net = model()
    with pytest.raises(
        QuantizeError, match=r"cannot be called with batch 0 of the calibration data, of shape \[32, 5\]"
    ):
        observe(net, {"0": net[0]}, calibration_batches(net, torch.randn(40, 5)), frozenset())
    assert not net[0]._forward_pre_hooks
