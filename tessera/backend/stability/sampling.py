"""How far off an expression is in its precision, by trying it: families of inputs, in that and in float64.

What is inaccurate at a point here and there, as ``x + x^2`` near -1 is, is so at its roots only and not meant. What is
inaccurate all over a family of inputs - the small, the large, probabilities, nearly equal ones - is spelled for paper.

References:
    Panchekha et al., Automatically improving accuracy for floating point expressions, 2015: errors by sampling.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import vmap

from tessera import torch_internals
from tessera.backend.stability.bounds import bounds
from tessera.backend.stability.constants import constant
from tessera.backend.stability.expressions import Expression, is_conversion, is_logarithmic
from tessera.backend.stability.families import (
    EACH,
    EXPONENTS,
    HOSTILE,
    ORDINARY,
    OUT_OF_HALF,
    OUT_OF_RANGE,
    TINY,
    Family,
)
from tessera.backend.stability.shrinking import in_small, shrunk_sizes
from tessera.backend.stability.spelling import call_of, example

SHARE = 0.25  # of the elements of a sample
MOST, MOST_IN_LOW = 4, 1  # inputs that are tried one by one
SMALL, LARGEST = 64, 1024  # elements of an input that is tried as large as it is, and of any
ENOUGH = 0.1  # of the samples, to know that it is right
MOVES = 2  # of the inputs, to see what their rounding would change
MOST_STEPS = 2000  # that a count is
WEIGHT = 8.0  # no parameter is larger
# Shapes that are written down, sizes that are not known, functions that do not take batches.
_UNTRIED = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError)
_CHOOSES = ("clamp", "clamp_min", "clamp_max", "where", "masked_fill")
_TRIGONOMETRIC = ("sin", "cos", "tan")
_EXPONENTIALS = ("exp", "exp2", "expm1", "sinh", "cosh")
_LEAST = 1e-35  # what is smaller is nothing
_PERIODS = 8.0  # beyond, sine and cosine are about the rounding of their argument alone


class CannotTry(Exception):
    """It runs on no samples, or has no answer for most."""


@dataclass(frozen=True)
class Demand:
    """What counts as inaccurate.

    Attributes:
        ulps: an error of more units in the last place is wrong in a value,
        ulps_of_slope: and in a gradient; NaN and infinity are wrong in any case.
        smallest: elements below this part of their family's largest are held to the error of one that large.
        often: the part of a family's samples that has to be wrong.
        families: of inputs that are tried.
        least: elements below this are held to the error of one that large.
        inherent: so many times what another rounding of the inputs would change is not wrong.
        known: the part of all samples that has to have an answer.
        exponentials: whether infinity is wrong where an exponential overflows; float64 only has it overflow later.
        labels: whether one input is tried beside others of zeros and ones too.
    """

    ulps: float
    ulps_of_slope: float
    smallest: float
    often: float
    families: tuple[Family, ...] = ORDINARY
    least: float = 0.0
    inherent: float = 0.0
    exponentials: bool = True
    known: float = 0.0
    labels: bool = False


# Torch's own sigmoid and softmax lose the digits of their slopes where they are nearly 1, and do so in every layer.
USUAL = Demand(512, math.inf, 1e-2, 0.6, inherent=4, exponentials=False)
LOGARITHMIC = dataclasses.replace(USUAL, least=1.0)  # of what is a logarithm, an absolute error is one of a factor
STRICT = Demand(64, 64, 1e-3, 0.3, (*ORDINARY, *ORDINARY[len(TINY) :], *HOSTILE))  # twice: some is wrong seldom
CAREFUL = dataclasses.replace(STRICT, inherent=4)
RANGE = Demand(math.inf, math.inf, 1e-2, 0.6, OUT_OF_RANGE)
LOW = {  # in units of theirs
    torch.float16: Demand(24, math.inf, 1e-3, 0.3, (*ORDINARY, *OUT_OF_HALF)),
    torch.bfloat16: Demand(24, math.inf, 1e-3, 0.3),
}


def usual(expression: Expression) -> Demand:
    """What is asked of an expression as its user has spelled it."""
    return LOGARITHMIC if is_logarithmic(expression.nodes) else USUAL


def of_rules(demand: Demand) -> Demand:
    """The same of what a rule would mend: overflow too; it is to have answers, or nothing is known of it."""
    return dataclasses.replace(demand, families=(*demand.families, EXPONENTS), exponentials=True, known=ENOUGH)


def beside_labels(demand: Demand, *, to_its_last_digit: bool) -> Demand:
    """The same of a logarithm, which tells how little of a probability a label leaves, or of what one is taken of."""
    return dataclasses.replace(demand, labels=True, smallest=0.0 if to_its_last_digit else demand.smallest)


def is_inaccurate(expression: Expression, demand: Demand = USUAL, tried: torch.dtype | None = None) -> bool:
    """Whether it is wrong all over a family of inputs, in value or gradient, where it is not in float64.

    It is tried as it stands, or computed in the dtype ``tried`` and rounded once.

    Raises:
        CannotTry: it takes other sizes than its inputs can have here, or something takes no batches.
    """
    sizes = [(None, SMALL), (4, LARGEST), (None, LARGEST), (2, LARGEST)]
    if _is_low(expression.dtype):
        sizes.insert(0, (None, LARGEST))  # of many, a sum is large
    for longest, largest in sizes:
        try:
            with _by_itself():
                return _Trial(expression, demand, longest, largest).is_inaccurate(tried)
        except _UNTRIED:
            continue
    raise CannotTry


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    """On the CPU and in its own precision, whatever is switched on around; nobody is warned of a sample."""
    with contextlib.ExitStack() as stack:
        if torch.get_default_device().type != "cpu":  # it is asked at every call
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


class _Trial:
    def __init__(self, expression: Expression, demand: Demand, longest: int | None, largest: int) -> None:
        """Of inputs whose sizes are ``longest`` at most; raises ValueError where one has more elements than that."""
        self._expression, self._demand = expression, demand
        self._info = torch.finfo(expression.dtype)
        self._trained = expression.is_trained()
        shapes = [_shape(example(leaf)) for leaf in expression.leaves]
        self._sizes = shrunk_sizes(itertools.chain(*shapes), longest) if longest else {}
        self._shapes = [[self._sizes.get(size, size) for size in shape] for shape in shapes]
        if any(torch.Size(shape).numel() > largest for shape in self._shapes):
            raise ValueError("too large")
        numbers = [at for at, leaf in enumerate(expression.leaves) if _is_floating(example(leaf))]
        # All of one family together; then each alone, beside what is between 0 and 1.
        most = MOST_IN_LOW if _is_low(expression.dtype) else MOST
        self._alone: list[int | None] = [None]
        if len(numbers) > 1:
            self._alone += numbers[:most]
        # Each of them beside zeros and ones, as labels and masks are.
        self._beside_labels = [False] * len(self._alone)
        if demand.labels:
            self._beside_labels += [True] * (len(self._alone) - 1)
            self._alone += self._alone[1:]
        self._counts = set(_counts(expression))
        self._count = len(self._alone) * len(demand.families) * EACH

    def is_inaccurate(self, tried: torch.dtype | None) -> bool:
        inputs = self._inputs()
        narrow, wide = self._results(inputs, tried), self._results(inputs, torch.float64)
        answered = wide[0].reshape(self._count, -1).isfinite().all(1) & self._in_domain
        if int(answered.sum()) < self._demand.known * self._count:
            raise CannotTry
        if not self._is_wrong(narrow, wide, [torch.zeros_like(one) for one in wide]):
            return False
        if not self._demand.inherent:
            return True
        inherent = [torch.zeros_like(one) for one in wide]
        for seed in range(MOVES):
            moved = self._results(self._rounded_otherwise(inputs, seed), torch.float64)
            inherent = [i.maximum((m - w).abs()) for i, m, w in zip(inherent, moved, wide, strict=True)]
        return self._is_wrong(narrow, wide, inherent)

    def _rounded_otherwise(self, inputs: list[Any], seed: int) -> list[Any]:
        """The inputs, half a unit in the last place off."""
        generator = torch.Generator().manual_seed(seed)
        return [
            one.double() * (1 + (torch.rand(one.shape, generator=generator).round() - 0.5) * self._info.eps)
            if _is_floating(one) and constant(leaf) is None
            else one
            for leaf, one in zip(self._expression.leaves, inputs, strict=True)
        ]

    def _is_wrong(self, narrow: list[Tensor], wide: list[Tensor], inherent: list[Tensor]) -> bool:
        bad, valid = torch.zeros(self._count, dtype=torch.bool), self._in_domain
        probes = torch.zeros(self._count, dtype=torch.bool)
        for at, results in enumerate(zip(narrow, wide, inherent, strict=True)):
            found, wanted, explained = (one.reshape(self._count, -1) for one in results)
            wrong, vanished, known = _compared(found, wanted, explained, self._demand, self._info, of_slopes=at > 0)
            if at and not self._demand.exponentials:
                wrong &= ~self._overflows
            bad |= wrong
            valid = valid & known
            if at == 0:
                probes = vanished
        bad &= valid
        asked = (probes & valid).view(len(self._alone), -1, EACH)[:, len(TINY) :]
        if int(asked.sum()) > EACH // 2:
            return False  # it is a rounding error, that somebody wants to know
        of_family = bad.view(-1, EACH).sum(1)
        possible = valid.view(-1, EACH).sum(1)
        return bool(((of_family > 2) & (of_family >= self._demand.often * possible)).any())

    def _families(self, alone: int | None) -> list[Family]:
        """What is tiny is so beside what is not: all together, a 1 of the user's is no less than they are."""
        if alone is not None or len(self._alone) == 1:
            return list(self._demand.families)
        return [ORDINARY[len(TINY)] if family in TINY else family for family in self._demand.families]

    def _inputs(self) -> list[Any]:
        generator = torch.Generator().manual_seed(0)
        base: dict[Sequence[int], Tensor] = {}
        made: list[Any] = []
        for at, (leaf, shape) in enumerate(zip(self._expression.leaves, self._shapes, strict=True)):
            value = example(leaf)
            if not isinstance(value, Tensor):
                made.append(torch_internals.size_hint(value))
            elif (known := constant(leaf)) is not None:
                given = known[tuple(slice(size) for size in shape)].expand(self._count, *shape)
                made.append(given.to(_tried_dtype(value.dtype)) if value.is_floating_point() else given)
            elif value.dtype is torch.bool:
                made.append(torch.rand(self._count, *shape, generator=generator) < 0.5)
            elif not value.is_floating_point():
                made.append(torch.zeros(self._count, *shape, dtype=value.dtype))
            else:
                tried = torch.cat([*self._rounds(at, shape, base, generator)])
                if leaf in self._counts:
                    tried = torch.randint(1, MOST_STEPS, tried.shape, generator=generator).float()
                within = (-WEIGHT, WEIGHT) if isinstance(value, nn.Parameter) else bounds(leaf)
                tried = tried.clamp(*within) if within else tried
                made.append(tried.to(_tried_dtype(value.dtype)))
        return made

    def _rounds(
        self, at: int, shape: list[int], base: dict[Sequence[int], Tensor], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """What one input is: of every family together with the others and alone, else between 0 and 1."""
        first = base.setdefault(tuple(shape), torch.rand(EACH, *shape, generator=generator))
        rounds = zip(self._alone, self._beside_labels, strict=True)
        for (of_family, labels), some in itertools.groupby(rounds, lambda one: (one[0] in (None, at), one[1])):
            if not of_family:
                count = len([*some]) * len(self._demand.families) * EACH
                beside = torch.rand(count, *shape, generator=generator)
                yield beside.round() if labels else 0.05 + 0.9 * beside
                continue
            for alone, _ in some:
                for family in self._families(alone):
                    yield family(generator, shape, first)

    def _results(self, inputs: list[Any], dtype: torch.dtype | None) -> list[Tensor]:
        """The value, and its gradient for every input, of each sample; as it stands if no dtype is given."""
        self._in_domain = torch.ones(self._count, dtype=torch.bool)
        self._overflows = torch.zeros(self._count, dtype=torch.bool)
        given = [one.to(dtype or one.dtype, copy=True) if _is_floating(one) else one for one in inputs]
        batched = [at for at, one in enumerate(given) if isinstance(one, Tensor)]
        trained = [
            at
            for at in batched
            if self._trained and _is_floating(given[at]) and example(self._expression.leaves[at]).requires_grad
        ]
        for at in trained:
            given[at].requires_grad_()

        def each(*tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            values = list(given)
            for at, tensor in zip(batched, tensors, strict=True):
                values[at] = tensor
            return self._run(values, as_it_stands=dtype is None)

        with torch.enable_grad():
            value, angle, exponential = vmap(each)(*(given[at] for at in batched))
            if not _is_low(self._expression.dtype):
                self._in_domain &= angle.detach() <= _PERIODS
                self._overflows = exponential.detach() > self._info.max
            weights = 1 + (torch.arange(value[0].numel()).view(value[0].shape) * 0.618).remainder(1).to(value.dtype)
            slopes = (
                torch.autograd.grad((value * weights).sum(), [given[at] for at in trained], allow_unused=True)
                if trained
                else ()
            )
        return [
            value.detach(),
            *(s if s is not None else torch.zeros_like(given[at]) for at, s in zip(trained, slopes, strict=True)),
        ]

    def _run(self, values: list[Any], *, as_it_stands: bool) -> tuple[Tensor, Tensor, Tensor]:
        """The result, the largest angle and the largest exponential in it."""
        known = dict(zip(self._expression.leaves, values, strict=True))
        angle, exponential = torch.zeros(()), torch.zeros(())
        for node in self._expression.nodes:
            known[node] = _evaluated(node, known, self._sizes, as_it_stands=as_it_stands)
            name = getattr(call_of(node), "name", "")
            if name in _TRIGONOMETRIC:
                angle = torch.maximum(angle, known[node.all_input_nodes[0]].detach().abs().amax().float())
            elif name in _EXPONENTIALS or _exponent(node) is not None:
                exponential = torch.maximum(exponential, known[node].detach().abs().amax().float())
        return known[self._expression.result], angle, exponential


def _evaluated(node: fx.Node, known: dict[fx.Node, Any], sizes: dict[int, int], *, as_it_stands: bool) -> Any:
    """What ``node`` computes of values, which are of any dtype unless they are what it is given."""
    args, kwargs = fx.node.map_arg(arguments(node), known.__getitem__)
    args = in_small(node, args, sizes)
    if isinstance(args, Tensor):
        return args
    if is_conversion(node):
        return args[0].to(example(node).dtype) if as_it_stands else args[0]
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def arguments(node: fx.Node) -> tuple[Any, Any]:
    """Its arguments; a number that may become the result is what its dtype makes of it: its rounding is the user's."""
    if getattr(call_of(node), "name", "") not in _CHOOSES:
        return node.args, node.kwargs
    dtype = example(node).dtype

    def rounded(argument: Any) -> Any:
        return torch.tensor(argument, dtype=dtype).item() if isinstance(argument, float) else argument

    return fx.node.map_aggregate((node.args, node.kwargs), rounded)


def _tried_dtype(dtype: torch.dtype) -> torch.dtype:
    return dtype if _is_low(dtype) else torch.float32


def _is_low(dtype: torch.dtype) -> bool:
    return dtype in (torch.float16, torch.bfloat16)


def _compared(
    found: Tensor, wanted: Tensor, inherent: Tensor, demand: Demand, info: torch.finfo, *, of_slopes: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Whether each sample is wrong; whether it is next to nothing beside its error; whether it is known at all."""
    if not wanted.shape[1]:
        nothing = torch.zeros(len(wanted), dtype=torch.bool)
        return nothing, nothing, ~nothing
    size, finite = wanted.abs().amax(1), found.isfinite().all(1)
    known = wanted.isfinite().all(1) & (size <= (info.max if demand.exponentials else info.max**0.5))
    largest = torch.where(known, size, 0).view(-1, EACH).amax(1).repeat_interleave(EACH)
    floor = (largest[:, None] * demand.smallest).clamp(min=0.0 if of_slopes else demand.least)
    off = (found.double() - wanted).abs() - demand.inherent * inherent
    errors = off / wanted.abs().maximum(floor) / info.eps
    vanished = finite & (size <= 1e-7 * found.double().abs().amax(1)) & (found != 0).any(1)
    many = (errors > (demand.ulps_of_slope if of_slopes else demand.ulps)).double().mean(1) > SHARE
    return ~finite | (many & ~vanished & (size > 1e3 * info.tiny)), vanished, known


def _exponent(node: fx.Node) -> fx.Node | None:
    """What something is raised to, if that is a tensor."""
    call = call_of(node)
    return call.args[1] if call is not None and call.name == "pow" and isinstance(call.args[1], fx.Node) else None


def _counts(expression: Expression) -> Iterator[fx.Node]:
    """The single numbers that something is raised to: steps, terms, dimensions."""
    for exponent in filter(None, map(_exponent, expression.nodes)):
        if exponent in expression.leaves and example(exponent).dim() == 0:
            yield exponent


def _shape(value: Any) -> list[int]:
    return [torch_internals.size_hint(size) for size in value.shape] if isinstance(value, Tensor) else []


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
