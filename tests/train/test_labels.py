from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LabelError
from tessera.nn.losses import resolve_loss
from tessera.train.batches import Batch
from tessera.train.labels import TRAINING_DATA, LabelCheck

MODEL = torch.nn.Linear(2, 3)
X = torch.randn(4, 2)
BY_CLASS = [
    "cross_entropy",
    "auto",
    "nll",
    F.cross_entropy,
    F.nll_loss,
    torch.nn.CrossEntropyLoss(),
    torch.nn.NLLLoss(),
]
VALUES = ["mse", "auto", "l1", "huber", F.mse_loss, torch.nn.MSELoss()]


def begin(loss, target, *, model=MODEL, x=X, **in_memory) -> LabelCheck:
    check = LabelCheck(model, resolve_loss(loss), {name.replace("_", " "): t for name, t in in_memory.items()})
    check.begin(Batch((x,), target))
    return check


@pytest.mark.parametrize("loss", BY_CLASS)
def test_sound_class_labels(loss):
    begin(loss, torch.tensor([0, 1, 2, 1]), training_data=torch.tensor([0, 2]))


def test_ignored_labels_are_in_range():
    begin("cross_entropy", torch.tensor([0, 1, -100, 1]))
    begin(torch.nn.CrossEntropyLoss(ignore_index=9), torch.tensor([0, 1, 9, 1]))


@pytest.mark.parametrize("loss", [*BY_CLASS[:1], *BY_CLASS[3:4], *BY_CLASS[5:6]])
def test_probabilities_are_labels_too(loss):
    begin(loss, torch.full((4, 3), 1 / 3))


@pytest.mark.parametrize("loss", VALUES)
def test_sound_values(loss):
    begin(loss, torch.randn(4, 3) * 100)


@pytest.mark.parametrize("loss", BY_CLASS)
def test_a_label_beyond_the_classes(loss):
    with pytest.raises(LabelError) as error:
        begin(loss, torch.tensor([0, 1, 3, -1]))
    assert str(error.value) == (
        "Batch 1 has labels that are out of range: 2 of 4, from -1 to 3. "
        "Labels lie between 0 and 2: the model answers with 3 classes. "
        "Number the classes from 0, or give the last layer one output for every class."
    )


def test_all_labels_in_memory_are_checked_at_once():
    with pytest.raises(LabelError, match="^The training data has labels that are out of range: 1 of 5, from 7 to 7"):
        begin("auto", torch.tensor([0, 1, 2, 1]), training_data=torch.tensor([0, 1, 2, 1, 7]))
    with pytest.raises(LabelError, match="^The validation data has labels that are out of range"):
        begin("auto", torch.tensor([0]), x=X[:1], validation_data=torch.tensor([5]))


def test_later_batches_of_a_stream_are_checked():
    check = begin("cross_entropy", torch.tensor([0, 1, 2, 1]))
    check.check(Batch((X,), torch.tensor([0, 1, 2, 1])), 2)
    with pytest.raises(LabelError, match="^Batch 3 has labels that are out of range: 1 of 4, from 4 to 4"):
        check.check(Batch((X,), torch.tensor([0, 1, 2, 4])), 3)


def test_what_was_checked_in_memory_is_not_checked_again():
    check = begin("cross_entropy", torch.tensor([0, 1, 2, 1]), training_data=torch.tensor([0]))
    assert TRAINING_DATA in check.in_memory
    check.check(Batch((X,), torch.tensor([0, 1, 2, 4])), 3)


@pytest.mark.parametrize("layout", ["by name", "torch"])
def test_classes_of_sequences(layout):
    scores, labels = torch.randn(2, 5, 3), torch.full((2, 5), 2)
    model, x = torch.nn.Identity(), scores if layout == "by name" else scores.transpose(1, 2)
    loss = "cross_entropy" if layout == "by name" else F.cross_entropy
    begin(loss, labels, model=model, x=x)
    with pytest.raises(LabelError, match="the model answers with 3 classes"):
        begin(loss, labels + 1, model=model, x=x)


@pytest.mark.parametrize("loss", ["bce", "bce_with_logits", F.binary_cross_entropy_with_logits, torch.nn.BCELoss()])
def test_yes_or_no_labels(loss):
    model, x = torch.nn.Identity(), torch.rand(3, 1)
    begin(loss, torch.tensor([[0.0], [0.5], [1.0]]), model=model, x=x)
    with pytest.raises(LabelError) as error:
        begin(loss, torch.tensor([[0.0], [2.0], [1.0]]), model=model, x=x)
    assert " 1 of 3, from 2 to 2. Labels lie between 0 and 1: " in str(error.value)
    assert str(error.value).endswith("Write labels as 0 and 1, or use loss='mse' for other values.")


def test_float_labels_for_torchs_cross_entropy():
    with pytest.raises(LabelError) as error:
        begin(torch.nn.CrossEntropyLoss(), torch.zeros(4))
    torchs_own = str(error.value.__cause__).rstrip(".")
    assert str(error.value) == (
        "Batch 1 has a torch.float32 tensor of shape [4] as labels and a torch.float32 tensor of shape [4, 3] as "
        f"prediction. CrossEntropyLoss says: {torchs_own}. "
        "Class labels are int64 [batch]; probabilities and other values are floats of the prediction's shape. "
        "Write labels.long() for classes, or labels.float().view_as(prediction) for values."
    )


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("cross_entropy", torch.zeros(4)),
        ("cross_entropy", torch.zeros(4, 1).long()),
        ("mse", torch.zeros(4)),
        (F.cross_entropy, torch.zeros(4).int()),
        (F.cross_entropy, torch.zeros(5).long()),
        (torch.nn.BCEWithLogitsLoss(), torch.zeros(4)),
    ],
)
def test_wrong_dtypes_and_shapes(loss, target):
    with pytest.raises(LabelError):
        begin(loss, target)


def test_other_losses_are_not_called_once_more():
    calls = []
    begin(lambda prediction, target: calls.append(1) or prediction.sum(), torch.tensor([99]))
    assert calls == []


def test_a_model_that_fails_is_left_to_the_step():
    begin("cross_entropy", torch.tensor([99]), x=torch.zeros(1, 7))


def test_a_failed_step_is_explained():
    check = begin(F.cross_entropy, torch.tensor([0, 1, 2, 1]), training_data=torch.tensor([0]))
    check.explain(Batch((X,), torch.tensor([0, 1, 2, 1])), 2)  # the labels are not what is wrong
    with pytest.raises(LabelError, match="^Batch 2 has labels that are out of range"):
        check.explain(Batch((X,), torch.tensor([0, 1, 2, 3])), 2)
    with pytest.raises(LabelError, match="cross_entropy says: expected "):
        check.explain(Batch((X,), torch.tensor([0, 1, 2, 1]).float()), 2)
