"""Different transformations for different parameters, chosen by name or by shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, Member, State, StateInit, identity

Mask = str | Callable[[Tensor], bool]
"""Which parameters are meant: a regular expression found anywhere in the name (``"bias$"``), or a function of the
parameter that looks at its shape, dtype or device and at nothing else (``lambda p: p.ndim >= 2``)."""

Rules = Mapping[Mask, GradientTransformation] | Sequence[tuple[Mask, GradientTransformation]]


@names_checked
def partition(rules: Rules) -> GradientTransformation:
    r"""Treat each parameter by the first rule that fits it.

    A parameter has the state of its own transformation alone, under the names it has there. Names are those of
    ``model.named_parameters()``: pass the model to the optimizer, or named parameters.

    Args:
        rules: masks and the transformations of the parameters they fit, in order. ``""`` fits every name.

    Raises:
        OptimizerError: a mask is no regular expression and no function; a value is not a transformation; later, a
            parameter that no rule fits, or a function that looks at more than it may.

    Example:
        >>> import torch
        >>> from tessera.optim import Optimizer, adamw, muon
        >>> model = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Linear(4, 4))
        >>> tx = partition({r"^1\.weight": muon(2e-2), "": adamw(3e-4)})
        >>> optimizer = Optimizer(model, tx)
        >>> _ = optimizer.step(model(torch.arange(5)).square().sum())
        >>> [sorted(optimizer.state[p]) for p in model[1].parameters()]
        [['momentum_buffer'], ['exp_avg', 'exp_avg_sq', 'step']]
    """
    pairs = list(rules.items()) if isinstance(rules, Mapping) else list(rules)
    for mask, transformation in pairs:
        check_mask("A rule of partition()", mask)
        if not isinstance(transformation, GradientTransformation):
            raise OptimizerError(
                f"partition() was given {transformation!r} for {mask!r}.",
                "The value of a rule is a gradient transformation.",
                'Write for example partition({"bias$": sgd(0.1), "": adamw(1e-3)}).',
            )
    return _routed(pairs, None)


@names_checked
def masked(transformation: GradientTransformation, mask: Mask) -> GradientTransformation:
    """A transformation for some parameters; the gradients of the others pass through.

    Args:
        mask: see `Mask`.

    Raises:
        OptimizerError: ``mask`` is no regular expression and no function.

    Example:
        >>> import torch
        >>> from tessera.optim import scale
        >>> params = [torch.ones(2, 2), torch.ones(2)]
        >>> masked(scale(0.0), lambda p: p.ndim >= 2).update(params, [{}, {}], params)[0]
        [tensor([[0., 0.],
                [0., 0.]]), tensor([1., 1.])]
    """
    return partition([(mask, transformation), (all_others(mask), identity())])


def all_others(mask: Mask) -> Mask:
    """The mask of a last rule, of the same kind as ``mask``."""
    return "" if isinstance(mask, str) else _everything


def check_mask(where: str, mask: object) -> None:
    """Raise unless ``mask`` is a regular expression or a function."""
    problem = ""
    if isinstance(mask, str):
        try:
            re.compile(mask)
        except re.error as error:
            problem = f", which is no regular expression: {error}"
    elif not callable(mask):
        problem = f", a {type(mask).__name__}"
    if problem:
        raise OptimizerError(
            f"{where} has the mask {mask!r}{problem}.",
            "A mask is a regular expression for names of parameters, or a function of a parameter.",
            'Write for example "bias$", or lambda p: p.ndim >= 2.',
        )


def _everything(_: Tensor) -> bool:
    return True


def _fits(mask: Callable[[Tensor], bool], param: Tensor) -> bool:
    """What a mask says of a parameter, and would say of the plain tensor that a compiler has in its place."""
    fits = bool(mask(param))
    try:
        same = bool(mask(param.detach())) == fits
    except Exception:  # noqa: BLE001 - whatever a user's function raises, it wants more than a tensor
        same = False
    if same:
        return fits
    raise OptimizerError(
        f"The mask {mask!r} chooses a parameter of shape {list(param.shape)} by more than its shape and dtype.",
        "Attributes, identity and requires_grad are not those of the plain tensors that a compiled step is made of.",
        'Write a regular expression for names, such as "bias$|norm", or put the parameters into groups.',
    )


def _routed(
    pairs: Sequence[tuple[Mask, GradientTransformation]], names: Sequence[str] | None
) -> GradientTransformation:
    """The partition.

    Args:
        names: ``names[i]`` is that of the parameter at position ``i``; None while they are not known.
    """

    def choice(position: int, param: Tensor) -> int:
        for index, (mask, _) in enumerate(pairs):
            if names is not None and isinstance(mask, str):
                fits = re.search(mask, names[position]) is not None
            else:
                fits = not isinstance(mask, str) and _fits(mask, param)
            if fits:
                return index
        name = repr(names[position]) if names is not None else f"of shape {list(param.shape)}"
        raise OptimizerError(
            f"The parameter {name} fits none of the rules {', '.join(repr(mask) for mask, _ in pairs)}.",
            "Every parameter that has a gradient fits a rule.",
            'End with a rule for all others: partition({..., "": adamw(1e-3)}), or freeze("") for none at all.',
        )

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        chosen = [choice(position, param) for position, param in enumerate(params)]
        updates: list[Tensor] = list(grads)
        new_states: list[State] = [{} for _ in params]
        for index, (_, transformation) in enumerate(pairs):
            at = [position for position, number in enumerate(chosen) if number == index]
            if names is not None:
                transformation = transformation.named([names[i] for i in at])  # noqa: PLW2901 - the same, bound
            own_updates, own_states = transformation.update(
                [grads[i] for i in at], [states[i] for i in at], [params[i] for i in at]
            )
            for i, step, new in zip(at, own_updates, own_states, strict=True):
                updates[i], new_states[i] = step, new
        return updates, new_states

    def maker(name: str) -> StateInit:
        def make(param: Tensor) -> Tensor | None:
            transformation = pairs[choice(0, param)][1]
            own = transformation if names is None else transformation.named(names[:1])
            return own.state[name](param) if name in own.state else None

        return make

    every_name = {name: maker(name) for _, transformation in pairs for name in transformation.state}
    members = [
        Member(
            tx if names is None else tx.named(names),
            {name: name for name in tx.state},
            lambda param, index=index: choice(0, param) == index,  # type: ignore[misc]  # mypy infers no lambda's default
        )
        for index, (_, tx) in enumerate(pairs)
    ]
    depends = names is None and any(isinstance(mask, str) or tx.by_name for mask, tx in pairs)
    return GradientTransformation(
        every_name,
        update,
        (lambda names: _routed(pairs, names)) if depends else None,
        members,
        within=lambda function: _routed([(mask, function(tx)) for mask, tx in pairs], names),
    )
