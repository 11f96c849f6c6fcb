"""Losses, metrics and what stands around them."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, N, D, C, K = dims("B N D C K")


def info_nce_again(a: Tensor[B, D], b: Tensor[B, D], temperature: float = 0.1) -> Tensor[()]:
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = a @ b.T / temperature
    labels = torch.arange(a.shape[0])
    return F.cross_entropy(logits, labels)


def nt_xent_again(z: Tensor["2*B", "D"]) -> Tensor["2*B"]:
    z = F.normalize(z, dim=-1)
    n = z.shape[0]
    sim = z @ z.T
    sim = sim.masked_fill(torch.eye(n, dtype=torch.bool), -1e9)
    partner = torch.cat([torch.arange(n // 2, n), torch.arange(0, n // 2)])
    positive = sim[torch.arange(n), partner]
    return torch.logsumexp(sim, dim=1) - positive


def dice_again(prediction: Tensor["B", "C", "H", "W"], target: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C"]:
    inter = (prediction * target).sum(dim=(2, 3))
    total = prediction.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return 1 - 2 * inter / (total + 1e-6)


def focal_again(logits: Tensor["B", "C"], target: Tensor["B", torch.int64]) -> Tensor["B"]:
    logp = logits.log_softmax(dim=-1)
    picked = logp.gather(1, target[:, None]).squeeze(1)
    return -((1 - picked.exp()) ** 2) * picked


def triplet_again(anchor: Tensor[B, D], positive: Tensor[B, D], negatives: Tensor[B, K, D]) -> Tensor[B, K]:
    near = (anchor - positive).pow(2).sum(-1, keepdim=True)
    far = (anchor[:, None] - negatives).pow(2).sum(-1)
    return F.relu(near - far + 1.0)


def kl_to_prior(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"]) -> Tensor["B"]:
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=1)


def confusion_again(predicted: Tensor["N", torch.int64], actual: Tensor["N", torch.int64]) -> Tensor[5, 5]:
    index = actual * 5 + predicted
    return torch.bincount(index, minlength=25)[:25].view(5, 5)


def recall_at_k(scores: Tensor["Q", "N"], relevant: Tensor["Q", torch.int64], k: int = 3) -> Tensor["Q"]:
    top = scores.topk(k, dim=1).indices
    return (top == relevant[:, None]).any(dim=1).float()


def pairwise_again(x: Tensor["N", "D"], y: Tensor["M", "D"]) -> Tensor["N", "M"]:
    xx = (x**2).sum(1)[:, None]
    yy = (y**2).sum(1)[None, :]
    return xx + yy - 2 * x @ y.T


def center_loss(features: Tensor["B", "D"], labels: Tensor["B", torch.int64], centers: Tensor["C", "D"]) -> Tensor["B"]:
    return ((features - centers[labels]) ** 2).sum(dim=-1)


def ranking_pairs(scores: Tensor["B", "N"], relevance: Tensor["B", "N"]) -> Tensor["B"]:
    margin = scores[:, :, None] - scores[:, None, :]
    wanted = relevance[:, :, None] > relevance[:, None, :]
    loss = F.softplus(-margin) * wanted
    return loss.sum(dim=(1, 2)) / wanted.sum(dim=(1, 2)).clamp(min=1)


def smooth_targets(target: Tensor["B", torch.int64], like: Tensor["B", 10], eps: float = 0.1) -> Tensor["B", 10]:
    hot = F.one_hot(target, 10).float()
    return hot * (1 - eps) + eps * like.softmax(-1)


PROGRAMS = [
    info_nce_again,
    nt_xent_again,
    dice_again,
    focal_again,
    triplet_again,
    kl_to_prior,
    confusion_again,
    recall_at_k,
    pairwise_again,
    center_loss,
    ranking_pairs,
    smooth_targets,
]

SIZES = {}
