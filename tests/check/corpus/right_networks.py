"""Networks for time series, sound, generation and several kinds of input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import nn

import tessera as ts
from tessera import Tensor

from tests.check.corpus.parts import FeedForward, merge_heads, split_heads


class NBeatsBlock(nn.Module):
    def __init__(self, past=30, future=10, width=64):
        super().__init__()
        self.past = past
        self.layers = nn.Sequential(nn.Linear(past, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.theta = nn.Linear(width, past + future)

    def forward(self, x):
        theta = self.theta(self.layers(x))
        return theta[:, : self.past], theta[:, self.past :]


class NBeats(nn.Module):
    def __init__(self, past=30, future=10, blocks=3):
        super().__init__()
        self.blocks = nn.ModuleList([NBeatsBlock(past, future) for _ in range(blocks)])

    def forward(self, history: Tensor["B", 30]) -> Tensor["B", 10]:
        forecast = 0.0
        for block in self.blocks:
            backcast, part = block(history)
            history = history - backcast
            forecast = forecast + part
        return forecast


class InceptionTime(nn.Module):
    def __init__(self, channels=6, filters=16, classes=4):
        super().__init__()
        self.bottleneck = nn.Conv1d(channels, filters, 1)
        self.branches = nn.ModuleList([nn.Conv1d(filters, filters, k, padding=k // 2) for k in (9, 19, 39)])
        self.norm = nn.BatchNorm1d(3 * filters)
        self.out = nn.Linear(3 * filters, classes)

    def forward(self, x: Tensor["B", 6, "T"]) -> Tensor["B", 4]:
        x = self.bottleneck(x)
        x = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.out(F.relu(self.norm(x)).mean(dim=-1))


class HarmonicStack(nn.Module):
    def __init__(self, bins=128, frames=50, hidden=32, notes=88):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, hidden, (3, 3), padding=(1, 1)),
            nn.ReLU(),
            nn.MaxPool2d((2, 1)),
            nn.Conv2d(hidden, hidden, (3, 3), padding=(1, 1)),
            nn.ReLU(),
            nn.MaxPool2d((2, 1)),
        )
        self.rnn = nn.LSTM(hidden * bins // 4, 64, batch_first=True, bidirectional=True)
        self.out = nn.Linear(128, notes)

    def forward(self, spectrogram: Tensor["B", 128, 50]) -> Tensor["B", 50, 88]:
        x = self.conv(spectrogram.unsqueeze(1))
        x = x.permute(0, 3, 1, 2).flatten(2)
        x, _ = self.rnn(x)
        return self.out(x).sigmoid()


class VocoderAnew(nn.Module):
    def __init__(self, mels=80, width=32, rates=(8, 4)):
        super().__init__()
        self.pre = nn.Conv1d(mels, width, 7, padding=3)
        self.ups = nn.ModuleList()
        for i, rate in enumerate(rates):
            cin = width // 2**i
            self.ups.append(nn.ConvTranspose1d(cin, cin // 2, 2 * rate, stride=rate, padding=rate // 2))
        self.post = nn.Conv1d(width // 4, 1, 7, padding=3)

    def forward(self, mel: Tensor["B", 80, "F"]) -> Tensor["B", "32*F"]:
        x = self.pre(mel)
        for up in self.ups:
            x = up(F.leaky_relu(x, 0.1))
        return self.post(x).squeeze(1).tanh()


class QueryPooling(nn.Module):
    def __init__(self, dim=64, queries=5, heads=4):
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = FeedForward(dim, 2 * dim)

    def forward(self, x: Tensor["B", "S", 64]) -> Tensor["B", 5, 64]:
        k, v = self.kv(x).chunk(2, dim=-1)
        q = self.queries.expand(x.shape[0], -1, -1)
        q, k, v = (split_heads(part, self.heads) for part in (q, k, v))
        weights = (q @ k.mT / 4.0).softmax(dim=-1)
        return self.out(merge_heads(weights @ v))


class ConditionalVAE(nn.Module):
    def __init__(self, pixels=784, classes=10, latent=16, hidden=128):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels + classes, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent + classes, hidden), nn.ReLU(), nn.Linear(hidden, pixels))
        self.classes = classes

    def forward(self, image: Tensor["B", 1, 28, 28], label: Tensor["B", torch.int64]) -> Tensor["B", 1, 28, 28]:
        condition = F.one_hot(label, self.classes).float()
        h = self.encoder(torch.cat([image.flatten(1), condition], dim=1))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.decoder(torch.cat([z, condition], dim=1)).sigmoid().view(-1, 1, 28, 28)


class ThreeModalities(nn.Module):
    def __init__(self, video=256, audio=64, text=128, shared=96, answers=11):
        super().__init__()
        self.video = nn.Linear(video, shared)
        self.audio = nn.Linear(audio, shared)
        self.text = nn.Linear(text, shared)
        self.attend = nn.MultiheadAttention(shared, 4, batch_first=True)
        self.answer = nn.Linear(shared, answers)

    def forward(
        self, video: Tensor["B", "T", 256], audio: Tensor["B", "A", 64], question: Tensor["B", "Q", 128]
    ) -> Tensor["B", 11]:
        memory = torch.cat([self.video(video), self.audio(audio)], dim=1)
        query = self.text(question)
        found, _ = self.attend(query, memory, memory)
        return self.answer(found.mean(dim=1))


class MaskedAutoencoderAnew(nn.Module):
    def __init__(self, patch=8, size=32, dim=64, kept=6):
        super().__init__()
        self.patch, self.kept, self.count = patch, kept, (size // patch) ** 2
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.place = nn.Parameter(torch.zeros(1, self.count, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder = nn.TransformerEncoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.pixels = nn.Linear(dim, 3 * patch * patch)

    def patches(self, x):
        b, c, h, w = x.shape
        p = self.patch
        return x.view(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)

    def forward(self, image: Tensor["B", 3, 32, 32]) -> Tensor["B", 16, 192]:
        x = self.embed(self.patches(image)) + self.place
        seen = x[:, : self.kept]
        hidden = self.mask_token.expand(x.shape[0], self.count - self.kept, -1)
        full = torch.cat([seen, hidden], dim=1) + self.place
        return self.pixels(self.decoder(full))


class LiquidLayer(nn.Module):
    """A recurrence with a constant of time of its own for each unit."""

    def __init__(self, inputs=7, units=20, outputs=2):
        super().__init__()
        self.recurrent = nn.Linear(units, units, bias=False)
        self.sense = nn.Linear(inputs, units)
        self.tau = nn.Parameter(torch.ones(units))
        self.read = nn.Linear(units, outputs)
        self.units = units

    def forward(self, x: Tensor["B", "T", 7]) -> Tensor["B", 2]:
        state = x.new_zeros(x.shape[0], self.units)
        for t in range(x.shape[1]):
            change = torch.tanh(self.recurrent(state) + self.sense(x[:, t]))
            state = state + (change - state) / (1 + F.softplus(self.tau))
        return self.read(state)


PROGRAMS = [
    NBeats,
    InceptionTime,
    HarmonicStack,
    VocoderAnew,
    QueryPooling,
    ConditionalVAE,
    ThreeModalities,
    MaskedAutoencoderAnew,
    LiquidLayer,
]
SIZES = {"LiquidLayer": {"T": (4, 3, 5)}}
