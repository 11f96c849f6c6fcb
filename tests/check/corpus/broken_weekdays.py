"""Small parts of many programs: heads, encoders, losses, filters, plans, each with one line wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int

import tessera
from tessera import Tensor

B, S, T, D, H, N, M, K, C = tessera.dims("B S T D H N M K C")


@dataclass
class Config:
    width: int = 192
    heads: int = 6
    layers: int = 2
    words: int = 500


class WrongReadsAcross(nn.Module):
    """What is written looks at what was read."""

    def __init__(self, config: Config = Config()):
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(
        self, x: Tensor["B", "S", 192], memory: Tensor["B", "T", 192], seen: Tensor["B", "T", torch.bool]
    ) -> Tensor["B", "S", 192]:
        b, s, d = x.shape
        t = memory.shape[1]
        q = self.q(x).view(b, s, self.heads, -1).transpose(1, 2)
        k, v = self.kv(memory).view(b, t, self.heads, -1).transpose(1, 2).chunk(2, dim=-1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)
        scores = scores.masked_fill(~seen[:, None, :, None], -1e9)  # BUG
        y = scores.softmax(dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(b, s, d))


class WrongTagsWords(nn.Module):
    def __init__(self, words=5000, width=100, hidden=128, tags=17):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.read = nn.LSTM(width, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.3)
        self.tag = nn.Linear(hidden, tags)  # BUG

    def forward(self, words: Tensor["B", "S", torch.int64]) -> Tensor["B", "S", 17]:
        x = self.drop(self.embed(words))
        x, _ = self.read(x)
        return self.tag(self.drop(x))  # HURTS


class WrongFiveLayers(nn.Module):
    """The old network of digits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 120)  # BUG
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        x = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.max_pool2d(torch.tanh(self.conv2(x)), 2)
        x = torch.tanh(self.fc1(x.flatten(1)))  # HURTS
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


class WrongBottleneckOnceMore(nn.Module):
    def __init__(self, width: int = 64, squeeze: int = 4):
        super().__init__()
        inner = width // squeeze
        self.enter = nn.Sequential(nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.leave = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(inner))  # BUG

    def forward(self, x: Tensor["B", 64, "H", "W"]) -> Tensor["B", 64, "H", "W"]:
        return F.relu(x + self.leave(self.middle(self.enter(x))))  # HURTS


def wrong_contrasted(
    pictures: Float[torch.Tensor, "b d"], captions: Float[torch.Tensor, "b d"], heat: float = 0.07
) -> Float[torch.Tensor, ""]:
    """Each picture should find its own caption."""
    pictures = F.normalize(pictures, dim=-1)
    captions = F.normalize(captions, dim=-1)
    logits = pictures.T @ captions / heat  # BUG
    own = torch.arange(pictures.shape[0])
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2  # HURTS


class Encoded(NamedTuple):
    mean: Tensor["B", 16]
    log_var: Tensor["B", 16]


class WrongVaried(nn.Module):
    def __init__(self, enter=784, hidden=256, latent=16):
        super().__init__()
        self.hidden = nn.Linear(enter, hidden)
        self.both = nn.Linear(hidden, 2 * latent)
        self.decode = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, enter))

    def encode(self, x) -> Encoded:
        mean, log_var = self.both(F.relu(self.hidden(x))).chunk(2, dim=0)  # BUG
        return Encoded(mean, log_var)

    def forward(self, x: Tensor["B", 784]) -> tuple[Tensor["B", 784], Tensor["B"]]:
        mean, log_var = self.encode(x)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)  # HURTS
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(dim=1)
        return self.decode(z), kl  # HURTS


def wrong_whitened(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    centred = x - x.mean(dim=0, keepdim=True)
    covariance = centred @ centred.T / (x.shape[0] - 1)  # BUG
    values, vectors = torch.linalg.eigh(covariance)
    return centred @ vectors / torch.sqrt(values + 1e-5)  # HURTS


def wrong_batched(inputs: Dict[str, Tensor["B", "S", 32]], mask: Tensor["B", "S"]) -> Tensor["B", 32]:
    """The mean of what is there."""
    x = inputs["first"] + inputs["second"]
    total = (x * mask.unsqueeze(-1)).sum(dim=1)
    count = mask.sum(dim=0, keepdim=True).clamp(min=1)  # BUG
    return total / count  # HURTS


class WrongMixesTokens(nn.Module):
    """Mixes over places, then over channels."""

    def __init__(self, places=49, width=96):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.places = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.norm2 = nn.LayerNorm(width)
        self.channels = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor["B", 49, 96]) -> Tensor["B", 49, 96]:
        y = self.norm1(x).transpose(1, 2)
        x = x + self.places(y)  # BUG
        return x + self.channels(self.norm2(x))


class WrongRoutesToTwo(nn.Module):
    def __init__(self, width: int = 80, experts: int = 4):
        super().__init__()
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList([nn.Linear(width, width) for _ in range(experts)])

    def forward(self, x: Tensor["B", "S", 80]) -> Tensor["B", "S", 80]:
        weight = self.gate(x).softmax(dim=-1)
        out = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (out * weight.unsqueeze(-2)).sum(dim=-2)  # BUG


