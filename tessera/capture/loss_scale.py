"""Loss scaling: float16 gradients too small to be told from 0 are computed of a multiple of the loss.

    backward     of scale * loss; the gradients are divided by the scale, in float32, before clipping and update
    overflow     a gradient that is not finite: no update, scale = scale * backoff
    otherwise    update; after ``interval`` updates in a row, scale = scale * growth

The scale and its counts are tensors, so that no change of them compiles anew.

References:
    Micikevicius et al., Mixed precision training, 2018, arXiv:1710.03740. The rule is that of `torch.amp.GradScaler`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tessera.errors import ResumeError, SettingError


@dataclass(frozen=True)
class LossScale:
    """How the loss is scaled; ``growth=1.0, backoff=1.0`` keeps the scale as it is.

    Args:
        initial: the scale at the start.
        growth: factor after ``interval`` updates in a row without overflow, at least 1.
        backoff: factor after an overflow, above 0 and at most 1.
        interval: how many updates in a row, at least 1.

    Raises:
        SettingError: a number outside its range.
    """

    initial: float = 2.0**16
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000

    def __post_init__(self) -> None:
        for name, valid, expected, example in (
            ("initial", 0 < self.initial < math.inf, "a finite number above 0", "65536.0"),
            ("growth", 1 <= self.growth < math.inf, "a finite factor of at least 1", "2.0"),
            ("backoff", 0 < self.backoff <= 1, "a factor above 0 and at most 1", "0.5"),
            ("interval", self.interval >= 1 and self.interval % 1 == 0, "a whole number from 1", "2000"),
        ):
            if not valid:
                raise SettingError(
                    f"LossScale({name}={getattr(self, name)}) was passed.",
                    f"{name} is {expected}.",
                    f"Write LossScale({name}={example}).",
                )

    @property
    def is_dynamic(self) -> bool:
        """Whether an overflow lowers the scale."""
        return self.backoff < 1

    def next(self, finite: Any, scale: Any, good: Any, skipped: Any) -> list[torch.Tensor]:
        """The tensors of `Scaling` after an update, from those before and whether its gradients were ``finite``."""
        smallest = torch.finfo(scale.dtype).tiny  # whose reciprocal is still finite
        good = torch.where(finite, good + 1, torch.zeros_like(good))
        due = good >= self.interval
        grown, shrunk = ((scale.double() * factor).to(scale.dtype) for factor in (self.growth, self.backoff))
        larger = torch.where(due & torch.isfinite(grown), grown, scale)
        smaller = torch.clamp(shrunk, min=smallest) if self.is_dynamic else scale
        good = torch.where(due, torch.zeros_like(good), good)
        return [torch.where(finite, larger, smaller), good, skipped + torch.logical_not(finite)]


@dataclass
class Scaling:
    """The loss scale of one training step.

    Attributes:
        rule: how it changes.
        in_force: whether the loss is scaled; what is automatic waits for a float16 in the forward.
        tensors: 0-d: the scale (float32), good updates since it last changed (int32), updates skipped (int64).
    """

    rule: LossScale
    in_force: bool
    tensors: list[torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = [
            torch.tensor(self.rule.initial, dtype=torch.float32),
            torch.tensor(0, dtype=torch.int32),
            torch.tensor(0, dtype=torch.int64),
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """Of ``tensors``."""
        return _NAMES

    @property
    def scale(self) -> torch.Tensor:
        return self.tensors[0]

    @property
    def skipped(self) -> torch.Tensor:
        return self.tensors[2]

    def move_to(self, device: torch.device) -> None:
        """Put the tensors where the loss is."""
        if self.scale.device != device:
            self.tensors = [tensor.to(device) for tensor in self.tensors]

    def follow(self, finite: torch.Tensor) -> None:
        """Take account of an update that was made outside a Program."""
        for tensor, new in zip(self.tensors, self.rule.next(finite, *self.tensors), strict=True):
            tensor.copy_(new)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return dict(zip(_NAMES, self.tensors, strict=True))

    def check(self, state: Mapping[str, torch.Tensor]) -> None:
        """Raise `ResumeError` unless ``state`` is one that ``state_dict`` returned."""
        if state.keys() != set(_NAMES) or any(value.numel() != 1 for value in state.values()):
            raise ResumeError(
                f"A loss scale with the entries {', '.join(sorted(state))} was to be loaded.",
                f"It has the entries {', '.join(_NAMES)}, one number each.",
                "Pass what state_dict() of a training step returned.",
            )
        scale = float(state["scale"])
        if not 0 < scale < math.inf:
            raise ResumeError(
                f"A loss scale of {scale} was to be loaded.",
                "It is a finite number above 0.",
                "Resume from an earlier snapshot, or begin with a new training step.",
            )

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a saved scale."""
        self.check(state)
        self.in_force = True
        for tensor, name in zip(self.tensors, _NAMES, strict=True):
            tensor.copy_(state[name].reshape(()))


_NAMES = ("scale", "good_updates", "skipped")


def resolve_loss_scale(loss_scale: str | float | LossScale | None) -> Scaling | None:
    """The scaling that the argument ``loss_scale`` of a training step means.

    Raises:
        SettingError: an unknown name, a number that is no scale, or something else.
    """
    if loss_scale is None:
        return None
    if isinstance(loss_scale, LossScale):
        return Scaling(loss_scale, in_force=True)
    if loss_scale in ("auto", "dynamic"):
        return Scaling(LossScale(), in_force=loss_scale == "dynamic")
    if isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool) and 0 < loss_scale < math.inf:
        return Scaling(LossScale(float(loss_scale), growth=1.0, backoff=1.0), in_force=True)
    nearest = difflib.get_close_matches(str(loss_scale).lower(), ("auto", "dynamic"), n=1, cutoff=0.0)[0]
    raise SettingError(
        f"loss_scale={loss_scale!r} was passed.",
        'It is "auto", "dynamic", a finite number above 0, a LossScale(...), or None for no scaling.',
        f'Write loss_scale="{nearest if isinstance(loss_scale, str) else "auto"}".',
    )
