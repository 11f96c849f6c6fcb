"""The bias of a large matrix product is added by the kernel that follows, not by the library.

    before   y = addmm(bias, a, b); z = gelu(y)     bias spread over y in a pass of its own, then the product
    after    y = mm(a, b);          z = gelu(y + bias)

The sum is the same but for its order: promise close.
"""

from __future__ import annotations

import torch

from tessera.backend.products import is_large
from tessera.backend.replace_call import replace_call
from tessera.backend.rewrite import Pass
from tessera.program import Program

aten = torch.ops.aten


def separate_bias(program: Program) -> int:
    """Take the bias out of every large ``addmm`` on the CPU; returns how many there were."""
    matched = 0
    for node in list(program.graph.find_nodes(op="call_function", target=aten.addmm.default)):
        if len(node.all_input_nodes) < 3:  # a matrix times itself
            continue
        bias, a, b = (n.meta["val"] for n in node.all_input_nodes)
        static = all(isinstance(size, int) for size in (*a.shape, *b.shape))
        if static and not node.kwargs and a.device.type == "cpu" and bias.dtype in _DTYPES and is_large(a, b):
            replace_call(program.graph_module, node, _apart)
            matched += 1
    return matched


def _apart(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    # The view keeps Inductor from putting the two together again.
    return (torch.mm(a, b).unsqueeze(0) + bias).squeeze(0)


_DTYPES = (torch.float32, torch.float64)


SEPARATE_BIAS = Pass("separate_bias", "close", separate_bias, "a large product with a bias that a kernel follows")
