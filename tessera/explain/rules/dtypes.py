"""Tensors of different dtypes, or of one that an operation does not take."""

from __future__ import annotations

import re

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation, tensors_of
from tessera.explain.repairs import to
from tessera.explain.values import dtype
from tessera.program.in_place import is_in_place

_SAYS_DTYPE = re.compile(
    r"dtype|must have the same type|implemented (on|for)|expected scalar type|result type|Input type|"
    r"Integer division|floating point|type .*Float|LongTensor|boolean tensors?|bool tensor|torch\.\w*Tensor|integral|"
    r"data type|complex"
)
_ONE_DTYPE = (
    "linear conv1d conv2d conv3d matmul mm bmm mv dot addmm baddbmm einsum scaled_dot_product_attention "
    "conv_transpose1d conv_transpose2d conv_transpose3d layer_norm batch_norm group_norm rms_norm bilinear inner "
    "vdot addmv lstm gru imatmul mse_loss binary_cross_entropy LSTM GRU scatter scatter_ scatter_add scatter_add_ "
    "index_add index_add_ index_copy index_copy_ lerp setitem index_put_ "
)
_MUST_BE_ONE = frozenset(_ONE_DTYPE.split())


def mixed(failure: Failure, operation: Operation) -> Explanation | None:
    """Operands of one operation with different dtypes."""
    if not _SAYS_DTYPE.search(failure.message) or operation.name not in _MUST_BE_ONE:
        return None
    tensors = {
        name: t for name, t in operation.tensors().items() if name not in ("index", "attn_mask", "hx", "weight0")
    }
    kinds = {t.dtype for t in tensors.values()}
    weight = operation.values.get("weight")
    if isinstance(operation.function, torch.nn.Module):
        weight = next(operation.function.parameters(), None)
        kinds |= {weight.dtype} if weight is not None else set()
    if len(kinds) < 2:
        return None
    own = isinstance(weight, torch.Tensor)
    target = weight if own else max(tensors.values(), key=lambda t: (t.is_floating_point(), t.dtype.itemsize <= 4))
    odd = next((name for name, t in tensors.items() if t.dtype != target.dtype), None)  # type: ignore[union-attr]
    if odd is None:
        return None
    name = failure.name(operation, odd)
    kind, wanted = tensors[odd].dtype, target.dtype  # type: ignore[union-attr]
    fixes = [failure.rewritten(operation, **{odd: to(wanted)})]
    if own and kind.is_floating_point:
        fixes.append(f"model{to(kind)[2:]}  # if all of it is to compute in {dtype(kind)}")
        if kind in (torch.float16, torch.bfloat16) or wanted in (torch.float16, torch.bfloat16):
            low = kind if kind in (torch.float16, torch.bfloat16) else wanted
            fixes.append(
                f"with torch.autocast('cpu', torch.{dtype(low)}): ...  # products in {dtype(low)}, weights as they are"
            )
        if kind is torch.float64:
            fixes.append("torch.as_tensor(..., dtype=torch.float32)  # NumPy and Python make float64")
    elif own and kind is torch.uint8:
        fixes.insert(0, failure.rewritten(operation, **{odd: "{}.float() / 255"}) + "  # bytes of an image")
    elif own:
        fixes.append(f"nn.Embedding(...)  # if the numbers of {name} stand for words or classes")
    else:
        other = next(n for n, t in tensors.items() if t.dtype == wanted)
        if kind.is_floating_point:
            fixes.append(failure.rewritten(operation, **{other: to(kind)}))
    said = failure.received(operation, *tensors)
    if own and "weight" not in tensors:
        said.append(f"its weights: {dtype(wanted)}")
    like = "the weights" if own else next(failure.name(operation, n) for n, t in tensors.items() if t.dtype == wanted)
    return Explanation(
        "Dtype Error",
        f"{name}: {dtype(wanted)}, like {like}",
        said,
        f"{operation.name} takes numbers of one dtype, and {name} is {dtype(kind)}; torch converts none by itself.",
        fixes,
    )


def untaken(failure: Failure, operation: Operation) -> Explanation | None:
    """One dtype that an operation does not take: the mean of whole numbers, the difference of truth values."""
    if not _SAYS_DTYPE.search(failure.message):
        return None
    tensors = operation.tensors()
    listed = operation.values.get("tensors")
    if not tensors and isinstance(listed, tuple | list):
        tensors = dict.fromkeys(["tensors"], tensors_of(listed)[0]) if tensors_of(listed) else {}
    if not tensors:
        return None
    said = failure.received(operation, *tensors)
    first = next(iter(tensors))
    name = failure.name(operation, first)
    if is_in_place(operation.name) and "can't be cast" in failure.message:
        whole = tensors[first].dtype
        others = [failure.name(operation, key) for key in operation.values if key != first]
        why = f"The result is written into {name}, which stays {dtype(whole)} and cannot hold it."
        fixes = [f"{name} = {name}.float() ...  # a new tensor", f"{name} made with dtype=torch.float32"]
        return Explanation("Dtype Error", f"{', '.join(others)} that {dtype(whole)} can hold", said, why, fixes)
    if "boolean" in failure.message or "bool" in failure.message:
        flags = [key for key, t in tensors.items() if t.dtype is torch.bool]
        if flags and operation.name in ("sub", "isub", "unary", "rsub", "neg"):
            a = failure.name(operation, flags[0])
            fixes = (
                [f"~{a}"] if operation.name in ("unary", "neg") else [f"{name} ^ {failure.name(operation, flags[-1])}"]
            )
            return Explanation(
                "Dtype Error",
                "numbers",
                said,
                "Truth values have no difference: torch asks whether a logical operation was meant, or one of numbers.",
                [*fixes, failure.rewritten(operation, **{flags[0]: "{}.float()"})],
            )
    real = [key for key, t in tensors.items() if not t.is_floating_point() and not t.is_complex()]
    if real and ("loating point" in failure.message or "not implemented for" in failure.message):
        key = real[0]
        return Explanation(
            "Dtype Error",
            f"{failure.name(operation, key)}: a floating point dtype",
            said,
            f"{operation.name} is computed of floating point numbers, and {failure.name(operation, key)} is "
            f"{dtype(tensors[key].dtype)}.",
            [failure.rewritten(operation, **{key: "{}.float()"}), "dtype=torch.float32  # where it is made"],
        )
    bitwise = operation.name in ("unary", "and_", "or_", "xor", "bitwise_and", "bitwise_or", "bitwise_not", "invert")
    if bitwise and any(t.is_floating_point() for t in tensors.values()):
        key = next(key for key, t in tensors.items() if t.is_floating_point())
        return Explanation(
            "Dtype Error",
            f"{failure.name(operation, key)}: bool or whole numbers",
            said,
            "Logical and bitwise operators take truth values and whole numbers.",
            [failure.rewritten(operation, **{key: "{}.bool()"}), f"({failure.name(operation, key)} > 0)"],
        )
    if "not implemented for" in failure.message:
        kind = tensors[first].dtype
        longer = [] if kind.is_floating_point else [failure.rewritten(operation, **{first: "{}.long()"})]
        return Explanation(
            "Dtype Error",
            f"{name}: a dtype that {operation.name} has code for",
            said,
            f"Torch has no {operation.name} of {dtype(kind)} on {tensors[first].device.type}.",
            longer
            or [failure.rewritten(operation, **{first: "{}.float()"}), f"{operation.name}(...) on another device"],
        )
    return None
