"""The torch-style optimizer around gradient transformations: groups, state, steps."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from tessera import torch_internals
from tessera.errors import LossError, OptimizerError
from tessera.optim.hyperparameters import as_float, check_flag
from tessera.optim.keywords import check_keywords
from tessera.optim.parameter_groups import Parameters, ParamGroup, checked_group, parameter_groups
from tessera.optim.part import Part
from tessera.optim.saved_state import (
    check_groups,
    check_shapes,
    readable,
    refill,
    restored,
    saveable,
    states_by_parameter,
)
from tessera.optim.transformation import GradientTransformation, Member


class DeferredLoss(Protocol):
    """A loss that is not computed yet and can run the whole training step itself."""

    def train_with(self, optimizer: Optimizer, *, whole: bool) -> Tensor: ...


def _wrapped_when_watched(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` inside torch's wrapper while hooks or a profiler wait for it, and as it is while nobody does."""
    wrapped = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def stepped(self: Optimizer, *args: Any, **named: Any) -> Any:
        # A subclass that has a step of its own has it wrapped by torch, and hooks run once.
        watched = torch_internals.step_is_watched(self) and type(self).step is Optimizer.step
        return (wrapped if watched else step)(self, *args, **named)

    stepped.hooked = True  # type: ignore[attr-defined]  # torch's word for: wrapped already
    return stepped


