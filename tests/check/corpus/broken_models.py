"""Whole models in the style of research code, each with one bug of shape."""

import math
from functools import partial

import tessera as ts
import torch
import torch.nn as nn
import torch.nn.functional as F


def conv_bn(inp, oup, stride):
    return nn.Sequential(nn.Conv2d(inp, oup, 3, stride, 1, bias=False), nn.BatchNorm2d(oup), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride, expand_ratio):
        super().__init__()
        hidden = round(inp * expand_ratio)
        self.identity = stride == 1 and inp <= oup  # BUG
        self.conv = nn.Sequential(
            nn.Conv2d(inp, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        )

    def forward(self, x):
        if self.identity:
            return x + self.conv(x)  # HURTS
        return self.conv(x)


class MobileNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        settings = [(1, 16, 1, 1), (2, 24, 2, 2), (2, 24, 1, 1)]
        layers, channel = [conv_bn(3, 8, 2)], 8
        for t, c, n, s in settings:
            for i in range(n):
                layers.append(InvertedResidual(channel, c, s if i == 0 else 1, t))
                channel = c
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channel, num_classes)

    def forward(self, x: ts.Tensor["N", 3, 32, 32]) -> ts.Tensor["N", 10]:
        x = self.features(x)
        x = x.mean([2, 3])
        return self.classifier(x)


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class DenseNet(nn.Module):
    def __init__(self, growth=8, depth=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.block = nn.Sequential(*[DenseLayer(16 + i * growth, growth) for i in range(depth)])
        self.head = nn.Linear(16 + (depth - 1) * growth, 10)  # BUG

    def forward(self, x: ts.Tensor["B", 3, 16, 16]) -> ts.Tensor["B", 10]:
        x = self.block(self.stem(x))
        return self.head(x.amax((2, 3)))  # HURTS


class ASPP(nn.Module):
    def __init__(self, inputs=16, rates=(1, 2, 4)):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(inputs, 8, 3, padding=r, dilation=r) for r in rates)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, 8, 1))
        self.project = nn.Conv2d(8 * (len(rates) + 1), inputs, 1)

    def forward(self, x: ts.Tensor["B", 16, "H", "W"]) -> ts.Tensor["B", 16, "H", "W"]:
        out = [F.relu(branch(x)) for branch in self.branches]
        out.append(self.pool(x).expand(-1, -1, x.shape[2], 1))  # BUG
        return self.project(torch.cat(out, dim=1))  # HURTS


class NonLocal(nn.Module):
    def __init__(self, dim=16, inner=8):
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(dim, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, dim, 1)

    def forward(self, x: ts.Tensor["B", 16, "H", "W"]) -> ts.Tensor["B", 16, "H", "W"]:
        b, c, h, w = x.shape
        theta = self.theta(x).view(b, -1, h * w).permute(0, 2, 1)
        phi = self.phi(x).view(b, -1, h * w)
        g = self.g(x).view(b, -1, h * w)  # BUG
        y = F.softmax(theta @ phi, dim=-1) @ g  # HURTS
        y = y.permute(0, 2, 1).contiguous().view(b, -1, h, w)
        return x + self.out(y)


class CBAM(nn.Module):
    def __init__(self, channels=32, reduction=8):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, channels // reduction), nn.ReLU(), nn.Linear(4, channels))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: ts.Tensor["B", 32, "H", "W"]) -> ts.Tensor["B", 32, "H", "W"]:
        avg, peak = x.mean((2, 3)), x.amax((2, 3))
        gate = torch.sigmoid(self.mlp(avg) + self.mlp(peak))[:, :, None, None]
        x = x * gate
        maps = torch.cat([x.mean(1, keepdim=True), x.amax(1)], dim=1)  # BUG
        return x * torch.sigmoid(self.spatial(maps))


class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.local = nn.Sequential(nn.Conv1d(3, 32, 1), nn.ReLU(), nn.Conv1d(32, 64, 1))
        self.segment = nn.Conv1d(64 + 64, 4, 1)

    def forward(self, points: ts.Tensor["B", "N", 3]) -> ts.Tensor["B", "N", 4]:
        x = self.local(points.transpose(1, 2))
        world = x.max(dim=2, keepdim=True).values
        x = torch.cat([x, world.expand_as(x)], dim=2)  # BUG
        return self.segment(x).transpose(1, 2)  # HURTS


class TreeLSTM(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.iou = nn.Linear(2 * dim, 3 * dim)
        self.f = nn.Linear(2 * dim, dim)  # BUG

    def forward(
        self, left: tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]], right: tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]]
    ) -> tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]]:
        h = torch.cat([left[0], right[0]], dim=-1)
        i, o, u = self.iou(h).chunk(3, dim=-1)
        fl, fr = torch.sigmoid(self.f(h)).chunk(2, dim=-1)
        c = torch.sigmoid(i) * torch.tanh(u) + fl * left[1] + fr * right[1]  # HURTS
        return torch.sigmoid(o) * torch.tanh(c), c


class HyperNetwork(nn.Module):
    def __init__(self, context=8, inputs=6, outputs=5):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weights = nn.Linear(context, inputs * outputs)
        self.bias = nn.Linear(context, outputs)

    def forward(self, x: ts.Tensor["B", "S", 6], context: ts.Tensor["B", 8]) -> ts.Tensor["B", "S", 5]:
        w = self.weights(context).view(-1, self.outputs, self.inputs)
        return torch.bmm(x, w) + self.bias(context)[:, None]  # BUG


