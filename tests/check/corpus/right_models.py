"""Whole models in the style of research code, all of them right."""

import math
from functools import partial

import tessera as ts
import torch
import torch.nn as nn
import torch.nn.functional as F


class Inverted(nn.Module):
    def __init__(self, inp, oup, stride, expand_ratio):
        super().__init__()
        hidden = round(inp * expand_ratio)
        self.identity = stride == 1 and inp == oup
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
            return x + self.conv(x)
        return self.conv(x)


class MobileNetRight(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        settings = [(1, 16, 1, 1), (2, 24, 2, 2), (2, 24, 1, 1)]
        layers, channel = [nn.Conv2d(3, 8, 3, 2, 1)], 8
        for t, c, n, s in settings:
            for i in range(n):
                layers.append(Inverted(channel, c, s if i == 0 else 1, t))
                channel = c
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channel, num_classes)

    def forward(self, x: ts.Tensor["N", 3, "8*H", "8*W"]) -> ts.Tensor["N", 10]:
        return self.classifier(self.features(x).mean([2, 3]))


class Dense(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class DenseNetRight(nn.Module):
    def __init__(self, growth=8, depth=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.block = nn.Sequential(*[Dense(16 + i * growth, growth) for i in range(depth)])
        self.head = nn.Linear(16 + depth * growth, 10)

    def forward(self, x: ts.Tensor["B", 3, 16, 16]) -> ts.Tensor["B", 10]:
        return self.head(self.block(self.stem(x)).amax((2, 3)))


class ASPPRight(nn.Module):
    def __init__(self, inputs=16, rates=(1, 2, 4)):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(inputs, 8, 3, padding=r, dilation=r) for r in rates)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, 8, 1))
        self.project = nn.Conv2d(8 * (len(rates) + 1), inputs, 1)

    def forward(self, x: ts.Tensor["B", 16, "H", "W"]) -> ts.Tensor["B", 16, "H", "W"]:
        out = [F.relu(branch(x)) for branch in self.branches]
        out += [self.pool(x).expand(-1, -1, *x.shape[2:])]
        return self.project(torch.cat(out, dim=1))


class NonLocalRight(nn.Module):
    def __init__(self, dim=16, inner=8):
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(dim, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, dim, 1)

    def forward(self, x: ts.Tensor["B", 16, "H", "W"]) -> ts.Tensor["B", 16, "H", "W"]:
        b, c, h, w = x.shape
        theta, phi, g = (f(x).view(b, -1, h * w).mT for f in (self.theta, self.phi, self.g))
        y = F.softmax(theta @ phi.mT, dim=-1) @ g
        return x + self.out(y.permute(0, 2, 1).contiguous().view(b, -1, h, w))


class CBAMRight(nn.Module):
    def __init__(self, channels=32, reduction=8):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, channels // reduction), nn.ReLU(), nn.Linear(4, channels))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: ts.Tensor["B", 32, "H", "W"]) -> ts.Tensor["B", 32, "H", "W"]:
        gate = sum(self.mlp(y.flatten(1)) for y in (F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)))
        x = x * torch.sigmoid(gate).unsqueeze(-1).unsqueeze(-1)
        maps = torch.stack([x.mean(1), x.max(dim=1)[0]], dim=1)
        return x * torch.sigmoid(self.spatial(maps))


class PointNetRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.local = nn.Sequential(nn.Conv1d(3, 32, 1), nn.ReLU(), nn.Conv1d(32, 64, 1))
        self.segment = nn.Conv1d(64 + 64, 4, 1)
        self.align = nn.Linear(64, 9)

    def forward(self, points: ts.Tensor["B", "N", 3]) -> ts.Tensor["B", "N", 4]:
        turn = self.align(self.local(points.mT).amax(-1)).view(-1, 3, 3) + torch.eye(3)
        x = self.local((points @ turn).transpose(1, 2))
        world = x.max(dim=2, keepdim=True).values
        return self.segment(torch.cat([x, world.expand_as(x)], dim=1)).transpose(1, 2)


class TreeLSTMRight(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.iou = nn.Linear(2 * dim, 3 * dim)
        self.f = nn.Linear(2 * dim, 2 * dim)

    def forward(
        self, left: tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]], right: tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]]
    ) -> tuple[ts.Tensor["B", 16], ts.Tensor["B", 16]]:
        (hl, cl), (hr, cr) = left, right
        h = torch.cat([hl, hr], dim=-1)
        i, o, u = self.iou(h).chunk(3, dim=-1)
        fl, fr = torch.sigmoid(self.f(h)).chunk(2, dim=-1)
        c = torch.sigmoid(i) * torch.tanh(u) + fl * cl + fr * cr
        return torch.sigmoid(o) * torch.tanh(c), c


class HyperNetworkRight(nn.Module):
    def __init__(self, context=8, inputs=6, outputs=5):
        super().__init__()
        self.shapes = {"w": (inputs, outputs), "b": (1, outputs)}
        self.total = sum(math.prod(shape) for shape in self.shapes.values())
        self.make = nn.Linear(context, self.total)

    def forward(self, x: ts.Tensor["B", "S", 6], context: ts.Tensor["B", 8]) -> ts.Tensor["B", "S", 5]:
        flat, parts, start = self.make(context), {}, 0
        for name, shape in self.shapes.items():
            n = math.prod(shape)
            parts[name] = flat[:, start : start + n].view(-1, *shape)
            start += n
        return torch.baddbmm(parts["b"], x, parts["w"])


