"""Names that a module or a tensor does not have."""

from __future__ import annotations

import difflib

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.values import described

# What NumPy, pandas, JAX and TensorFlow call it.
_OTHER_WORDS = {
    "astype": "to(dtype)",
    "copy": "clone()",
    "expand_dims": "unsqueeze(dim)",
    "length": "shape[0]",
    "to_numpy": "numpy()",
    "block_until_ready": "cpu()",
    "assign": "copy_(value)",
    "get_shape": "shape",
    "rank": "ndim",
}


def missing(failure: Failure, operation: Operation | None) -> Explanation | None:
    """An attribute that is not there, with the nearest that is."""
    error = failure.error
    if not isinstance(error, AttributeError) or error.name is None:
        return None
    owner = error.obj
    node = operation.nodes.get("owner") if operation is not None and operation.name == "getattr" else None
    name = failure.name(operation, "owner") if operation is not None and node is not None else "self"
    if isinstance(owner, torch.nn.Module):
        own = [
            *owner.__dict__.get("_modules", {}),
            *owner.__dict__.get("_parameters", {}),
            *owner.__dict__.get("_buffers", {}),
        ]
        mine = [n for n in (*own, *vars(owner), *dir(type(owner))) if not n.startswith("_")]
        near = difflib.get_close_matches(error.name, mine, 3, cutoff=0.6)
        listed = ", ".join(own[:8]) + (", ..." if len(own) > 8 else "")
        fixes = [f"{name}.{each}" for each in near]
        fixes.append(f"self.{error.name} = ...  # in __init__ of {type(owner).__name__}")
        return Explanation(
            "Attribute Error",
            f"a layer, parameter or attribute {error.name!r} of {type(owner).__name__}",
            [f"{name}: {type(owner).__name__}" + (f" with {listed}" if listed else " without layers")],
            "Nothing of that name was set on it, in __init__ or later.",
            fixes,
        )
    if isinstance(owner, torch.Tensor):
        public = [n for n in dir(torch.Tensor) if not n.startswith("_")]
        near = difflib.get_close_matches(error.name, public, 3, cutoff=0.6)
        known = [f"{name}.{_OTHER_WORDS[error.name]}"] if error.name in _OTHER_WORDS else []
        return Explanation(
            "Attribute Error",
            "a method or attribute of torch.Tensor",
            [f"{name}: {described(owner)}"],
            f"A tensor has no {error.name!r}.",
            [*known, *(f"{name}.{each}" for each in near)] or [f"torch.{error.name}({name})"],
        )
    return None
