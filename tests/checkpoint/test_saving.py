from __future__ import annotations

import collections
import enum
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tessera.checkpoint import load, restore, save
from tessera.errors import CheckpointError, StateError
from tests.checkpoint.samples import same, value


@pytest.mark.parametrize("seed", range(40))
def test_a_random_state_comes_back_exactly(tmp_path, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    state = {f"entry{number}": value(rng, depth=4) for number in range(4)}
    save(tmp_path, **state)
    assert same(load(tmp_path), state)


def test_a_run_comes_back(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.1))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10)
    for _ in range(3):
        model(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()
        schedule.step()
    save(tmp_path, model=model, optimizer=optimizer, schedule=schedule, step=3)
    back = load(tmp_path)
    assert same(back["model"], model.state_dict())
    assert back["model"]._metadata == model.state_dict()._metadata
    assert same(back["optimizer"], optimizer.state_dict())
    assert same(back["schedule"], schedule.state_dict())
    assert back["step"] == 3


def test_tied_weights_stay_tied(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    path = save(tmp_path, model=model, view=model[0].weight.detach().t())
    back = load(tmp_path)
    assert back["model"]["0.weight"] is back["model"]["1.weight"]
    assert same(back["view"], model[0].weight.detach().t())
    size = sum(file.stat().st_size for file in path.iterdir())
    again = save(tmp_path, model=torch.nn.Sequential(torch.nn.Linear(3, 3)))
    assert size < 2 * sum(file.stat().st_size for file in again.iterdir())


def test_what_is_computed_by_a_state_dict_is_never_taken_for_tied(tmp_path):
    class Computed:
        def state_dict(self):
            return {str(number): torch.full((100,), float(number)) for number in range(50)}

    save(tmp_path, one=Computed(), two=Computed())
    back = load(tmp_path)
    assert same(back["one"], Computed().state_dict())
    assert back["one"]["3"] is not back["two"]["3"]


class Colour(enum.IntEnum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    "refused",
    [
        object(),
        {1, 2},
        lambda: 1,
        Colour.RED,
        Point(1, 2),
        torch.nn.Module,
        np.array([object()]),
        np.zeros(2, dtype=[("a", "f4")]),
        np.ma.masked_array([1, 2], [True, False]),
        torch.zeros(2, device="meta"),
        torch.eye(2).to_sparse(),
        torch.nn.UninitializedParameter(),
        collections.defaultdict(int),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_held_is_refused_by_name(tmp_path, refused):
    with pytest.raises(StateError) as caught:
        save(tmp_path / "run", model={"layers": [1, {"odd one": refused}]})
    assert "'model.layers.1.odd one'" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_state_that_contains_itself_is_refused(tmp_path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(StateError, match="contains itself"):
        save(tmp_path, loop=loop)


def test_the_deepest_state_that_is_saved_is_loaded(tmp_path):
    nested: object = 1
    for _ in range(99):
        nested = {"a": (nested,)} if _ % 2 else [nested]
    with pytest.raises(StateError, match="nested"):
        save(tmp_path, nested=[[nested]] * 2, more=[{"a": [nested]}])
    while True:
        try:
            save(tmp_path, nested=nested)
            break
        except StateError:
            nested = next(iter(nested.values())) if isinstance(nested, dict) else nested[0]
    assert load(tmp_path)["nested"] == nested


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="No snapshot could be written") as caught:
        save(tmp_path / "file" / "run", step=1)
    assert isinstance(caught.value.__cause__, OSError)


def test_the_default_device_has_nothing_to_do_with_it(tmp_path):
    state = {"a": torch.ones(3), "b": np.ones(2), "c": np.ones(0), "d": torch.nn.Linear(2, 2).state_dict()}
    model = torch.nn.Linear(2, 2)
    with torch.device("meta"):
        save(tmp_path, **state)
        found = load(tmp_path)
        restore(tmp_path, {"d": model})
    assert same(found, state)
    assert torch.equal(model.weight, state["d"]["weight"])


def test_a_name_may_be_any_word(tmp_path):
    state = {"self": 1, "folder": torch.ones(2), "__metadata__": torch.zeros(1), "state": {}}
    save(tmp_path, **state)
    assert same(load(tmp_path), state)


def test_every_torch_scheduler_comes_back(tmp_path):
    from torch.optim import lr_scheduler as lr

    def made(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9)
        return optimizer, make(optimizer)

    makers = {
        "StepLR": lambda o: lr.StepLR(o, 2),
        "ReduceLROnPlateau": lr.ReduceLROnPlateau,
        "CyclicLR": lambda o: lr.CyclicLR(o, 0.1, 1.0),
        "CosineAnnealingWarmRestarts": lambda o: lr.CosineAnnealingWarmRestarts(o, 3),
        "LambdaLR": lambda o: lr.LambdaLR(o, lambda step: 0.9**step),
        "SequentialLR": lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)], [2]),
    }
    for name, make in makers.items():
        optimizer, schedule = made(make)
        for _ in range(5):
            optimizer.step()
            schedule.step(*([0.5] if name == "ReduceLROnPlateau" else []))
        save(tmp_path, schedule=schedule)
        assert same(load(tmp_path)["schedule"], schedule.state_dict()), name
