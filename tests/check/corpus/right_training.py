"""What a training script computes beside the model: losses, targets, sums over groups."""

from __future__ import annotations

from typing import Tuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from tessera import Tensor
from torch import nn


class NextToken(nn.Module):
    def __init__(self, vocab=500, dim=64, pad=0):
        super().__init__()
        self.pad = pad
        self.embed = nn.Embedding(vocab, dim)
        self.mix = nn.Linear(dim, dim)
        self.head = nn.Linear(dim, vocab, bias=False)

    def forward(self, tokens: Tensor["B", "S+1", torch.int64]) -> Tensor[()]:
        h = torch.tanh(self.mix(self.embed(tokens)))
        logits = self.head(h)
        wanted = tokens[:, 1:]
        flat = logits[:, :-1].reshape(-1, logits.shape[-1])
        return F.cross_entropy(flat, wanted.reshape(-1), ignore_index=self.pad)


def two_sided_contrast(
    image: Tensor["B", "D"], text: Tensor["B", "D"], temperature: float = 0.07
) -> Tuple[Tensor[()], Tensor["B", "B"]]:
    image = F.normalize(image, dim=-1)
    text = F.normalize(text, dim=-1)
    logits = image @ text.t() / temperature
    labels = torch.arange(image.shape[0], device=image.device)
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
    return loss, logits


class FeatureDistill(nn.Module):
    def __init__(self, student=48, teacher=72):
        super().__init__()
        self.align = nn.Linear(student, teacher)
        self.norm = nn.LayerNorm(teacher, elementwise_affine=False)

    def forward(self, student: Tensor["B", "S", 48], teacher: Tensor["B", "S", 72]) -> Tensor[()]:
        wanted = self.norm(teacher.detach())
        given = self.align(student)
        return F.smooth_l1_loss(given, wanted)


def kernel_attention(
    q: Tensor["B", "S", "H", "D"], k: Tensor["B", "T", "H", "D"], v: Tensor["B", "T", "H", "E"]
) -> Tensor["B", "S", "H", "E"]:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state = torch.einsum("bthd,bthe->bhde", k, v)
    norm = torch.einsum("bshd,bhd->bsh", q, k.sum(dim=1))
    out = torch.einsum("bshd,bhde->bshe", q, state)
    return out / norm[..., None]


def state_at_last(h: Tensor["B", "S", "D"], last: Tensor["B", torch.int64]) -> Tensor["B", "D"]:
    index = last[:, None, None].expand(-1, -1, h.shape[-1])
    return h.gather(1, index).squeeze(1)


def sum_by_graph(values: Tensor["N", "D"], graph: Tensor["N", torch.int64], graphs: int = 6) -> Tensor[6, "D"]:
    out = torch.zeros(graphs, values.shape[1], dtype=values.dtype)
    out = out.index_add(0, graph, values)
    count = torch.zeros(graphs, dtype=values.dtype).index_add(0, graph, torch.ones_like(values[:, 0]))
    return out / count.clamp(min=1)[:, None]


class GateOfTwo(nn.Module):
    def __init__(self, dim=32, experts=8, k=2):
        super().__init__()
        self.experts, self.k = experts, k
        self.gate = nn.Linear(dim, experts, bias=False)

    def forward(self, x: Tensor["B", "S", 32]) -> Tuple[Tensor["B*S", 8], Tensor[()]]:
        flat = x.reshape(-1, x.shape[-1])
        probs = self.gate(flat).softmax(dim=-1)
        weights, chosen = probs.topk(self.k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        hot = F.one_hot(chosen, self.experts).to(probs.dtype)
        combine = (weights.unsqueeze(-1) * hot).sum(dim=1)
        load = hot.sum(dim=1).mean(dim=0)
        return combine, self.experts * (load * probs.mean(dim=0)).sum()


def focal_loss(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], gamma: float = 2.0) -> Tensor["B"]:
    target = F.one_hot(labels, logits.shape[-1]).float()
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = torch.sigmoid(logits)
    hit = p * target + (1 - p) * (1 - target)
    return (ce * (1 - hit) ** gamma).sum(dim=-1)


def advantages(
    rewards: Tensor["T", "B"],
    values: Tensor["T+1", "B"],
    done: Tensor["T", "B"],
    gamma: float = 0.99,
    lam: float = 0.95,
) -> Tuple[Tensor["T", "B"], Tensor["T", "B"]]:
    alive = 1.0 - done
    delta = rewards + gamma * values[1:] * alive - values[:-1]
    running = torch.zeros_like(rewards[0])
    out = []
    for t in reversed(range(rewards.shape[0])):
        running = delta[t] + gamma * lam * alive[t] * running
        out.append(running)
    gae = torch.stack(out[::-1], dim=0)
    return gae, gae + values[:-1]


class FewShot(nn.Module):
    def __init__(self, dim=20, way=5, shot=3):
        super().__init__()
        self.way, self.shot = way, shot
        self.encoder = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, support: Tensor[15, 20], query: Tensor["Q", 20]) -> Tensor["Q", 5]:
        s = self.encoder(support)
        q = self.encoder(query)
        centers = s.view(self.way, self.shot, -1).mean(dim=1)
        return -torch.cdist(q, centers)


def smoothed_targets(
    logits: Float[torch.Tensor, "b s v"], labels: Int[torch.Tensor, "b s"], eps: float = 0.1
) -> Float[torch.Tensor, "b s"]:
    logp = logits.log_softmax(-1)
    nll = -logp.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return (1 - eps) * nll - eps * logp.mean(-1)


def pairwise_rank(scores: Tensor["B", "N"], relevance: Tensor["B", "N"]) -> Tensor["B"]:
    s = scores.unsqueeze(2) - scores.unsqueeze(1)
    better = (relevance.unsqueeze(2) > relevance.unsqueeze(1)).float()
    return (F.softplus(-s) * better).flatten(1).sum(1) / better.sum((1, 2)).clamp(min=1)


def hard_negatives(losses: Tensor["N"], labels: Tensor["N", torch.int64]) -> Tensor[()]:
    positive = losses[labels > 0]
    negative = losses[labels == 0]
    count = min(3 * positive.numel() + 1, negative.numel())
    return positive.sum() + negative.topk(count).values.sum()


PROGRAMS = [
    NextToken,
    two_sided_contrast,
    FeatureDistill,
    kernel_attention,
    state_at_last,
    sum_by_graph,
    GateOfTwo,
    focal_loss,
    advantages,
    FewShot,
    smoothed_targets,
    pairwise_rank,
    hard_negatives,
]

SIZES = {}
