from __future__ import annotations

import copy
import itertools
import random

import pytest
import torch

from tessera.checkpoint import restore, save
from tessera.errors import CheckpointError, OptimizerError, StateError
from tests.checkpoint.samples import same


def net(*sizes):
    return torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def trained(model, optimizer, steps=2):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, model[0].in_features)).square().mean().backward()
        optimizer.step()


def test_a_run_is_put_back(tmp_path):
    model = net(3, 4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    generator = random.Random(1)
    trained(model, optimizer)
    save(tmp_path, model=model, optimizer=optimizer, schedule=schedule, generator=generator, note="left alone")
    expected = [copy.deepcopy(thing.state_dict()) for thing in (model, optimizer, schedule)]
    draws = generator.random()

    weight = model[0].weight
    trained(model, optimizer)
    found = restore(tmp_path, {"model": model, "optimizer": optimizer, "schedule": schedule, "generator": generator})
    assert found.whole
    assert same([thing.state_dict() for thing in (model, optimizer, schedule)], expected)
    assert model[0].weight is weight
    assert generator.random() == draws


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "Adam", "RMSprop"])
def test_tesseras_optimizers_take_the_state_of_torchs(tmp_path, optimizer):
    import tessera

    name = {"RMSprop": "RMSProp"}.get(optimizer, optimizer)
    model = net(3, 2)
    theirs = getattr(torch.optim, optimizer)(model.parameters(), lr=0.1)
    trained(model, theirs)
    save(tmp_path, optimizer=theirs)
    ours = getattr(tessera.optim, name)(model, lr=0.2)
    restore(tmp_path, {"optimizer": ours})
    assert ours.param_groups[0]["lr"] == 0.1


def test_what_does_not_fit_is_listed_and_nothing_is_touched(tmp_path):
    save(tmp_path, model=net(3, 4, 2), optimizer=torch.optim.SGD(net(3, 4).parameters()))
    model = net(3, 5, 2, 2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError) as caught:
        restore(tmp_path, {"model": model, "ema": net(1, 1)})
    for word in (
        "missing 4",
        "model.2.weight",
        "ema.0.weight",
        "does not fit 3",
        "[4, 3] in the snapshot, [5, 3] here",
    ):
        assert word in str(caught.value)
    assert same(model.state_dict(), before)


def test_what_fits_is_taken_when_asked(tmp_path):
    source = net(3, 4, 2)
    save(tmp_path, model=source)
    model = net(3, 4, 3)
    kept = model[1].weight.detach().clone()
    found = restore(tmp_path, {"model": model}, strict=False)
    assert found.matched == ("model.0.weight", "model.0.bias")
    assert set(found.misfits) == {"model.1.weight", "model.1.bias"}
    assert torch.equal(model[0].weight, source[0].weight)
    assert torch.equal(model[1].weight, kept)


def test_weights_of_another_name_are_taken_by_renaming(tmp_path):
    average = net(3, 2)
    save(tmp_path, model=net(3, 2), ema=average, old=torch.nn.ModuleDict({"encoder": net(3, 2)}))
    model = net(3, 2)
    restore(tmp_path, {"model": model}, rename={r"^model\.": "unused.", r"^ema\.": "model."})
    assert torch.equal(model[0].weight, average[0].weight)
    holder = torch.nn.ModuleDict({"backbone": net(3, 2)})
    assert restore(tmp_path, {"old": holder}, rename={r"^old\.encoder\.": "old.backbone."}).whole


def test_a_bfloat16_model_takes_float32_weights(tmp_path):
    source = net(3, 2)
    save(tmp_path, model=source)
    model = net(3, 2).bfloat16()
    restore(tmp_path, {"model": model})
    assert torch.equal(model[0].weight, source[0].weight.bfloat16())


def test_tied_weights_are_one_or_refused(tmp_path):
    def tied():
        model = net(3, 3, 3)
        model[1].weight = model[0].weight
        return model

    save(tmp_path / "tied", model=tied())
    save(tmp_path / "loose", model=net(3, 3, 3))
    model = tied()
    assert restore(tmp_path / "tied", {"model": model}).whole
    assert model[0].weight is model[1].weight
    before = model[0].weight.detach().clone()
    with pytest.raises(CheckpointError, match="are one tensor here"):
        restore(tmp_path / "loose", {"model": model})
    assert torch.equal(model[0].weight, before)
    loose = net(3, 3, 3)
    restore(tmp_path / "tied", {"model": loose})
    assert torch.equal(loose[0].weight, loose[1].weight)
    with torch.no_grad():
        loose[0].weight.add_(1)
    assert not torch.equal(loose[0].weight, loose[1].weight)


def test_an_object_that_refuses_leaves_all_as_they_were(tmp_path):
    import tessera

    model = net(3, 2)
    save(tmp_path, model=model, first=torch.optim.SGD(model.parameters(), lr=0.5),
         second=tessera.optim.AdamW(net(3, 2, 2)))  # fmt: skip
    first, second = torch.optim.SGD(model.parameters(), lr=0.1), tessera.optim.AdamW(model)
    with torch.no_grad():
        model[0].weight.fill_(7)
    with pytest.raises(OptimizerError, match="groups of"):
        restore(tmp_path, {"model": model, "first": first, "second": second})
    assert first.param_groups[0]["lr"] == 0.1
    assert bool((model[0].weight == 7).all())


def test_a_damaged_snapshot_leaves_all_as_they_were(tmp_path):
    model = net(3, 2)
    path = save(tmp_path, model=model)
    file = next(path.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with torch.no_grad():
        model[0].weight.fill_(7)
    with pytest.raises(CheckpointError, match="has changed"):
        restore(tmp_path, {"model": model}, strict=False)
    assert bool((model[0].weight == 7).all())


@pytest.mark.parametrize("value", [3, torch.ones(2), {"a": 1}, torch.nn.Linear])
def test_only_objects_are_restored_into(tmp_path, value):
    save(tmp_path, x=1)
    with pytest.raises(StateError, match="state\\['x'\\] is a"):
        restore(tmp_path, {"x": value})


@pytest.mark.parametrize("make", [lambda: torch.nn.LazyLinear(2), lambda: torch.nn.Linear(3, 2, device="meta")])
def test_a_model_without_memory_is_told(tmp_path, make):
    save(tmp_path, model=torch.nn.Linear(3, 2))
    with pytest.raises(CheckpointError, match="has no memory yet"):
        restore(tmp_path, {"model": make()})
