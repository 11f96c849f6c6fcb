from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.nn.losses import cross_entropy, focal, nll
from tessera.nn.losses.classification import focused, label_counts


@pytest.mark.parametrize("loss", [cross_entropy, nll, focal])
@pytest.mark.parametrize("vocab", [9, 5])  # with 5 the layout could be torch's as well
def test_sequences_are_classified_position_by_position(loss, vocab):
    logits, tokens = torch.randn(3, 5, vocab), torch.randint(vocab, (3, 5))
    each = torch.stack([torch.stack([loss(logits[b, t], tokens[b, t]) for t in range(5)]) for b in range(3)])
    torch.testing.assert_close(loss(logits, tokens), each.mean())
    torch.testing.assert_close(loss(logits, tokens, reduction="none"), each)


@pytest.mark.parametrize("loss", [cross_entropy, nll, focal])
def test_ignored_labels_and_class_weights(loss):
    logits, labels, weight = torch.randn(6, 4), torch.tensor([0, -100, 2, 3, 1, -100]), torch.rand(4)
    kept = labels >= 0
    values = loss(logits[kept], labels[kept], reduction="none")
    expected = (values * weight[labels[kept]]).sum() / weight[labels[kept]].sum()
    torch.testing.assert_close(loss(logits, labels, weight=weight), expected)
    torch.testing.assert_close(loss(logits, labels), values.mean())


def test_focal_without_focus_is_cross_entropy():
    logits, labels = torch.randn(6, 4), torch.randint(4, (6,))
    torch.testing.assert_close(focal(logits, labels, gamma=0.0), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_focal_has_a_gradient_however_sure_the_model_is(gamma, dtype):
    sure = torch.tensor([[200.0, 0.0], [0.0, 200.0]], dtype=dtype).requires_grad_()
    for labels in ([0, 1], [1, 0], [-100, 1]):
        loss = focal(sure, torch.tensor(labels), gamma=gamma)
        assert loss.isfinite()
        assert torch.autograd.grad(loss, sure)[0].isfinite().all()


def test_focused_is_precise_where_p_is_nearly_one():
    log_p = torch.tensor([-1e-9], dtype=torch.float32)  # 1 - p would be 0 in float32
    torch.testing.assert_close(focused(log_p, 0.5), torch.tensor([1e-9**1.5]), rtol=1e-5, atol=0)


def test_what_a_label_counts():
    labels, weight = torch.tensor([[0, 2], [-100, 1]]), torch.tensor([0.5, 2, 0])
    assert label_counts(labels, weight, torch.float64).tolist() == [[0.5, 0], [0, 2]]
    assert label_counts(labels, None, torch.float32, ignored=2).tolist() == [[1, 0], [1, 1]]
