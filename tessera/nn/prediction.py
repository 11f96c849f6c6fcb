"""What a model returns while it is training: a tensor that knows how it is trained.

``optimizer.step(model(x).loss(y))`` can only be one program if the forward has not run when the step begins. So once
a model has been trained that way, its calls wait. Everything else still sees an ordinary tensor: the first thing that
looks at a prediction or at its loss runs the forward as plain eager PyTorch, and from then on it is that tensor.

A call runs at once, as in PyTorch, unless all of this holds: the model's last step was ``optimizer.step(loss)`` on a
prediction that nobody had looked at; its forward sets no attributes; the inputs are plain tensors without gradient
history; no autocast is on; the call stands in the user's own code.

Random numbers: a call that waits draws when it runs. If anything else drew from torch's generators in between, the
step runs eagerly, and a forward that draws raises ``StalePredictionError`` instead of drawing out of turn. Prints and
batch-norm statistics happen when the call runs as well.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from tessera.errors import LossError, OptimizerError
from tessera.nn.deferred import Deferred
from tessera.nn.forward_call import CALLS_WAIT, ForwardCall, same_later
from tessera.nn.losses import LossFunction, resolve_loss
from tessera.nn.snapshot import version
from tessera.nn.whole_steps import Builder, WholeSteps, owns_all

if TYPE_CHECKING:  # defining and running a model needs no optimizer
    from tessera.optim.optimizer import Optimizer


class Prediction(Deferred):
    """The output of a model in training; an ordinary tensor to everything, with ``loss`` beside it."""

    @classmethod
    def from_call(cls, call: ForwardCall, build: Builder) -> Prediction:
        """The prediction of a call that has run or waits; ``build`` makes the training step."""
        prediction = cls.without_value() if call.result is None else cls.of(call.result)
        prediction.start(call, build)
        return prediction

    def start(self, call: ForwardCall, build: Builder) -> None:
        """What ``__init__`` would do, were this not made from a tensor."""
        self._call, self._build = call, build

    def read(self) -> torch.Tensor:
        """The plain tensor, with its autograd history.

        Raises:
            StalePredictionError: the forward has not run yet, and something that it reads has changed since the call.
        """
        self._call.was_read = True
        return self._call.run()

    def loss(self, target: Any, fn: str | LossFunction = "auto") -> DeferredLoss:
        """The loss of this prediction, to be given to ``optimizer.step(loss)``, or used as any tensor.

        Args:
            target: what the prediction should have been, as ``fn`` takes it.
            fn: a callable ``(prediction, target) -> 0-d tensor`` or a name that ``resolve_loss`` knows.

        Raises:
            LossError: ``fn`` is not known, or returns no tensor.
        """
        function, call = resolve_loss(fn), self._call
        if call.result is None and same_later([target]):
            loss, value = DeferredLoss.without_value(), None
        else:
            value = _tensor(function(call.run(), target))
            loss = DeferredLoss.of(value)
        loss.start(self, call, self._build, function, target, value)
        return loss


class DeferredLoss(Deferred):
    """The loss of a Prediction; an ordinary tensor to everything, which ``optimizer.step(loss)`` trains with."""

    def start(
        self,
        prediction: Prediction,
        call: ForwardCall,
        build: Builder,
        function: LossFunction,
        target: Any,
        value: torch.Tensor | None,
    ) -> None:
        """What ``__init__`` would do, were this not made from a tensor."""
        self._prediction, self._call, self._build = weakref.ref(prediction), call, build
        self._function, self._target, self._value = function, target, value
        self._target_version = version(target) if value is None else 0
        self._was_read = self._trained = False

    def read(self) -> torch.Tensor:
        """The plain 0-d tensor: with its autograd history before the step, the loss before the update after it.

        Raises:
            StalePredictionError: it has not been computed yet, and something that it reads has changed since the call.
        """
        self._was_read = True
        return self._evaluate()

    def train_with(self, optimizer: Optimizer, *, whole: bool = True) -> torch.Tensor:
        """One training step: gradients, then the optimizer's update, in one program where that is possible.

        Gradients live only during the step.

        Args:
            whole: whether it may be one program: no hook or subclass waits for gradients between the two.

        Returns:
            The loss before the update, detached. This loss has it as its value from now on, and its Prediction, if
            anyone still holds it, is that from before the update too.

        Raises:
            OptimizerError: this loss has been trained with already, or depends on no parameter of the optimizer.
            LossError: the loss is not one number, or does not depend on a trainable parameter.
            StalePredictionError: something that the forward reads has changed since the call.
        """
        if self._trained:
            raise OptimizerError(
                "optimizer.step(loss) was given a loss that has been trained with already.",
                "One loss is one step: it belongs to the weights from before the update.",
                "Write loss = model(x).loss(y) anew before every optimizer.step(loss).",
            )
        call, steps = self._call, WholeSteps.of(optimizer)
        unseen = not (self._was_read or call.was_read)
        if whole and unseen and steps.knows(call.module, self._function) and call.can_join_a_program():
            value = self._train_whole(call, steps, optimizer)
        else:
            value = optimizer.train_on(self._evaluate())
            optimizer.zero_grad()
            if whole and unseen and not call.sets_attributes and owns_all(call.module, optimizer):
                steps.note(call.module, self._function)
                CALLS_WAIT.add(call.module)
        self._value, self._trained = value, True
        del self._call, self._target  # a loss that is kept for a log does not keep its batch
        return value

    def _train_whole(self, call: ForwardCall, steps: WholeSteps, optimizer: Optimizer) -> torch.Tensor:
        self._check_nothing_changed()
        held = self._prediction() is not None
        step = steps.step(call.module, self._function, optimizer, self._build, keep_prediction=held)
        value = step(*call.args, self._target, **call.named)
        if held:
            call.result = step.metrics["prediction"]
        return value

    def _evaluate(self) -> torch.Tensor:
        if self._value is not None:
            return self._value
        prediction = self._call.run()
        self._check_nothing_changed()
        with self._call.as_at_the_call():
            self._value = _tensor(self._function(prediction, self._target))
        return self._value

    def _check_nothing_changed(self) -> None:
        """What the call itself does not watch: the target, and the prediction since it was computed."""
        if version(self._target) != self._target_version:
            raise self._call.stale("its target was changed in place")
        if self._call.result_was_changed():
            raise self._call.stale("the prediction was changed in place")


def _tensor(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise LossError(
            f"The loss function returned a {type(value).__name__}.",
            "It returns one number as a tensor.",
            "Write a function (prediction, target) -> 0-d tensor, without .item().",
        )
    return value
