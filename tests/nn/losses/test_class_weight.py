from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.errors import LossError
from tessera.nn.losses.class_weight import ClassWeight

LIKE = torch.zeros(1, dtype=torch.float32)


@pytest.mark.parametrize(
    "given",
    [
        [0.5, 1, 4],
        (0.5, 1.0, 4.0),
        np.array([0.5, 1, 4]),
        torch.tensor([0.5, 1, 4]),
        {0: 0.5, 2: 4},
        {np.int64(2): np.float32(4), 0.0: torch.tensor(0.5)},
        iter([0.5, 1, 4]),
    ],
)
def test_what_may_be_passed(given):
    tensor = ClassWeight.of(given).tensor(3, LIKE)
    assert tensor.tolist() == [0.5, 1, 4]
    assert tensor.dtype is torch.float32


def test_classes_that_a_dict_leaves_out_weigh_one():
    assert ClassWeight.of({}).tensor(3, LIKE).tolist() == [1, 1, 1]
    assert ClassWeight.of({1: 0}).tensor(3, LIKE.double()).tolist() == [1, 0, 1]
    assert ClassWeight.of({10**12: 2.0}).values == ((10**12, 2.0),)


def test_equality_is_by_numbers():
    assert ClassWeight.of([1, 2]) == ClassWeight.of(np.array([1.0, 2.0]))
    assert ClassWeight.of([1, 2]) != ClassWeight.of({0: 1, 1: 2})  # of three classes they are not the same
    assert ClassWeight.of({1: 2, 0: 1}) == ClassWeight.of({0: 1, 1: 2})


@pytest.mark.parametrize(
    ("given", "received", "expected"),
    [
        ({-1: 1.0}, "the class -1", "Classes are the whole numbers 0, 1, 2, ..."),
        ({"cat": 1.0}, "the class 'cat'", "Classes are the whole numbers 0, 1, 2, ..."),
        ({0.5: 1.0}, "the class 0.5", "Classes are the whole numbers 0, 1, 2, ..."),
        ({float("inf"): 1.0}, "the class inf", "Classes are the whole numbers 0, 1, 2, ..."),
        ({True: 1.0}, "the class True", "Classes are the whole numbers 0, 1, 2, ..."),
        ([1.0, -2.0], "the weight -2.0 for class 1", "A weight is a finite number, at least 0."),
        ({3: float("nan")}, "the weight nan for class 3", "A weight is a finite number, at least 0."),
        ([float("inf")], "the weight inf for class 0", "A weight is a finite number, at least 0."),
        ([None, 1.0], "the weight None for class 0", "A weight is a finite number, at least 0."),
        ([[1.0], [2.0]], "the weight [1.0] for class 0", "A weight is a finite number, at least 0."),
        ([0.0, 0.0], "2 weights and none above 0", "Some class has a weight above 0."),
        ([], "0 weights and none above 0", "Some class has a weight above 0."),
        (torch.ones(2, 2), "weights of several dimensions", "A tensor of weights has the shape [classes]."),
        (torch.tensor(2.0), "weights of several dimensions", "A tensor of weights has the shape [classes]."),
        ("balanced", "'balanced'", "It is a dict class -> weight, or one weight for each class."),
        (2.0, "2.0", "It is a dict class -> weight, or one weight for each class."),
    ],
)
def test_what_is_no_weight_of_a_class_is_refused(given, received, expected):
    with pytest.raises(LossError) as caught:
        ClassWeight.of(given)
    fix = "Write for example class_weight={0: 1.0, 1: 4.0}."
    assert str(caught.value) == f"class_weight has {received}. {expected} {fix}"


@pytest.mark.parametrize(
    ("given", "received", "expected"),
    [
        ([1.0, 2.0], "2 weights", "The prediction has 3 classes."),
        ([1.0, 2.0, 3.0, 4.0], "4 weights", "The prediction has 3 classes."),
        ({3: 2.0}, "a weight for class 3", "The prediction has the classes 0 to 2."),
    ],
)
def test_weights_of_other_classes_are_refused(given, received, expected):
    with pytest.raises(LossError) as caught:
        ClassWeight.of(given).tensor(3, LIKE)
    assert str(caught.value).startswith(f"class_weight has {received}. {expected} ")
