"""Losses and what is computed from logits, each with one bug of shape."""

import torch
import torch.nn.functional as F
from tessera import Tensor


def token_loss(logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor[()]:
    return F.cross_entropy(logits, targets)  # BUG


def next_token_loss(logits: Tensor["B", "S", "V"], tokens: Tensor["B", "S", torch.int64]) -> Tensor[()]:
    logits = logits[:, :-1]
    targets = tokens[:, :]  # BUG
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))  # HURTS


def token_losses(logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64]) -> Tensor["B", "S"]:
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses  # BUG


def picked_log_probs(logits: Tensor["B", "S", "V"], ids: Tensor["B", "S", torch.int64]) -> Tensor["B", "S"]:
    logp = logits.log_softmax(-1)
    return logp.gather(-1, ids.unsqueeze(-1))  # BUG


def masked_mean_loss(
    logits: Tensor["B", "S", "V"], targets: Tensor["B", "S", torch.int64], mask: Tensor["B", "S"]
) -> Tensor[()]:
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    per_row = (losses * mask).sum(1)
    return (per_row / mask.sum(0)).mean()  # BUG


def info_nce(a: Tensor["B", "D"], b: Tensor["B", "D"], temperature: float = 0.1) -> Tensor[()]:
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    logits = a @ b.t() / temperature
    labels = torch.arange(logits.shape[0] * 2)  # BUG
    return F.cross_entropy(logits, labels)  # HURTS


def nt_xent(a: Tensor["B", "D"], b: Tensor["B", "D"]) -> Tensor[()]:
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = z @ z.T
    n = a.shape[0]
    itself = torch.eye(n, dtype=torch.bool)  # BUG
    similarity = similarity.masked_fill(itself, float("-inf"))  # HURTS
    labels = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(similarity, labels)


def triplet(
    anchor: Tensor["B", "D"], positive: Tensor["B", "D"], negatives: Tensor["B", "N", "D"], margin: float = 1.0
) -> Tensor["B", "N"]:
    near = (anchor - positive).pow(2).sum(-1, keepdim=True)
    far = (anchor - negatives).pow(2).sum(-1)  # BUG
    return F.relu(near - far + margin)


def kl_of_gaussians(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"]) -> Tensor["B"]:
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=0)  # BUG


def distillation(student: Tensor["B", "C"], teacher: Tensor["B", "C"], t: float = 2.0) -> Tensor[()]:
    return F.kl_div((student / t).log_softmax(-1), (teacher / t).softmax(-1), reduction="none") * t**2  # BUG


def label_smoothing(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], eps: float = 0.1) -> Tensor["B"]:
    logp = F.log_softmax(logits, dim=-1)
    picked = logp.gather(1, labels[:, None])  # BUG
    return -(1 - eps) * picked - eps * logp.mean(-1)


def focal(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], gamma: float = 2.0) -> Tensor["B"]:
    one_hot = F.one_hot(labels, logits.shape[0]).float()  # BUG
    p = (logits.softmax(-1) * one_hot).sum(-1)  # HURTS
    return -((1 - p) ** gamma) * p.log()


def binary_loss(logits: Tensor["B", 1], labels: Tensor["B"]) -> Tensor[()]:
    return F.binary_cross_entropy_with_logits(logits, labels)  # BUG


def dice(prediction: Tensor["B", "C", "H", "W"], target: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C"]:
    overlap = (prediction * target).sum((2, 3))
    total = prediction.sum((2, 3)) + target.sum((1, 2))  # BUG
    return 1 - 2 * overlap / (total + 1e-6)


def pinball(quantiles: Tensor["B", "Q"], y: Tensor["B"], levels: Tensor["Q"]) -> Tensor["B", "Q"]:
    error = y[:, None] - quantiles
    return torch.maximum(levels * error, (levels[:, None] - 1) * error)  # BUG


def mse_of_sums(
    prediction: Tensor["B", "T", "D"], target: Tensor["B", "T", "D"], weight: Tensor["T"]
) -> Tensor["B", "D"]:
    error = (prediction - target).square()
    return (error * weight).sum(1)  # BUG


def soft_labels(logits: Tensor["B", "K", "H", "W"], target: Tensor["B", "H", "W", "K"]) -> Tensor["B", "H", "W"]:
    return F.cross_entropy(logits, target.permute(0, 3, 2, 1), reduction="none")  # BUG


PROGRAMS = [
    token_loss,
    next_token_loss,
    token_losses,
    picked_log_probs,
    masked_mean_loss,
    info_nce,
    nt_xent,
    triplet,
    kl_of_gaussians,
    distillation,
    label_smoothing,
    focal,
    binary_loss,
    dice,
    pinball,
    mse_of_sums,
    soft_labels,
]
