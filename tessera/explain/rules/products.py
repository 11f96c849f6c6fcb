"""Matrix products: ``matmul`` and its kin, ``linear``, ``einsum``."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import described, shape

_PAIRS = {
    "matmul": ("input", "other"),
    "imatmul": ("input", "other"),
    "mm": ("input", "mat2"),
    "bmm": ("input", "mat2"),
    "mv": ("input", "vec"),
    "dot": ("input", "tensor"),
    "vdot": ("input", "tensor"),
    "inner": ("input", "other"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "addmv": ("mat", "vec"),
}
_RANKS = {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1), "dot": (1, 1), "vdot": (1, 1), "addmm": (2, 2), "baddbmm": (3, 3)}


def product(failure: Failure, operation: Operation) -> Explanation | None:
    """Two tensors whose inner sizes differ, or whose leading dims do not broadcast."""
    names = _PAIRS[operation.name]
    a, b = (operation.values.get(name) for name in names)
    if not (isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)) or operation.fits():
        return None
    left, right = (failure.name(operation, name) for name in names)
    said = failure.received(operation, *names)
    if (ranks := _RANKS.get(operation.name)) and (a.dim(), b.dim()) != ranks:
        fixes = [f"torch.matmul({left}, {right})"] if operation.name in ("mm", "bmm", "mv") else []
        return Explanation(
            "Shape Error",
            f"{left} with {_counted(ranks[0])} and {right} with {_counted(ranks[1])}",
            said,
            f"{operation.name} takes tensors of exactly that many dims; {left} has {a.dim()} and {right} {b.dim()}.",
            [*fixes, *repairs(failure, operation, (names[1], names[0]))],
        )
    if a.dim() == 0 or b.dim() == 0:
        number = left if a.dim() == 0 else right
        return Explanation(
            "Shape Error",
            "two tensors of at least 1 dim",
            said,
            f"{number} is one number, and a matrix product sums over a dim of both.",
            [f"{left} * {right}"],
        )
    inner, other = a.shape[-1], b.shape[-2] if b.dim() > 1 else b.shape[0]
    fixes = repairs(failure, operation, (names[1], names[0]), dims_first=inner == other)
    if inner != other:
        if operation.name in ("matmul", "mm", "bmm") and operation.fits(**{names[0]: b, names[1]: a}):
            fixes.append(f"{right} @ {left}")
        if operation.name == "matmul" and _broadcasts(a.shape, b.shape):
            fixes.append(f"{left} * {right}  # element by element")
        wanted = [*b.shape[:-2], inner, b.shape[-1]] if b.dim() > 1 else [inner]
        return Explanation(
            "Shape Error",
            f"{right}: {shape(wanted)}",
            said,
            f"A matrix product sums over the last dim of {left}, which is {inner}, and the "
            f"{'last but one dim' if b.dim() > 1 else 'only dim'} of {right}, which is {other}; they have to be equal.",
            [*fixes, *([] if fixes else _project(left, right, a, b))],
        )
    if _broadcasts(a.shape[:-2], b.shape[:-2]):
        return None
    return Explanation(
        "Shape Error",
        f"leading dims that broadcast: {shape([*a.shape[:-2], '...', '...'])} like those of {left}",
        said,
        f"The leading dims of {left}, {list(a.shape[:-2])}, and of {right}, {list(b.shape[:-2])}, number batches of "
        "matrices; from the right, each pair has to be equal or hold a 1.",
        fixes or [f"{right}[:1]  # if one of them is for all"],
    )


def _project(left: str, right: str, a: torch.Tensor, b: torch.Tensor) -> list[str]:
    other = b.shape[-2] if b.dim() > 1 else b.shape[0]
    return [
        f"nn.Linear({a.shape[-1]}, {other})({left}) @ {right}  # a layer, made once",
        f"make {right} with {a.shape[-1]} instead of {other} rows where it is made",
    ]


def _broadcasts(a: torch.Size, b: torch.Size) -> bool:
    try:
        torch.broadcast_shapes(a, b)
    except RuntimeError:
        return False
    return True


def _counted(dims: int) -> str:
    return f"{dims} dim{'s' if dims != 1 else ''}"


def linear(failure: Failure, operation: Operation) -> Explanation | None:
    """An input whose last dim is not ``in_features``."""
    x, weight = operation.values.get("input"), operation.values.get("weight")
    if not isinstance(x, torch.Tensor) or not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        return None
    wanted = weight.shape[1]
    if x.dim() > 0 and x.shape[-1] == wanted:
        return None
    name = failure.name(operation, "input")
    got = x.shape[-1] if x.dim() else None
    own = isinstance(failure.layer, torch.nn.Linear) and failure.layer.weight is weight
    path = failure.path or "the layer"
    fixes = repairs(failure, operation, ("input",))
    if got is not None and own:
        out, bias = weight.shape[0], "" if failure.layer.bias is not None else ", bias=False"  # type: ignore[union-attr]
        fixes.insert(0 if not fixes else 1, f"nn.Linear({got}, {out}{bias})  # for {path}: in_features is {wanted} now")
        if len(fixes) < 3:
            fixes.append(f"nn.LazyLinear({out}{bias})  # for {path}: takes in_features from its first input")
    elif got is not None:
        fixes.append(f"a weight of shape [{weight.shape[0]}, {got}]")
    else:
        fixes.append(f"{name}.expand({wanted})")
    return Explanation(
        "Shape Error",
        f"{name}: {shape([..., wanted])}, for {wanted} is in_features of {described(failure.layer)}"
        if own
        else f"{name}: {shape([..., wanted])}, for the weight is {described(weight)}",
        failure.received(operation, "input"),
        f"A linear layer multiplies the last dim of its input, {_last(x)}, by a weight that was made for {wanted}.",
        fixes,
    )


def _last(x: torch.Tensor) -> str:
    return f"which is {x.shape[-1]}" if x.dim() else "and a single number has none"


def bilinear(failure: Failure, operation: Operation) -> Explanation | None:
    """Inputs of ``bilinear`` whose last dims are not those of its weight."""
    x, y, weight = (operation.values.get(name) for name in ("input1", "input2", "weight"))
    if not all(isinstance(each, torch.Tensor) for each in (x, y, weight)):
        return None
    for name, value, wanted in (("input1", x, weight.shape[1]), ("input2", y, weight.shape[2])):  # type: ignore[union-attr]
        if value.shape[-1] != wanted:  # type: ignore[union-attr]
            said = failure.name(operation, name)
            return Explanation(
                "Shape Error",
                f"{said}: {shape([..., wanted])}",
                failure.received(operation, "input1", "input2"),
                f"Bilinear was made for {wanted} features in {said}, whose last dim is {value.shape[-1]}.",  # type: ignore[union-attr]
                [f"nn.Bilinear({x.shape[-1]}, {y.shape[-1]}, {weight.shape[0]})"],  # type: ignore[union-attr]
            )
    return None


def einsum(failure: Failure, operation: Operation) -> Explanation | None:
    """Letters of an equation that stand for two sizes, or operands with another number of dims than letters."""
    operation = next(each for each in reversed(failure.operations) if each.name == "einsum")  # as the user wrote it
    given = list(operation.values.values())
    if not given or not isinstance(given[0], str):
        return None
    operands = list(given[1]) if len(given) == 2 and isinstance(given[1], tuple | list) else given[1:]
    if not all(isinstance(each, torch.Tensor) for each in operands):
        return None
    equation = given[0].replace(" ", "")
    terms = equation.split("->")[0].split(",")
    names = [failure.name_of(each, f"operand {i + 1}") for i, each in enumerate(operands)]
    said = [f"{name}: {described(value)}" for name, value in zip(names, operands, strict=True)]
    if len(terms) != len(operands):
        why = (
            f"The equation {equation!r} has {len(terms)} terms before the arrow, and there are {len(operands)} tensors."
        )
        return Explanation("Argument Error", f"{len(terms)} tensors", said, why, ["torch.einsum(equation, a, b)"])
    sizes: dict[str, tuple[int, str]] = {}
    for term, name, value in zip(terms, names, operands, strict=True):
        if "..." in term:
            continue
        if len(term) != value.dim():
            letters = "".join(chr(ord("a") + i) for i in range(value.dim()))
            return Explanation(
                "Shape Error",
                f"{name}: {shape(list(term))}",
                said,
                f"The equation {equation!r} names {len(term)} dims of {name} ({term!r}), which has {value.dim()}.",
                [f"{letters!r} in place of {term!r}, a letter for each dim", f"'...{term}' for any dims before them"],
            )
        for letter, size in zip(term, value.shape, strict=True):
            known, owner = sizes.setdefault(letter, (size, name))
            if known != size and 1 not in (known, size):
                turned = [
                    failure.rewritten(operation, **{key: f"{{}}.transpose({i}, {j})"})
                    for key, each in operation.values.items()
                    if each is value
                    for i in range(value.dim())
                    for j in range(i + 1, value.dim())
                    if operation.fits(**{key: value.transpose(i, j)})
                ]
                return Explanation(
                    "Shape Error",
                    f"{name}: {shape([s if c != letter else known for c, s in zip(term, value.shape, strict=True)])}",
                    said,
                    f"In {equation!r} the letter {letter!r} is {known} in {owner} and {size} in {name}; "
                    "a letter stands for one size.",
                    [*turned, f"another letter than {letter!r} for this dim of {name}, if they are not the same dim"],
                )
    outside = [letter for letter in equation.split("->")[1] if letter.isalpha()] if "->" in equation else []
    if missing := [letter for letter in outside if letter not in sizes]:
        why = f"{missing[0]!r} stands behind the arrow of {equation!r}, and in none of the terms before it."
        fix = equation.replace(missing[0], "") if equation.count(missing[0]) == 1 else equation
        return Explanation("Argument Error", "letters that stand before the arrow too", said, why, [repr(fix)])
    return None
