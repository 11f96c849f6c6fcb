"""Programs annotated for jaxtyping, all of them right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from jaxtyping import Bool, Float, Int, Num, Shaped


def attend_right(
    q: Float[Tensor, "b h s d"], k: Float[Tensor, "b h t d"], v: Float[Tensor, "b h t d"]
) -> Float[Tensor, "b h s d"]:
    return torch.softmax(q @ k.mT, dim=-1) @ v


def normalise_right(x: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    return x / x.norm(dim=-1, keepdim=True)


def gather_tokens_right(x: Float[Tensor, "b s d"], index: Int[Tensor, "b k"]) -> Float[Tensor, "b k d"]:
    return x.gather(1, index[:, :, None].expand(-1, -1, x.shape[-1]))


def batched_index_right(x: Float[Tensor, "b s d"], index: Int[Tensor, "b k"]) -> Float[Tensor, "b k d"]:
    return x[torch.arange(x.shape[0])[:, None], index]


def pool_right(x: Float[Tensor, "b s d"], mask: Bool[Tensor, "b s"]) -> Float[Tensor, "b d"]:
    weights = mask.float()
    return (x * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)


def downsample_right(x: Float[Tensor, "b c 2*h 2*w"]) -> Float[Tensor, "b c h w"]:
    return F.avg_pool2d(x, 2)


def append_ones_right(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d+1"]:
    return torch.cat([x, x.new_ones(x.shape[0], 1)], dim=1)


def residual_right(
    x: Float[Tensor, "... d"], w: Float[Tensor, "d e"], v: Float[Tensor, "e d"]
) -> Float[Tensor, "... d"]:
    return x + torch.relu(x @ w) @ v


class MixerRight(nn.Module):
    def __init__(self, patches: int = 16, dim: int = 24) -> None:
        super().__init__()
        self.tokens = nn.Linear(patches, patches)
        self.channels = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b 16 24"]) -> Float[Tensor, "b 16 24"]:
        x = x + self.tokens(x.mT).mT
        return x + self.channels(x)


def any_kind(x: Shaped[Tensor, "b *rest"], y: Num[Tensor, "b *rest"]) -> Shaped[Tensor, "b *rest"]:
    return torch.where(x > y, x, y)


def named_scalar(x: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    return x.logsumexp((0, 1))


def flattened(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c*h*w"]:
    return x.flatten(1)


def scalar_loss_right(prediction: Float[Tensor, "b 1"], target: Float[Tensor, "b"]) -> Float[Tensor, "b 1"]:
    return (prediction - target[:, None]).abs()


PROGRAMS = [
    attend_right,
    normalise_right,
    gather_tokens_right,
    batched_index_right,
    pool_right,
    downsample_right,
    append_ones_right,
    residual_right,
    MixerRight,
    any_kind,
    named_scalar,
    flattened,
    scalar_loss_right,
]