class MambaRight(nn.Module):
    def __init__(self, dim=16, state=4, rank=2):
        super().__init__()
        self.state, self.rank = state, rank
        self.conv = nn.Conv1d(dim, dim, 4, groups=dim, padding=3)
        self.x_proj = nn.Linear(dim, rank + 2 * state)
        self.dt_proj = nn.Linear(rank, dim)
        self.a_log = nn.Parameter(torch.log(torch.arange(1, state + 1).float()).repeat(dim, 1))
        self.d = nn.Parameter(torch.ones(dim))

    def forward(self, x: ts.Tensor["B", "L", 16]) -> ts.Tensor["B", "L", 16]:
        x = self.conv(x.mT)[..., : x.shape[1]].mT
        dt, b, c = self.x_proj(x).split([self.rank, self.state, self.state], dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        da = torch.exp(dt.unsqueeze(-1) * -torch.exp(self.a_log))
        dbx = dt.unsqueeze(-1) * b.unsqueeze(2) * x.unsqueeze(-1)
        h, ys = torch.zeros_like(da[:, 0]), []
        for t in range(x.shape[1]):
            h = da[:, t] * h + dbx[:, t]
            ys.append((h * c[:, t, None]).sum(-1))
        return torch.stack(ys, 1) + x * self.d


class RetentionRight(nn.Module):
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
        out = ((q @ k.mT * decay.tril()) @ v).transpose(1, 2).reshape(b * t, d)
        return self.norm(out).view(b, t, d)


class InteractionRight(nn.Module):
    def __init__(self, fields=(10, 20, 30), dim=8):
        super().__init__()
        self.table = nn.Embedding(sum(fields), dim)
        self.register_buffer("offsets", torch.tensor([0, *fields[:-1]]).cumsum(0))
        self.out = nn.Linear(len(fields) * dim, 1)

    def forward(self, ids: ts.Tensor["B", 3, torch.int64]) -> ts.Tensor["B", 1]:
        return self.out(self.table(ids + self.offsets).flatten(1))


class SiameseRight(nn.Module):
    def __init__(self):
        super().__init__()
        make = partial(nn.Conv1d, kernel_size=3, padding=1)
        self.body = nn.Sequential(make(4, 16), nn.ReLU(), make(16, 32))
        self.score = nn.Bilinear(32, 32, 1)

    def embed(self, x):
        return F.normalize(self.body(x).mean(dim=-1), dim=-1)

    def forward(self, a: ts.Tensor["B", 4, "T"], b: ts.Tensor["B", 4, "U"]) -> ts.Tensor["B"]:
        return self.score(*map(self.embed, (a, b))).squeeze(-1)


class SinkhornAttentionRight(nn.Module):
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
            r = r - r.logsumexp(-2, keepdim=True)
        return torch.einsum("bij,bjsd->bisd", r.exp(), blocks).reshape(b, s, d)


class KANRight(nn.Module):
    def __init__(self, widths=(5, 9, 7), grid=6):
        super().__init__()
        self.register_buffer("grid", torch.linspace(-1, 1, grid))
        self.coefs = nn.ParameterList(
            [nn.Parameter(torch.randn(o, i, grid)) for i, o in zip(widths[:-1], widths[1:], strict=True)]
        )

    def forward(self, x: ts.Tensor["...", 5]) -> ts.Tensor["...", 7]:
        for coef in self.coefs:
            basis = torch.exp(-((x[..., None] - self.grid) ** 2))
            x = torch.einsum("...ig,oig->...o", basis, coef) / math.sqrt(coef.shape[1])
        return x


class Bidirectional(nn.Module):
    def __init__(self, cell=nn.GRUCell, inputs=6, hidden=9):
        super().__init__()
        self.cells = nn.ModuleDict({"forward_": cell(inputs, hidden), "backward_": cell(inputs, hidden)})

    def run(self, cell, x):
        h, out = None, []
        for step in x:
            h = cell(step, h)
            out.append(h)
        return torch.stack(out)

    def forward(self, x: ts.Tensor["T", "B", 6]) -> ts.Tensor["T", "B", 18]:
        there = self.run(self.cells["forward_"], x)
        back = self.run(self.cells["backward_"], x.flip(0)).flip(0)
        return torch.cat((there, back), dim=-1)


class WeightNormed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 8, 3))
        self.linear = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5))

    def forward(self, x: ts.Tensor["B", 4, "T"]) -> ts.Tensor["B", "T-2", 5]:
        return self.linear(self.conv(x).mT)


class DropPath(nn.Module):
    def __init__(self, rate: float = 0.2):
        super().__init__()
        self.rate = rate

    def forward(self, x: ts.Tensor["B", "..."]) -> ts.Tensor["B", "..."]:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x / keep * x.new_empty(shape).bernoulli_(keep)


PROGRAMS = [
    MobileNetRight,
    DenseNetRight,
    ASPPRight,
    NonLocalRight,
    CBAMRight,
    PointNetRight,
    TreeLSTMRight,
    HyperNetworkRight,
    MambaRight,
    RetentionRight,
    InteractionRight,
    SiameseRight,
    SinkhornAttentionRight,
    KANRight,
    Bidirectional,
    WeightNormed,
    DropPath,
]
SIZES = {"MobileNetRight": {"H": (1, 2, 3), "W": (2, 1, 3)}}
