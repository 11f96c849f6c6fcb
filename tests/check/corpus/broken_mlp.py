"""Perceptrons, residual and gated feed-forward nets, each with one bug of shape."""

import math

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, N, D, H = dims("B N D H")


class TwoLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.norm = nn.LayerNorm(256)
        self.out = nn.Linear(128, 10)  # BUG

    def forward(self, x: Tensor["B", 784]) -> Tensor["B", 10]:
        h = self.norm(self.hidden(x)).relu()
        return self.out(h)  # HURTS


class Pictures(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(28 * 28, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, images: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        flat = images.flatten(2)  # BUG
        return self.net(flat)


class Deep(nn.Module):
    def __init__(self, width: int = 48, depth: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(20, width)
        self.blocks = nn.ModuleList(
            nn.Linear(width, width if i < depth - 1 else width // 2)
            for i in range(depth)  # BUG
        )
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, 5)

    def forward(self, x: Tensor[B, 20]) -> Tensor[B, 5]:
        x = self.first(x)
        for block in self.blocks:
            x = F.gelu(block(x))
        x = self.norm(x)  # HURTS
        return self.last(x)


class ResidualBlock(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, hidden)  # BUG

    def forward(self, x):
        return x + self.down(F.silu(self.up(self.norm(x))))  # HURTS


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ResidualBlock(32, 128), ResidualBlock(32, 128))
        self.head = nn.Linear(32, 1)

    def forward(self, x: Tensor["B", "T", 32]) -> Tensor["B", "T"]:
        return self.head(self.blocks(x)).squeeze(-1)


def swiglu(x: Tensor["B", "S", "D"], w_in: Tensor["D", "2*F"], w_out: Tensor["F", "D"]) -> Tensor["B", "S", "D"]:
    gate, value = (x @ w_in).chunk(2, dim=1)  # BUG
    return (F.silu(gate) * value) @ w_out  # HURTS


def linear_by_hand(x: Tensor[B, D], weight: Tensor[H, D], bias: Tensor[H]) -> Tensor[B, H]:
    return x @ weight + bias  # BUG


def predict_scores(x: Tensor["N", "D"], w: Tensor["D"], b: Tensor[1]) -> Tensor["N"]:
    hidden = x * w
    return hidden.sum(0) + b  # BUG


def squared_error(prediction: Tensor["N", 1], target: Tensor["N"]) -> Tensor["N"]:
    difference = prediction - target  # BUG
    return difference**2


def layer_norm_by_hand(x: Tensor["B", "D"], scale: Tensor["D"], shift: Tensor["D"]) -> Tensor["B", "D"]:
    mean = x.mean(-1)  # BUG
    centred = x - mean  # HURTS
    variance = centred.square().mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * scale + shift


def normalise_rows(x: Tensor["B", "D"]) -> Tensor["B", "D"]:
    norm = x.pow(2).sum(dim=1, keepdim=True).sqrt()
    return torch.stack([x, norm.expand_as(x)]) / math.sqrt(2)  # BUG


def concat_features(a: Tensor["B", "P"], b: Tensor["B", "Q"], w: Tensor["P+Q", "H"]) -> Tensor["B", "H"]:
    joined = torch.cat([a, b], dim=0)  # BUG
    return torch.tanh(joined @ w)


class Bottleneck(nn.Module):
    def __init__(self, dim: int = 96, factor: int = 4) -> None:
        super().__init__()
        self.squeeze = nn.Linear(dim, dim // factor)
        self.excite = nn.Linear(dim // factor, dim)

    def forward(self, x: Tensor["B", "T", 96]) -> Tensor["B", "T", 96]:
        pooled = x.mean(dim=2)  # BUG
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))  # HURTS
        return x * gate.unsqueeze(1)


def ensemble(x: Tensor["B", "D"], weights: list[Tensor["D", 10]]) -> Tensor["B", 10]:
    logits = torch.stack([x @ w for w in weights], dim=1)
    return logits.softmax(-1).mean(dim=2)  # BUG


def mixup(x: Tensor["B", "D"], y: Tensor["B", "C"], weight: Tensor["B"]) -> tuple[Tensor["B", "D"], Tensor["B", "C"]]:
    order = torch.randperm(x.shape[0])
    w = weight[:, None]
    mixed = w * x + (1 - w) * x[order]
    labels = weight * y + (1 - w) * y[order]  # BUG
    return mixed, labels


PROGRAMS = [
    TwoLayer,
    Pictures,
    Deep,
    ResidualNet,
    swiglu,
    linear_by_hand,
    predict_scores,
    squared_error,
    layer_norm_by_hand,
    normalise_rows,
    concat_features,
    Bottleneck,
    ensemble,
    mixup,
]
