"""Boxes, metrics and collation of batches, each with one bug of shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn
from torch.nn.utils.rnn import pad_sequence


def areas(boxes: Tensor["N", 4]) -> Tensor["N"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3:] - boxes[:, 1])  # BUG


def box_iou(a: Tensor["N", 4], b: Tensor["M", 4]) -> Tensor["N", "M"]:
    low = torch.max(a[:, None, :2], b[:, :2])
    high = torch.min(a[:, None, 2:], b[:, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    area_a = (a[:, 2:] - a[:, :2]).prod(-1)
    area_b = (b[:, 2:] - b[:, :2]).prod(-1)
    return overlap / (area_a + area_b[:, None] - overlap)  # BUG


def to_centres(boxes: Tensor["...", 4]) -> Tensor["...", 4]:
    low, high = boxes.chunk(2, dim=-1)
    return torch.stack([(low + high) / 2, high - low], dim=-1)  # BUG


def decode(anchors: Tensor["A", 4], deltas: Tensor["B", "A", 4]) -> Tensor["B", "A", 4]:
    centre = anchors[:, :2] + deltas[..., :2] * anchors[:, 2:]
    size = anchors[:, 2:] * deltas[..., 1:].exp()  # BUG
    return torch.cat([centre, size], dim=-1)


def assign(iou: Tensor["A", "G"], labels: Tensor["G", torch.int64]) -> Tensor["A", torch.int64]:
    best, which = iou.max(dim=0)  # BUG
    return torch.where(best > 0.5, labels[which], 0)  # HURTS


def anchors(h: Tensor["H"], w: Tensor["W"], sizes: Tensor["S", 2]) -> Tensor["H*W*S", 4]:
    y, x = torch.meshgrid(h, w, indexing="ij")
    centres = torch.stack([x, y], -1).view(-1, 1, 2)
    both = torch.broadcast_tensors(centres, sizes)
    return torch.cat(both, dim=-1)  # BUG


class Head(nn.Module):
    def __init__(self, channels: int = 16, per_cell: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.per_cell, self.classes = per_cell, classes
        self.conv = nn.Conv2d(channels, per_cell * (5 + classes), 1)

    def forward(self, x: Tensor["B", 16, "H", "W"]) -> Tensor["B", "3*H*W", 10]:
        b, _, h, w = x.shape
        y = self.conv(x).view(b, self.per_cell, 5 + self.classes, h, w)
        return y.permute(0, 1, 3, 4, 2).reshape(b, self.per_cell, -1)  # BUG


def mask_iou(a: Tensor["N", "H", "W"], b: Tensor["M", "H", "W"]) -> Tensor["N", "M"]:
    a, b = a.flatten(1), b.flatten(1)
    overlap = a @ b.T
    return overlap / (a.sum(1)[:, None] + b.sum(0) - overlap)  # BUG


def heatmap_peaks(heat: Tensor["B", "K", "H", "W"]) -> Tensor["B", "K", 2]:
    index = heat.flatten(2).argmax(-1)
    y, x = index // heat.shape[-1], index % heat.shape[-1]
    return torch.stack([x, y], dim=1).float()  # BUG


def soft_argmax(heat: Tensor["B", "K", "H", "W"]) -> Tensor["B", "K", 2]:
    p = heat.flatten(2).softmax(-1).view_as(heat)
    x = (p.sum(2) * torch.arange(heat.shape[3])).sum(-1)
    y = (p.sum(2) * torch.arange(heat.shape[2])).sum(-1)  # BUG
    return torch.stack([x, y], -1)


def accuracy(logits: Tensor["N", "C"], labels: Tensor["N", torch.int64]) -> Tensor[()]:
    return (logits.argmax(0) == labels).float().mean()  # BUG


def top_k_accuracy(logits: Tensor["N", "C"], labels: Tensor["N", torch.int64], k: int = 3) -> Tensor["N"]:
    top = logits.topk(k, dim=1).indices
    return (top == labels).any(1).float()  # BUG


def confusion(predicted: Tensor["N", torch.int64], labels: Tensor["N", torch.int64], classes: int = 6) -> Tensor[6, 6]:
    return torch.bincount(labels * classes + predicted, minlength=classes).view(classes, classes)  # BUG


def per_class_f1(predicted: Tensor["N", "C"], labels: Tensor["N", "C"]) -> Tensor["C"]:
    hits = (predicted * labels).sum(0)
    return 2 * hits / (predicted.sum(0) + labels.sum(1))  # BUG


def mean_iou(confusion: Tensor["C", "C"]) -> Tensor[()]:
    hits = confusion.diagonal()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)  # BUG


def perplexity(logp: Tensor["B", "S"], mask: Tensor["B", "S"]) -> Tensor["B"]:
    return torch.exp(-(logp * mask).sum(-1) / mask.sum(-1, keepdim=True))  # BUG


def pad_batch(rows: list[Tensor["D"]]) -> Tensor[3, 8]:
    return torch.stack([F.pad(row, (0, 8)) for row in rows])  # BUG


def collate(samples: list[tuple[Tensor["C", "T"], Tensor[()]]]) -> tuple[Tensor[3, "C", "T"], Tensor[3]]:
    xs, ys = zip(*samples, strict=True)
    return torch.cat(xs), torch.stack(ys)  # BUG


def collate_ragged(rows: list[Tensor["T", "D"]]) -> tuple[Tensor[3, "T", "D"], Tensor[3, "T", torch.bool]]:
    padded = pad_sequence(rows, batch_first=False)  # BUG
    mask = torch.ones(padded.shape[:2], dtype=torch.bool)
    return padded, mask


PROGRAMS = [
    areas,
    box_iou,
    to_centres,
    decode,
    assign,
    anchors,
    Head,
    mask_iou,
    heatmap_peaks,
    soft_argmax,
    accuracy,
    top_k_accuracy,
    confusion,
    per_class_f1,
    mean_iou,
    perplexity,
    pad_batch,
    collate,
    collate_ragged,
]
SIZES = {"pad_batch": {"D": (5, 6, 7)}}
