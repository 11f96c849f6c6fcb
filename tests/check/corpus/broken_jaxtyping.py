"""Programs annotated for jaxtyping, each with one bug of shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from jaxtyping import Bool, Float, Int


def attend(
    q: Float[Tensor, "b h s d"], k: Float[Tensor, "b h t d"], v: Float[Tensor, "b h t d"]
) -> Float[Tensor, "b h s d"]:
    weights = torch.softmax(q @ k.mT, dim=-1)
    return weights.transpose(-1, -2) @ v  # BUG


def normalise(x: Float[Tensor, "b *rest c"]) -> Float[Tensor, "b *rest c"]:
    return x / x.norm(dim=-1)  # BUG


def gather_tokens(x: Float[Tensor, "b s d"], index: Int[Tensor, "b k"]) -> Float[Tensor, "b k d"]:
    return x.gather(1, index[:, :, None])  # BUG


def batched_index(x: Float[Tensor, "b s d"], index: Int[Tensor, "b k"]) -> Float[Tensor, "b k d"]:
    rows = torch.arange(x.shape[0])
    return x[rows, index]  # BUG


def pool(x: Float[Tensor, "b s d"], mask: Bool[Tensor, "b s"]) -> Float[Tensor, "b d"]:
    weights = mask.float()
    return (x * weights[:, None, :]).sum(1) / weights.sum(1, keepdim=True)  # BUG


def downsample(x: Float[Tensor, "b c 2*h 2*w"]) -> Float[Tensor, "b c h w"]:
    return F.avg_pool2d(x, 2, stride=1)  # BUG


def append_ones(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d+1"]:
    return torch.cat([x, torch.ones(x.shape[1], 1)], dim=1)  # BUG


def residual(x: Float[Tensor, "... d"], w: Float[Tensor, "d e"], v: Float[Tensor, "e d"]) -> Float[Tensor, "... d"]:
    h = torch.relu(x @ w)
    return x + h @ w  # BUG


class Mixer(nn.Module):
    def __init__(self, patches: int = 16, dim: int = 24) -> None:
        super().__init__()
        self.tokens = nn.Linear(dim, dim)  # BUG
        self.channels = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b 16 24"]) -> Float[Tensor, "b 16 24"]:
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)  # HURTS
        return x + self.channels(x)


def mean_over_time(x: Float[Tensor, "time batch feature"]) -> Float[Tensor, "batch feature"]:
    return x.mean(1)  # BUG


def one_hot_rows(labels: Int[Tensor, "b"], logits: Float[Tensor, "b c"]) -> Float[Tensor, "b"]:
    hot = F.one_hot(labels, logits.shape[-1]).float()
    return (hot * logits).sum(0)  # BUG


def scalar_loss(prediction: Float[Tensor, "b 1"], target: Float[Tensor, "b"]) -> Float[Tensor, "b 1"]:
    return (prediction - target).abs()  # BUG


PROGRAMS = [
    attend,
    normalise,
    gather_tokens,
    batched_index,
    pool,
    downsample,
    append_ones,
    residual,
    Mixer,
    mean_over_time,
    one_hot_rows,
    scalar_loss,
]
