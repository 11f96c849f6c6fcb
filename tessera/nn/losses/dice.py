"""The overlap of regions, for segmentation."""

from __future__ import annotations

import torch

from tessera.nn.losses.reduction import Reduction, reduced, wide
from tessera.nn.losses.shapes import IGNORED, alike, by_class, check_tensors, class_dim


def dice(
    prediction: torch.Tensor, target: torch.Tensor, *, smooth: float = 1.0, reduction: Reduction = "mean"
) -> torch.Tensor:
    """``1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``, the sums over the points of one region.

    Milletari et al., "V-Net" (2016), with plain sums in place of sums of squares, as most programs have it. Logits.

    Shapes:
        Classes: prediction ``[batch, classes, ...]`` (or ``[batch, seq, classes]``), target integers without classes
        (-100 counts nowhere); every class of every sample is a region, ``p`` is the softmax.
        Yes or no: both ``[batch, ...]`` of one shape; every sample is a region, ``p`` is the sigmoid.

    Raises:
        LabelError: the shapes are neither.
    """
    check_tensors(prediction, target)
    wider = prediction.to(wide(prediction.dtype))
    if prediction.shape == target.shape and prediction.ndim:
        logits, truth = alike(wider, target)
        p, t = logits.sigmoid().reshape(len(logits), -1), truth.reshape(len(truth), -1)
    else:
        by_class(prediction, target)  # says what is wrong with the shapes
        dim = class_dim(prediction, target)
        labels = target.long().unsqueeze(dim)
        counted = (labels != IGNORED).to(wider.dtype)
        p = wider.softmax(dim) * counted
        t = torch.zeros_like(p).scatter(dim, torch.where(labels == IGNORED, 0, labels), counted)
        if prediction.ndim > 1:
            p, t = (x.movedim(dim, 1).reshape(len(x), x.shape[dim], -1) for x in (p, t))
        else:
            p, t = p.unsqueeze(-1), t.unsqueeze(-1)
    overlap = (2 * (p * t).sum(-1) + smooth) / (p.sum(-1) + t.sum(-1) + smooth)
    return reduced((1 - overlap).to(prediction.dtype), reduction)
