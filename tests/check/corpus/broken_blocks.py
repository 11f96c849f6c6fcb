"""Blocks of networks, one idea each."""

import math
from typing import Optional

import torch
from tessera import Tensor
from torch import nn
from torch.nn import functional as F


class WrongGated(nn.Module):
    def __init__(self, dim=44, inner=60):
        super().__init__()
        self.w_in = nn.Linear(dim, 2 * inner)
        self.w_out = nn.Linear(2 * inner, dim)  # BUG

    def forward(self, x: Tensor["B", "S", 44]) -> Tensor["B", "S", 44]:
        gate, value = self.w_in(x).chunk(2, dim=-1)
        return self.w_out(F.silu(gate) * value)  # HURTS


class WrongDepthwiseSeparable(nn.Module):
    def __init__(self, inp=16, out=40, kernel=5):
        super().__init__()
        self.depth = nn.Conv2d(inp, inp, kernel, padding=kernel // 4, groups=inp)  # BUG
        self.point = nn.Conv2d(inp, out, 1)

    def forward(self, x: Tensor["B", 16, "H", "W"]) -> Tensor["B", 40, "H", "W"]:
        return self.point(F.relu(self.depth(x)))


class WrongDenseBlock(nn.Module):
    def __init__(self, inside=12, growth=8, depth=3):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(depth):
            self.layers.append(nn.Conv2d(inside + growth, growth, 3, padding=1))  # BUG

    def forward(self, x: Tensor["B", 12, "H", "W"]) -> Tensor["B", 36, "H", "W"]:
        for layer in self.layers:
            x = torch.cat([x, F.relu(layer(x))], dim=1)  # HURTS
        return x


class WrongPyramid(nn.Module):
    def __init__(self, channels=(16, 32, 64), out=24):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, out, 1) for c in channels)
        self.smooth = nn.Conv2d(out, out, 3, padding=1)

    def forward(
        self, c3: Tensor["B", 16, 32, 32], c4: Tensor["B", 32, 16, 16], c5: Tensor["B", 64, 8, 8]
    ) -> Tensor["B", 24, 32, 32]:
        p5 = self.lateral[2](c5)
        p4 = self.lateral[1](c4) + F.interpolate(p5, scale_factor=2)
        p3 = self.lateral[0](c3) + F.interpolate(p5, scale_factor=2)  # BUG
        return self.smooth(p3)


class WrongSeq2Seq(nn.Module):
    def __init__(self, vocab=90, dim=32, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.encoder = nn.GRU(dim, hidden, batch_first=True)
        self.decoder = nn.GRU(dim, hidden, batch_first=True)
        self.out = nn.Linear(dim, vocab)  # BUG

    def forward(
        self, source: Tensor["B", "S", torch.int64], target: Tensor["B", "T", torch.int64]
    ) -> Tensor["B", "T", 90]:
        _, state = self.encoder(self.embed(source))
        y, _ = self.decoder(self.embed(target), state)
        return self.out(y)  # HURTS


class WrongLinearAttention(nn.Module):
    def __init__(self, dim=48, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)

    def forward(self, x: Tensor["B", "N", 48]) -> Tensor["B", "N", 48]:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).unbind(2)
        k = k.softmax(dim=1)
        context = torch.einsum("bnhk,bnhv->bhkv", k, v)
        out = torch.einsum("bnhk,bhkv->bhnv", q, context)  # BUG
        return out.flatten(2)


class WrongMultiQuery(nn.Module):
    def __init__(self, dim=60, heads=5):
        super().__init__()
        self.heads, self.size = heads, dim // heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)  # BUG

    def forward(self, x: Tensor["B", "S", 60]) -> Tensor["B", "S", 60]:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(x).chunk(2, dim=-1)
        scores = q @ k.unsqueeze(1).transpose(-1, -2) / math.sqrt(self.size)  # HURTS
        out = scores.softmax(-1) @ v.unsqueeze(1)
        return out.transpose(1, 2).reshape(b, s, -1)


class WrongHighway(nn.Module):
    def __init__(self, size=22, layers=2):
        super().__init__()
        self.transform = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])
        self.gate = nn.ModuleList([nn.Linear(size, layers) for _ in range(layers)])  # BUG

    def forward(self, x: Tensor["B", 22]) -> Tensor["B", 22]:
        for transform, gate in zip(self.transform, self.gate):
            g = torch.sigmoid(gate(x))
            x = g * F.relu(transform(x)) + (1 - g) * x  # HURTS
        return x


class WrongPositionalTable(nn.Module):
    def __init__(self, dim=26, length=64):
        super().__init__()
        position = torch.arange(length).unsqueeze(1)
        scale = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
        table = torch.zeros(length, dim)
        table[:, 0::2] = torch.sin(position * scale)
        table[:, 1::2] = torch.cos(position * scale)
        self.register_buffer("table", table)

    def forward(self, x: Tensor["B", "S", 26]) -> Tensor["B", "S", 26]:
        return x + self.table[: x.shape[0]]  # BUG


class WrongBilinearFusion(nn.Module):
    def __init__(self, a=14, b=18, rank=10, out=30):
        super().__init__()
        self.left = nn.Linear(a, rank)
        self.right = nn.Linear(a, rank)  # BUG
        self.out = nn.Linear(rank, out)

    def forward(self, x: Tensor["B", 14], y: Tensor["B", 18]) -> Tensor["B", 30]:
        return self.out(self.left(x) * self.right(y))  # HURTS


class WrongPointNet(nn.Module):
    def __init__(self, classes=13):
        super().__init__()
        self.local = nn.Sequential(nn.Conv1d(3, 32, 1), nn.ReLU(), nn.Conv1d(32, 64, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Conv1d(128, 32, 1), nn.ReLU(), nn.Conv1d(32, classes, 1))

    def forward(self, points: Tensor["B", "N", 3]) -> Tensor["B", 13, "N"]:
        local = self.local(points)  # BUG
        overall = local.max(dim=2, keepdim=True).values.expand_as(local)
        return self.head(torch.cat([local, overall], dim=1))


class WrongMessagePassing(nn.Module):
    def __init__(self, node=16, edge=6):
        super().__init__()
        self.message = nn.Linear(2 * (node + edge), node)  # BUG
        self.update = nn.GRUCell(node, node)

    def forward(self, x: Tensor["N", 16], index: Tensor[2, "E", torch.int64], attr: Tensor["E", 6]) -> Tensor["N", 16]:
        source, target = index
        m = F.relu(self.message(torch.cat([x[source], x[target], attr], dim=-1)))  # HURTS
        pooled = torch.zeros_like(x).index_add(0, target, m)
        return self.update(pooled, x)


PROGRAMS = [
    WrongGated,
    WrongDepthwiseSeparable,
    WrongDenseBlock,
    WrongPyramid,
    WrongSeq2Seq,
    WrongLinearAttention,
    WrongMultiQuery,
    WrongHighway,
    WrongPositionalTable,
    WrongBilinearFusion,
    WrongPointNet,
    WrongMessagePassing,
]

SIZES = {"WrongLinearAttention": {"N": (11, 13, 17)}}
