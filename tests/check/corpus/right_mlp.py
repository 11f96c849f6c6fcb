"""Perceptrons, residual and gated feed-forward nets, all of them right."""

import math

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

B, N, D, H = dims("B N D H")


class Tapered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [784, 256, 64, 10]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor["B", 784]) -> Tensor["B", 10]:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = x.relu()
        return x


class PicturesFlat(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, images: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
        return self.net(images)


class PicturesView(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.LazyLinear(10)

    def forward(self, images: Tensor["B", 3, 8, 8]) -> Tensor["B", 10]:
        return self.out(images.view(images.size(0), -1))


class Skips(nn.Module):
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.first = nn.Linear(20, width)
        self.blocks = nn.ModuleList(nn.Linear(width * (i + 1), width) for i in range(4))
        self.last = nn.Linear(width * 5, 5)

    def forward(self, x: Tensor[B, 20]) -> Tensor[B, 5]:
        seen = self.first(x)
        for block in self.blocks:
            seen = torch.cat([seen, F.gelu(block(seen))], dim=-1)
        return self.last(seen)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(100, 30)
        self.bias = nn.Parameter(torch.zeros(100))

    def forward(self, x: Tensor["...", 100]) -> Tensor["...", 100]:
        return F.linear(torch.tanh(self.encode(x)), self.encode.weight.t(), self.bias)


def swiglu_chunked(
    x: Tensor["B", "S", "D"], w_in: Tensor["D", "2*F"], w_out: Tensor["F", "D"]
) -> Tensor["B", "S", "D"]:
    gate, value = (x @ w_in).chunk(2, dim=-1)
    return (F.silu(gate) * value) @ w_out


def glu_of_torch(x: Tensor["B", "2*D"]) -> Tensor["B", "D"]:
    return F.glu(x, dim=1)


def split_by_size(x: Tensor["B", "3*D"]) -> Tensor["B", "D"]:
    d = x.shape[-1] // 3
    a, b, c = x.split(d, dim=-1)
    return a * b.sigmoid() + c


def linear_functional(x: Tensor[B, D], weight: Tensor[H, D], bias: Tensor[H]) -> Tensor[B, H]:
    return torch.addmm(bias, x, weight.t())


def column_against_column(prediction: Tensor["N", 1], target: Tensor["N"]) -> Tensor["N"]:
    return (prediction - target.unsqueeze(1)).square().squeeze(1)


def all_pairs_meant(a: Tensor["N"], b: Tensor["M"]) -> Tensor["N", "M"]:
    return (a[:, None] - b).abs()


def all_pairs_of_one(a: Tensor["N", 1], b: Tensor["N"]) -> Tensor["N", "N"]:
    return a - b


def row_against_bias(x: Tensor["B", "D"], bias: Tensor[1, "D"], scale: Tensor[1]) -> Tensor["B", "D"]:
    return x * scale + bias


def layer_norm_keeps(x: Tensor["...", "D"], scale: Tensor["D"]) -> Tensor["...", "D"]:
    mean = x.mean(-1, keepdim=True)
    variance = x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + 1e-5) * scale / math.sqrt(x.shape[-1])


def reshape_and_back(x: Tensor["B", "S", "D"], w: Tensor["D", "E"]) -> Tensor["B", "S", "E"]:
    b, s, d = x.shape
    return (x.reshape(b * s, d) @ w).reshape(b, s, -1)


def ensemble_mean(x: Tensor["B", "D"], weights: list[Tensor["D", 10]]) -> Tensor["B", 10]:
    total = torch.zeros(x.shape[0], 10)
    for w in weights:
        total = total + x @ w
    return total / len(weights)


def mixup_right(
    x: Tensor["B", "D"], y: Tensor["B", "C"], weight: Tensor["B"]
) -> tuple[Tensor["B", "D"], Tensor["B", "C"]]:
    order = torch.randperm(len(x))
    w = weight.view(-1, 1)
    return w * x + (1 - w) * x[order], w * y + (1 - w) * y.index_select(0, order)


class SqueezeExcite(nn.Module):
    def __init__(self, dim: int = 96, factor: int = 4) -> None:
        super().__init__()
        self.squeeze = nn.Linear(dim, dim // factor)
        self.excite = nn.Linear(dim // factor, dim)

    def forward(self, x: Tensor["B", "T", 96]) -> Tensor["B", "T", 96]:
        gate = self.excite(F.relu(self.squeeze(x.mean(dim=1)))).sigmoid()
        return x * gate[:, None]


PROGRAMS = [
    Tapered,
    PicturesFlat,
    PicturesView,
    Skips,
    Tied,
    swiglu_chunked,
    glu_of_torch,
    split_by_size,
    linear_functional,
    column_against_column,
    all_pairs_meant,
    all_pairs_of_one,
    row_against_bias,
    layer_norm_keeps,
    reshape_and_back,
    ensemble_mean,
    mixup_right,
    SqueezeExcite,
]
