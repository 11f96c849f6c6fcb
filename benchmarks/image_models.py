"""Models of images: ResNets, a ViT, an MLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

CLASSES = 10


@dataclass(frozen=True)
class Residuals:
    """The shape of a ResNet.

    Attributes:
        widths: channels between the convolutions of a block, by stage; every stage but the first halves the image.
        blocks: how many, by stage.
        kernels: of the convolutions of a block.
        growth: channels behind a block, beside ``widths``.
        stem: kernel, stride and padding of the first convolution.
        pools: whether the stem halves the image once more.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    kernels: tuple[int, ...] = (3, 3)
    growth: int = 1
    stem: tuple[int, int, int] = (3, 1, 1)
    pools: bool = False

    def strides(self) -> list[int]:
        """Of each block."""
        return [2 if stage and not number else 1 for stage, count in enumerate(self.blocks) for number in range(count)]


class Residual(nn.Module):
    """Convolutions beside a shortcut: ``[batch, channels, height, width]``. The first of 3x3 has the stride."""

    def __init__(self, inputs: int, width: int, stride: int, kernels: tuple[int, ...], growth: int) -> None:
        super().__init__()
        outputs, self.convs, self.norms = growth * width, nn.ModuleList(), nn.ModuleList()
        self.shortcut, self.shortcut_norm = None, None
        if stride != 1 or inputs != outputs:
            self.shortcut, self.shortcut_norm = _convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
        for number, kernel in enumerate(kernels):
            made = outputs if number == len(kernels) - 1 else width
            self.convs.append(_convolution(inputs, made, kernel, stride if number == kernels.index(3) else 1))
            self.norms.append(nn.BatchNorm2d(made))
            inputs = made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = x
        if self.shortcut is not None and self.shortcut_norm is not None:
            beside = self.shortcut_norm(self.shortcut(x))
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x.relu() if number else x))
        return (x + beside).relu()


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class ResNet(nn.Module):
    """Images ``[batch, 3, height, width]`` -> scores ``[batch, class]``."""

    def __init__(self, shape: Residuals) -> None:
        super().__init__()
        inputs = shape.widths[0]
        self.stem, self.norm = nn.Conv2d(3, inputs, *shape.stem, bias=False), nn.BatchNorm2d(inputs)
        self.pool = nn.MaxPool2d(3, 2, 1) if shape.pools else nn.Identity()
        widths = [width for width, count in zip(shape.widths, shape.blocks, strict=True) for _ in range(count)]
        self.blocks = nn.Sequential()
        for width, stride in zip(widths, shape.strides(), strict=True):
            self.blocks.append(Residual(inputs, width, stride, shape.kernels, shape.growth))
            inputs = shape.growth * width
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.pool(self.norm(self.stem(x)).relu()))
        return self.head(x.mean((2, 3)))


class Layer(nn.Module):
    """Attention and an MLP, each behind a layer norm: ``[batch, patch, dim]`` -> the same."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [batch, head, patch, dim of a head]
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class ViT(nn.Module):
    """Images ``[batch, 3, 32, 32]`` -> scores ``[batch, class]``, read from the mean of all patches."""

    def __init__(self, layers: int, dim: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, 4, 4)
        self.positions = nn.Parameter(0.02 * torch.randn(64, dim))
        self.blocks = nn.Sequential(*(Layer(dim, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


def perceptron(hidden: int) -> nn.Sequential:
    """``[batch, 784]`` -> scores ``[batch, class]``."""
    layers = [nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES)]
    return nn.Sequential(*layers)
