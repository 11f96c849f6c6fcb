"""Losses, metrics and what stands around them."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, N, D, C, K = dims("B N D C K")


def wrong_info_nce(a: Tensor[B, D], b: Tensor[B, D], temperature: float = 0.1) -> Tensor[()]:
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = a @ b.T / temperature
    labels = torch.arange(a.shape[1])  # BUG
    return F.cross_entropy(logits, labels)  # HURTS


def wrong_nt_xent(z: Tensor["2*B", "D"]) -> Tensor["2*B"]:
    z = F.normalize(z, dim=-1)
    n = z.shape[0]
    sim = z @ z.T
    sim = sim.masked_fill(torch.eye(n, dtype=torch.bool), -1e9)
    partner = torch.cat([torch.arange(n // 2, n), torch.arange(0, n)])  # BUG
    positive = sim[torch.arange(n), partner]  # HURTS
    return torch.logsumexp(sim, dim=1) - positive


def wrong_dice(prediction: Tensor["B", "C", "H", "W"], target: Tensor["B", "C", "H", "W"]) -> Tensor["B", "C"]:
    inter = (prediction * target).sum(dim=(2, 3))
    total = prediction.sum(dim=(2, 3)) + target.sum(dim=(1, 2))  # BUG
    return 1 - 2 * inter / (total + 1e-6)


def wrong_focal(logits: Tensor["B", "C"], target: Tensor["B", torch.int64]) -> Tensor["B"]:
    logp = logits.log_softmax(dim=-1)
    picked = logp.gather(1, target[:, None])  # BUG
    return -((1 - picked.exp()) ** 2) * picked


def wrong_triplet(anchor: Tensor[B, D], positive: Tensor[B, D], negatives: Tensor[B, K, D]) -> Tensor[B, K]:
    near = (anchor - positive).pow(2).sum(-1)  # BUG
    far = (anchor[:, None] - negatives).pow(2).sum(-1)
    return F.relu(near - far + 1.0)  # HURTS


def wrong_kl_to_prior(mu: Tensor["B", "Z"], logvar: Tensor["B", "Z"]) -> Tensor["B"]:
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=0)  # BUG


def wrong_confusion(predicted: Tensor["N", torch.int64], actual: Tensor["N", torch.int64]) -> Tensor[5, 5]:
    index = actual * 5 + predicted
    return torch.bincount(index, minlength=25)[:25].view(5, -1, 5)  # BUG


def wrong_recall_at_k(scores: Tensor["Q", "N"], relevant: Tensor["Q", torch.int64], k: int = 3) -> Tensor["Q"]:
    top = scores.topk(k, dim=1).indices
    return (top == relevant).any(dim=1).float()  # BUG


def wrong_pairwise(x: Tensor["N", "D"], y: Tensor["M", "D"]) -> Tensor["N", "M"]:
    xx = (x**2).sum(1)[:, None]
    yy = (y**2).sum(0)[None, :]  # BUG
    return xx + yy - 2 * x @ y.T  # HURTS


def wrong_center_loss(
    features: Tensor["B", "D"], labels: Tensor["B", torch.int64], centers: Tensor["C", "D"]
) -> Tensor["B"]:
    return ((features - centers) ** 2).sum(dim=-1)  # BUG


def wrong_ranking_pairs(scores: Tensor["B", "N"], relevance: Tensor["B", "N"]) -> Tensor["B"]:
    margin = scores[:, :, None] - scores[:, None, :]
    wanted = relevance[:, :, None] > relevance[:, None, :]
    loss = F.softplus(-margin) * wanted
    return loss.sum(dim=(1, 2)) / wanted.sum(dim=1).clamp(min=1)  # BUG


def wrong_smooth_targets(target: Tensor["B", torch.int64], like: Tensor["B", 10], eps: float = 0.1) -> Tensor["B", 10]:
    hot = F.one_hot(target, 11).float()  # BUG
    return hot * (1 - eps) + eps * like.softmax(-1)  # HURTS


PROGRAMS = [
    wrong_info_nce,
    wrong_nt_xent,
    wrong_dice,
    wrong_focal,
    wrong_triplet,
    wrong_kl_to_prior,
    wrong_confusion,
    wrong_recall_at_k,
    wrong_pairwise,
    wrong_center_loss,
    wrong_ranking_pairs,
    wrong_smooth_targets,
]

SIZES = {}
