"""Boxes, metrics and collation of batches, all of them right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn
from torch.nn.utils.rnn import pad_sequence


def areas_right(boxes: Tensor["...", 4]) -> Tensor["..."]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou_right(a: Tensor["N", 4], b: Tensor["M", 4]) -> Tensor["N", "M"]:
    low = torch.max(a[:, None, :2], b[:, :2])
    high = torch.min(a[:, None, 2:], b[:, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    return overlap / (areas_right(a)[:, None] + areas_right(b) - overlap)


def box_iou_paired(a: Tensor["N", 4], b: Tensor["N", 4]) -> Tensor["N"]:
    overlap = (torch.min(a[:, 2:], b[:, 2:]) - torch.max(a[:, :2], b[:, :2])).clamp(min=0)
    w, h = overlap.unbind(-1)
    return w * h / (areas_right(a) + areas_right(b) - w * h)


def to_centres_right(boxes: Tensor["...", 4]) -> Tensor["...", 4]:
    low, high = boxes.chunk(2, dim=-1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def corners_by_stack(boxes: Tensor["N", 4]) -> Tensor["N", 4]:
    x, y, w, h = boxes.unbind(dim=-1)
    return torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), dim=-1)


def decode_right(anchors: Tensor["A", 4], deltas: Tensor["B", "A", 4]) -> Tensor["B", "A", 4]:
    centre = anchors[:, :2] + deltas[..., :2] * anchors[:, 2:]
    size = anchors[:, 2:] * deltas[..., 2:].exp()
    return torch.cat([centre, size], dim=-1)


def assign_right(iou: Tensor["A", "G"], labels: Tensor["G", torch.int64]) -> Tensor["A", torch.int64]:
    best, which = iou.max(dim=1)
    return torch.where(best > 0.5, labels[which], 0)


def anchors_right(h: Tensor["H"], w: Tensor["W"], sizes: Tensor["S", 2]) -> Tensor["H*W*S", 4]:
    y, x = torch.meshgrid(h, w, indexing="ij")
    centres = torch.stack([x, y], -1).view(-1, 1, 2)
    return torch.cat(torch.broadcast_tensors(centres, sizes), dim=-1).view(-1, 4)


class HeadRight(nn.Module):
    def __init__(self, channels: int = 16, per_cell: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.per_cell, self.outputs = per_cell, 5 + classes
        self.conv = nn.Conv2d(channels, per_cell * self.outputs, 1)

    def forward(self, x: Tensor["B", 16, "H", "W"]) -> Tensor["B", "3*H*W", 10]:
        y = self.conv(x).unflatten(1, (self.per_cell, self.outputs))
        return y.movedim(2, -1).flatten(1, 3)


class HeadsOfLevels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(c, 6, 1) for c in (8, 16)])

    def forward(self, fine: Tensor["B", 8, "2*H", "2*W"], coarse: Tensor["B", 16, "H", "W"]) -> Tensor["B", "5*H*W", 6]:
        out = [head(x).flatten(2).transpose(1, 2) for head, x in zip(self.heads, (fine, coarse), strict=True)]
        return torch.cat(out, dim=1)


def mask_iou_right(a: Tensor["N", "H", "W"], b: Tensor["M", "H", "W"]) -> Tensor["N", "M"]:
    overlap = torch.einsum("nhw,mhw->nm", a, b)
    return overlap / (a.sum((1, 2))[:, None] + b.sum((1, 2)) - overlap)


def heatmap_peaks_right(heat: Tensor["B", "K", "H", "W"]) -> Tensor["B", "K", 2]:
    index = heat.flatten(2).argmax(-1)
    y, x = torch.div(index, heat.shape[-1], rounding_mode="floor"), index % heat.shape[-1]
    return torch.stack([x, y], dim=-1).float()


def soft_argmax_right(heat: Tensor["B", "K", "H", "W"]) -> Tensor["B", "K", 2]:
    p = heat.flatten(2).softmax(-1).view_as(heat)
    x = (p.sum(2) * torch.arange(heat.shape[3])).sum(-1)
    y = (p.sum(3) * torch.arange(heat.shape[2])).sum(-1)
    return torch.stack([x, y], -1)


def suppress(boxes: Tensor["N", 4], scores: Tensor["N"]) -> Tensor["N", torch.bool]:
    order = scores.argsort(descending=True)
    overlap = box_iou_right(boxes[order], boxes[order]).triu(diagonal=1)
    keep = torch.ones_like(scores, dtype=torch.bool)
    for i in range(boxes.shape[0]):
        keep = keep & ~((overlap[i] > 0.5) & keep[i])
    return keep


def region_align(features: Tensor["C", "H", "W"], boxes: Tensor["N", 4], size: int = 7) -> Tensor["N", "C", 7, 7]:
    n = boxes.shape[0]
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = boxes[:, 2] - boxes[:, 0]
    theta[:, 1, 1] = boxes[:, 3] - boxes[:, 1]
    theta[:, :, 2] = boxes[:, :2] + boxes[:, 2:] - 1
    grid = F.affine_grid(theta, [n, features.shape[0], size, size], align_corners=False)
    return F.grid_sample(features.expand(n, -1, -1, -1), grid, align_corners=False)


def accuracy_right(logits: Tensor["...", "C"], labels: Tensor["...", torch.int64]) -> Tensor[()]:
    return (logits.argmax(-1) == labels).float().mean()


def top_k_accuracy_right(logits: Tensor["N", "C"], labels: Tensor["N", torch.int64], k: int = 3) -> Tensor["N"]:
    return (logits.topk(k, dim=1).indices == labels[:, None]).any(1).float()


def confusion_right(
    predicted: Tensor["N", torch.int64], labels: Tensor["N", torch.int64], classes: int = 6
) -> Tensor[6, 6]:
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def confusion_by_one_hot(predicted: Tensor["N", "C"], labels: Tensor["N", "C"]) -> Tensor["C", "C"]:
    c = labels.shape[-1]
    return F.one_hot(labels.argmax(-1), c).float().T @ F.one_hot(predicted.argmax(-1), num_classes=c).float()


def per_class_f1_right(predicted: Tensor["N", "C"], labels: Tensor["N", "C"]) -> Tensor["C"]:
    return 2 * (predicted * labels).sum(0) / (predicted.sum(0) + labels.sum(0))


def area_under_curve(scores: Tensor["N"], labels: Tensor["N"]) -> Tensor[()]:
    labels = labels[scores.argsort(descending=True)]
    tpr = torch.cat([torch.zeros(1), labels.cumsum(0) / labels.sum()])
    fpr = torch.cat([torch.zeros(1), (1 - labels).cumsum(0) / (1 - labels).sum()])
    return torch.trapezoid(tpr, fpr)


def perplexity_right(logp: Tensor["B", "S"], mask: Tensor["B", "S"]) -> Tensor["B"]:
    return torch.exp(-(logp * mask).sum(-1) / mask.sum(-1))


def pad_batch_right(rows: list[Tensor["D"]]) -> Tensor[3, 8]:
    return torch.stack([F.pad(row, (0, 8 - row.shape[0])) for row in rows])


def collate_right(samples: list[tuple[Tensor["C", "T"], Tensor[()]]]) -> tuple[Tensor[3, "C", "T"], Tensor[3]]:
    xs, ys = zip(*samples, strict=True)
    return torch.stack(xs), torch.tensor([float(y) for y in ys])


def collate_ragged_right(rows: list[Tensor["T", "D"]]) -> tuple[Tensor[3, "T", "D"], Tensor[3, "T", torch.bool]]:
    padded = pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]


PROGRAMS = [
    areas_right,
    box_iou_right,
    box_iou_paired,
    to_centres_right,
    corners_by_stack,
    decode_right,
    assign_right,
    anchors_right,
    HeadRight,
    HeadsOfLevels,
    mask_iou_right,
    heatmap_peaks_right,
    soft_argmax_right,
    suppress,
    region_align,
    accuracy_right,
    top_k_accuracy_right,
    confusion_right,
    confusion_by_one_hot,
    per_class_f1_right,
    area_under_curve,
    perplexity_right,
    pad_batch_right,
    collate_right,
    collate_ragged_right,
]
SIZES = {"pad_batch_right": {"D": (5, 8, 3)}}
