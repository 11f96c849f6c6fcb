import numpy as np
import pytest
import torch

from tessera.explain.reading import UNKNOWN
from tessera.explain.values import described, layer, shape


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.ones(2, 3), "Tensor[2, 3] float32"),
        (torch.tensor(True), "Tensor[] bool"),
        ([torch.ones(1)] * 6, "a list of 6: " + "Tensor[1] float32, " * 4 + "..."),
        (np.ones((2, 3)), "numpy ndarray[2, 3] float64"),
        (None, "None"),
        ("x" * 100, "a str of 100 letters"),
        (object(), "a object"),
        (UNKNOWN, "a value that was computed on the way"),
    ],
    ids=["tensor", "number", "list", "numpy", "none", "long", "object", "unknown"],
)
def test_values(value, text):
    assert described(value) == text


def test_shapes_with_names():
    assert shape(["batch", ..., 3]) == 'Tensor["batch", ..., 3]'


def test_layers_of_torch_show_how_they_were_made_and_others_their_class():
    class Mine(torch.nn.Module):
        def extra_repr(self):
            return "secret"

    assert layer(torch.nn.Dropout(0.5)) == "Dropout(p=0.5, inplace=False)"
    assert layer(Mine()) == "Mine"
