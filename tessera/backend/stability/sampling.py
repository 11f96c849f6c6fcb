"""How far off an expression is in float32, by trying it: families of inputs, in float32 and in float64.

What is inaccurate at a point here and there, as ``x + x^2`` near -1 is, is so at its roots only and not meant. What is
inaccurate all over a family of inputs - the small, the large, probabilities, nearly equal ones - is spelled for paper.

References:
    Panchekha et al., Automatically improving accuracy for floating point expressions, 2015: errors by sampling.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import vmap

from tessera import torch_internals
from tessera.backend.stability.expressions import Expression, is_conversion
from tessera.backend.stability.spelling import call_of, example

EACH = 8  # samples of a family
SHARE = 0.25  # of the elements of a sample
MOST = 4  # inputs that are tried one by one
SMALL, LARGEST = 64, 1024  # elements of an input that is tried as large as it is, and of any
WEIGHT = 8.0  # no parameter is larger
# Shapes that are written down, sizes that are not known, functions that do not take batches.
_UNTRIED = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError)
_CHOOSES = ("clamp", "clamp_min", "clamp_max", "where", "masked_fill")
_TRIGONOMETRIC = ("sin", "cos", "tan")
_PERIODS = 8.0  # beyond, sine and cosine are about the rounding of their argument alone


@dataclass(frozen=True)
class Demand:
    """What counts as inaccurate.

    Attributes:
        ulps: an error of more units in the last place is wrong in a value,
        ulps_of_slope: and in a gradient; NaN and infinity are wrong in any case.
        smallest: elements below this part of their family's largest are held to the error of one that large.
        often: the part of a family's samples that has to be wrong.
        hostile: whether huge, tiny and far shifted inputs are tried as well.
    """

    ulps: float
    ulps_of_slope: float
    smallest: float
    often: float
    hostile: bool


# Torch's own sigmoid and softmax lose the digits of their slopes where they are nearly 1, and do so in every layer.
USUAL = Demand(512, math.inf, 1e-2, 0.6, hostile=False)
STRICT = Demand(64, 64, 1e-3, 0.3, hostile=True)


def is_inaccurate(expression: Expression, demand: Demand = USUAL) -> bool:
    """Whether float32 is wrong all over a family of inputs, in value or gradient, where float64 is not."""
    for longest, largest in ((None, SMALL), (4, LARGEST), (None, LARGEST)):
        try:
            with _by_itself():
                return _Trial(expression, demand, longest, largest).is_inaccurate()
        except _UNTRIED:
            continue
    return False


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    """On the CPU and in its own precision, whatever is switched on around; nobody is warned of a sample."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


