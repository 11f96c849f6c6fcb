from __future__ import annotations

import pytest
import torchmetrics

from tessera.errors import SettingError
from tessera.nn.losses import l1, mse
from tessera.train.metrics import functions, is_stateful, resolve_metrics, step_metrics
from tessera.train.named_metrics import AVERAGES, WITH_STATE, Perplexity, accuracy


def error(prediction, target):
    return (prediction - target).abs().mean()


def test_names_functions_and_objects():
    f1 = torchmetrics.classification.MulticlassF1Score(3)
    assert resolve_metrics(None) == {}
    assert resolve_metrics([]) == {}
    assert resolve_metrics("accuracy") == {"accuracy": accuracy}
    assert resolve_metrics(["accuracy", "mae"]) == {"accuracy": accuracy, "mae": l1}
    assert resolve_metrics({"a": "accuracy", "b": error, "c": f1}) == {"a": accuracy, "b": error, "c": f1}
    assert resolve_metrics(error) == {"error": error}
    assert resolve_metrics(f1) == resolve_metrics([f1]) == {"MulticlassF1Score": f1}


@pytest.mark.parametrize("name", [*AVERAGES, *WITH_STATE])
def test_every_name(name):
    assert is_stateful(resolve_metrics(name)[name]) == (name in WITH_STATE)


def test_a_metric_with_state_by_name_is_a_new_one():
    first, second = (resolve_metrics("perplexity")["perplexity"] for _ in range(2))
    assert isinstance(first, Perplexity)
    assert first is not second


def test_what_has_a_state():
    collection = torchmetrics.MetricCollection([torchmetrics.classification.BinaryAccuracy()])
    assert is_stateful(Perplexity())
    assert is_stateful(collection)
    assert resolve_metrics(collection) == {"MetricCollection": collection}
    for other in (Perplexity, torchmetrics.F1Score, accuracy, mse, {}, set(), None):
        assert not is_stateful(other)


def test_a_step_measures_functions_only():
    metrics = resolve_metrics(["accuracy", "perplexity"])
    assert step_metrics(metrics, held_out=True) == functions(metrics) == {"accuracy": accuracy}
    assert step_metrics({"accuracy": accuracy}, held_out=False) == {"accuracy": accuracy}
    with pytest.raises(SettingError) as caught:
        step_metrics(metrics, held_out=False)
    assert str(caught.value) == (
        "metrics has 'perplexity', and no validation data was passed. "
        "A metric with state is measured on held-out data, from its first batch to its last. "
        "Pass validation=..., or a function (prediction, target) -> 0-d tensor, which training averages."
    )


@pytest.mark.parametrize(("given", "nearest"), [("acuracy", "accuracy"), ("Perplexity", "perplexity"), ("MSE", "mse")])
def test_a_name_that_there_is_not(given, nearest):
    with pytest.raises(SettingError) as caught:
        resolve_metrics([given])
    assert str(caught.value) == (
        f"There is no metric named {given!r}. "
        f"The names are {', '.join([*AVERAGES, *WITH_STATE])}. "
        f"Write metrics={nearest!r}, or your own: metrics={{{given!r}: lambda prediction, target: ...}}."
    )


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (torchmetrics.F1Score, "metrics has the class F1Score itself."),
        ({"f1": torchmetrics.F1Score}, "metrics has the class F1Score itself."),
        (3, "metrics has 3."),
        ([None], "metrics has None."),
        ({"a": ["accuracy"]}, "metrics has ['accuracy']."),
    ],
)
def test_what_is_no_metric(given, received):
    with pytest.raises(SettingError) as caught:
        resolve_metrics(given)
    assert caught.value.received == received
    assert caught.value.expected == (
        "A metric is a name, a function (prediction, target), or an object with update, compute and reset."
    )


def test_a_lambda_needs_a_name():
    with pytest.raises(SettingError, match=r"^metrics has a lambda without a name\. Every result has a name\."):
        resolve_metrics([lambda prediction, target: prediction.mean()])


@pytest.mark.parametrize(("given", "what"), [(["mse", "mse"], "two of the name 'mse'"), ({"loss": mse}, "one of")])
def test_every_result_has_a_name_of_its_own(given, what):
    with pytest.raises(SettingError, match=f"^metrics has {what}"):
        resolve_metrics(given)
