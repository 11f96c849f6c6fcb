"""One call of a model: one that has run, or one that waits with everything it needs."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import torch

from tessera.debug.active import SWITCH
from tessera.errors import LayerError, SourceLine, StalePredictionError
from tessera.nn.snapshot import Snapshot, version

# Models whose last training step was `optimizer.step(loss)` on a prediction that nobody had looked at: only their next
# call gains by waiting. The calls of all others run at once.
CALLS_WAIT: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()

# Frames of torch under which user code runs as it would by itself: decorators like `@torch.enable_grad()`, launchers.
_LAUNCHERS = ("torch.utils._contextlib", "torch.distributed.", "torch.multiprocessing.")
_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


class ForwardCall:
    """A call of ``module`` with ``args`` and ``named``; ``forward`` is its ordinary ``__call__``, ``where`` the line.

    Attributes:
        result: the prediction, None while the call waits.
        was_read: someone looked at the prediction, so that a training step could not have run the call.
        sets_attributes: the forward leaves something behind on the module, so it must not be put off.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        named: Mapping[str, Any],
        where: SourceLine,
    ) -> None:
        self.module, self.args, self.named = module, args, named
        self._forward, self._where = forward, where
        self.result: torch.Tensor | None = None
        self.was_read = self.sets_attributes = False

    def may_wait(self) -> bool:
        """Whether the call gains by waiting, and gives the same later."""
        values = (*self.args, *self.named.values())
        return self.module in CALLS_WAIT and SWITCH.mode() is None and bool(values) and same_later(values)

    def run_now(self) -> Any:
        """Run at the call, as PyTorch does."""
        before = Snapshot(self.module)
        self.result = self._forward(*self.args, **self.named)
        self.sets_attributes = before.attributes_changed()
        self.args, self.named = (), {}
        return self.result

    def wait(self) -> None:
        """Remember what the forward reads, to notice when it changes."""
        self._before = Snapshot(self.module, (*self.args, *self.named.values()))
        self._devices = self._before.devices()
        self._random = random_states(self._devices)

    def run(self) -> torch.Tensor:
        """The prediction; a call that waited runs now, as it would have run when it was made.

        Raises:
            StalePredictionError: it can no longer run that way.
        """
        if self.result is None:
            CALLS_WAIT.discard(self.module)
            self._check_nothing_changed()
            with self.as_at_the_call():
                self.result = self._tensor(self._forward(*self.args, **self.named))
            self._result_version = version(self.result)
            self.args, self.named = (), {}
            del self._before
        return self.result

    def can_join_a_program(self) -> bool:
        """Whether a training step can run this call now, drawing the random numbers that it would have drawn.

        Raises:
            StalePredictionError: what the forward reads has changed since the call.
        """
        if self.result is not None:
            return False
        self._check_nothing_changed()
        return random_states(self._devices) == self._random

    def result_was_changed(self) -> bool:
        """Whether the prediction of a call that waited was changed in place since it was computed."""
        return self.result is not None and version(self.result) != self._result_version

    @contextmanager
    def as_at_the_call(self) -> Iterator[None]:
        """Gradients on and autocast off, as they were at a call that waits; random numbers in their order.

        Raises:
            StalePredictionError: others drew random numbers since the call, and what runs inside draws some as well.
        """
        before = random_states(self._devices)
        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(mode=False))
            modes.enter_context(torch.enable_grad())
            for device in filter(torch.is_autocast_enabled, _AUTOCAST_DEVICES):
                modes.enter_context(torch.autocast(device, enabled=False))
            try:
                yield
            except Exception as error:
                error.add_note(f"The call of {type(self.module).__name__} that runs here was made at {self._where}.")
                raise
        after = random_states(self._devices)
        if before not in (self._random, after):
            raise self.stale("others drew random numbers, and it draws some too")
        self._random = after

    def stale(self, change: str) -> StalePredictionError:
        """The error for a prediction or loss that is read after ``change``."""
        return StalePredictionError(
            f"A prediction of {type(self.module).__name__}, or its loss, is read for the first time after {change}.",
            "It is computed when it is first read, or by optimizer.step(loss), and has to be what it would have been "
            "at the call.",
            "Write prediction = model(x).read() to compute it at the call, or read it before the change.",
            self._where,
        )

    def _check_nothing_changed(self) -> None:
        if change := self._before.change():
            raise self.stale(change)

    def _tensor(self, result: Any) -> torch.Tensor:
        if isinstance(result, torch.Tensor):
            return result
        raise LayerError(
            f"{type(self.module).__name__} returned a {type(result).__name__}, but a tensor when it was called before.",
            "A call of a model in training may wait until its output is read, and what waits is a tensor.",
            "Write two models, or always return the same kind of output.",
            self._where,
        )


def user_line() -> SourceLine | None:
    """The line that calls the model; None when torch or Tessera stands anywhere between it and the user.

    A forward of another module, a transform, a tracer, a checkpoint or ``functional_call`` sets things up around the
    call and takes them away after it, so inside them a call has to run at once.
    """
    caller = sys._getframe(2)  # noqa: SLF001 - the documented way to the caller
    frame: FrameType | None = caller
    while frame is not None:
        if _stands_between(frame.f_globals.get("__name__")):
            return None
        frame = frame.f_back
    return SourceLine(caller.f_code.co_filename, caller.f_lineno)


@functools.cache
def _stands_between(module: str | None) -> bool:
    name = module or ""
    return name.partition(".")[0] in {"torch", "tessera"} and not name.startswith(_LAUNCHERS)


def same_later(values: Iterable[Any]) -> bool:
    """Whether computing with ``values`` can be put off: plain tensors without history, gradients on, no autocast."""
    return (
        torch.is_grad_enabled()
        and not any(map(torch.is_autocast_enabled, _AUTOCAST_DEVICES))
        and all(type(v) is torch.Tensor and not v.requires_grad and not v.is_inference() for v in values)
    )


def random_states(devices: Iterable[torch.device]) -> list[bytes]:
    """State of torch's generators: the CPU's, and those of ``devices``. While nothing is drawn, it stays equal."""
    states = [torch.get_rng_state(), *(torch.get_device_module(device).get_rng_state(device) for device in devices)]
    return [state.numpy().tobytes() for state in states]  # bytes compare five times as fast as tensors
