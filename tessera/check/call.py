"""One call of torch, and what torch refuses with data that it lets pass without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.world import World
from tessera.errors import SourceLine


@dataclass
class Call:
    """One call of torch from the user's code.

    Attributes:
        function: what was called.
        args, kwargs: with what.
        where: the user's line.
        tensors: those among the arguments, parameters of layers left out.
        module: the layer whose parameters are among the arguments.
        result: what came of it.
        site: the place in the user's code, down to the instruction.
        of_layer: whether a layer of torch made the call, and the user's code called that.
    """

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    where: SourceLine | None
    tensors: list[torch.Tensor] = field(default_factory=list)
    module: torch.nn.Module | None = None
    result: Any = None
    site: Any = None
    of_layer: bool = False

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", str(self.function))


def refuse(call: Call, world: World) -> None:
    """Raise what the kernels raise that do not run on tensors without data.

    Raises:
        RuntimeError: a bool tensor is subtracted, factors of a product have two dtypes, a letter of an einsum stands
            for two sizes, or labels have another shape than their predictions without the classes.
    """
    if call.name in _PRODUCTS and not any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        factors = call.args[:3] if call.name == "scaled_dot_product_attention" else [call.args, call.kwargs]
        kinds = list(dict.fromkeys(str(t.dtype) for t in torch_internals.tensors_in(factors)))
        if len(kinds) > 1:
            raise RuntimeError(f"expected both factors to have the same dtype, but got: {' and '.join(kinds)}")
    if call.name in _SUBTRACTIONS:
        operands = (*call.args, *call.kwargs.values())[:2]
        plain = all(isinstance(value, (torch.Tensor, int, float)) for value in operands)
        if plain and any(isinstance(value, torch.Tensor) and value.dtype == torch.bool for value in operands):
            raise RuntimeError("a bool tensor cannot be subtracted or negated; ~mask or logical_xor is meant")
    if call.name in ("cross_entropy", "nll_loss") and len(call.args) > 1:
        _refuse_labels(call.args[0], call.args[1], world)
    if call.name == "einsum" and isinstance(call.args[0], str) and "." not in call.args[0]:
        sizes: dict[str, Any] = {}
        for letter, size in _lettered(*call.args):
            if world.number(size) != 1 and not world.same(sizes.setdefault(letter, size), size):
                raise RuntimeError(f"einsum: the letter {letter!r} stands for two sizes")


def _refuse_labels(given: Any, labels: Any, world: World) -> None:
    if not isinstance(given, torch.Tensor) or not isinstance(labels, torch.Tensor):
        return
    if given.dim() < 2 or labels.is_floating_point() or labels.dim() != given.dim() - 1:
        return  # probabilities, or a rank that torch refuses itself
    wanted = [given.shape[0], *given.shape[2:]]
    if not all(world.same(one, other) for one, other in zip(labels.shape, wanted, strict=True)):
        raise RuntimeError(
            f"Expected target size {list(map(world.text, wanted))}, got {list(map(world.text, labels.shape))}"
        )


_PRODUCTS = {
    *("linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum"),
    *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)),
    "scaled_dot_product_attention",
}
_SUBTRACTIONS = ("sub", "subtract", "rsub", "__sub__", "__rsub__", "neg", "__neg__")


def _lettered(equation: str, *operands: Any) -> Iterator[tuple[str, Any]]:
    tensors = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    for letters, tensor in zip(equation.partition("->")[0].replace(" ", "").split(","), tensors, strict=False):
        yield from zip(letters, tensor.shape, strict=False)
