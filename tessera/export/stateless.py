"""Which buffers a traced model changes: formats without state would forget them silently."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tessera.errors import ExportError
from tessera.export.flat import FlatCall


def changed_buffers(program: ExportedProgram) -> list[str]:
    """Names of the buffers that a call of the model changes."""
    with torch.no_grad():
        functional = program.run_decompositions({})
    return list(dict.fromkeys(functional.graph_signature.buffers_to_mutate.values()))


def check_no_state(flat: FlatCall, program: ExportedProgram, form: str) -> None:
    """A format that keeps nothing from call to call holds no model that does.

    Raises:
        ExportError: a call changes a buffer.
    """
    if changed := changed_buffers(program):
        names = ", ".join(name.removeprefix("module.") for name in changed)
        raise ExportError(
            f"{type(flat.module).__name__} changes its buffers in a call: {names}.",
            f"A file of {form} keeps nothing from one call to the next, so the second call would be wrong.",
            "Give such state to forward as an argument and return it, or export to .pte, which keeps it.",
        )
