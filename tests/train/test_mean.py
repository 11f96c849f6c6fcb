from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LossError
from tessera.nn.losses import LOSSES, resolve_loss, weighted_loss
from tessera.train.batches import Batch
from tessera.train.mean import Mean
from tessera.train.named_metrics import accuracy
from tests.nn.losses.references import REFERENCES

SIZES = (2, 1, 2)


def mean(name, function, prediction, target, weight=None):
    found = Mean(name, function)
    parts = (prediction, target, prediction if weight is None else weight)
    for p, t, w in zip(*(part.split(SIZES) for part in parts), strict=True):
        found.add(p, Batch((p,), t, weight=None if weight is None else w))
    return found.value()


@pytest.mark.parametrize("name", LOSSES)
def test_batches_of_any_size_have_the_mean_of_all(name):
    prediction, target = REFERENCES[name].data()
    weight = torch.tensor([0.0, 1.0, 0.5, 3.0, 0.0], dtype=torch.float64)
    prediction, loss = prediction.double(), resolve_loss(name)
    assert mean("loss", loss, prediction, target) == pytest.approx(loss(prediction, target).item())
    expected = weighted_loss(loss)(prediction, target, weight).item()
    assert mean("loss", loss, prediction, target, weight) == pytest.approx(expected)
    assert mean("a metric", loss, prediction, target, weight) == pytest.approx(loss(prediction, target).item())


def test_ignored_labels_count_nowhere():
    scores, labels = torch.randn(5, 4), torch.tensor([1, -100, -100, 3, 0])
    kept = labels >= 0
    for function in (F.cross_entropy, torch.nn.CrossEntropyLoss(label_smoothing=0.1), accuracy):
        expected = function(scores[kept], labels[kept]).item()
        assert mean("loss", function, scores, labels) == pytest.approx(expected)
    assert torch.tensor(mean("loss", F.cross_entropy, scores, torch.full((5,), -100))).isnan()


def test_a_function_of_ones_own_counts_by_samples():
    def worst(prediction, target, sample_weight=None):
        return (prediction - target).abs().max()

    prediction, target = torch.arange(5.0), torch.zeros(5)  # the worst of the batches: 1, 2, 4
    assert mean("loss", worst, prediction, target) == pytest.approx((1 * 2 + 2 * 1 + 4 * 2) / 5)
    weight = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.0])
    assert mean("loss", worst, prediction, target, weight) == pytest.approx((1 * 1 + 2 * 2 + 4 * 1) / 4)


def test_weights_that_a_loss_does_not_take_are_told():
    with pytest.raises(LossError, match="in a parameter named sample_weight"):
        mean("loss", lambda p, t: (p - t).mean(), torch.ones(5), torch.ones(5), torch.ones(5))


def test_the_class_weights_of_a_loss_stay():
    scores, labels, weight = torch.randn(5, 4), torch.randint(4, (5,)), torch.rand(4)
    expected = F.cross_entropy(scores, labels, weight=weight).item()
    assert mean("loss", weighted_loss("cross_entropy", weight), scores, labels) == pytest.approx(expected)


def test_a_sum_stays_the_mean_of_the_batches_sums():
    prediction, target = torch.randn(5), torch.randn(5)
    pairs = zip(prediction.split(SIZES), target.split(SIZES), strict=True)
    sums = [F.mse_loss(p, t, reduction="sum") * len(p) for p, t in pairs]
    found = mean("loss", torch.nn.MSELoss(reduction="sum"), prediction, target)
    assert found == pytest.approx(sum(sums).item() / 5)


def test_many_small_results_are_added_up_in_float64():
    found = Mean("loss", F.mse_loss)
    for _ in range(300):
        found.add(torch.full((100,), 300.0, dtype=torch.float16), Batch((), torch.full((100,), 200.0).half()))
    assert found.value() == 10_000


@pytest.mark.parametrize(
    ("returned", "what"), [(torch.ones(2), "of shape [2]"), (1.0, "of type float"), (None, "of type NoneType")]
)
def test_a_result_is_one_number(returned, what):
    with pytest.raises(LossError) as caught:
        mean("error", lambda p, t: returned, torch.ones(5), torch.ones(5))
    assert str(caught.value) == (
        f"'error' returned a value {what}. A loss or a metric is one number, a 0-d tensor. "
        "Reduce it: write .mean() at its end."
    )
