from __future__ import annotations

import pytest
import torch

from tessera.errors import LabelError, SettingError
from tessera.train.metrics import accuracy, resolve_metrics


def test_accuracy_is_the_share_of_right_labels():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(scores, torch.tensor([1, 0, 0, 0])) == 0.75
    assert accuracy(scores[0], torch.tensor(1)) == 1.0


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
def test_accuracy_of_sequences(layout):
    scores, labels = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    expected = (scores.argmax(-1) == labels).float().mean()
    found = accuracy(scores.transpose(1, 2) if layout == "channels first" else scores, labels)
    assert found == expected
    assert found.dim() == 0


def test_where_both_layouts_fit_the_named_losses_decide():
    scores, labels = torch.randn(2, 4, 4), torch.randint(0, 4, (2, 4))
    assert accuracy(scores, labels) == (scores.argmax(-1) == labels).float().mean()


def test_accuracy_wants_class_labels():
    with pytest.raises(LabelError) as error:
        accuracy(torch.randn(4, 1), torch.randn(4, 1))
    assert str(error.value) == (
        "The metric 'accuracy' got a prediction of shape [4, 1] and torch.float32 labels of shape [4, 1]. "
        "It compares scores [batch, classes] with whole-number class labels [batch]. "
        "Write your own for other labels: metrics={'accuracy': lambda prediction, target: ...}."
    )


def test_names_and_functions():
    own = {"error": lambda prediction, target: (prediction - target).abs().mean()}
    assert resolve_metrics(None) == {}
    assert resolve_metrics("accuracy") == {"accuracy": accuracy}
    assert resolve_metrics(own) == own


def test_a_name_that_there_is_not():
    with pytest.raises(SettingError) as error:
        resolve_metrics("precision")
    assert str(error.value) == (
        "metrics='precision' was passed. "
        "A metric is one of the names 'accuracy' or a dict from names to functions. "
        "Write for example metrics={'error': lambda prediction, target: (prediction - target).abs().mean()}."
    )
