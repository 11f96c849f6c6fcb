from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F

from tessera.errors import BatchError, LabelError, LossError
from tessera.nn.losses import LOSSES, WeightedLoss, weighted_loss
from tests.nn.losses.references import REFERENCES

LOGITS, CLASSES = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])


def gradient(loss, prediction, *rest):
    prediction = prediction.clone().requires_grad_()
    return torch.autograd.grad(loss(prediction, *rest), prediction)[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LOSSES)
def test_a_weighted_loss_is_its_equation(name, seed):
    torch.manual_seed(seed)
    case = REFERENCES[name]
    prediction, target = case.data()
    prediction, weight = prediction.double(), torch.rand(len(prediction), dtype=torch.float64)
    weight[torch.rand(len(weight)) < 0.3] = 0
    weight[0] = 0.5
    values = torch.tensor(case.values(prediction.tolist(), target.tolist()), dtype=torch.float64)
    spread = weight.reshape(-1, *(1,) * (values.ndim - 1)).expand_as(values)
    loss = weighted_loss(name)
    torch.testing.assert_close(loss(prediction, target), values.mean())
    torch.testing.assert_close(loss(prediction, target, weight), (spread * values).sum() / spread.sum())
    torch.testing.assert_close(loss(prediction, target, spread), (spread * values).sum() / spread.sum())


@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_one_are_no_weights(name):
    prediction, target = REFERENCES[name].data()
    prediction, loss = prediction.double(), weighted_loss(name)
    for weight in (None, torch.ones(len(prediction)), torch.full((len(prediction),), 0.1)):
        torch.testing.assert_close(loss(prediction, target, weight), LOSSES[name](prediction, target))
        torch.testing.assert_close(
            gradient(loss, prediction, target, weight), gradient(LOSSES[name], prediction, target)
        )


@pytest.mark.parametrize("name", LOSSES)
def test_weights_that_sum_to_zero_give_zero_and_no_gradient(name):
    prediction, target = REFERENCES[name].data()
    weight, loss = torch.zeros(len(prediction)), weighted_loss(name)
    assert loss(prediction, target, weight) == 0
    assert gradient(loss, prediction, target, weight).eq(0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_sample_of_weight_zero_might_as_well_not_be_there(name):
    prediction, target = REFERENCES[name].data()
    weight = torch.tensor([0.0, 1, 2, 3, 0])
    loss, kept = weighted_loss(name), weight > 0
    torch.testing.assert_close(loss(prediction, target, weight), loss(prediction[kept], target[kept], weight[kept]))


@pytest.mark.parametrize(
    "loss",
    [
        torch.nn.CrossEntropyLoss(label_smoothing=0.1),
        torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 0, 4]), ignore_index=1, label_smoothing=0.2),
        torch.nn.NLLLoss(weight=torch.tensor([1.0, 2, 0, 4])),
        torch.nn.MultiMarginLoss(margin=0.5),
        functools.partial(F.cross_entropy, label_smoothing=0.1, ignore_index=2),
    ],
)
def test_torchs_losses_of_classes(loss):
    """A weight of two is the sample twice."""
    weight = torch.tensor([1, 2, 0, 3, 1, 1])
    ours = weighted_loss(loss)
    torch.testing.assert_close(ours(LOGITS, CLASSES), loss(LOGITS, CLASSES))
    again = torch.repeat_interleave(torch.arange(6), weight)
    torch.testing.assert_close(ours(LOGITS, CLASSES, weight), loss(LOGITS[again], CLASSES[again]))


@pytest.mark.parametrize(
    "loss",
    [
        torch.nn.MSELoss(),
        torch.nn.L1Loss(),
        torch.nn.HuberLoss(delta=0.3),
        torch.nn.SmoothL1Loss(beta=0.3),
        torch.nn.BCELoss(),
        torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)),
        torch.nn.KLDivLoss(reduction="batchmean", log_target=True),
        torch.nn.KLDivLoss(reduction="sum"),
        torch.nn.PoissonNLLLoss(log_input=False),
        torch.nn.SoftMarginLoss(),
        torch.nn.HingeEmbeddingLoss(margin=0.5),
        torch.nn.MultiLabelSoftMarginLoss(),
        torch.nn.MSELoss(reduction="sum"),
        F.mse_loss,
        F.smooth_l1_loss,
        functools.partial(F.huber_loss, delta=0.2),
    ],
)
def test_torchs_losses_of_numbers(loss):
    prediction, target, weight = torch.rand(4, 3), torch.rand(4, 3), torch.tensor([1, 2, 0, 3])
    ours, again = weighted_loss(loss), torch.repeat_interleave(torch.arange(4), weight)
    torch.testing.assert_close(ours(prediction, target), loss(prediction, target))
    torch.testing.assert_close(ours(prediction, target, weight), loss(prediction[again], target[again]))


