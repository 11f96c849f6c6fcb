"""Losses and what is computed from logits, all of them right."""

import torch
import torch.nn.functional as F
from tessera import Tensor


def token_loss_transposed(logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor[()]:
    return F.cross_entropy(logits.transpose(1, 2), targets)


def next_token_loss_right(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.int64]) -> Tensor[()]:
    logits, targets = logits[:, :-1], tokens[:, 1:]
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-100)


def token_losses_right(logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor["B", "S"]:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def flat_losses(logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor["B*S"]:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")


def picked_log_probs_right(logits: Tensor["B", "S", "V"], ids: Tensor["B", "S", torch.int64]) -> Tensor["B", "S"]:
    return logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]


def masked_mean_loss_right(
    logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64], mask: Tensor["B", "S", torch.bool]
) -> Tensor[()]:
    losses = F.cross_entropy(logits.mT, targets, reduction="none")
    return (losses * mask).sum() / mask.sum().clamp(min=1)


def masked_by_selection(
    logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64], mask: Tensor["B", "S", torch.bool]
) -> Tensor[()]:
    return F.cross_entropy(logits[mask], targets[mask])


def nt_xent_right(a: Tensor["B", "D"], b: Tensor["B", "D"]) -> Tensor[()]:
    z = F.normalize(torch.cat([a, b]), dim=1)
    n = a.shape[0]
    similarity = (z @ z.T).masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(similarity, torch.arange(2 * n).roll(n))


def clip_loss(images: Tensor["B", "D"], texts: Tensor["B", "D"], scale: Tensor[()]) -> Tensor[()]:
    logits = scale.exp() * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).t()
    labels = torch.arange(len(images), device=images.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


def triplet_right(
    anchor: Tensor["B", "D"], positive: Tensor["B", "D"], negatives: Tensor["B", "N", "D"], margin: float = 1.0
) -> Tensor["B", "N"]:
    near = (anchor - positive).pow(2).sum(-1, keepdim=True)
    far = (anchor.unsqueeze(1) - negatives).pow(2).sum(-1)
    return F.relu(near - far + margin)


def kl_both_ways(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"], mean: bool) -> Tensor["B"]:
    terms = -0.5 * (1 + logvar - mu.square() - logvar.exp())
    if mean:
        return terms.mean(dim=-1)
    return terms.sum(dim=1)


def distillation_right(student: Tensor["B", "C"], teacher: Tensor["B", "C"], t: float = 2.0) -> Tensor[()]:
    return F.kl_div((student / t).log_softmax(-1), (teacher / t).softmax(-1), reduction="batchmean") * t**2


def label_smoothing_right(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], eps: float = 0.1) -> Tensor["B"]:
    smooth = torch.full_like(logits, eps / (logits.shape[1] - 1))
    smooth.scatter_(1, labels[:, None], 1 - eps)
    return -(smooth * logits.log_softmax(-1)).sum(-1)


def focal_right(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], gamma: float = 2.0) -> Tensor["B"]:
    one_hot = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    p = torch.einsum("bc,bc->b", logits.softmax(-1), one_hot)
    return -((1 - p) ** gamma) * p.log()


def binary_loss_right(logits: Tensor["B", 1], labels: Tensor["B"], weight: Tensor["B", 1] | None = None) -> Tensor[()]:
    return F.binary_cross_entropy_with_logits(logits, labels[:, None], weight=weight)


def dice_right(prediction: Tensor["B", "C", "H", "W"], target: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C"]:
    axes = tuple(range(2, prediction.ndim))
    overlap = (prediction * target).sum(axes)
    return 1 - 2 * overlap / (prediction.sum(axes) + target.sum(axes) + 1e-6)


def pinball_right(quantiles: Tensor["B", "Q"], y: Tensor["B"], levels: Tensor["Q"]) -> Tensor[()]:
    error = y.unsqueeze(-1) - quantiles
    return torch.where(error > 0, levels * error, (levels - 1) * error).mean()


def hinge_over_classes(scores: Tensor["B", "C"], labels: Tensor["B", torch.int64]) -> Tensor["B"]:
    right = scores[torch.arange(scores.shape[0]), labels]
    margins = (scores - right.view(-1, 1) + 1).clamp_min(0)
    return margins.sum(1) - 1


def per_class_weights(logits: Tensor["N", "C"], labels: Tensor["N", torch.int64], weight: Tensor["C"]) -> Tensor[()]:
    return F.nll_loss(F.log_softmax(logits, 1), labels, weight=weight)


def ctc(log_probs: Tensor["T", "B", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor["B"]:
    t, b, _ = log_probs.shape
    lengths = torch.full((b,), t, dtype=torch.long)
    return F.ctc_loss(
        log_probs.log_softmax(-1), targets + 1, lengths, torch.full((b,), targets.shape[1]), reduction="none"
    )


PROGRAMS = [
    token_loss_transposed,
    next_token_loss_right,
    token_losses_right,
    flat_losses,
    picked_log_probs_right,
    masked_mean_loss_right,
    masked_by_selection,
    nt_xent_right,
    clip_loss,
    triplet_right,
    kl_both_ways,
    distillation_right,
    label_smoothing_right,
    focal_right,
    binary_loss_right,
    dice_right,
    pinball_right,
    hinge_over_classes,
    per_class_weights,
    ctc,
]
SIZES = {"ctc": {"T": (40, 50, 60), "S": (5, 7, 11)}}
