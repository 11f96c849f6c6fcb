from __future__ import annotations

import pytest
import torch

from tessera.errors import LabelError
from tessera.nn.losses import dice


def test_a_perfect_overlap_is_zero_and_none_is_nearly_one():
    truth = torch.zeros(1, 8, 8)
    truth[:, :4] = 1
    sure = 100 * (2 * truth - 1)
    torch.testing.assert_close(dice(sure, truth), torch.tensor(0.0))
    torch.testing.assert_close(dice(-sure, truth, smooth=0.0), torch.tensor(1.0))
    assert dice(torch.full((1, 8, 8), -100.0), torch.zeros(1, 8, 8)) == 0  # nothing there, nothing found


@pytest.mark.parametrize("shape", [(3, 16), (3, 4, 4), (3, 2, 8), (3, 1, 4, 4)])
def test_the_form_of_a_region_does_not_matter(shape):
    logits, truth = torch.randn(3, 16), torch.rand(3, 16) > 0.5
    torch.testing.assert_close(dice(logits.reshape(shape), truth.reshape(shape)), dice(logits, truth))


def test_two_classes_are_yes_and_no():
    logits, labels = torch.randn(3, 8), torch.randint(2, (3, 8))
    both = torch.stack([torch.zeros_like(logits), logits], dim=1)
    values = dice(both, labels, reduction="none")
    torch.testing.assert_close(values[:, 1], dice(logits, labels.float(), reduction="none"))
    torch.testing.assert_close(values[:, 0], dice(-logits, 1 - labels.float(), reduction="none"))


def test_layouts_agree():
    logits, labels = torch.randn(2, 3, 5, 7), torch.randint(3, (2, 5, 7))
    sequences = logits.flatten(2).movedim(1, -1)
    torch.testing.assert_close(dice(logits, labels), dice(sequences, labels.flatten(1)))
    torch.testing.assert_close(
        dice(logits[..., :1, :1], labels[..., :1, :1]), dice(logits[..., 0, 0], labels[..., 0, 0])
    )


def test_ignored_points_count_nowhere():
    logits, labels = torch.randn(2, 3, 8), torch.randint(3, (2, 8))
    labels[:, 5:] = -100
    torch.testing.assert_close(dice(logits, labels), dice(logits[..., :5], labels[:, :5]))


def test_halves_of_large_pictures():
    logits = torch.zeros(1, 512, 512, dtype=torch.float16)  # its sum is no float16
    torch.testing.assert_close(dice(logits, torch.ones(1, 512, 512)), torch.tensor(1 / 3, dtype=torch.float16))


def test_a_label_without_a_class_is_refused():
    with pytest.raises(RuntimeError):
        dice(torch.randn(2, 3, 4), torch.full((2, 4), 3))


@pytest.mark.parametrize("target", [torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 1, 8)])
def test_other_shapes_are_refused(target):
    with pytest.raises(LabelError):
        dice(torch.randn(2, 3, 8), target)
