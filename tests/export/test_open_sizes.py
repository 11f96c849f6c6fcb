from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tessera.export.asked import read_example
from tessera.export.open_sizes import SizesStayOpen
from tessera.export.traced import traced

LINE, PICTURE, BODY = (2, 3, 7), (2, 3, 6, 7), (2, 3, 4, 6, 5)


def _turned(x, **more):
    theta = x.flatten(1)[:, : 6 if x.dim() == 4 else 12].reshape(x.shape[0], x.dim() - 2, -1)
    return functional.affine_grid(theta, list(x.shape), **more)


CALLS = {
    "largest of three": (lambda x: functional.max_pool1d(x, 3, 2, 1), LINE),
    "largest of two": (nn.MaxPool1d(2), LINE),
    "largest, dilated": (lambda x: functional.max_pool1d(x, (2,), stride=1, dilation=2, ceil_mode=True), LINE),
    "line": (lambda x: x + torch.linspace(-1, 2, x.shape[-1]), LINE),
    "line in double": (lambda x: torch.linspace(3.0, -1.0, steps=x.shape[-1], dtype=torch.float64), LINE),
    "picture": (lambda x: _turned(x, align_corners=False), PICTURE),
    "picture by its corners": (lambda x: _turned(x, align_corners=True), PICTURE),
    "body": (lambda x: _turned(x, align_corners=False), BODY),
    "along": (lambda x: x.take_along_dim(x.argmax(-1, keepdim=True), -1), LINE),
    "along another": (lambda x: torch.take_along_dim(x, x[:1].argsort(1), dim=1), LINE),
}


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", CALLS)
def test_sizes_stay_symbols_and_the_answer_is_torchs(name):
    torch.manual_seed(0)
    function, shape = CALLS[name]
    sizes = {0: "B", **{axis: f"S{axis}" for axis in range(2, len(shape))}}
    flat, example = read_example(Calls(function), torch.randn(shape), (sizes,))
    program = traced(flat, example).module()
    for larger in (0, 1, 4):
        x = torch.randn(2 + larger, shape[1], *(size + larger for size in shape[2:]))
        torch.testing.assert_close(program(x)[0], function(x))


def test_a_line_of_one_point_is_its_start():
    flat, example = read_example(Calls(CALLS["line"][0]), torch.randn(LINE), ({2: "T"},))
    x = torch.zeros(2, 3, 1)
    assert torch.equal(traced(flat, example).module()(x)[0], torch.full((2, 3, 1), -1.0))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior")  # torch's own, of just this
@pytest.mark.parametrize("corners", [True, False])
def test_a_picture_of_one_line_is_in_the_middle(corners):
    call = Calls(lambda x: _turned(x, align_corners=corners))
    flat, example = read_example(call, torch.randn(PICTURE), ({2: "H", 3: "W"},))
    for x in (torch.randn(2, 3, 1, 7), torch.randn(2, 3, 6, 1)):
        torch.testing.assert_close(traced(flat, example).module()(x)[0], call(x))


def test_numbers_are_left_to_torch():
    x = torch.randn(LINE)
    with SizesStayOpen():
        pooled, places = functional.max_pool1d(x, 2, return_indices=True)
        whole = torch.linspace(0, 6, 4, dtype=torch.int64)
    assert torch.equal(pooled, x.flatten().take(places + torch.arange(6).view(2, 3, 1) * 7))
    assert whole.tolist() == [0, 2, 4, 6]