def wrong_moved_on(position: Tensor[N, 3], velocity: Tensor[N, 3], mass: Tensor[N], step: float = 0.01) -> Tensor[N, 3]:
    """Bodies that pull at each other."""
    apart = position[None] - position[:, None]
    square = (apart**2).sum(dim=-1) + 1e-3
    pull = (mass[None, :] * apart / square.unsqueeze(-1) ** 1.5).sum(dim=1)  # BUG
    return position + step * (velocity + step * pull)


class WrongHearsFilters(nn.Module):
    def __init__(self, bands=64, classes=12):
        super().__init__()
        self.conv = nn.ModuleList(
            [
                nn.Conv1d(bands, 96, 3, padding=1),
                nn.Conv1d(64, 128, 3, padding=1),  # BUG
                nn.Conv1d(128, 128, 3, padding=1),
            ]
        )
        self.head = nn.Linear(128, classes)

    def forward(self, mel: Float[torch.Tensor, "batch 64 time"]) -> Float[torch.Tensor, "batch 12"]:
        x = mel
        for conv in self.conv:
            x = F.relu(conv(x))  # HURTS
        return self.head(x.amax(dim=-1))


def wrong_top_words(logits: Tensor["B", "V"], temperature: float = 0.8, k: int = 40) -> Tensor["B", torch.int64]:
    values, places = torch.topk(logits / temperature, k, dim=-1)
    picked = torch.multinomial(values.softmax(dim=-1), 1)
    return places.gather(1, picked)  # BUG


class WrongPlansRoutes(nn.Module):
    """Points at one town after another."""

    def __init__(self, width=64):
        super().__init__()
        self.embed = nn.Linear(2, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)

    def forward(
        self, towns: Tensor["B", "N", 2], here: Tensor["B", torch.int64], been: Tensor["B", "N", torch.bool]
    ) -> Tensor["B", "N"]:
        h = self.embed(towns)
        rows = torch.arange(towns.shape[0])
        q = self.query(h[:, here])  # BUG
        scores = torch.einsum("bd,bnd->bn", q, self.key(h)) / 8.0  # HURTS
        return scores.masked_fill(been, float("-inf")).log_softmax(dim=-1)


def wrong_blurred_again(
    image: Tensor["B", "C", "H", "W"], size: int = 5, sigma: float = 1.0
) -> Tensor["B", "C", "H", "W"]:
    at = torch.arange(size) - size // 2
    line = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    kernel = kernel.expand(1, image.shape[1], size, size)  # BUG
    return F.conv2d(image, kernel, padding=size // 2, groups=image.shape[1])  # HURTS


def wrong_likelihood(emissions: Tensor["B", "T", "K"], change: Tensor["K", "K"], start: Tensor["K"]) -> Tensor["B"]:
    """How likely what was seen is, whatever was hidden."""
    score = start + emissions[:, 0]
    for t in range(1, emissions.shape[1]):
        step = score.unsqueeze(2) + change + emissions[:, t].unsqueeze(1)
        score = torch.logsumexp(step, dim=1)
    return torch.logsumexp(score, dim=0)  # BUG


class WrongUpscalerAgain(nn.Module):
    def __init__(self, width: int = 32, times: int = 3):
        super().__init__()
        self.enter = nn.Conv2d(3, width, 5, padding=2)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, 3 * times, 3, padding=1)  # BUG
        self.shuffle = nn.PixelShuffle(times)

    def forward(self, small: Tensor["B", 3, "H", "W"]) -> Tensor["B", 3, "3*H", "3*W"]:
        x = torch.tanh(self.enter(small))
        x = torch.tanh(self.middle(x))
        return self.shuffle(self.leave(x))


def wrong_smoothed_loss(logits: Tensor["B", "C"], labels: Tensor["B", torch.int64], smooth: float = 0.1) -> Tensor["B"]:
    log_p = logits.log_softmax(dim=-1)
    hit = -log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    even = -log_p.mean(dim=0)  # BUG
    return (1 - smooth) * hit + smooth * even  # HURTS


class WrongForecasts(nn.Module):
    """Series as channels; what is ahead of what was."""

    def __init__(self, past: int = 48, ahead: int = 12, series: int = 7):
        super().__init__()
        self.trend = nn.Linear(past, ahead)
        self.season = nn.Linear(past, ahead)

    def forward(self, x: Tensor["B", 48, 7]) -> Tensor["B", 12, 7]:
        x = x.permute(0, 2, 1)
        trend = F.avg_pool1d(x, 25, stride=1, padding=12)
        y = self.trend(trend) + self.season(x - trend)
        return y  # BUG


SIZES = {"wrong_top_words": {"V": (53, 59, 61)}}


PROGRAMS = [
    WrongReadsAcross,
    WrongTagsWords,
    WrongFiveLayers,
    WrongBottleneckOnceMore,
    wrong_contrasted,
    WrongVaried,
    wrong_whitened,
    wrong_batched,
    WrongMixesTokens,
    WrongRoutesToTwo,
    wrong_moved_on,
    WrongHearsFilters,
    wrong_top_words,
    WrongPlansRoutes,
    wrong_blurred_again,
    wrong_likelihood,
    WrongUpscalerAgain,
    wrong_smoothed_loss,
    WrongForecasts,
]
