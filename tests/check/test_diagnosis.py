from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tessera.check.diagnosis import clashes
from tessera.check.history import History
from tessera.check.world import World
from tessera.shapes.size import read_size

SHAPES = {
    "b s 512": ("B", "S", "512"),
    "b s": ("B", "S"),
    "s b": ("S", "B"),
    "b d s": ("B", "D", "S"),
    "b 3 s s": ("B", "3", "S", "S"),
    "b h s d": ("B", "H", "S", "D"),
    "b h d s": ("B", "H", "D", "S"),
}
CALLS = {
    "linear": (lambda t: nn.Linear(256, 4)(t["b s 512"]), "takes 256 features", "in_features=512 in the layer"),
    "matmul": (lambda t: t["b s 512"] @ t["b d s"], "the same", None),
    "batched": (lambda t: t["b h s d"] @ t["b d s"].unsqueeze(0), "batch dimensions", None),
    "turned": (lambda t: t["b s 512"] @ t["b s 512"], "the same", "b.transpose(-2, -1) in place of b"),
    "add": (lambda t: t["b s"] + t["s b"], "equal or 1", "x.transpose(-2, -1)"),
    "where": (lambda t: torch.where(t["b s"] > 0, t["s b"], 0.0), "equal or 1", "x.transpose(-2, -1)"),
    "unsqueezed": (lambda t: t["b s 512"] * t["b s"], "equal or 1", "x.unsqueeze(-1)"),
    "cat": (lambda t: torch.cat([t["b s"], t["s b"]], 1), "joined along dimension 1", None),
    "stack": (lambda t: torch.stack([t["b s"], t["s b"]]), "the same sizes everywhere", None),
    "conv": (lambda t: nn.Conv2d(4, 8, 3)(t["b 3 s s"]), "takes 4 channels, not 3", "in_channels=3 in the layer"),
    "conv rank": (lambda t: nn.Conv2d(3, 8, 3)(t["b s"]), "4 dimensions, not 2", None),
    "norm": (lambda t: nn.LayerNorm(64)(t["b s 512"]), "normalises the last dimensions", "normalized_shape=512"),
    "batch norm": (lambda t: nn.BatchNorm2d(8)(t["b 3 s s"]), "takes 8 channels in dimension 1, not 3", None),
    "attention": (
        lambda t: F.scaled_dot_product_attention(t["b h s d"], t["b h d s"], t["b h s d"]),
        "Query and key have the same last dimension",
        None,
    ),
    "einsum": (lambda t: torch.einsum("bs,bs->b", t["b s"], t["s b"]), "'b' of the equation", None),
    "einsum rank": (lambda t: torch.einsum("bs->b", t["b s 512"]), "stands for 2 dimensions", None),
    "loss": (
        lambda t: F.cross_entropy(t["b s 512"], t["b s"].long()),
        "without dimension 1, which holds the classes",
        "logits.transpose(1, 2)",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_said(name):
    call, why, fix = CALLS[name]
    world = World({"B": 97, "S": 131, "D": 173, "H": 227})
    with world.mode:
        tensors = {k: torch.empty([world.size(read_size(s)) for s in shape]) for k, shape in SHAPES.items()}
        history = History(world)
        with pytest.raises((RuntimeError, ValueError, IndexError)) as caught, history:
            call(tensors)
        found = clashes(history.failing, world, str(caught.value))
    assert found
    assert why in found[0].why
    if fix is not None:
        assert any(fix in text for clash in found for text in clash.fixes)


def test_a_call_that_is_not_understood_says_nothing():
    world = World({"B": 97})
    with world.mode:
        x = torch.empty(world.size(read_size("B")), 3)
        history = History(world)
        with pytest.raises(RuntimeError), history:
            torch.linalg.inv(x)
        assert clashes(history.failing, world) == []