class Optimizer(torch.optim.Optimizer):
    """Trains parameters by a gradient transformation; everything that takes a `torch.optim.Optimizer` takes this.

    Wrapped around one transformation it sees the parameters of all groups as one list, so a global norm is global. A
    subclass that defines `transformation` gets one for each group instead, made of the group's hyper-parameters.

    State tensors keep their identity from the first step on, through `load_state_dict` as well, and so do the dicts
    that hold them: a compiled step may hold on to them. A parameter without gradient is left alone, its state too.

    Args:
        params: a module, an iterable of parameters or of ``(name, parameter)``, or parameter groups.
        transformation: turns gradients into updates.
        defaults: hyper-parameters for groups that do not have their own; for subclasses.

    Raises:
        OptimizerError: nothing to train, a tensor that is not a leaf, an unknown keyword, an invalid hyper-parameter.

    Example:
        >>> import torch
        >>> from tessera.optim import adam, chain, clip_by_global_norm, cosine_decay
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = Optimizer(model, chain(clip_by_global_norm(1.0), adam(cosine_decay(1e-3, decay_steps=100))))
        >>> loss = optimizer.step(model(torch.ones(4, 2)).square().mean())
        >>> loss.shape
        torch.Size([])
    """

    def __new__(cls, *_: object, **keywords: object) -> Self:
        check_keywords(cls.__name__, cls.__init__, keywords)
        return super().__new__(cls)

    def __init__(
        self,
        params: Parameters,
        transformation: GradientTransformation | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        by_group = type(self).transformation is not Optimizer.transformation
        if not by_group and not isinstance(transformation, GradientTransformation):
            raise OptimizerError(
                f"Optimizer was given {transformation!r} as its transformation.",
                "It is a gradient transformation, such as adam(1e-3) or a chain of several.",
                "Write for example Optimizer(model, chain(clip_by_global_norm(1.0), adam(1e-3))).",
            )
        self._whole = transformation
        super().__init__(parameter_groups(params, named=self._chooses_by_name), dict(defaults or {}))

    @property
    def _chooses_by_name(self) -> bool:
        return self._whole is not None and self._whole.by_name is not None

    def transformation(self, group: ParamGroup) -> GradientTransformation:
        """What updates the parameters of one group; a named optimizer composes it of the group's hyper-parameters."""
        if self._whole is None:
            raise NotImplementedError
        return self._whole

    def hyper_parameters(self, group: ParamGroup) -> dict[str, Any]:
        """A group's hyper-parameters, without what schedulers and users keep there beside them."""
        return {name: group[name] for name in self._own_defaults}

    @property
    def _own_defaults(self) -> dict[str, Any]:
        """The defaults without the one that torch adds when it loads a state_dict."""
        return {name: value for name, value in self.defaults.items() if name != "differentiable"}

    def parts(self, groups: Sequence[ParamGroup] | None = None) -> list[Part]:
        """Which transformation updates which parameters.

        Args:
            groups: used in place of ``param_groups``: the same parameters under other hyper-parameters, for instance
                symbolic ones.
        """
        groups = self.param_groups if groups is None else groups
        if self._whole is None:
            return [Part.of(self.transformation(group), [group]) for group in groups]
        return [Part.of(self._whole, groups)]

    def add_param_group(self, param_group: ParamGroup) -> None:
        """Train more parameters, under hyper-parameters of their own; missing ones are the optimizer's defaults.

        Raises:
            OptimizerError: as the constructor; the optimizer is as it was before.
        """
        group = checked_group(param_group, self.defaults, named=self._chooses_by_name)
        if self._whole is None:
            complete = {**self.defaults, **group}
            for name, default in self._written_defaults().items():
                if isinstance(default, bool) and name in self.defaults:
                    check_flag(name, complete[name], default)
            self.transformation(complete)  # checks each of the others
        elif unused := group.keys() - {"params", "param_names"}:
            raise OptimizerError(
                f"A parameter group of a wrapped transformation has {', '.join(sorted(unused))}.",
                "A wrapped transformation has its hyper-parameters inside, the same for every group.",
                "Use a named optimizer such as tessera.optim.Adam, whose groups have their own.",
            )
        super().add_param_group(group)
        self._settle(self.param_groups[-1])

    def _settle(self, group: ParamGroup) -> None:
        """Make floats of whole numbers that stand for floats, so that a later value with a fraction is no news."""
        for name, default in self._written_defaults().items():
            if name in group and name in self.defaults:
                group[name] = as_float(group[name], default)

    def _written_defaults(self) -> dict[str, Any]:
        """The arguments of the constructor with the values that they have when they are left out."""
        return {name: each.default for name, each in inspect.signature(type(self).__init__).parameters.items()}

    @torch.no_grad()
    def initialise_state(self, params: Iterable[Tensor] | None = None) -> None:
        """Make the state that is missing.

        Args:
            params: whose; without it that of each parameter that has a gradient, as torch does at its first step.

        Raises:
            OptimizerError: a parameter that this optimizer does not train.
        """
        wanted = None if params is None else set(params)
        for part in self.parts():
            for position, param in enumerate(part.params):
                if (param.grad is not None) if wanted is None else (param in wanted):
                    inits = part.inits(position)
                    if inits.keys() - self.state.get(param, {}).keys():
                        known = dict(self.state.get(param, {}))
                        self.adopt(known)
                        made = {name: make(param) for name, make in inits.items() if name not in known}
                        state = {name: value for name, value in made.items() if value is not None} | known
                        if state:
                            self.state[param].update(state)
                    if wanted is not None:
                        wanted.remove(param)
        if wanted:
            raise OptimizerError(
                f"{len(wanted)} of the parameters belong to another optimizer or to none.",
                "An optimizer keeps state for the parameters it was made with.",
                "Make the optimizer of the model that is trained, or add them with add_param_group.",
            )

    def adopt(self, state: dict[str, Any]) -> None:
        """Complete, in place, a parameter's state that was made elsewhere; for subclasses that keep more than torch."""

    @_wrapped_when_watched
    def step(self, closure: Callable[[], Any] | Tensor | DeferredLoss | None = None) -> Any:
        """Update the parameters once.

        Args:
            closure: None, when gradients are there already; a function that computes gradients and returns the loss,
                as in torch; or the loss itself, a scalar: then gradients are cleared and computed from it first.

        Returns:
            None, what the function returned, or the detached loss.

        Raises:
            LossError: a loss that is not a scalar or does not depend on anything trainable.
            OptimizerError: a loss that depends on none of these parameters.
        """
        if train_with := getattr(closure, "train_with", None):
            return train_with(self, whole=self._only_updates())
        if isinstance(closure, Tensor):
            return self.train_on(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()  # type: ignore[operator]  # a DeferredLoss has been trained with above
        self.update_parameters()
        return loss

    def _only_updates(self) -> bool:
        """Whether ``step()`` is ``update_parameters()`` alone: no hook, no step of a subclass or of this object."""
        own = vars(self).get("step")
        return (
            type(self).step is Optimizer.step
            and (own is None or hasattr(own, "_wrapped_by_lr_sched"))  # torch's schedulers wrap it to count calls
            and not torch_internals.has_step_hooks(self)
        )

    def train_on(self, loss: Tensor) -> Tensor:
        """What `step` does with a loss: gradients of this loss alone, then the update. Returns it detached.

        Raises:
            LossError, OptimizerError: as `step`; nothing was updated.
        """
        _check_loss(loss)
        self.zero_grad(set_to_none=True)
        loss.backward()
        params = [param for group in self.param_groups for param in group["params"]]
        if all(param.grad is None for param in params):
            kind = type(self).__name__
            raise OptimizerError(
                f"The loss given to step() depends on none of the {len(params)} parameters of this {kind}.",
                "An optimizer updates the parameters that the loss was computed from.",
                f"Write {kind}(model, ...) with the model that computed it.",
            )
        self.update_parameters()
        return loss.detach()

    @torch.no_grad()
    def update_parameters(self) -> None:
        """What `step` does once gradients are there: compute all updates, then write parameters and state in place."""
        self.initialise_state()
        for part in self.parts():
            params = [param for param in part.params if param.grad is not None]
            grads = [_dense(param.grad) for param in part.params if param.grad is not None]
            states = [self.state.get(param, {}) for param in params]
            updates, new_states = part.bound([param.grad is not None for param in part.params]).update(
                grads, states, params
            )
            for param, update, state, new_state in zip(params, updates, states, new_states, strict=True):
                param.add_(update)
                for name, value in new_state.items():
                    state[name].copy_(value)

    @property
    def observes(self) -> bool:
        """Whether something in this optimizer goes by what `observe` is told."""
        inside = (node for part in self.parts() for node in part.transformation.everything_inside())
        return any(node.transformation.observe is not None for node in inside)

    @torch.no_grad()
    def observe(self, value: float | Tensor) -> None:
        """Tell the optimizer a loss, once for each evaluation: `reduce_on_plateau` goes by it.

        Only numbers in its state change, so a compiled step goes on as it is.

        Raises:
            OptimizerError: nothing in this optimizer observes anything, or no update was made yet.
        """
        observed = False
        for param, node, state in self._inside(self.parts()):
            if node.transformation.observe is not None:
                observed = True
                for name, changed in node.outer(node.transformation.observe(node.own(state), float(value))).items():
                    self.state[param][name].copy_(changed)
        if not observed:
            raise OptimizerError(
                f"observe({float(value):g}) was called on a {type(self).__name__} that observes nothing"
                f"{'' if self.state else ' yet, for it has made no update'}.",
                "A value is observed by a learning rate that falls on a plateau, after the first update.",
                "Write for example lr=reduce_on_plateau(1e-3), and call observe(loss) after each evaluation.",
            )

    @torch.no_grad()
    def learning_rates(self) -> list[float]:
        """The rate that the latest update of each group was made with, and of a wrapped transformation each one inside.

        That of a schedule is its value at that update, before the first update its value there.

        Example:
            >>> import torch
            >>> from tessera.optim import linear, sgd
            >>> weight = torch.nn.Parameter(torch.tensor(1.0))
            >>> optimizer = Optimizer([weight], sgd(linear(1.0, 0.0, 4)))
            >>> for _ in range(2):
            ...     _ = optimizer.step(weight.square())
            >>> optimizer.learning_rates()
            [0.75]
        """
        rates = []
        for part in self.parts():
            states = defaultdict(list)
            for _, node, state in self._inside([part]):
                states[id(node.transformation)].append(node.own(state))
            for each, *_ in part.transformation.everything_inside():
                if each.rate is not None:
                    rates.append(float(each.rate(states[id(each)])))
        return rates

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside, the parameters hold the weights to evaluate with; afterwards those that are trained are back.

        That is what `ema_weights`, `lookahead`, `schedule_free_adamw` and `sharpness_aware` keep beside the trained
        weights; with none of them nothing changes.

        Example:
            >>> import torch
            >>> from tessera.optim import chain, ema_weights, sgd
            >>> weight = torch.nn.Parameter(torch.tensor(1.0))
            >>> optimizer = Optimizer([weight], chain(sgd(0.5), ema_weights(0.5)))
            >>> _ = optimizer.step(weight.sum())
            >>> with optimizer.averaged_weights():
            ...     print(weight.item())
            0.75
        """
        trained: dict[Tensor, Tensor] = {}
        with torch.no_grad():
            for param, node, state in self._inside(self.parts()):
                average = node.transformation.average
                if average is not None and node.names.items() and all(name in state for name in node.names.values()):
                    trained.setdefault(param, param.clone())
                    param.copy_(average(node.own(state), param))
        try:
            yield
        finally:
            with torch.no_grad():
                for param, value in trained.items():
                    param.copy_(value)

    def _inside(self, parts: Sequence[Part]) -> Iterator[tuple[Tensor, Member, dict[str, Tensor]]]:
        """Each parameter that has state with each transformation that has a part in it."""
        for part in parts:
            for position, param in enumerate(part.params):
                if state := self.state.get(param):
                    yield from ((param, node, state) for node in part.inside(position))

    def state_dict(self) -> dict[str, Any]:
        """As torch's, in torch's names; a schedule is a dict of its numbers, so that no class is pickled."""
        saved = super().state_dict()
        return {**saved, "param_groups": [saveable(group) for group in saved["param_groups"]]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state_dict of this optimizer or of its twin in `torch.optim`, hyper-parameters included.

        Raises:
            OptimizerError: other groups, other shapes; the optimizer is as it was before.
        """
        saved_states: dict[Tensor, dict[str, Any]] = {}

        def check(_: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
            check_groups(saved, self.param_groups)
            new_groups = [
                # Names are those of the model that is trained, whatever they were in the one that was saved.
                {**self._own_defaults, **readable(group), **{k: own[k] for k in ("param_names",) if k in own}}
                for group, own in zip(saved["param_groups"], self.param_groups, strict=True)
            ]
            ours = (group["params"] for group in self.param_groups)
            parts = self.parts([{**group, "params": params} for group, params in zip(new_groups, ours, strict=True)])
            saved_states.update(states_by_parameter(saved, self.param_groups))
            check_shapes(saved_states, parts)
            return {**saved, "param_groups": new_groups}

        groups, states = self.param_groups, dict(self.state)
        # Registered last, it sees what the user's own hooks have made of the state_dict.
        handle = self.register_load_state_dict_pre_hook(check)
        try:
            super().load_state_dict(dict(state_dict))
        finally:
            handle.remove()
        for group, loaded in zip(groups, self.param_groups, strict=True):
            refill(group, loaded)
            self._settle(group)
        self.param_groups = groups
        for part in self.parts():
            for position, param in enumerate(part.params):
                saved, state = saved_states[param], states.get(param, {})
                self.adopt(saved)
                unknown = {name: value for name, value in self.state.pop(param, {}).items() if name in saved}
                refill(state, unknown | restored(part.inits(position), param, saved, state))
                if state:
                    self.state[param] = state

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_whole": self._whole}


def _dense(grad: Tensor) -> Tensor:
    return grad.to_dense() if grad.is_sparse else grad


def _check_loss(loss: Tensor) -> None:
    if loss.numel() != 1:
        raise LossError(
            f"step() was given a loss of shape {list(loss.shape)}.",
            "A loss is one number.",
            "Write step(loss.mean()).",
        )
    if not loss.requires_grad:
        raise LossError(
            "step() was given a loss that does not depend on any trainable parameter.",
            "A loss is computed from parameters that require gradients, outside torch.no_grad().",
            "Compute it from the model's output, without detach() or item().",
        )
