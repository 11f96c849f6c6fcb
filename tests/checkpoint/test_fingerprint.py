from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import tessera
from tessera.checkpoint.fingerprint import check_same_run, differences, fingerprint, parameter_names
from tessera.errors import ResumeError
from tests.checkpoint.samples import DTYPES


def net(width=4):
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Linear(width, width))


def of(model, optimizer, data=None):
    state = {"model": model, "optimizer": optimizer, "data": data}
    names = parameter_names(state)
    return json.loads(json.dumps({name: fingerprint(value, names) for name, value in state.items()}))


def adamw(model, **settings):
    return torch.optim.AdamW(model.parameters(), **settings)


def swapped(model):
    return torch.optim.AdamW(list(model.parameters())[::-1])


X = torch.arange(300_000.0).view(-1, 3)
CHANGES = {
    "model.0.weight was 'float32[4, 3]' and is 'float32[5, 3]'": lambda: of(net(5), adamw(net(5)), X),
    "model.0.weight was 'float32[4, 3]' and is 'bfloat16[4, 3]'": lambda: of(net().bfloat16(), adamw(net()), X),
    "model.1.weight is gone": lambda: of(net()[:1], adamw(net()), X),
    "optimizer.class was 'torch.optim.adamw.AdamW'": lambda: of(
        (model := net()), torch.optim.SGD(model.parameters()), X
    ),
    "optimizer.group 0.lr was 0.001 and is 0.01": lambda: of((model := net()), adamw(model, lr=0.01), X),
    "optimizer.group 0.parameters.0 was 'model.0.weight": lambda: of((model := net()), swapped(model), X),
    "data.array was": lambda: of((model := net()), adamw(model), X.flip(0)),
}


def begun():
    model = net()
    return of(model, adamw(model), X)


def test_the_same_run_is_the_same():
    check_same_run("runs/a", begun(), begun())
    assert differences(begun(), begun()) == []


@pytest.mark.parametrize("says", CHANGES)
def test_what_differs_is_told(says):
    with pytest.raises(ResumeError, match="runs/a") as caught:
        check_same_run("runs/a", begun(), CHANGES[says]())
    assert says in str(caught.value)


class Counted(torch.nn.Module):
    """Prints what changes while it is trained."""

    calls = 0

    def extra_repr(self):
        return f"calls={self.calls}"


def test_layers_without_weights_are_part_of_a_model():
    def model(layer):
        return torch.nn.Sequential(torch.nn.Linear(2, 2), layer)

    def told(before, after):
        return differences(fingerprint(model(before), {}), fingerprint(model(after), {}), "model")

    assert told(torch.nn.Tanh(), torch.nn.ReLU()) == ["model.1 was 'Tanh()' and is 'ReLU()'"]
    assert told(torch.nn.Dropout(0.1), torch.nn.Dropout(0.2)) == [
        "model.1 was 'Dropout(p=0.1, inplace=False)' and is 'Dropout(p=0.2, inplace=False)'"
    ]
    called = Counted()
    called.calls = 3
    assert told(Counted(), called) == []


def test_many_differences_are_counted():
    with pytest.raises(ResumeError, match="and 14 more"):
        check_same_run("x", {str(n): n for n in range(20)}, {})


def test_a_schedule_is_its_numbers():
    def made(steps):
        model = net()
        return of(model, tessera.optim.AdamW(model, lr=tessera.optim.cosine_decay(0.1, steps)))

    assert differences(made(10), made(10)) == []
    assert any("10 and is 20" in line for line in differences(made(10), made(20)))


def test_a_learning_rate_in_a_tensor_is_a_number():
    assert differences(
        fingerprint(adamw(net(), lr=torch.tensor(0.5))), fingerprint(adamw(net(), lr=torch.tensor(0.25)))
    ) == ["group 0.lr was 0.5 and is 0.25"]


def test_an_object_may_describe_itself():
    class Data:
        def fingerprint(self):
            return {"seed": 3, "sizes": (1, 2), "dtype": torch.int64}

    assert fingerprint(Data()) == {"seed": 3, "sizes": {"0": 1, "1": 2}, "dtype": "int64"}


def test_what_loads_a_state_is_its_class_and_what_has_no_length_too():
    class Loader:
        def __len__(self):
            raise TypeError("a filter decides")

    class Loading(Loader):
        def __len__(self):
            return 3  # another number of ranks, another length

        def load_state_dict(self, state):
            pass

    assert fingerprint(Loader()).keys() == fingerprint(Loading()).keys() == {"class"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (3, 3),
        ([object()] * 4, {"class": "builtins.list", "length": 4}),
        (range(5), {"class": "builtins.range", "length": 5}),
        (object(), {"class": "builtins.object"}),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_other_data_is_its_class_and_length(value, expected):
    assert fingerprint(value) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: a.astype(np.float64),
        lambda a: a[::-1],
        lambda a: np.concatenate([a[:1] + 1, a[1:]]),
        lambda a: a.reshape(2, -1),
    ],
)
def test_another_array_is_another(change):
    array = np.arange(1000, dtype=np.float32)
    assert fingerprint(array) == fingerprint(array.copy())
    assert fingerprint((array, torch.ones(2))) == fingerprint((array.copy(), torch.ones(2)))
    assert fingerprint(change(array)) != fingerprint(array)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_dtype_have_one(dtype):
    bits = torch.randint(0, 2, (3, 2, dtype.itemsize), dtype=torch.uint8)
    made = bits.view(-1).view(dtype).view(3, 2)
    assert fingerprint(made) == fingerprint(made.t().contiguous().t())
    assert fingerprint(made) != fingerprint(made[:1])
    assert fingerprint(made[:0]) == fingerprint(made[:0].clone())
    assert fingerprint(made[0, 0]) == fingerprint(made[0, 0].clone())


def test_a_layer_that_is_not_made_yet_has_one():
    assert fingerprint(torch.nn.LazyLinear(3))["weight"] == "not made yet"