def test_a_module_of_torchs_stays_as_it_is_and_is_asked_at_every_call():
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    before, ours = dict(vars(criterion)), weighted_loss(criterion)
    ours(LOGITS, CLASSES, torch.ones(6))
    assert vars(criterion) == before
    criterion.label_smoothing = 0.5
    torch.testing.assert_close(ours(LOGITS, CLASSES), criterion(LOGITS, CLASSES))


@pytest.mark.parametrize("loss", ["cross_entropy", "auto", "nll", F.cross_entropy, torch.nn.CrossEntropyLoss()])
@pytest.mark.parametrize("labels", [CLASSES, torch.tensor([0, -100, 2, 3, -100, 0])])
@pytest.mark.parametrize("given", [[1.0, 2.0, 0.0, 4.0], {1: 2, 2: 0, 3: 4.0}, torch.tensor([1.0, 2.0, 0.0, 4.0])])
def test_class_weights_are_torchs(loss, labels, given):
    weight = torch.tensor([1.0, 2.0, 0.0, 4.0])
    torchs = F.nll_loss if loss == "nll" else F.cross_entropy
    ours = weighted_loss(loss, given)
    torch.testing.assert_close(ours(LOGITS, labels), torchs(LOGITS, labels, weight=weight))
    torch.testing.assert_close(
        gradient(ours, LOGITS, labels), gradient(functools.partial(torchs, weight=weight), LOGITS, labels)
    )
    samples = torch.rand(6)
    values, counts = (
        torchs(LOGITS, labels, weight=weight, reduction="none"),
        weight[labels.clamp(min=0)] * (labels >= 0),
    )
    torch.testing.assert_close(ours(LOGITS, labels, samples), (samples * values).sum() / (samples * counts).sum())


def test_class_weights_of_probabilities_are_torchs():
    target, weight = torch.rand(6, 4), torch.rand(4)
    torch.testing.assert_close(
        weighted_loss("cross_entropy", weight)(LOGITS, target), F.cross_entropy(LOGITS, target, weight=weight)
    )


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 2)])
def test_class_weights_of_sequences_and_images(shape):
    target, weight = torch.randint(4, shape), torch.rand(4)
    logits = torch.randn(*shape, 4)
    expected = F.cross_entropy(logits.reshape(-1, 4), target.flatten(), weight=weight)
    given = logits if len(shape) == 2 else logits.movedim(-1, 1)
    torch.testing.assert_close(weighted_loss("cross_entropy", weight)(given, target), expected)
    # One weight for every label.
    labels = torch.rand(shape)
    values = F.cross_entropy(logits.reshape(-1, 4), target.flatten(), reduction="none")
    expected = (values * labels.flatten()).sum() / labels.sum()
    torch.testing.assert_close(weighted_loss("cross_entropy")(given, target, labels), expected)


@pytest.mark.parametrize("name", ["bce", "bce_with_logits", "sigmoid_focal"])
def test_yes_is_class_1(name):
    prediction, target = torch.rand(5, 3), (torch.rand(5, 3) > 0.5).float()
    weight = torch.where(target == 1, 4.0, 0.5)
    values = LOSSES[name](prediction, target, reduction="none")
    ours = weighted_loss(name, {0: 0.5, 1: 4.0})
    torch.testing.assert_close(ours(prediction, target), (weight * values).sum() / weight.sum())
    torch.testing.assert_close(ours(prediction, target.bool()), ours(prediction, target))


def test_a_target_between_no_and_yes_is_a_share_of_each():
    logit, weights = torch.tensor([0.7]), {0: 0.5, 1: 4.0}
    shares = torch.tensor([0.25])
    twice = torch.tensor([0.7, 0.7]), torch.tensor([0.0, 1.0]), torch.tensor([0.75, 0.25])
    ours = weighted_loss("bce_with_logits", weights)
    torch.testing.assert_close(ours(logit, shares), ours(*twice))


def test_halves_do_not_overflow():
    prediction, target = torch.full((300, 4), 30.0, dtype=torch.float16), torch.zeros(300, 4, dtype=torch.float16)
    loss = weighted_loss("mse")(prediction, target, torch.ones(300))
    assert loss == 900
    assert loss.dtype is torch.float16


