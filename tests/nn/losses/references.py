"""Every loss by name once more: plain Python numbers, one sample at a time, straight from its equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tessera.nn.losses import LOSSES


def log_softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    total = top + math.log(sum(math.exp(s - top) for s in scores))
    return [s - total for s in scores]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def huber(error: float) -> float:
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def binary(p: float, y: float) -> float:
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def focal(p: float) -> float:
    return -((1 - p) ** 2) * math.log(p)


def dice(scores: list[list[float]], labels: list[int]) -> list[float]:
    """Of one sample: `scores` [classes][points], a loss for each class."""
    points = [[math.exp(s) for s in log_softmax(list(column))] for column in zip(*scores, strict=True)]
    losses = []
    for number in range(len(scores)):
        p, t = [point[number] for point in points], [float(label == number) for label in labels]
        losses.append(1 - (2 * sum(a * b for a, b in zip(p, t, strict=True)) + 1) / (sum(p) + sum(t) + 1))
    return losses


def angle(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


@dataclass(frozen=True)
class Case:
    """Random `data` (a prediction and a target) for a loss, and the values [batch, ...] that its equation gives."""

    data: Callable[[], tuple[torch.Tensor, torch.Tensor]]
    values: Callable[[list, list], list]


def _each(f):
    """A loss that compares number by number."""
    return lambda p, t: [[f(a, b) for a, b in zip(x, y, strict=True)] for x, y in zip(p, t, strict=True)]


def _sample(f):
    return lambda p, t: [f(x, y) for x, y in zip(p, t, strict=True)]


def _numbers():
    return torch.randn(5, 3), torch.randn(5, 3)


def _yes_or_no():
    return torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()


def _classes():
    return 2 * torch.randn(5, 4), torch.randint(4, (5,))


def _regions():
    return torch.randn(5, 3, 7), torch.randint(3, (5, 7))


def _distributions():
    return torch.randn(5, 4).log_softmax(1), torch.randn(5, 4).softmax(1)


REFERENCES = {
    "auto": Case(_classes, _sample(lambda p, t: -log_softmax(p)[t])),
    "cross_entropy": Case(_classes, _sample(lambda p, t: -log_softmax(p)[t])),
    "nll": Case(lambda: (_classes()[0].log_softmax(1), _classes()[1]), _sample(lambda p, t: -p[t])),
    "focal": Case(_classes, _sample(lambda p, t: focal(math.exp(log_softmax(p)[t])))),
    "mse": Case(_numbers, _each(lambda p, t: (p - t) ** 2)),
    "l1": Case(_numbers, _each(lambda p, t: abs(p - t))),
    "smooth_l1": Case(_numbers, _each(lambda p, t: huber(p - t))),
    "huber": Case(_numbers, _each(lambda p, t: huber(p - t))),
    "log_cosh": Case(_numbers, _each(lambda p, t: math.log(math.cosh(p - t)))),
    "bce": Case(lambda: (torch.rand(5, 3).clamp(0.01, 0.99), _yes_or_no()[1]), _each(binary)),
    "bce_with_logits": Case(_yes_or_no, _each(lambda p, t: binary(sigmoid(p), t))),
    "sigmoid_focal": Case(_yes_or_no, _each(lambda p, t: focal(sigmoid(p if t else -p)))),
    "hinge": Case(_yes_or_no, _each(lambda p, t: max(0, 1 - (1 if t else -1) * p))),
    "dice": Case(_regions, _sample(dice)),
    "kl_div": Case(_distributions, _sample(lambda p, t: sum(b * (math.log(b) - a) for a, b in zip(p, t, strict=True)))),
    "poisson_nll": Case(lambda: (torch.randn(5, 3), torch.randint(9, (5, 3))), _each(lambda p, t: math.exp(p) - t * p)),
    "cosine": Case(_numbers, _sample(lambda p, t: 1 - angle(p, t))),
}
assert set(REFERENCES) == set(LOSSES)
