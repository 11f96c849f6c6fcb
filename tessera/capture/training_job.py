"""What a training step is about, and the state that it keeps between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tessera.backend.rewrite import Pass
from tessera.capture.loss_scale import Scaling
from tessera.debug.shadow import Shadow
from tessera.errors import ResumeError
from tessera.program import MemoryBudget, Precision, Report
from tessera.random.source import Source


@dataclass(frozen=True)
class StepOptions:
    """What a training step does besides forward, backward and update.

    Attributes:
        clip_norm: gradients are scaled so that their global norm is at most this; its value before is a metric.
        accumulate: micro-batches whose gradients are averaged for one update.
        check_finite: updates only happen while the loss and all gradients are finite.
    """

    clip_norm: float | None = None
    accumulate: int = 1
    check_finite: bool = False


@dataclass(frozen=True)
class Loop:
    """Many batches for one call: ``first`` is the first of them, ``stacked`` has all in a leading dimension."""

    first: Sequence[torch.Tensor]
    stacked: Sequence[torch.Tensor]


@dataclass
class TrainingJob:
    """The things a training step is about, named for the Report.

    Attributes:
        scaling: how the loss is scaled, once that is in force.
        extra: what the last call computed besides the forward's outputs: gradient norm and the finite flag.
        loop: asks the next call to run many steps.
        micro_step: micro-batches since the last update.
        accumulators: the sums of their gradients, for every parameter that took part; scaled as the loss is.
        updated: whether the optimizers stepped in the last call that was not a whole Program.
        precision: of the products of forward and backward.
        own_passes: of the user's, behind Tessera's.
        memory_budget: of a step that is one Program.
        tune: seconds for which other ways to compile a whole step are tried.
        verify: how compiled code is checked, if it is.
        stabilise: whether unstable expressions become stable ones.
        random: where random operators draw from.
    """

    name: str
    module: torch.nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    options: StepOptions
    report: Report
    scaling: Scaling | None = None
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    micro_step: int = 0
    accumulators: dict[torch.nn.Parameter, torch.Tensor] = field(default_factory=dict)
    loop: Loop | None = None
    updated: bool = False
    precision: Precision = field(default_factory=Precision)
    own_passes: Sequence[Pass] = ()
    memory_budget: MemoryBudget | None = None
    tune: float | None = None
    verify: Shadow | None = None
    stabilise: bool = True
    random: Source = "torch"

    @property
    def scales(self) -> Scaling | None:
        """The scaling in force, if there is one."""
        return self.scaling if self.scaling is not None and self.scaling.in_force else None

    @property
    def forgives(self) -> bool:
        """Whether a gradient that is not finite lowers the scale, and is no error unless the scale is below 1."""
        return self.scales is not None and self.scales.rule.is_dynamic

    @property
    def waits_for_float16(self) -> bool:
        """Whether scaling comes into force with the first float16."""
        return self.scaling is not None and not self.scaling.in_force

    def meet_float16(self) -> None:
        """Gradients pass through float16: automatic scaling comes into force, for good."""
        if self.scaling is not None and not self.scaling.in_force:
            self.scaling.in_force = True
            for total in self.accumulators.values():
                total.mul_(self.scaling.scale)

    def state_dict(self) -> dict[str, Any]:
        """The state between calls, as tensors: micro-batches since the last update with their sums, the loss scale."""
        names = {id(p): name for name, p in self.module.named_parameters()}
        state: dict[str, Any] = {
            "micro_step": torch.tensor(self.micro_step),
            "sums": {names[id(p)]: total.detach() for p, total in self.accumulators.items()},
        }
        return state | ({"loss_scale": self.scales.state_dict()} if self.scales else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was called.

        Raises:
            ResumeError: the state is that of another module or of other options; nothing was changed.
        """
        micro_step, sums, scale = int(state["micro_step"]), state["sums"], state.get("loss_scale")
        if not 0 <= micro_step < self.options.accumulate:
            raise ResumeError(
                f"The saved step had taken {micro_step} micro-batches of its next update.",
                f"This one makes an update of every {self.options.accumulate}.",
                f"Write accumulate= as in the run that was saved, at least {micro_step + 1}.",
            )
        parameters = dict(self.module.named_parameters())
        for name, total in sums.items():
            if name not in parameters or parameters[name].shape != total.shape:
                here = f"shape {list(parameters[name].shape)}" if name in parameters else "no such parameter"
                raise ResumeError(
                    f"The saved step has gradients for {name} of shape {list(total.shape)}.",
                    f"This module has {here}.",
                    "Resume with the module of the run that was saved.",
                )
        if scale is not None and self.scaling is None:
            raise ResumeError(
                f"The saved step scaled its loss, by {float(scale['scale']):g}.",
                "This one was made with loss_scale=None.",
                'Write loss_scale="auto", or as in the run that was saved.',
            )
        if scale is not None and self.scaling is not None:
            self.scaling.load_state_dict(scale)
        self.micro_step = micro_step
        self.accumulators.clear()
        for name, total in sums.items():
            self.accumulators[parameters[name]] = torch.empty_like(parameters[name]).copy_(total).detach()
