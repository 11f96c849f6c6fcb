"""What a training script computes beside the model: losses, targets, sums over groups."""

from __future__ import annotations

from typing import Tuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from tessera import Tensor
from torch import nn


class WrongNextToken(nn.Module):
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
        flat = logits.reshape(-1, logits.shape[-1])  # BUG
        return F.cross_entropy(flat, wanted.reshape(-1), ignore_index=self.pad)  # HURTS


def wrong_two_sided_contrast(
    image: Tensor["B", "D"], text: Tensor["B", "D"], temperature: float = 0.07
) -> Tuple[Tensor[()], Tensor["B", "B"]]:
    image = F.normalize(image, dim=-1)
    text = F.normalize(text, dim=-1)
    logits = image @ text.t() / temperature
    labels = torch.arange(image.shape[1], device=image.device)  # BUG
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2  # HURTS
    return loss, logits


class WrongFeatureDistill(nn.Module):
    def __init__(self, student=48, teacher=72):
        super().__init__()
        self.align = nn.Linear(student, student)  # BUG
        self.norm = nn.LayerNorm(teacher, elementwise_affine=False)

    def forward(self, student: Tensor["B", "S", 48], teacher: Tensor["B", "S", 72]) -> Tensor[()]:
        wanted = self.norm(teacher.detach())
        given = self.align(student)
        return F.smooth_l1_loss(given, wanted)  # HURTS


def wrong_kernel_attention(
    q: Tensor["B", "S", "H", "D"], k: Tensor["B", "T", "H", "D"], v: Tensor["B", "T", "H", "E"]
) -> Tensor["B", "S", "H", "E"]:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state = torch.einsum("bthd,bthe->bhde", k, v)
    norm = torch.einsum("bshd,bhd->bsh", q, k.sum(dim=1))
    out = torch.einsum("bshd,bhde->bshe", q, state)
    return out / norm[:, None]  # BUG


def wrong_state_at_last(h: Tensor["B", "S", "D"], last: Tensor["B", torch.int64]) -> Tensor["B", "D"]:
    index = last[:, None, None].expand(-1, -1, h.shape[-1])
    return h.gather(1, index).squeeze(-1)  # BUG


def wrong_sum_by_graph(values: Tensor["N", "D"], graph: Tensor["N", torch.int64], graphs: int = 6) -> Tensor[6, "D"]:
    out = torch.zeros(graphs, values.shape[0], dtype=values.dtype)  # BUG
    out = out.index_add(0, graph, values)  # HURTS
    count = torch.zeros(graphs, dtype=values.dtype).index_add(0, graph, torch.ones_like(values[:, 0]))
    return out / count.clamp(min=1)[:, None]


class WrongGateOfTwo(nn.Module):
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
        combine = (weights * hot).sum(dim=1)  # BUG
        load = hot.sum(dim=1).mean(dim=0)
        return combine, self.experts * (load * probs.mean(dim=0)).sum()


def wrong_focal_loss(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], gamma: float = 2.0) -> Tensor["B"]:
    target = labels.float()  # BUG
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")  # HURTS
    p = torch.sigmoid(logits)
    hit = p * target + (1 - p) * (1 - target)
    return (ce * (1 - hit) ** gamma).sum(dim=-1)


def wrong_advantages(
    rewards: Tensor["T", "B"],
    values: Tensor["T+1", "B"],
    done: Tensor["T", "B"],
    gamma: float = 0.99,
    lam: float = 0.95,
) -> Tuple[Tensor["T", "B"], Tensor["T", "B"]]:
    alive = 1.0 - done
    delta = rewards + gamma * values[1:] * alive - values  # BUG
    running = torch.zeros_like(rewards[0])
    out = []
    for t in reversed(range(rewards.shape[0])):
        running = delta[t] + gamma * lam * alive[t] * running
        out.append(running)
    gae = torch.stack(out[::-1], dim=0)
    return gae, gae + values[:-1]


class WrongFewShot(nn.Module):
    def __init__(self, dim=20, way=5, shot=3):
        super().__init__()
        self.way, self.shot = way, shot
        self.encoder = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, support: Tensor[15, 20], query: Tensor["Q", 20]) -> Tensor["Q", 5]:
        s = self.encoder(support)
        q = self.encoder(query)
        centers = s.view(self.shot, self.way, -1).mean(dim=1)  # BUG
        return -torch.cdist(q, centers)


PROGRAMS = [
    WrongNextToken,
    wrong_two_sided_contrast,
    WrongFeatureDistill,
    wrong_kernel_attention,
    wrong_state_at_last,
    wrong_sum_by_graph,
    WrongGateOfTwo,
    wrong_focal_loss,
    wrong_advantages,
    WrongFewShot,
]

SIZES = {}
