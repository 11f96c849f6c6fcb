"""What PyTorch makes of a number of NumPy's next to a tensor: the tensor decides the dtype, as beside a Python number.

``x.int() * np.float64(2.5)`` is float32, as with any ``float``. Dynamo has an array in its place, and makes it float64.
And of ``np.int8(100) * 2`` NumPy warns, compiled code does not.
"""

from __future__ import annotations

import torch
from torch import fx


def promotes_otherwise(node: fx.Node, numbers: frozenset[str]) -> bool:
    """Whether an operation of a captured graph computes in another dtype than with the number itself.

    Args:
        node: of the graph.
        numbers: the names of its inputs that are numbers of NumPy's.
    """
    inputs = node.all_input_nodes
    if not numbers or len(inputs) < 2:
        return False
    given = [_category(one) for one in inputs if one.name in numbers]
    others = [_category(one) for one in inputs if one.name not in numbers]
    if not given:
        return False
    return not others or max(given) > max(others) or (_BOOL in given and max(others) < _FLOAT)


def overflows_unnoticed(graph: fx.Graph, numbers: frozenset[str]) -> bool:
    """Whether whole numbers of NumPy's are computed with each other alone: NumPy warns where one overflows.

    Floats overflow too seldom to run all that divides by ``np.sqrt(width)`` as plain Python.

    Args:
        graph: as captured.
        numbers: the names of its inputs that are numbers of NumPy's.
    """
    alone = set(numbers)
    for node in graph.nodes if numbers else ():
        inputs = node.all_input_nodes
        if inputs and node.op != "output" and all(one.name in alone for one in inputs):
            if _category(node) == _WHOLE:
                return True
            alone.add(node.name)
    return False


_BOOL, _WHOLE, _FLOAT, _COMPLEX = range(4)


def _category(node: fx.Node) -> int:
    value = node.meta.get("example_value")
    if not isinstance(value, torch.Tensor):
        return _BOOL
    if value.is_complex():
        return _COMPLEX
    if value.is_floating_point():
        return _FLOAT
    return _BOOL if value.dtype is torch.bool else _WHOLE