class _Trial:
    def __init__(self, expression: Expression, demand: Demand, longest: int | None, largest: int) -> None:
        """Of inputs whose sizes are ``longest`` at most; raises ValueError where one has more elements than that."""
        self._expression, self._demand = expression, demand
        self._families = (*_FAMILIES, *_HOSTILE) if demand.hostile else _FAMILIES
        self._trained = expression.is_trained()
        self._shapes = [_shape(example(leaf), longest) for leaf in expression.leaves]
        if any(torch.Size(shape).numel() > largest for shape in self._shapes):
            raise ValueError("too large")
        numbers = [at for at, leaf in enumerate(expression.leaves) if _is_floating(example(leaf))]
        # All of one family together; then each alone, beside what is between 0 and 1.
        self._alone = [None, *numbers[:MOST]] if len(numbers) > 1 else [None]
        self._count = len(self._alone) * len(self._families) * EACH

    def is_inaccurate(self) -> bool:
        inputs = self._inputs()
        narrow, wide = self._results(inputs, torch.float32), self._results(inputs, torch.float64)
        bad, valid = torch.zeros(self._count, dtype=torch.bool), self._in_domain
        probes = torch.zeros(self._count, dtype=torch.bool)
        for at, (found, wanted) in enumerate(zip(narrow, wide, strict=True)):
            pair = (found.reshape(self._count, -1), wanted.reshape(self._count, -1))
            wrong, vanished, known = _compared(*pair, self._demand, of_slopes=at > 0)
            bad |= wrong
            valid = valid & known
            if at == 0:
                probes = vanished
        bad &= valid
        if int((probes & valid).sum()) > EACH // 2:
            return False  # it is a rounding error, that somebody wants to know
        of_family = bad.view(-1, EACH).sum(1)
        possible = valid.view(-1, EACH).sum(1)
        return bool(((of_family > 2) & (of_family >= self._demand.often * possible)).any())

    def _inputs(self) -> list[Any]:
        generator = torch.Generator().manual_seed(0)
        base: dict[Sequence[int], Tensor] = {}
        made: list[Any] = []
        for at, (leaf, shape) in enumerate(zip(self._expression.leaves, self._shapes, strict=True)):
            value = example(leaf)
            if not isinstance(value, Tensor):
                made.append(torch_internals.size_hint(value))
            elif value.dtype is torch.bool:
                made.append(torch.rand(self._count, *shape, generator=generator) < 0.5)
            elif not value.is_floating_point():
                made.append(torch.zeros(self._count, *shape, dtype=value.dtype))
            else:
                first = base.setdefault(tuple(shape), torch.rand(EACH, *shape, generator=generator))
                rounds = [
                    family(generator, shape, first)
                    if alone in (None, at)
                    else 0.05 + 0.9 * torch.rand(EACH, *shape, generator=generator)
                    for alone in self._alone
                    for family in self._families
                ]
                tried = torch.cat(rounds).float()
                made.append(tried.clamp(-WEIGHT, WEIGHT) if isinstance(value, nn.Parameter) else tried)
        return made

    def _results(self, inputs: list[Any], dtype: torch.dtype) -> list[Tensor]:
        """The value, and its gradient for every input, of each sample."""
        self._in_domain = torch.ones(self._count, dtype=torch.bool)
        given = [one.to(dtype, copy=True) if _is_floating(one) else one for one in inputs]
        batched = [at for at, one in enumerate(given) if isinstance(one, Tensor)]
        trained = [
            at
            for at in batched
            if self._trained and _is_floating(given[at]) and example(self._expression.leaves[at]).requires_grad
        ]
        for at in trained:
            given[at].requires_grad_()

        def each(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            values = list(given)
            for at, tensor in zip(batched, tensors, strict=True):
                values[at] = tensor
            return self._run(values)

        with torch.enable_grad():
            value, largest = vmap(each)(*(given[at] for at in batched))
            self._in_domain &= largest.detach() <= _PERIODS
            weights = 1 + (torch.arange(value[0].numel()).view(value[0].shape) * 0.618).remainder(1).to(dtype)
            slopes = (
                torch.autograd.grad((value * weights).sum(), [given[at] for at in trained], allow_unused=True)
                if trained
                else ()
            )
        return [
            value.detach(),
            *(s if s is not None else torch.zeros_like(given[at]) for at, s in zip(trained, slopes, strict=True)),
        ]

    def _run(self, values: list[Any]) -> tuple[Tensor, Tensor]:
        known = dict(zip(self._expression.leaves, values, strict=True))
        largest = torch.zeros(())
        for node in self._expression.nodes:
            known[node] = evaluate(node, known)
            if getattr(call_of(node), "name", "") in _TRIGONOMETRIC:
                largest = torch.maximum(largest, known[node.all_input_nodes[0]].detach().abs().amax().float())
        return known[self._expression.result], largest


def evaluate(node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    """What ``node`` computes of values in any dtype."""
    args, kwargs = fx.node.map_arg(arguments(node), known.__getitem__)
    if is_conversion(node):
        return args[0]
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def arguments(node: fx.Node) -> tuple[Any, Any]:
    """Its arguments; a number that may become the result is what float32 makes of it: its rounding is the user's."""
    if getattr(call_of(node), "name", "") not in _CHOOSES:
        return node.args, node.kwargs
    return fx.node.map_aggregate((node.args, node.kwargs), _in_float32)


def _in_float32(argument: Any) -> Any:
    return torch.tensor(argument, dtype=torch.float32).item() if isinstance(argument, float) else argument


def _compared(found: Tensor, wanted: Tensor, demand: Demand, *, of_slopes: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Whether each sample is wrong; whether it is next to nothing beside its error; whether it is known at all."""
    if not wanted.shape[1]:
        nothing = torch.zeros(len(wanted), dtype=torch.bool)
        return nothing, nothing, ~nothing
    info = torch.finfo(torch.float32)
    size, finite = wanted.abs().amax(1), found.isfinite().all(1)
    known = wanted.isfinite().all(1) & (size <= info.max)
    largest = torch.where(known, size, 0).view(-1, EACH).amax(1).repeat_interleave(EACH)
    errors = (found.double() - wanted).abs() / wanted.abs().maximum(largest[:, None] * demand.smallest) / info.eps
    vanished = finite & (size <= 1e-7 * found.double().abs().amax(1)) & (found != 0).any(1)
    many = (errors > (demand.ulps_of_slope if of_slopes else demand.ulps)).double().mean(1) > SHARE
    return ~finite | (many & ~vanished & (size > 1e3 * info.tiny)), vanished, known


def _shape(value: Any, longest: int | None) -> list[int]:
    if not isinstance(value, Tensor):
        return []
    sizes = [torch_internals.size_hint(size) for size in value.shape]
    return sizes if longest is None else [min(size, longest) for size in sizes]


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


# -- families of inputs ----------------------------------------------------------------------------------------

Family = Callable[[torch.Generator, Sequence[int], Tensor], Tensor]


def _of_size(low: float, high: float, sign: int) -> Family:
    """Of one order of magnitude per sample, between the powers ``low`` and ``high`` of ten."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        powers = torch.rand(EACH, *(1 for _ in shape), generator=generator) * (high - low) + low
        sizes = 10**powers * (0.5 + 1.5 * torch.rand(EACH, *shape, generator=generator))
        return sizes * (sign or torch.randint(0, 2, sizes.shape, generator=generator) * 2 - 1)

    return family


def _probabilities(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
    return torch.sigmoid(torch.rand(EACH, *shape, generator=generator) * 24 - 12)


def _nearly_equal(generator: torch.Generator, shape: Sequence[int], first: Tensor) -> Tensor:
    """To each other input of its shape."""
    apart = 2.0 ** -(4 + 8 * torch.rand(EACH, *(1 for _ in shape), generator=generator))
    return (0.5 + first) * (1 + apart * (torch.rand(EACH, *shape, generator=generator) - 0.5))


def _offset(distance: float) -> Family:
    """Around a number, far from 0."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        return distance + 2 * torch.rand(EACH, *shape, generator=generator) - 1

    return family


def _spread(low: float, high: float) -> Family:
    """Both signs, as far from each other as between the powers ``low`` and ``high`` of ten."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        widths = 10 ** (low + (high - low) * torch.rand(EACH, *(1 for _ in shape), generator=generator))
        return widths * (2 * torch.rand(EACH, *shape, generator=generator) - 1)

    return family


_FAMILIES: tuple[Family, ...] = (
    *(_of_size(low, high, sign) for low, high in ((-5, -2), (-1, 1), (1, 1.5), (1.3, 2.7)) for sign in (-1, 0, 1)),
    *(_probabilities, _nearly_equal, _offset(12), _spread(1, 1.5), _spread(1, 2)),
)
_HOSTILE: tuple[Family, ...] = (_of_size(10, 18, 0), _of_size(-22, -12, 0), _offset(8192))
