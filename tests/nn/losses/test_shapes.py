from __future__ import annotations

import pytest
import torch

from tessera.errors import BatchError, LabelError, LossError
from tessera.nn.losses import LOSSES, resolve_loss
from tessera.nn.losses.shapes import by_class, class_dim

LOGITS, CLASSES = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])
NUMBERS, YES = torch.randn(5, 2), torch.rand(5, 2) > 0.5


@pytest.mark.parametrize(
    ("prediction", "target", "dim"),
    [((5, 3), (5,), 1), ((3,), (), 0), ((5, 7, 3), (5, 7), 2), ((5, 3, 7), (5, 7), 1), ((2, 3, 8, 8), (2, 8, 8), 1)],
)
def test_where_the_classes_are(prediction, target, dim):
    scores, labels = torch.randn(prediction), torch.zeros(target, dtype=torch.int64)
    assert class_dim(scores, labels) == dim
    ours, numbers = by_class(scores, labels)
    assert ours.shape[min(1, ours.ndim - 1)] == 3
    assert numbers.numel() == labels.numel()


@pytest.mark.parametrize(
    ("name", "prediction", "target"),
    [
        ("mse", (5, 1), torch.randn(5)),  # torch would broadcast to [5, 5]
        ("auto", (5, 1), torch.randn(5)),
        ("l1", (5,), torch.randn(5, 1)),
    ],
)
def test_shapes_that_torch_would_broadcast_are_refused(name, prediction, target):
    with pytest.raises(LabelError) as caught:
        resolve_loss(name)(torch.randn(prediction), target)
    assert str(caught.value) == (
        f"The prediction has shape {list(prediction)}, the target {list(target.shape)} torch.float32. "
        "This loss compares them number by number, so they have one shape. "
        "Write target.view_as(prediction), or prediction.squeeze(-1) for one number a sample."
    )


@pytest.mark.parametrize(
    ("prediction", "target"),
    [((5, 1), (5,)), ((5, 1), (5, 1)), ((5, 3), (4,)), ((5,), (5,)), ((), ()), ((2, 3, 4), (3, 2))],
)
def test_labels_of_another_shape_are_refused(prediction, target):
    with pytest.raises(LabelError) as caught:
        resolve_loss("auto")(torch.randn(prediction), torch.zeros(target, dtype=torch.int64))
    assert str(caught.value) == (
        f"The prediction has shape {list(prediction)}, the target {list(target)} torch.int64. "
        "Integer targets number the two or more classes of a prediction [batch, classes] or [batch, seq, classes]. "
        'Write loss="bce_with_logits" for one yes-or-no output, or target.float() and loss="mse" for numbers.'
    )


@pytest.mark.parametrize(
    ("name", "prediction", "target", "instead"),
    [
        ("cross_entropy", (5, 3), torch.ones(5), 'Write target.long() and loss="cross_entropy" where'),
        ("auto", (2, 7, 3), torch.ones(2, 7), 'Write target.long() and loss="cross_entropy" where'),
        ("mse", (5, 3), torch.ones(4), "Let the model return one number for each number of the target."),
        ("auto", (5, 3), torch.ones(5, 1).long(), "Write target.squeeze(-1)."),
        ("nll", (2, 7, 3), torch.ones(2, 7, 1).long(), "Write target.squeeze(-1)."),
        ("cross_entropy", (5, 3), torch.ones(5, 3).long(), "Write target.argmax(1) for one class of several, or"),
    ],
)
def test_what_to_write_follows_from_the_shapes(name, prediction, target, instead):
    with pytest.raises(LabelError) as caught:
        resolve_loss(name)(torch.randn(prediction), target)
    assert instead in str(caught.value)


@pytest.mark.parametrize("target", [YES, torch.zeros(5, dtype=torch.complex64)])
def test_labels_of_another_dtype_are_refused(target):
    with pytest.raises(LabelError) as caught:
        resolve_loss("auto")(NUMBERS, target)
    assert str(caught.value) == (
        f"The target has dtype {target.dtype}. Classes are numbered 0, 1, 2, ... by an integer tensor. "
        'Write target.long(), or loss="bce_with_logits" for yes-or-no targets.'
    )


@pytest.mark.parametrize("name", ["auto", "mse", "cross_entropy", "nll"])
def test_what_is_no_tensor_is_refused(name):
    with pytest.raises(LossError, match=r"^The model returned a tuple\. A loss by name compares one tensor"):
        resolve_loss(name)((LOGITS,), CLASSES)
    with pytest.raises(LabelError, match=r"^The target is a list\. .* Write torch\.as_tensor\(target\)\.$"):
        resolve_loss(name)(LOGITS, [0, 1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_zero_samples_is_refused(name):
    prediction, target = torch.zeros(0, 3), torch.zeros(0, 3)
    with pytest.raises(BatchError) as caught:
        resolve_loss(name)(prediction, target)
    assert str(caught.value) == (
        "The prediction has shape [0, 3]: the batch has no samples. "
        "A loss by name is a mean over samples, and the mean of none is NaN. "
        "Leave empty batches out, for example with `if len(labels):` before the step."
    )
