"""Programs in the style of model libraries: configs, outputs in dicts and dataclasses, helpers, losses as functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import tessera as ts
import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    hidden_size: int = 48
    num_heads: int = 4
    intermediate_size: int = 96
    vocab_size: int = 200
    max_positions: int = 512

    @property
    def head_dim(self):
        return self.hidden_size // self.num_heads


CONFIG = Config()


@dataclass
class ModelOutput:
    last_hidden: ts.Tensor["B", "S", 48]
    pooled: ts.Tensor["B", 48]


class ConfiguredEmbeddings(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, input_ids: ts.Tensor["B", "S", torch.int64]) -> ts.Tensor["B", "S", 48]:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        return self.norm(self.word(input_ids) + self.position(positions))


class ConfiguredAttention(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = config
        self.q_proj = nn.Linear(config.hidden_size, config.num_heads * config.head_dim)
        self.k_proj = nn.Linear(config.hidden_size, config.num_heads * config.head_dim)
        self.v_proj = nn.Linear(config.hidden_size, config.num_heads * config.head_dim)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, config.hidden_size)

    def _shape(self, tensor, batch):
        return tensor.view(batch, -1, self.config.num_heads, self.config.head_dim).transpose(1, 2)

    def forward(self, hidden_states: ts.Tensor["B", "S", 48]) -> ts.Tensor["B", "S", 48]:
        batch, length, _ = hidden_states.size()
        query = self._shape(self.q_proj(hidden_states), batch)
        key = self._shape(self.k_proj(hidden_states), batch)
        value = self._shape(self.v_proj(hidden_states), batch)
        weights = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.config.head_dim)
        context = torch.matmul(weights.softmax(dim=-1), value)
        context = context.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(context)


class EncoderWithOutput(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: ts.Tensor["B", "S", 48]) -> ModelOutput:
        hidden = F.gelu(self.dense(hidden))
        pooled = torch.tanh(self.pooler(hidden[:, 0]))
        return ModelOutput(last_hidden=hidden, pooled=pooled)


class DictHead(nn.Module):
    def __init__(self, hidden=48, labels=7):
        super().__init__()
        self.start = nn.Linear(hidden, 1)
        self.classify = nn.Linear(hidden, labels)

    def forward(self, x: ts.Tensor["B", "S", 48]):
        scores = self.start(x).squeeze(-1)
        pooled = torch.einsum("bs,bsd->bd", scores.softmax(-1), x)
        return {"scores": scores, "logits": self.classify(pooled)}


def split_heads(x, heads):
    b, s, d = x.shape
    return x.reshape(b, s, heads, d // heads).permute(0, 2, 1, 3)


def join_heads(x):
    b, h, s, d = x.shape
    return x.permute(0, 2, 1, 3).reshape(b, s, h * d)


def helper_attention(
    q: ts.Tensor["B", "T", 32], k: ts.Tensor["B", "S", 32], v: ts.Tensor["B", "S", 32]
) -> ts.Tensor["B", "T", 32]:
    q, k, v = (split_heads(part, 4) for part in (q, k, v))
    weights = (q @ k.mT).softmax(-1)
    return join_heads(weights @ v)


def space_to_batch(x: ts.Tensor["B", "C", 16, 16]) -> ts.Tensor["16*B", "C", 4, 4]:
    b, c, h, w = x.shape
    x = x.reshape(b, c, 4, h // 4, 4, w // 4)
    return x.permute(2, 4, 0, 1, 3, 5).reshape(-1, c, h // 4, w // 4)


def patches_of(x: ts.Tensor["B", 3, 32, 32], size: int = 8) -> ts.Tensor["B", 16, 192]:
    b, c, h, w = x.shape
    x = x.unfold(2, size, size).unfold(3, size, size)
    return x.permute(0, 2, 3, 1, 4, 5).reshape(b, (h // size) * (w // size), c * size * size)


class ConvStage(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.depthwise = nn.Conv2d(inside, inside, 7, padding=3, groups=inside)
        self.norm = nn.LayerNorm(inside)
        self.expand = nn.Linear(inside, 4 * inside)
        self.reduce = nn.Linear(4 * inside, outside)

    def forward(self, x):
        x = self.depthwise(x).permute(0, 2, 3, 1)
        x = self.reduce(F.gelu(self.expand(self.norm(x))))
        return x.permute(0, 3, 1, 2)


class ConvNextLike(nn.Module):
    def __init__(self, widths=(8, 16, 32)):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 4, stride=4)
        self.stages = nn.ModuleList(ConvStage(a, b) for a, b in zip(widths, widths[1:]))
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x: ts.Tensor["B", 3, 32, 32]) -> ts.Tensor["B", 10]:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((-2, -1)))


class LibrarySqueezeExcite(nn.Module):
    def __init__(self, channels=24, ratio=4):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // ratio, 1)
        self.expand = nn.Conv2d(channels // ratio, channels, 1)

    def forward(self, x: ts.Tensor["B", 24, "H", "W"]) -> ts.Tensor["B", 24, "H", "W"]:
        scale = F.adaptive_avg_pool2d(x, 1)
        scale = self.expand(F.relu(self.reduce(scale)))
        return x * scale.sigmoid()


class TinyUNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.down1 = nn.Conv2d(1, width, 3, padding=1)
        self.down2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, image: ts.Tensor["B", 1, 32, 32]) -> ts.Tensor["B", 1, 32, 32]:
        high = F.relu(self.down1(image))
        low = F.relu(self.down2(F.max_pool2d(high, 2)))
        return self.merge(torch.cat((self.up(low), high), dim=1))


class BiLSTMTagger(nn.Module):
    def __init__(self, vocabulary=100, embedding=16, hidden=24, tags=9):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(2 * hidden, tags)

    def forward(self, tokens: ts.Tensor["B", "T", torch.int64]) -> ts.Tensor["B", "T", 9]:
        states, _ = self.lstm(self.embed(tokens))
        return self.tag(states)


class LastStateGRU(nn.Module):
    def __init__(self, features=5, hidden=12):
        super().__init__()
        self.gru = nn.GRU(features, hidden, num_layers=2, batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, series: ts.Tensor["B", "T", 5]) -> ts.Tensor["B"]:
        _, last = self.gru(series)
        return self.out(last[-1]).squeeze(-1)


class AttentiveDecoder(nn.Module):
    def __init__(self, size=16):
        super().__init__()
        self.cell = nn.LSTMCell(2 * size, size)
        self.score = nn.Linear(size, size, bias=False)

    def forward(self, memory: ts.Tensor["B", "S", 16], targets: ts.Tensor["B", 5, 16]) -> ts.Tensor["B", 5, 16]:
        h = memory.new_zeros(memory.shape[0], 16)
        c = torch.zeros_like(h)
        outputs = []
        for step in range(5):
            weights = torch.bmm(memory, self.score(h).unsqueeze(2)).softmax(1)
            context = (weights * memory).sum(1)
            h, c = self.cell(torch.cat([targets[:, step], context], dim=-1), (h, c))
            outputs.append(h)
        return torch.stack(outputs, 1)


def contrastive_loss(
    images: ts.Tensor["B", "D"], texts: ts.Tensor["B", "D"], temperature: float = 0.07
) -> ts.Tensor[()]:
    images, texts = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
    logits = images @ texts.t() / temperature
    labels = torch.arange(logits.shape[0])
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


def language_loss(logits: ts.Tensor["B", "S", "V"], labels: ts.Tensor["B", "S", torch.int64]) -> ts.Tensor[()]:
    shifted = logits[..., :-1, :].contiguous()
    targets = labels[..., 1:].contiguous()
    return F.cross_entropy(shifted.view(-1, shifted.size(-1)), targets.view(-1))


def dice_loss(pred: ts.Tensor["B", "K", "H", "W"], target: ts.Tensor["B", "H", "W", torch.int64]) -> ts.Tensor["B"]:
    probabilities = pred.softmax(1)
    truth = F.one_hot(target, pred.shape[1]).permute(0, 3, 1, 2).float()
    overlap = (probabilities * truth).sum(dim=(2, 3))
    total = probabilities.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return 1 - (2 * overlap / total.clamp(min=1e-6)).mean(1)


def triplet_loss(
    anchor: ts.Tensor["B", "D"], positive: ts.Tensor["B", "D"], negatives: ts.Tensor["B", "N", "D"]
) -> ts.Tensor["B", "N"]:
    near = (anchor - positive).pow(2).sum(-1, keepdim=True)
    far = (anchor[:, None] - negatives).pow(2).sum(-1)
    return F.relu(near - far + 1.0)


class Batch(NamedTuple):
    features: ts.Tensor["B", "T", 10]
    lengths: ts.Tensor["B", torch.int64]


def masked_average(batch: Batch) -> ts.Tensor["B", 10]:
    mask = torch.arange(batch.features.shape[1])[None] < batch.lengths[:, None]
    total = (batch.features * mask[..., None]).sum(1)
    return total / batch.lengths[:, None].clamp(min=1)


@dataclass
class Camera:
    rotation: ts.Tensor["B", 3, 3]
    translation: ts.Tensor["B", 3]


def to_camera(camera: Camera, points: ts.Tensor["B", "N", 3]) -> ts.Tensor["B", "N", 3]:
    turned = torch.einsum("bij,bnj->bni", camera.rotation, points)
    return turned + camera.translation[:, None]


class GatedMLP(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: ts.Tensor["B", "S", 48]) -> ts.Tensor["B", "S", 48]:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class LoRALinear(nn.Module):
    def __init__(self, inside=40, outside=20, rank=4):
        super().__init__()
        self.base = nn.Linear(inside, outside)
        self.lora_a = nn.Parameter(torch.zeros(rank, inside))
        self.lora_b = nn.Parameter(torch.zeros(outside, rank))

    def forward(self, x: ts.Tensor["...", 40]) -> ts.Tensor["...", 20]:
        return self.base(x) + x @ self.lora_a.T @ self.lora_b.T


class TopKRouter(nn.Module):
    def __init__(self, dim=24, experts=6):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.w1 = nn.Parameter(torch.zeros(experts, dim, 64))
        self.w2 = nn.Parameter(torch.zeros(experts, 64, dim))

    def forward(self, x: ts.Tensor["N", 24]) -> ts.Tensor["N", 24]:
        weights = self.gate(x).softmax(-1)
        hidden = torch.einsum("nd,edh->enh", x, self.w1).relu()
        out = torch.einsum("enh,ehd->end", hidden, self.w2)
        return torch.einsum("ne,end->nd", weights, out)


def rope(x: ts.Tensor["B", "H", "S", 16]) -> ts.Tensor["B", "H", "S", 16]:
    half = x.shape[-1] // 2
    frequencies = 1.0 / (10000 ** (torch.arange(half) / half))
    angles = torch.outer(torch.arange(x.shape[-2]), frequencies)
    cos, sin = angles.cos(), angles.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Vocoder(nn.Module):
    def __init__(self, mels=20, channels=16):
        super().__init__()
        self.pre = nn.Conv1d(mels, channels, 7, padding=3)
        self.upsample = nn.ConvTranspose1d(channels, channels // 2, 8, stride=4, padding=2)
        self.post = nn.Conv1d(channels // 2, 1, 7, padding=3)

    def forward(self, mel: ts.Tensor["B", 20, 50]) -> ts.Tensor["B", 200]:
        x = F.leaky_relu(self.pre(mel))
        x = F.leaky_relu(self.upsample(x))
        return self.post(x).tanh().squeeze(1)


class GraphLayer(nn.Module):
    def __init__(self, node=12, edge=6):
        super().__init__()
        self.message = nn.Linear(2 * node + edge, node)
        self.update = nn.GRUCell(node, node)

    def forward(
        self, nodes: ts.Tensor["N", 12], edges: ts.Tensor["E", 6], index: ts.Tensor[2, "E", torch.int64]
    ) -> ts.Tensor["N", 12]:
        pair = torch.cat([nodes[index[0]], nodes[index[1]], edges], dim=1)
        messages = self.message(pair).relu()
        summed = torch.zeros_like(nodes).index_add(0, index[1], messages)
        return self.update(summed, nodes)


def gae_of_library(
    rewards: ts.Tensor["T", "B"], values: ts.Tensor["T+1", "B"], gamma: float = 0.99
) -> ts.Tensor["T", "B"]:
    deltas = rewards + gamma * values[1:] - values[:-1]
    steps = torch.arange(deltas.shape[0])
    decay = gamma ** (steps[None, :] - steps[:, None]).clamp(min=0).float()
    return decay.triu() @ deltas


class DuelingHead(nn.Module):
    def __init__(self, features=32, actions=4):
        super().__init__()
        self.value = nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 1))
        self.advantage = nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, actions))

    def forward(self, observation: ts.Tensor["B", 32]) -> ts.Tensor["B", 4]:
        value, advantage = self.value(observation), self.advantage(observation)
        return value + advantage - advantage.mean(dim=1, keepdim=True)


class PerceptualLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3))

    def gram(self, x):
        flat = x.flatten(2)
        return flat @ flat.transpose(1, 2) / flat.shape[-1]

    def forward(self, a: ts.Tensor["B", 3, 20, 20], b: ts.Tensor["B", 3, 20, 20]) -> ts.Tensor["B"]:
        difference = self.gram(self.features(a)) - self.gram(self.features(b))
        return difference.square().mean(dim=(1, 2))


def mixup_of_library(
    x: ts.Tensor["B", "C", "H", "W"], y: ts.Tensor["B", "K"], lam: ts.Tensor["B"]
) -> tuple[ts.Tensor["B", "C", "H", "W"], ts.Tensor["B", "K"]]:
    order = torch.randperm(x.shape[0])
    weight = lam.view(-1, 1, 1, 1)
    return weight * x + (1 - weight) * x[order], lam[:, None] * y + (1 - lam[:, None]) * y[order]


class QuestionAnswering(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.qa = nn.Linear(hidden, 2)

    def forward(
        self, hidden: ts.Tensor["B", "S", 48], mask: ts.Tensor["B", "S", torch.bool]
    ) -> tuple[ts.Tensor["B", "S"], ts.Tensor["B", "S"]]:
        start, end = self.qa(hidden).split(1, dim=-1)
        start = start.squeeze(-1).masked_fill(~mask, -1e9)
        end = end.squeeze(-1).masked_fill(~mask, -1e9)
        return start, end


def nms_scores(boxes: ts.Tensor["N", 4]) -> ts.Tensor["N", "N"]:
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    return overlap / (area[:, None] + area[None, :] - overlap)


class TimeConditioned(nn.Module):
    def __init__(self, channels=16, time=32):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(time, 2 * channels)
        self.norm = nn.GroupNorm(4, channels)

    def forward(self, x: ts.Tensor["B", 16, "H", "W"], t: ts.Tensor["B", 32]) -> ts.Tensor["B", 16, "H", "W"]:
        scale, shift = self.time(F.silu(t)).chunk(2, dim=1)
        h = self.norm(self.conv(x))
        return x + h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


class LinearAttentionBlock(nn.Module):
    def __init__(self, dim=32, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: ts.Tensor["B", "S", 32]) -> ts.Tensor["B", "S", 32]:
        b, s, d = x.shape
        q, k, v = self.qkv(x).reshape(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        context = torch.einsum("bhsd,bhse->bhde", k.softmax(-2), v)
        out = torch.einsum("bhsd,bhde->bhse", q.softmax(-1), context)
        return self.out(out.transpose(1, 2).flatten(2))


def kl_gaussians(
    mean_p: ts.Tensor["B", "Z"],
    logvar_p: ts.Tensor["B", "Z"],
    mean_q: ts.Tensor["B", "Z"],
    logvar_q: ts.Tensor["B", "Z"],
) -> ts.Tensor["B"]:
    ratio = (logvar_p - logvar_q).exp()
    moved = (mean_p - mean_q) ** 2 / logvar_q.exp()
    return 0.5 * (ratio + moved - 1 - logvar_p + logvar_q).sum(dim=-1)


class Pointer(nn.Module):
    def __init__(self, size=20):
        super().__init__()
        self.query, self.key = nn.Linear(size, 10), nn.Linear(size, 10)
        self.score = nn.Linear(10, 1)

    def forward(self, state: ts.Tensor["B", 20], memory: ts.Tensor["B", "S", 20]) -> ts.Tensor["B", "S"]:
        hidden = torch.tanh(self.query(state).unsqueeze(1) + self.key(memory))
        return self.score(hidden).squeeze(-1).log_softmax(-1)


class MultiScale(nn.Module):
    def __init__(self, channels=6):
        super().__init__()
        self.branches = nn.ModuleDict({str(k): nn.Conv1d(channels, channels, k, padding=k // 2) for k in (3, 5, 7)})
        self.mix = nn.Conv1d(3 * channels, channels, 1)

    def forward(self, x: ts.Tensor["B", 6, "T"]) -> ts.Tensor["B", 6, "T"]:
        return x + self.mix(torch.cat([branch(x) for branch in self.branches.values()], dim=1))


def beam_gather(
    hidden: ts.Tensor["B", "K", "D"], parents: ts.Tensor["B", "K", torch.int64]
) -> ts.Tensor["B", "K", "D"]:
    index = parents[..., None].expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index)


class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 8))

    def forward(self, support: ts.Tensor["N", "K", 30], query: ts.Tensor["Q", 30]) -> ts.Tensor["Q", "N"]:
        prototypes = self.encoder(support).mean(dim=1)
        queries = self.encoder(query)
        return -(queries[:, None] - prototypes).square().sum(-1)


def spectral_distance(a: ts.Tensor["B", 64], b: ts.Tensor["B", 64]) -> ts.Tensor["B", 33]:
    one, other = torch.fft.rfft(a), torch.fft.rfft(b)
    return (one.abs() - other.abs()).abs()


PROGRAMS = [
    ConfiguredEmbeddings,
    ConfiguredAttention,
    EncoderWithOutput,
    DictHead,
    helper_attention,
    space_to_batch,
    patches_of,
    ConvNextLike,
    LibrarySqueezeExcite,
    TinyUNet,
    BiLSTMTagger,
    LastStateGRU,
    AttentiveDecoder,
    contrastive_loss,
    language_loss,
    dice_loss,
    triplet_loss,
    masked_average,
    to_camera,
    GatedMLP,
    LoRALinear,
    TopKRouter,
    rope,
    Vocoder,
    GraphLayer,
    gae_of_library,
    DuelingHead,
    PerceptualLoss,
    mixup_of_library,
    QuestionAnswering,
    nms_scores,
    TimeConditioned,
    LinearAttentionBlock,
    kl_gaussians,
    Pointer,
    MultiScale,
    beam_gather,
    Prototypes,
    spectral_distance,
]
