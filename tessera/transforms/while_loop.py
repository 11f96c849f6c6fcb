"""``tessera.while_loop``: a loop whose number of turns a value decides; captured, its turn is compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError


def while_loop(condition: Callable[..., Any], body: Callable[..., Any], carried: tuple[Any, ...]) -> tuple[Any, ...]:
    """Call ``body`` as long as ``condition`` holds.

        while condition(*carried): carried = body(*carried)
        return carried

    Eagerly it is that loop, and gradients flow through all its turns. In what Tessera compiles it is one loop, where
    nothing that is carried requires a gradient; with gradients, and where torch has no operator for it, this piece runs
    eagerly. Under ``vmap`` it turns until the last element is done, and those that are done stay as they are.

    Args:
        condition: ``condition(*carried)`` is a bool, or a tensor with one element.
        body: ``body(*carried)`` returns what is carried to the next turn: the same structure, shapes and dtypes.
        carried: a tuple of tensors, or nests of them.

    Returns:
        What is carried behind the last turn.

    Raises:
        TransformError: ``carried`` is no tuple of tensors; ``body`` returns something of another kind;
            the condition is not one truth value.

    Example:
        >>> import torch, tessera
        >>> tessera.while_loop(lambda n, x: x < 100, lambda n, x: (n + 1, x * 3), (torch.tensor(0), torch.tensor(1)))
        (tensor(5), tensor(243))
    """
    _check(condition, body, carried)
    if torch.compiler.is_dynamo_compiling() and not _wants_gradients(carried):
        return torch_internals.captured_while_loop(condition, _without_aliases(body), carried)
    before = _kinds(carried)
    going: torch.Tensor | None = None  # of the elements of a vmap, those that are not done
    while True:
        holds = condition(*carried)
        _check_truth(holds)
        if isinstance(holds, torch.Tensor) and (going is not None or torch_internals.is_batched(holds)):
            going = holds.reshape(()).bool() if going is None else going & holds.reshape(()).bool()
            if not torch_internals.any_element(going):
                return carried
            turned = _turn(body, carried, before)
            keep = going
            carried = torch_internals.on_leaves_of_both(
                lambda new, old: torch.where(keep, new, old),  # noqa: B023 - called at once
                turned,
                carried,
            )
        elif not holds:
            return carried
        else:
            carried = _turn(body, carried, before)


def _turn(body: Callable[..., Any], carried: tuple[Any, ...], before: list[str]) -> tuple[Any, ...]:
    returned = body(*carried)
    turned = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
    if _kinds(turned) != before:
        raise TransformError(
            f"The body of a tessera.while_loop was given {', '.join(before)} and returned {', '.join(_kinds(turned))}.",
            "Every turn takes what the one before returned: its structure, shapes and dtypes stay.",
            "Begin with the shapes and dtypes that the body returns.",
        )
    return turned


def _kinds(carried: Any) -> list[str]:
    leaves = torch_internals.flattened(carried)[0]
    return [
        f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" if isinstance(t, torch.Tensor) else repr(t)
        for t in leaves
    ]


def _wants_gradients(carried: Any) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in torch_internals.flattened(carried)[0])


def _check(condition: Any, body: Any, carried: Any) -> None:
    if not callable(condition) or not callable(body):
        raise TransformError(
            f"tessera.while_loop was given a {type(condition).__name__} and a {type(body).__name__}.",
            "It takes two functions of what is carried: whether to go on, and what the next turn is given.",
            "Write tessera.while_loop(lambda x: x < 9, lambda x: (x + 1,), (x,)).",
        )
    leaves = torch_internals.flattened(carried)[0] if isinstance(carried, tuple | list) else [None]
    strange = next((leaf for leaf in leaves if not isinstance(leaf, torch.Tensor)), None) if leaves else carried
    if not leaves or strange is not None or not isinstance(carried, tuple | list):
        given = carried if not isinstance(carried, tuple | list) or not leaves else strange
        raise TransformError(
            f"tessera.while_loop is to carry {'nothing' if given == () else f'a {type(given).__name__}'}.",
            "What is carried is a tuple of tensors, or of nests of them.",
            "Write torch.tensor(0) for a counter: tessera.while_loop(condition, body, (torch.tensor(0), x)).",
        )


def _check_truth(holds: Any) -> None:
    if isinstance(holds, bool) or (isinstance(holds, torch.Tensor) and holds.numel() == 1):
        return
    given = f"a tensor of shape {list(holds.shape)}" if isinstance(holds, torch.Tensor) else f"a {type(holds).__name__}"
    raise TransformError(
        f"The condition of a tessera.while_loop returned {given}.",
        "It is one truth value: a bool, or a tensor with one element.",
        "Write (x < 9).all() or .any().",
    )


def _without_aliases(body: Callable[..., Any]) -> Callable[..., Any]:
    """``body`` whose results are memory of their own, which torch's operator wants."""

    def separate(*carried: Any) -> Any:
        return torch_internals.on_leaves(torch.clone, body(*carried))

    return separate
