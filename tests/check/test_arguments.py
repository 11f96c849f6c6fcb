from __future__ import annotations

import dataclasses

import pytest
import torch

from tessera import Tensor
from tessera.check.arguments import CannotMake, make_arguments, variants
from tessera.check.world import World
from tessera.shapes.signature import read_contract


@dataclasses.dataclass(frozen=True)
class Batch:
    ids: Tensor[B, torch.int64]
    name: str = "train"


def made(function, choice=None, dtypes=None):
    contract, world = read_contract(function), World({"B": 97})
    with world.mode:
        return make_arguments(contract, world, choice or variants(contract)[0], dtypes or {})


def test_the_choices_change_one_thing_at_a_time():
    def f(x: Tensor[B], mask: Tensor[B] | None, causal: bool, train: bool = True, n: int = 3): ...

    assert variants(read_contract(f)) == [
        {"mask": True, "causal": False, "train": True},
        {"mask": False, "causal": False, "train": True},
        {"mask": True, "causal": True, "train": True},
        {"mask": True, "causal": False, "train": False},
    ]


def test_arguments_of_every_kind():
    def f(
        x: Tensor[B, 3, torch.int64],
        pair: tuple[Tensor[B], int],
        parts: list[Tensor[B]],
        batch: Batch,
        n: int,
        *rest: Tensor[B],
        keys: dict[str, Tensor[B, 2]],
        p: float = 0.25,
        **options: int,
    ): ...

    (x, pair, parts, batch, n, *rest), kwargs = made(f)
    assert x.dtype == torch.int64
    assert x.shape[1] == 3
    assert isinstance(pair[0], torch.Tensor)
    assert len(parts) == 3
    assert (batch.ids.dtype, batch.name) == (torch.int64, "train")
    assert n == 4
    assert len(rest) == 3
    assert kwargs["keys"]["anything"].shape[1] == 2
    assert kwargs["p"] == 0.25
    assert "options" not in kwargs


def test_none_and_other_dtypes_by_choice():
    def f(x: Tensor[B], mask: Tensor[B] | None = None): ...

    (x,), named = made(f, {"mask": False}, {"x": torch.bool})
    assert not named
    assert x.dtype == torch.bool


def test_what_is_not_declared_is_free():
    def f(x: Tensor[_, ..., 3], y: Tensor): ...

    (x, y), _ = made(f)
    assert x.dim() == 4
    assert y.dim() == 2


def test_an_argument_of_which_nothing_is_known():
    def f(x: Tensor[B], model): ...

    with pytest.raises(CannotMake, match="nothing is known of its argument 'model'"):
        made(f)
