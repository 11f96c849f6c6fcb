"""Gradients that cannot be computed: in place, twice, of what is no number, of what recorded nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.values import described, dtype

Rule = Callable[[Failure, Operation | None], Explanation]
_MODIFIED = re.compile(
    r"\[(?P<tensor>[^]]*\[[^]]*\])\], which is (?P<what>output \d+ of (?P<maker>\w+)|[^,]+), "
    r"is at version (?P<now>\d+); expected version (?P<then>\d+)"
)


def gradient(failure: Failure, operation: Operation | None) -> Explanation | None:
    """What torch says about autograd, with the line's own names."""
    message = failure.message
    for words, explain in _CASES.items():
        if words in message:
            return explain(failure, operation)
    return None


def _first(failure: Failure, operation: Operation | None) -> tuple[str, list[str], torch.Tensor | None]:
    tensors = operation.tensors() if operation is not None else {}
    if operation is None or not tensors:
        return "the tensor", [], None
    key = next(iter(tensors))
    return failure.name(operation, key), failure.received(operation, key), tensors[key]


def _leaf(failure: Failure, operation: Operation | None) -> Explanation:
    name, said, value = _first(failure, operation)
    own = "a parameter" if isinstance(value, torch.nn.Parameter) else "a leaf that requires a gradient"
    return Explanation(
        "Gradient Error",
        "a tensor that no gradient is wanted of, or an operation that makes a new one",
        [f"{line}, {own}" for line in said] or [f"{name}, {own}"],
        f"{name} is what gradients are computed for; changed in place, autograd would no longer know its value.",
        ["with torch.no_grad(): ...  # an update, not a part of the forward",
         f"{name} = {name}.clone()  # before the line, to compute with a copy",
         "an operation without the underscore, which returns a new tensor"],
    )  # fmt: skip


def _modified(failure: Failure, _: Operation | None) -> Explanation:
    found = _MODIFIED.search(failure.message)
    what = (found["maker"] or found["what"]).removesuffix("Backward0") if found else "a tensor"
    made = f"the result of {what}" if found and found["maker"] else what
    tensor = found["tensor"].removeprefix("torch.") if found else "a tensor"
    times = int(found["now"]) - int(found["then"]) if found else 1
    return Explanation(
        "Gradient Error",
        f"{made} as it was in the forward",
        [f"{made}, [{tensor}], changed in place {'once' if times == 1 else f'{times} times'} since"],
        f"The backward of a later operation needs {made}, and an in-place operation (+=, x[...] = ..., a name with an "
        "underscore at its end) has overwritten it.",
        ["y = y + z in place of y += z  # likewise mul, relu and others without the underscore",
         "x = x.clone() before x[...] = ...",
         "with torch.autograd.set_detect_anomaly(True): ...  # names the line of the forward"],
    )  # fmt: skip


def _no_graph(failure: Failure, operation: Operation | None) -> Explanation:
    name, said, value = _first(failure, operation)
    why = f"{name} was computed from nothing that requires a gradient"
    if not torch.is_grad_enabled():
        why += ", for gradients are off here (torch.no_grad)"
    elif value is not None and not value.is_floating_point():
        why += f": it is {dtype(value.dtype)}, and whole numbers have no gradient"
    return Explanation(
        "Gradient Error",
        f"{name} that depends on a tensor with requires_grad=True",
        said,
        f"{why}; .detach(), .item(), .data, argmax and torch.tensor(...) cut the way back to the parameters.",
        ["loss computed from model(x) as it is, without .detach(), .item() and torch.tensor(...)",
         "p.requires_grad_(True) for parameters that are to be trained", "torch.enable_grad() around the forward"],
    )  # fmt: skip


def _said(expected: str, why: str, *fixes: str, kind: str = "Gradient Error") -> Rule:
    """A rule that needs no more than the name of the first tensor, ``{}`` in its texts."""

    def rule(failure: Failure, operation: Operation | None) -> Explanation:
        name, received, _ = _first(failure, operation)
        return Explanation(kind, expected.format(name), received, why.format(name), [fix.format(name) for fix in fixes])

    return rule


