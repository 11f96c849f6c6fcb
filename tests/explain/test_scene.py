import pytest
import torch
from torch import nn

from tessera.explain.scene import scene


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(5, 4))

    def forward(self, h):
        return h + self.mix(h)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))

    def forward(self, x):
        for block in self.blocks[1:]:
            x = block(x)
        return x


def of(function, *args):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        function(*args)
    return scene(raised.value, args, {})


def test_the_users_innermost_line_and_the_path_of_the_layer():
    found = of(Net(), torch.ones(2, 4))
    assert (found.user.function, found.failure.path) == ("forward", "blocks.1.mix.2")
    assert isinstance(found.failure.layer, nn.Linear)
    assert found.is_torchs
    assert found.failure.operations[0].name == "linear"


@pytest.mark.parametrize(
    ("code", "is_torchs"),
    [
        (lambda x: x @ x, True),
        (lambda x: nn.Linear(2, 2)(x.T), True),
        (lambda x: [x][x.dim()], False),
        (lambda x: int("x"), False),
        (lambda x: {}["x"], False),
        (lambda x: __import__("json").loads("{"), False),
    ],
    ids=["operator", "layer", "list", "int", "dict", "json"],
)
def test_whose_error_it_is(code, is_torchs):
    assert of(code, torch.ones(3, 4)).is_torchs == is_torchs


def test_what_the_user_raises_is_not_torchs():
    def refuse(x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    assert not of(refuse, 1).is_torchs
