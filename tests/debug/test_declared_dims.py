# ruff: noqa: F821 - names of sizes in annotations
import torch
from torch import nn

import tessera
from tessera import Tensor


class Inner(nn.Module):
    def forward(self, h: Tensor["B", "S", 4], scale: list[Tensor["S"]]) -> tuple[Tensor["B", "4*S"], int]:
        return (h * scale[0][:, None]).flatten(1), 3


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor["N", ..., 4]):
        return self.inner(x, [torch.ones(x.shape[1])])


def test_arguments_and_results_of_annotated_modules_carry_their_dims():
    x = torch.ones(2, 3, 4)
    with tessera.debug_mode() as debug:
        result, _ = Outer()(x)
        assert debug.info(x).dims == ("B", "S", 4)
        assert debug.info(result).dims == ("B", "4*S")
        assert "[B, S, 4]" in str(debug.info(x))
        assert debug.info(torch.ones(2)).dims == ()


def test_functions_too_and_what_is_not_as_declared_carries_nothing():
    @tessera.function
    def f(x: Tensor["B", 2]) -> Tensor["B"]:
        return x.sum(1)

    class Wrong(nn.Module):
        def forward(self, x: Tensor["B", "S", 9]):
            return x + 1

    x, y = torch.ones(5, 2), torch.ones(3)
    with tessera.debug_mode() as debug:
        assert debug.info(f(x)).dims == ("B",)
        Wrong()(y)
        assert debug.info(x).dims == ("B", 2)
        assert debug.info(y).dims == ()


def test_hooks_are_gone_after_the_block():
    from torch.nn.modules import module

    before = dict(module._global_forward_pre_hooks), dict(module._global_forward_hooks)
    with tessera.debug_mode():
        assert dict(module._global_forward_hooks) != before[1]
    assert (dict(module._global_forward_pre_hooks), dict(module._global_forward_hooks)) == before
