from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import BatchError, LabelError, LossError
from tessera.nn.losses import LOSSES, check_scalar, own_loss, resolve_loss

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
    "auto of doubles": (F.mse_loss, NUMBERS, TARGETS.double()),
    "nll": (F.nll_loss, LOGITS.log_softmax(1), CLASSES),
    "mse": (F.mse_loss, NUMBERS, TARGETS),
    "l1": (F.l1_loss, NUMBERS, TARGETS),
    "smooth_l1": (F.smooth_l1_loss, NUMBERS, TARGETS),
    "huber": (F.huber_loss, NUMBERS, TARGETS),
    "bce": (F.binary_cross_entropy, CHANCES, YES.float()),
    "bce_with_logits": (F.binary_cross_entropy_with_logits, NUMBERS, YES.float()),
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


def test_every_name_is_compared():
    assert {case.split()[0] for case in SAME_AS_TORCH} == set(LOSSES)


@pytest.mark.parametrize("name", ["auto", "cross_entropy"])
@pytest.mark.parametrize("vocab", [9, 5])  # with 5 the layout could be torch's as well
def test_sequences_are_classified_position_by_position(name, vocab):
    logits, tokens = torch.randn(3, 5, vocab), torch.randint(vocab, (3, 5))
    each = [F.cross_entropy(logits[b, t], tokens[b, t]) for b in range(3) for t in range(5)]
    assert torch.allclose(resolve_loss(name)(logits, tokens), torch.stack(each).mean())


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_any_integer_numbers_a_class(dtype):
    assert resolve_loss("auto")(LOGITS, CLASSES.to(dtype)) == F.cross_entropy(LOGITS, CLASSES)


@pytest.mark.parametrize("name", ["bce", "bce_with_logits", "mse", "l1", "huber"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_yes_and_no_become_numbers(name, dtype):
    ours = value_and_gradient(resolve_loss(name), CHANCES, YES.to(dtype))
    theirs = value_and_gradient(resolve_loss(name), CHANCES, YES.float())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_function_of_a_name_is_always_the_same():
    assert resolve_loss("auto") is resolve_loss("auto")
    criterion = torch.nn.CrossEntropyLoss()
    assert resolve_loss(criterion) is criterion
    assert resolve_loss(F.mse_loss) is F.mse_loss


@pytest.mark.parametrize(
    ("given", "nearest"), [("crossentropy", "cross_entropy"), ("MSE", "mse"), ("bce_logits", "bce_with_logits")]
)
def test_an_unknown_name_is_answered_with_the_nearest(given, nearest):
    with pytest.raises(LossError) as caught:
        resolve_loss(given)
    assert str(caught.value) == (
        f"There is no loss named {given!r}. "
        "The names are auto, cross_entropy, nll, mse, l1, smooth_l1, huber, bce, bce_with_logits, kl_div. "
        f"Write loss={nearest!r}, or pass a callable (prediction, target) -> 0-d tensor."
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [(torch.nn.CrossEntropyLoss, "the class CrossEntropyLoss itself"), (3, "a int"), (None, "a None")],
)
def test_what_is_no_loss_is_refused(given, said):
    with pytest.raises(LossError, match=f"^The loss is {said}.* A loss is a name or a callable .* with the parenth"):
        resolve_loss(given)


@pytest.mark.parametrize(
    ("name", "prediction", "target"),
    [
        ("mse", (5, 1), torch.randn(5)),  # torch would broadcast to [5, 5]
        ("auto", (5, 1), torch.randn(5)),
        ("l1", (5,), torch.randn(5, 1)),
        ("cross_entropy", (5, 3), torch.randn(5)),
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
    [((5, 1), (5,)), ((5, 1), (5, 1)), ((5, 3), (5, 1)), ((5, 3), (4,)), ((5,), (5,)), ((), ()), ((2, 3, 4), (3, 2))],
)
def test_labels_of_another_shape_are_refused(prediction, target):
    with pytest.raises(LabelError) as caught:
        resolve_loss("auto")(torch.randn(prediction), torch.zeros(target, dtype=torch.int64))
    assert str(caught.value) == (
        f"The prediction has shape {list(prediction)}, the target {list(target)} torch.int64. "
        "Integer targets number the two or more classes of a prediction [batch, classes] or [batch, seq, classes]. "
        'Write loss="bce_with_logits" for one yes-or-no output, or target.float() and loss="mse" for numbers.'
    )


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


@pytest.mark.parametrize("name", ["auto", "bce_with_logits"])
def test_a_loss_by_name_compiles_whole(name):
    loss = resolve_loss(name)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    target = CLASSES if name == "auto" else torch.ones(6, 4, dtype=torch.int64)
    assert torch.equal(compiled(LOGITS, target), loss(LOGITS, target))


class Output:
    loss = torch.tensor(1.5)


@pytest.mark.parametrize("output", [torch.tensor(1.5), {"loss": torch.tensor(1.5), "logits": torch.ones(3)}, Output()])
def test_a_modules_own_loss_is_found(output):
    assert own_loss(output) == own_loss(output, "target") == 1.5


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (torch.ones(3), "a tensor of shape [3]"),
        ({"logits": torch.ones(3)}, "dict"),
        ({"loss": None}, "dict"),
        ((torch.ones(()),), "tuple"),
        (1.0, "float"),
    ],
)
def test_a_module_without_a_loss_of_its_own_is_told(output, what):
    with pytest.raises(LossError) as caught:
        own_loss(output)
    assert str(caught.value) == (
        f"The module returned {what}, and loss=None was passed. "
        "Without a loss function the module returns its own loss: a 0-d tensor, or an output with a loss that is one. "
        'Write loss="cross_entropy" or another loss, or return the loss from forward, in eval mode as well.'
    )


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


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (torch.ones(2, requires_grad=True), r"a tensor of shape \[2\]"),
        ((torch.ones((), requires_grad=True),), "a tuple"),
        (3.0, "a float"),
        (torch.ones(()), "does not depend on any trainable parameter"),
    ],
    ids=["vector", "tuple", "float", "constant"],
)
def test_a_step_minimises_one_number_that_depends_on_parameters(loss, words):
    with pytest.raises(LossError, match=words):
        check_scalar(loss)
    check_scalar(torch.ones(1, requires_grad=True))
