from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LabelError
from tessera.train.named_metrics import AVERAGES, Perplexity, accuracy, top_5_accuracy


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


def test_accuracy_of_pictures():
    scores, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    expected = (scores.argmax(1) == labels).float().mean()
    assert accuracy(scores, labels) == accuracy(scores.movedim(1, -1), labels) == expected


def test_where_both_layouts_fit_the_named_losses_decide():
    scores, labels = torch.randn(2, 4, 4), torch.randint(0, 4, (2, 4))
    assert accuracy(scores, labels) == (scores.argmax(-1) == labels).float().mean()


def test_ignored_labels_count_nowhere():
    scores, labels = torch.randn(6, 7), torch.tensor([3, -100, 1, -100, 2, 0])
    kept = labels >= 0
    for metric in (accuracy, top_5_accuracy):
        assert metric(scores, labels) == metric(scores[kept], labels[kept])
        assert metric(scores, torch.full((6,), -100)) == 0


def test_the_five_best_scores():
    scores = torch.arange(10.0).repeat(3, 1)
    assert top_5_accuracy(scores, torch.tensor([9, 5, 4])) == torch.tensor(2 / 3)
    sequences = torch.randn(4, 6, 8)
    labels = torch.randint(8, (4, 6))
    expected = (sequences.topk(5).indices == labels[..., None]).any(-1).float().mean()
    assert top_5_accuracy(sequences, labels) == top_5_accuracy(sequences.transpose(1, 2), labels) == expected


def test_a_model_that_answers_nan_knows_nothing():
    assert accuracy(torch.full((4, 10), torch.nan), torch.arange(5, 9)) == 0


@pytest.mark.parametrize("metric", [accuracy, top_5_accuracy])
def test_it_is_captured_whole(metric):
    scores, labels = torch.randn(6, 7), torch.randint(7, (6,))
    assert torch.compile(metric, backend="eager", fullgraph=True)(scores, labels) == metric(scores, labels)


def test_accuracy_wants_class_labels():
    with pytest.raises(LabelError) as error:
        accuracy(torch.randn(4, 1), torch.randn(4, 1))
    assert str(error.value) == (
        "The metric 'accuracy' got a prediction of shape [4, 1] and torch.float32 labels of shape [4, 1]. "
        "It compares scores [batch, classes] with whole-number class labels [batch]. "
        "Write your own for other labels: metrics={'accuracy': lambda prediction, target: ...}."
    )


def test_five_of_four_classes_say_nothing():
    with pytest.raises(LabelError, match=r"It compares scores \[batch, classes\] of at least 5 classes with"):
        top_5_accuracy(torch.randn(4, 4), torch.randint(4, (4,)))


def test_perplexity_is_that_of_all_labels():
    scores, labels = torch.randn(6, 5, 9), torch.randint(9, (6, 5))
    labels[:2, 1:] = -100
    metric = Perplexity()
    for _ in range(2):
        metric.reset()
        for rows in (slice(0, 2), slice(2, 6)):
            metric.update(scores[rows], labels[rows])
    expected = F.cross_entropy(scores.flatten(0, 1), labels.flatten()).exp()
    torch.testing.assert_close(metric.compute(), expected.double(), rtol=1e-5, atol=0)


def test_the_perplexity_of_nothing_is_no_number():
    metric = Perplexity()
    assert metric.compute().isnan()
    metric.update(torch.randn(2, 3), torch.full((2,), -100))
    assert metric.compute().isnan()


def test_a_loss_by_name_is_an_average():
    given, wanted = torch.randn(3, 2), torch.randn(3, 2)
    assert AVERAGES["mae"](given, wanted) == F.l1_loss(given, wanted)
    assert "auto" not in AVERAGES  # the loss itself
