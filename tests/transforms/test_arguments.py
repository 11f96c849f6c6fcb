import pytest
import torch

from tessera.errors import TransformError
from tessera.transforms.arguments import check_argnums, check_differentiable, check_function, named_like, with_aux


def test_a_module_lends_its_name_and_nothing_else():
    layer = torch.nn.Linear(1, 1)

    @named_like(layer)
    def transformed(x):
        return x

    assert "_parameters" not in vars(transformed)


def test_negative_argnums_count_from_the_end():
    check_argnums(-1, (1, torch.ones(())), "grad")
    with pytest.raises(TransformError, match="argnums=-3"):
        check_argnums(-3, (1, torch.ones(())), "grad")


def test_nests_are_looked_through():
    check_differentiable({"a": [torch.ones(2), torch.ones(2, dtype=torch.complex64)]}, "argument 0", "grad")
    with pytest.raises(TransformError, match="is bool"):
        check_differentiable({"a": [torch.ones(2), torch.ones(2) > 0]}, "argument 0", "grad")


def test_a_pair_and_a_function_are_asked_for():
    assert with_aux((1, 2), "grad") == (1, 2)
    with pytest.raises(TransformError, match="a tuple of 3"):
        with_aux((1, 2, 3), "grad")
    with pytest.raises(TransformError, match="was given a int"):
        check_function(3, "vmap")
