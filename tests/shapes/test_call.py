from __future__ import annotations

import pytest
import torch

import tessera
from tessera import Tensor
from tessera.errors import ShapeError
from tessera.shapes.call import check_call, check_result
from tessera.shapes.signature import read_contract


def scale(x: Tensor[B, D], weight: Tensor[D], times: int = 1) -> Tensor[B, D]:
    return x * weight * times


CONTRACT = read_contract(scale)


def test_a_call_that_fits_binds_the_names():
    bound = check_call(CONTRACT, (torch.empty(2, 3),), {"weight": torch.empty(3)})
    assert bound.sizes == {"B": 2, "D": 3}
    check_result(CONTRACT, bound, torch.empty(2, 3))


def test_an_argument_that_does_not_fit_is_said_in_full():
    with pytest.raises(ShapeError) as caught:
        check_call(CONTRACT, (torch.empty(2, 3), torch.empty(4)), {})
    line = caught.value.where.line
    assert str(caught.value) == (
        f"Shape Error in 'scale' at {__file__}:{line}\n"
        "    check_call(CONTRACT, (torch.empty(2, 3), torch.empty(4)), {})\n"
        '  Expected: Tensor["D"] where D = 3\n'
        "  Received: Tensor[4]\n"
        "  Dimension 0 of the argument 'weight' is declared D = 3 by 'x', and is 4.\n"
        "  Possible fixes:\n"
        "    1. declare it Tensor[4]"
    )
    assert isinstance(caught.value, (TypeError, ValueError))


def test_a_result_that_does_not_fit_is_a_type_mismatch():
    bound = check_call(CONTRACT, (torch.empty(2, 3), torch.empty(3)), {})
    with pytest.raises(ShapeError, match=r"Type mismatch in 'scale':\n  Expected: .*\n  Returned: Tensor\[2, 4\]"):
        check_result(CONTRACT, bound, torch.empty(2, 4))


def test_arguments_that_are_not_the_functions_are_left_to_the_call():
    assert check_call(CONTRACT, (), {"nothing": 3}) is None


def joined(*xs: Tensor["B", "D"], scale: Tensor["D"] | None = None, **named: Tensor["B"]) -> Tensor["B", "D"]:
    return sum(xs) * 1.0 if scale is None else sum(xs) * scale


def test_what_is_said_of_several_arguments_is_said_of_each():
    contract, x = read_contract(joined), torch.empty(2, 3)
    assert check_call(contract, (x, x), {"first": torch.empty(2)}).sizes == {"B": 2, "D": 3}
    assert check_call(contract, (), {}).sizes == {}
    with pytest.raises(ShapeError, match=r"Dimension 1 of the argument 'xs\[1\]' is declared D = 3"):
        check_call(contract, (x, torch.empty(2, 4)), {})
    with pytest.raises(ShapeError, match=r"""Dimension 0 of the argument "named\['first'\]" is declared B = 2"""):
        check_call(contract, (x,), {"first": torch.empty(5)})


def test_a_function_of_several_arguments_runs_and_is_checked_at_every_call():
    function, x = tessera.function(joined), torch.ones(2, 3)
    assert function(x, x, x).tolist() == [[3.0] * 3] * 2
    assert function(x, first=torch.ones(2)).tolist() == [[1.0] * 3] * 2
    for wrong in ({"first": torch.ones(3)}, {"scale": torch.ones(4)}):
        with pytest.raises(ShapeError):
            function(x, **wrong)
    with pytest.raises(ShapeError):
        function(x, x, torch.ones(2, 4))
