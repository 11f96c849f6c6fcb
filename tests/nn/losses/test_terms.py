from __future__ import annotations

import functools
import inspect

import pytest
import torch
import torch.nn.functional as F
from torch.nn.modules import loss as torchs

from tessera.errors import LossError
from tessera.nn.losses import LOSSES, mse
from tessera.nn.losses.terms import _MODULES, SeparableLoss

# Torch's losses of more than a prediction and a target.
OF_MORE = {
    *("CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "MarginRankingLoss", "TripletMarginLoss"),
    *("TripletMarginWithDistanceLoss", "LinearCrossEntropyLoss"),
}


class Unhashable:
    __hash__ = None

    def __call__(self, prediction, target):
        return (prediction - target).mean()


def test_every_loss_of_torchs_is_known():
    names = {name for name in dir(torch.nn) if name.endswith("Loss") and name in dir(torchs)} - {"NLLLoss2d"}
    known = {kind.__name__ for kind in _MODULES}
    assert known <= names
    assert names <= known | OF_MORE


@pytest.mark.parametrize("kind", _MODULES, ids=lambda kind: kind.__name__)
def test_a_module_is_its_function_with_its_settings(kind):
    """Every setting of a module but those of its reduction is passed on."""
    parts = SeparableLoss.of(kind())
    assert parts is not None
    assert set(parts._attributes) == set(inspect.signature(kind).parameters) - {"size_average", "reduce"}
    assert parts.reduction == "mean"


def test_a_subclass_is_known_while_its_forward_is_torchs():
    class Named(torch.nn.MSELoss):
        pass

    class Other(torch.nn.MSELoss):
        def forward(self, prediction, target):
            return super().forward(prediction, target) * 2

    assert SeparableLoss.of(Named()) is not None
    assert SeparableLoss.of(Other()) is None


@pytest.mark.parametrize("loss", [*LOSSES.values(), F.mse_loss, functools.partial(F.huber_loss, delta=2.0)])
def test_functions_are_known(loss):
    assert SeparableLoss.of(loss) is not None


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, t: (p - t).mean(),
        Unhashable(),
        functools.partial(mse, torch.ones(2)),
        torch.nn.CTCLoss(),
        functools.partial(F.mse_loss, weight=torch.ones(2)),  # its mean is divided by them
    ],
)
def test_others_are_not(loss):
    assert SeparableLoss.of(loss) is None


def test_the_terms_divided_by_their_counts_are_the_loss():
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, -100, 3, 2, 1])
    criterion = torch.nn.CrossEntropyLoss(weight=torch.rand(4), label_smoothing=0.3)
    values, counts = SeparableLoss.of(criterion).terms(logits, labels)
    assert values.shape == counts.shape == (6,)
    torch.testing.assert_close(values.sum() / counts.sum(), criterion(logits, labels))


def test_a_loss_that_is_not_reduced_is_refused():
    with pytest.raises(LossError) as caught:
        _ = SeparableLoss.of(torch.nn.MSELoss(reduction="none")).reduction
    assert str(caught.value) == (
        "The loss MSELoss has reduction='none'. "
        "A training step needs one number, the mean or the sum over the samples. "
        "Write reduction='mean', the default; the samples are weighed before the mean."
    )


@pytest.mark.parametrize(
    ("loss", "own", "fix"),
    [
        (mse, "mse", "Weigh the samples instead, with sample_weight."),
        (torch.nn.HuberLoss(), "HuberLoss", "Weigh the samples instead, with sample_weight."),
        (
            torch.nn.CrossEntropyLoss(weight=torch.ones(3)),
            "CrossEntropyLoss, which has weights of its own",
            "Take the weights out of the loss.",
        ),
        (
            torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(3)),
            "BCEWithLogitsLoss, which has weights of its own",
            "Take the weights out of the loss.",
        ),
    ],
)
def test_class_weights_where_there_can_be_none(loss, own, fix):
    with pytest.raises(LossError) as caught:
        SeparableLoss.of(loss).check_class_weight()
    assert str(caught.value) == (
        f"class_weight was passed with the loss {own}. Classes are weighed once, by auto, cross_entropy, nll, focal, "
        f"bce, bce_with_logits, sigmoid_focal, or torch's losses of these kinds. {fix}"
    )
