"""Buffers that a call changes, as a key-value cache does: a file has no memory, so the user says what they become."""

from __future__ import annotations

import dataclasses

import torch

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.export.flat import FlatCall, changing_buffers

_CHOICES = (None, "outputs", "constant")


def with_state(
    flat: FlatCall, example: Example, state: str | None, *, keeps: bool = False
) -> tuple[FlatCall, Example, list[str]]:
    """The call with its changing buffers treated as ``state`` says, and what there is to say of it.

    Args:
        keeps: whether a file of the format has a memory of its own, which is what None means there.

    Raises:
        ExportError: buffers change, ``state`` is None and the file has no memory; or it is none of the choices.
    """
    if state not in _CHOICES:
        raise ExportError(
            f"state={state!r} was passed.",
            "Buffers that a call changes are outputs, or constant.",
            "Write state='outputs'.",
        )
    with torch.no_grad():
        changed = changing_buffers(flat, *example.tensors)
    if not changed:
        return flat, example, []
    named = ", ".join(changed)
    if state is None and keeps:
        return (
            flat.keeping(changed),
            example,
            [f"It keeps {named} from call to call, and begins with the values of now."],
        )
    if state is None:
        raise ExportError(
            f"{type(flat.module).__name__} changes its buffers while it answers: {named}.",
            "A file has no memory from one call to the next: it would answer every call as if it were the first.",
            "Write state='outputs', and the file takes them as further inputs and gives their new values as further "
            "outputs; or state='constant', and every call begins with their values of now; or export to .pte or .pt2, "
            "whose files have a memory.",
        )
    found = flat.carrying(changed, as_inputs=state == "outputs")
    if state == "constant":
        return found, example, [f"Every call begins with the values of now of the buffers {named}."]
    values = [flat.module.get_buffer(name).detach() for name in changed]
    example = dataclasses.replace(
        example,
        tensors=(*example.tensors, *values),
        names=(*example.names, *changed),
        dims=(*example.dims, *({} for _ in changed)),
    )
    return found, example, [f"Pass the outputs {', '.join(f'{name}.next' for name in changed)} on as {named}."]
