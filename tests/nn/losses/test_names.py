from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import LossError
from tessera.nn.losses import LOSSES, resolve_loss
from tests.nn.losses.references import REFERENCES

LOGITS, CLASSES = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])
NUMBERS, TARGETS = torch.randn(5, 2), torch.randn(5, 2)
CHANCES, YES = torch.rand(5, 2), torch.rand(5, 2) > 0.5

SAME_AS_TORCH = {
    "cross_entropy": (F.cross_entropy, LOGITS, CLASSES),
    "cross_entropy of probabilities": (F.cross_entropy, LOGITS, torch.rand(6, 4)),
    "cross_entropy of an image": (F.cross_entropy, torch.randn(2, 4, 3, 3), torch.randint(4, (2, 3, 3))),
    "cross_entropy of a sequence in torch's layout": (F.cross_entropy, torch.randn(2, 4, 7), torch.randint(4, (2, 7))),
    "cross_entropy of one sample": (F.cross_entropy, torch.randn(4), torch.tensor(2)),
    "auto of classes": (F.cross_entropy, LOGITS, CLASSES),
    "auto of numbers": (F.mse_loss, NUMBERS, TARGETS),
    "auto of doubles": (lambda p, t: F.mse_loss(p.double(), t), NUMBERS, TARGETS.double()),
    "nll": (F.nll_loss, LOGITS.log_softmax(1), CLASSES),
    "mse": (F.mse_loss, NUMBERS, TARGETS),
    "l1": (F.l1_loss, NUMBERS, TARGETS),
    "smooth_l1": (F.smooth_l1_loss, NUMBERS, TARGETS),
    "huber": (F.huber_loss, NUMBERS, TARGETS),
    "bce": (F.binary_cross_entropy, CHANCES, YES.float()),
    "bce_with_logits": (F.binary_cross_entropy_with_logits, NUMBERS, YES.float()),
    "poisson_nll": (F.poisson_nll_loss, NUMBERS, TARGETS.exp()),
    "kl_div": (lambda p, t: F.kl_div(p, t, reduction="batchmean"), LOGITS.log_softmax(1), torch.randn(6, 4).softmax(1)),
}


def value_and_gradient(loss, prediction, target):
    prediction = prediction.clone().requires_grad_()
    value = loss(prediction, target)
    return value.detach(), torch.autograd.grad(value, prediction)[0]


@pytest.mark.parametrize("case", SAME_AS_TORCH)
def test_a_name_is_torchs_loss(case):
    torchs, prediction, target = SAME_AS_TORCH[case]
    ours = value_and_gradient(resolve_loss(case.split()[0]), prediction, target)
    theirs = value_and_gradient(torchs, prediction, target)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_is_its_equation(name):
    """In float64; the gradient against differences."""
    case = REFERENCES[name]
    prediction, target = case.data()
    prediction = prediction.double().requires_grad_()
    values = torch.tensor(case.values(prediction.tolist(), target.tolist()), dtype=torch.float64)
    torch.testing.assert_close(LOSSES[name](prediction, target), values.mean())
    torch.testing.assert_close(LOSSES[name](prediction, target, reduction="none"), values)
    torch.autograd.gradcheck(lambda prediction: LOSSES[name](prediction, target), prediction)


def test_the_function_of_a_name_is_always_the_same():
    assert resolve_loss("auto") is resolve_loss("auto")
    criterion = torch.nn.CrossEntropyLoss()
    assert resolve_loss(criterion) is criterion
    assert resolve_loss(F.mse_loss) is F.mse_loss


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("crossentropy", "cross_entropy"), ("MSE", "mse"), ("bce_logits", "bce_with_logits"), ("mae", "l1")],
)
def test_an_unknown_name_is_answered_with_the_nearest(given, nearest):
    with pytest.raises(LossError) as caught:
        resolve_loss(given)
    assert str(caught.value) == (
        f"There is no loss named {given!r}. "
        f"The names are {', '.join(LOSSES)}. "
        f"Write loss={nearest!r}, or pass a callable (prediction, target) -> 0-d tensor."
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [(torch.nn.CrossEntropyLoss, "the class CrossEntropyLoss itself"), (3, "a int"), (None, "a None")],
)
def test_what_is_no_loss_is_refused(given, said):
    with pytest.raises(LossError, match=f"^The loss is {said}.* A loss is a name or a callable .* with the parenth"):
        resolve_loss(given)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_by_name_compiles_whole(name):
    loss, (prediction, target) = resolve_loss(name), REFERENCES[name].data()
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    assert torch.equal(compiled(prediction, target), loss(prediction, target))