class NTM(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.key = nn.Linear(20, width)
        self.sharpness = nn.Linear(20, 1)

    def forward(self, memory: ts.Tensor["B", "N", 12], control: ts.Tensor["B", 20]) -> ts.Tensor["B", 12]:
        key = self.key(control)
        similarity = F.cosine_similarity(memory, key[:, None], dim=-1)
        beta = F.softplus(self.sharpness(control))
        weights = torch.softmax(beta * similarity, dim=-1)
        return torch.einsum("bn,bnw->bn", weights, memory)  # BUG


class Mamba(nn.Module):
    def __init__(self, dim=16, state=4, rank=2):
        super().__init__()
        self.state, self.rank = state, rank
        self.x_proj = nn.Linear(dim, rank + 2 * state)
        self.dt_proj = nn.Linear(rank, dim)
        self.a_log = nn.Parameter(torch.log(torch.arange(1, state + 1).float()).repeat(dim, 1))
        self.d = nn.Parameter(torch.ones(dim))

    def forward(self, x: ts.Tensor["B", "L", 16]) -> ts.Tensor["B", "L", 16]:
        dt, b, c = self.x_proj(x).split([self.rank, self.state, self.state], dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        a = -torch.exp(self.a_log)
        da = torch.exp(dt.unsqueeze(-1) * a)
        dbx = dt.unsqueeze(-1) * b.unsqueeze(-1) * x.unsqueeze(-1)  # BUG
        h, ys = torch.zeros_like(da[:, 0]), []
        for t in range(x.shape[1]):
            h = da[:, t] * h + dbx[:, t]
            ys.append((h * c[:, t, None]).sum(-1))
        return torch.stack(ys, 1) + x * self.d


class Retention(nn.Module):
    def __init__(self, dim=24, heads=3):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.norm = nn.GroupNorm(heads, dim)
        self.register_buffer("gamma", 1 - torch.exp(torch.linspace(-4, -2, heads)))

    def forward(self, x: ts.Tensor["B", "T", 24]) -> ts.Tensor["B", "T", 24]:
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        n = torch.arange(t)
        decay = self.gamma[:, None, None] ** (n[:, None] - n[None, :]).clamp(min=0)
        out = (q @ k.mT * decay.tril()) @ v
        out = out.transpose(1, 2).reshape(b, t, d)
        return self.norm(out)  # BUG


class Interaction(nn.Module):
    def __init__(self, fields=(10, 20, 30), dim=8):
        super().__init__()
        self.tables = nn.ModuleDict({str(i): nn.Embedding(n, dim) for i, n in enumerate(fields)})
        self.out = nn.Linear(len(fields) * dim, 1)

    def forward(self, ids: ts.Tensor["B", 3, torch.int64]) -> ts.Tensor["B", 1]:
        rows = [table(ids[i]) for i, table in enumerate(self.tables.values())]  # BUG
        return self.out(torch.cat(rows, dim=-1))  # HURTS


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        make = partial(nn.Conv1d, kernel_size=3, padding=1)
        self.body = nn.Sequential(make(4, 16), nn.ReLU(), make(16, 32))
        self.score = nn.Bilinear(32, 32, 1)

    def embed(self, x):
        return self.body(x).mean(dim=1)  # BUG

    def forward(self, a: ts.Tensor["B", 4, "T"], b: ts.Tensor["B", 4, "T"]) -> ts.Tensor["B"]:
        return self.score(self.embed(a), self.embed(b)).squeeze(-1)  # HURTS


class MeanTeacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.Linear(16, 8)
        self.teacher = nn.Linear(16, 8).requires_grad_(False)
        self.predict = nn.Linear(8, 16)  # BUG

    def forward(self, x: ts.Tensor["B", 16]) -> ts.Tensor["B"]:
        p = self.predict(self.student(x))
        with torch.no_grad():
            z = self.teacher(x)
        return 2 - 2 * F.cosine_similarity(p, z, dim=-1)  # HURTS


class SinkhornAttention(nn.Module):
    def __init__(self, buckets=4, dim=8):
        super().__init__()
        self.buckets = buckets
        self.sort = nn.Linear(dim, buckets)

    def forward(self, x: ts.Tensor["B", "4*S", 8]) -> ts.Tensor["B", "4*S", 8]:
        b, s, d = x.shape
        blocks = x.view(b, self.buckets, s // self.buckets, d)
        r = self.sort(blocks.mean(2))
        for _ in range(3):
            r = r - r.logsumexp(-1, keepdim=True)
            r = r - r.logsumexp(-2)  # BUG
        moved = torch.einsum("bij,bjsd->bisd", r.exp(), blocks)
        return moved.reshape(b, s, d)


class KANLayer(nn.Module):
    def __init__(self, inputs=5, outputs=7, grid=6):
        super().__init__()
        self.register_buffer("grid", torch.linspace(-1, 1, grid))
        self.coef = nn.Parameter(torch.randn(outputs, inputs, grid))
        self.scale = math.sqrt(inputs)

    def forward(self, x: ts.Tensor["B", 5]) -> ts.Tensor["B", 7]:
        basis = torch.exp(-((x[..., None] - self.grid) ** 2))
        return torch.einsum("big,oig->boi", basis, self.coef) / self.scale  # BUG


PROGRAMS = [
    MobileNet,
    DenseNet,
    ASPP,
    NonLocal,
    CBAM,
    PointNet,
    TreeLSTM,
    HyperNetwork,
    NTM,
    Mamba,
    Retention,
    Interaction,
    Siamese,
    MeanTeacher,
    SinkhornAttention,
    KANLayer,
]
