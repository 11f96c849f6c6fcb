"""Whether an operator has an implementation for CUDA, on a machine where torch was built without."""

from __future__ import annotations

from torch import fx

from tessera import torch_internals
from tessera.errors import ExportError
from tessera.program.provenance import describe, source_line


def check_lowering(node: fx.Node) -> None:
    """Refuse an operator that no GPU can run.

    Raises:
        ExportError: it has kernels for other devices only; it is named, with the user's line.
    """
    if not torch_internals.has_cuda_kernel(node.target):
        raise ExportError(
            f"{describe(node)} has no implementation for CUDA.",
            "Every operation of what is emitted has to run on the device.",
            "Register one (torch.library.register_kernel with the device type 'cuda'), or write it with others.",
            source_line(node),
        )
