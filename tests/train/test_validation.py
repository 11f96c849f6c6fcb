from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchmetrics

from tessera.errors import LabelError, SettingError
from tessera.train.batches import BatchReader
from tessera.train.metrics import resolve_metrics
from tessera.train.named_metrics import accuracy
from tessera.train.source import source
from tessera.train.validation import validate


def data(found, batch_size=4):
    return source(found, BatchReader(torch.float32, torch.device("cpu")), "validation data", batch_size, shuffle=False)


def test_batches_count_by_their_samples():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(), torch.nn.Linear(5, 2))
    x, y = torch.randn(10, 3), torch.randint(0, 2, (10,))
    results = validate(net, F.cross_entropy, {"accuracy": accuracy}, data((x, y)))
    assert all(part.training for part in net.modules())
    net.eval()
    torch.testing.assert_close(results["loss"], F.cross_entropy(net(x), y).item(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(results["accuracy"], accuracy(net(x), y).item(), rtol=1e-5, atol=1e-6)
    assert list(results) == ["loss", "accuracy"]


def test_nothing_is_learned():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    validate(net, F.mse_loss, {}, data((torch.randn(4, 3), torch.randn(4, 5))))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_keyword_inputs():
    class Sum(torch.nn.Module):
        def forward(self, *, a, b):
            return a + b

    batch = {"a": torch.ones(2), "b": torch.ones(2), "target": torch.zeros(2)}
    assert validate(Sum(), F.mse_loss, {}, data([batch])) == {"loss": 4.0}


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_a_metric_with_state_is_that_of_all_the_data(batch_size):
    net, x, y = torch.nn.Linear(3, 4), torch.randn(30, 3), torch.randint(4, (30,))
    f1 = torchmetrics.classification.MulticlassF1Score(4)
    whole = torchmetrics.functional.classification.multiclass_f1_score(net(x), y, 4)
    for _ in range(2):  # it begins anew
        results = validate(net, F.cross_entropy, {"f1": f1}, data((x, y), batch_size))
        assert results["f1"] == pytest.approx(whole.item())
    assert f1.compute() == whole  # and keeps what its result comes from


def test_a_metric_that_computes_several_results():
    net, x, y = torch.nn.Linear(3, 4), torch.randn(10, 3), torch.randint(4, (10,))
    kinds = torchmetrics.classification
    collection = torchmetrics.MetricCollection([kinds.MulticlassAccuracy(4), kinds.MulticlassF1Score(4)], prefix="my_")
    results = validate(net, F.cross_entropy, resolve_metrics([collection, "perplexity", "accuracy"]), data((x, y)))
    assert list(results) == ["loss", "accuracy", "my_MulticlassAccuracy", "my_MulticlassF1Score", "perplexity"]
    assert all(isinstance(value, float) for value in results.values())
    assert results["perplexity"] == pytest.approx(torch.tensor(results["loss"]).exp().item())


@pytest.mark.parametrize(
    ("metrics", "received"),
    [
        (
            {"matrix": torchmetrics.classification.MulticlassConfusionMatrix(4)},
            "The metric 'matrix' computed a tensor of shape [4, 4].",
        ),
        (
            {
                "accuracy": accuracy,
                "more": torchmetrics.MetricCollection({"accuracy": torchmetrics.classification.MulticlassAccuracy(4)}),
            },
            "Two metrics computed a result of the name 'accuracy'.",
        ),
    ],
)
def test_every_result_is_one_number_of_its_own_name(metrics, received):
    with pytest.raises(SettingError) as caught:
        validate(torch.nn.Linear(3, 4), F.cross_entropy, metrics, data((torch.randn(9, 3), torch.randint(4, (9,)))))
    assert str(caught.value) == (
        f"{received} Every result is one number with a name of its own. "
        "Choose an average over the classes, as in F1Score(..., average='macro'), or another name."
    )


def test_the_batch_with_a_wrong_label_is_named():
    labels = torch.tensor([0, 1, 2, 0, 1, 9])
    with pytest.raises(LabelError, match=r"^Batch 2 has .* cross_entropy says: Target 9 is out of bounds"):
        validate(torch.nn.Linear(2, 3), F.cross_entropy, {}, data((torch.randn(6, 2), labels)))


def test_an_error_of_ones_own_stays_as_it_is():
    def broken(prediction, target):
        raise IndexError("mine")

    with pytest.raises(IndexError, match="^mine$"):
        validate(torch.nn.Linear(2, 3), broken, {}, data((torch.randn(6, 2), torch.randn(6, 3))))
