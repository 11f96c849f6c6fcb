"""Training steps of five kinds of models, small: what is emitted for GPUs in the tests."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import tessera


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.first, self.second = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.qkv(self.first(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.second(x))))


class GPT(nn.Module):
    def __init__(self, layers: int = 1, dim: int = 32, heads: int = 2, vocabulary: int = 64, length: int = 16) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, dim), nn.Parameter(0.02 * torch.randn(length, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, causal=True) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)


class ViT(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, 4, stride=4)
        self.positions = nn.Parameter(0.02 * torch.randn(16, dim))
        self.block, self.norm, self.head = Block(dim, 2, causal=False), nn.LayerNorm(dim), nn.Linear(dim, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.block(x)).mean(1))


class ResNet(nn.Module):
    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)),
        )
        self.head = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = F.max_pool2d((x + self.body(x)).relu(), 2)
        return self.head(x.mean((2, 3)))


class LSTM(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, dim, batch_first=True), nn.Linear(dim, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.0), nn.Linear(32, 10))


def _images() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,))


MODELS = {
    "gpt": (GPT, lambda: (torch.randint(0, 64, (2, 16)), torch.randint(0, 64, (2, 16)))),
    "lstm": (LSTM, lambda: (torch.randn(4, 4, 8), torch.randint(0, 4, (4,)))),
    "mlp": (_mlp, lambda: (torch.randn(12, 20), torch.randint(0, 10, (12,)))),
    "resnet": (ResNet, _images),
    "vit": (ViT, _images),
}


def step_of(name: str) -> tuple[tessera.capture.train_step.TrainStep, tuple[torch.Tensor, ...]]:
    """A training step and a batch for it, the same every time."""
    torch.manual_seed(0)
    make_model, make_batch = MODELS[name]
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    clip_norm = 1.0 if name in ("gpt", "mlp") else None
    return tessera.train_step(model, "cross_entropy", optimizer, clip_norm=clip_norm), make_batch()
