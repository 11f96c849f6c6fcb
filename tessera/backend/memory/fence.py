"""The operator ``tessera::fence``: a value once more, behind the computation of another one.

Duplicated nodes alone save nothing: two computations of one value from the same memory are fused into one kernel, which
runs in the forward. What is computed again reads its operands through a fence instead, which depends on a gradient:
Inductor cannot look into it, so it neither merges nor moves across it. The result is the operand's own memory.
"""

from __future__ import annotations

import torch

_library = torch.library.Library("tessera", "FRAGMENT")
_library.define("fence(Tensor(a) value, Tensor behind) -> Tensor(a)")
_library.impl("fence", lambda value, _: value.view_as(value), "CompositeExplicitAutograd")
FENCE = torch.ops.tessera.fence.default