_TWICE = _said(
    "one backward for each forward",
    "The first backward freed what the forward had kept for it, and this one goes through the same graph again.",
    "hidden = hidden.detach()  # a state carried over from the step before ends its graph there",
    "{}.backward(retain_graph=True)  # in the first of the two, when both are meant",
    "(loss_a + loss_b).backward()  # one backward for several losses",
)
_NOT_A_NUMBER = _said(
    "{}: Tensor[], one number",
    "A gradient tells how one number changes with each parameter, and there are several numbers.",
    "{}.mean().backward()",
    "{}.sum().backward()",
    "{0}.backward(torch.ones_like({0}))",
)
_UNUSED = _said(
    "inputs that the output was computed from",
    "One of the tensors that a gradient is asked for was not used to compute the output.",
    "torch.autograd.grad(..., allow_unused=True)  # None for it, or materialize_grads=True for zeros",
    "the tensor that the forward really used, not a copy or view made after it",
)
_WHOLE_NUMBERS = _said(
    "a floating point or complex dtype",
    "A gradient is about small changes, and whole numbers and truth values have none.",
    "{}.float().requires_grad_()",
    "dtype=torch.float32",
    kind="Dtype Error",
)
_NOT_A_LEAF = _said(
    "a leaf: a parameter, or a tensor that was not computed from one",
    "{} was computed from tensors that require gradients, so whether it has one is not for it to say.",
    "{0} = {0}.detach()",
    "{}.detach().clone().requires_grad_()",
)
_NUMPY = _said(
    "a tensor without a graph",
    "NumPy knows nothing of gradients, so torch asks that the tensor is taken out of the graph first.",
    "{}.detach().numpy()",
    "{}.detach().cpu().numpy()",
)
_COPY = _said(
    "a leaf",
    "A tensor that was computed belongs to a graph, which is not copied with it.",
    "{}.detach().clone()",
    "copy.deepcopy({}.detach())",
)
_INFERENCE = _said(
    "tensors that were made outside of torch.inference_mode()",
    "What is made in inference mode can never be part of a graph for gradients, also not later.",
    "with torch.no_grad():  # in place of inference_mode, where the result is trained with later",
    "x = x.clone()  # outside of inference mode",
)
_CASES: dict[str, Rule] = {
    "a leaf Variable that requires grad is being used in an in-place": _leaf,
    "a view of a leaf Variable that requires grad": _leaf,
    "modified by an inplace operation": _modified,
    "backward through the graph a second time": _TWICE,
    "grad can be implicitly created only for scalar": _NOT_A_NUMBER,
    "does not require grad and does not have a grad_fn": _no_graph,
    "appears to not have been used in the graph": _UNUSED,
    "nly Tensors of floating point": _WHOLE_NUMBERS,
    "nly floating-point": _WHOLE_NUMBERS,
    "you can only change requires_grad flags of leaf": _NOT_A_LEAF,
    "Can't call numpy() on Tensor that requires grad": _NUMPY,
    "Only Tensors created explicitly by the user": _COPY,
    "nference tensor": _INFERENCE,
}


def none_gradient(failure: Failure, operation: Operation | None) -> Explanation | None:
    """``p.grad.norm()`` where there is no gradient."""
    if operation is None or operation.name != "getattr" or "'NoneType' object has no attribute" not in failure.message:
        return None
    node = operation.nodes.get("owner")
    if getattr(node, "attr", "") != "grad":
        return None
    name = failure.name(operation, "owner")
    owner = name.removesuffix(".grad")
    return Explanation(
        "Gradient Error",
        f"{name}: a tensor, after a backward that reached {owner}",
        [f"{name}: {described(None)}"],
        f"No backward has put a gradient there: {owner} took no part in the loss, is frozen, is no leaf, "
        "or zero_grad() has taken it away.",
        [
            f"if {name} is not None: ...",
            "loss.backward() before it",
            f"{owner}.retain_grad()  # where it is no parameter",
        ],
    )