def test_a_loss_of_ones_own_weighs_by_itself():
    def own(prediction, target, *, sample_weight=None):
        values = (prediction - target).square().mean(1)
        return values.mean() if sample_weight is None else (values * sample_weight).mean()

    prediction, target, weight = torch.randn(5, 3), torch.randn(5, 3), torch.rand(5)
    assert weighted_loss(own)(prediction, target, weight) == own(prediction, target, sample_weight=weight)
    assert weighted_loss(own)(prediction, target) == own(prediction, target)
    assert weighted_loss(own).sums(prediction, target, weight) is None


def test_the_sums_of_batches_are_the_mean_of_all():
    labels = torch.tensor([0, -100, 2, 3, -100, -100])
    loss, weight = weighted_loss("cross_entropy", {3: 5.0}), torch.rand(6)
    sums = [loss.sums(LOGITS[rows], labels[rows], weight[rows]) for rows in (slice(0, 2), slice(2, 6))]
    total, count = (sum(parts) for parts in zip(*sums, strict=True))
    torch.testing.assert_close(total / count, loss(LOGITS, labels, weight))


def test_the_same_loss_and_weights_are_equal():
    assert weighted_loss("mse") == weighted_loss("mse")
    assert hash(weighted_loss("nll", [1, 2])) == hash(weighted_loss("nll", torch.tensor([1.0, 2.0])))
    assert weighted_loss("nll", [1, 2]) == weighted_loss("nll", torch.tensor([1.0, 2.0]))
    assert weighted_loss("nll", [1, 2]) != weighted_loss("nll", {0: 1, 1: 2})
    assert weighted_loss("mse") != weighted_loss("l1")
    assert weighted_loss("mse") != "mse"


def test_it_compiles_whole():
    ours = weighted_loss(torch.nn.CrossEntropyLoss(label_smoothing=0.1), {1: 2.0})
    compiled = torch.compile(ours.__call__, backend="eager", fullgraph=True)
    weight = torch.rand(6)
    torch.testing.assert_close(compiled(LOGITS, CLASSES, weight), ours(LOGITS, CLASSES, weight))


@pytest.mark.parametrize("shape", [(5,), (6, 4), (), (1, 6)])
def test_weights_of_another_shape_are_refused(shape):
    with pytest.raises(BatchError) as caught:
        weighted_loss("cross_entropy")(LOGITS, CLASSES, torch.ones(shape))
    assert str(caught.value) == (
        f"The batch has a sample_weight of shape {list(shape)} and losses of shape [6]. "
        "There is one weight for each sample, or for each of the losses. "
        "Pass sample_weight with the shape [6] or [6]."
    )


def test_one_sample_without_a_batch_has_one_weight():
    found = weighted_loss("cross_entropy")(LOGITS[0], CLASSES[0], torch.tensor([3.0]))
    torch.testing.assert_close(found, F.cross_entropy(LOGITS[0], CLASSES[0]))


@pytest.mark.parametrize(
    ("loss", "takes"),
    [
        (lambda prediction, target: prediction.sum(), "prediction, target"),
        (lambda prediction, target, weight: prediction.sum(), "prediction, target, weight"),  # of classes, perhaps
        (lambda *args: sum(args), "args"),
        (torch.nn.CosineEmbeddingLoss(), "input1, input2, target"),
        (functools.partial(F.cross_entropy, LOGITS), "target, weight, size_average, ignore_index, reduce, reduction, "),
    ],
)
def test_a_loss_of_ones_own_without_weights_is_told(loss, takes):
    with pytest.raises(LossError) as caught:
        weighted_loss(loss)
    received, rest = str(caught.value).split(", and weights were passed. ")
    assert f" takes ({takes}" in received
    assert rest == (
        "A loss of one's own weighs its samples itself, in a parameter named sample_weight. "
        "Write def loss(prediction, target, sample_weight): ..., or use a loss by name or of torch's."
    )


def test_class_weights_of_a_loss_of_ones_own_are_refused():
    def own(prediction, target, sample_weight):
        return prediction.sum()

    with pytest.raises(LossError) as caught:
        weighted_loss(own, {0: 1.0})
    assert str(caught.value) == (
        "class_weight was passed with the loss own. "
        "Only losses by name and torch's own say which part of them belongs to which class. "
        "Weigh the classes in the loss itself, or pass sample_weight."
    )


def test_class_weights_of_numbers_are_refused():
    with pytest.raises(LossError, match=r"^class_weight was passed, and the targets are numbers\."):
        weighted_loss("auto", {0: 2.0})(LOGITS, torch.randn(6, 4))


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_that_the_loss_refuses_is_refused(name):
    with pytest.raises((LabelError, BatchError)):
        WeightedLoss(LOSSES[name])(torch.randn(5, 1), torch.randn(3), torch.ones(5))
