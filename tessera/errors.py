"""Every error a user can meet from Tessera, in one voice.

A message has three sentences: what was passed, what was expected, what to write instead. Where the user's own
line is known it stands last, as ``at model.py:42``. Errors are also the built-in type a caller would have caught
(``ValueError``, ``TypeError``, ...), so existing ``except`` clauses keep working.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceLine:
    """A place in the user's code."""

    file: str
    line: int
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}  {self.code}" if self.code else place


class TesseraError(Exception):
    """Base of all errors Tessera raises on purpose.

    Args:
        received: what was passed, as a full sentence.
        expected: what was expected, as a full sentence.
        fix: what to write instead, as a full sentence, with code where code helps.
        where: the user's line, when it is known.
    """

    def __init__(self, received: str, expected: str, fix: str, where: SourceLine | None = None) -> None:
        super().__init__(received, expected, fix, where)  # what pickle makes it from again, in another process
        self.received, self.expected, self.fix, self.where = received, expected, fix, where

    def __str__(self) -> str:
        place = f"\n  at {self.where}" if self.where else ""
        return f"{self.received} {self.expected} {self.fix}{place}"


class LossError(TesseraError, ValueError):
    """The loss is not a scalar, has an unknown name, or does not depend on any trainable parameter."""


class NonFiniteError(TesseraError, ArithmeticError):
    """The loss or a gradient became NaN or infinite; the weights are those of the last finite step."""


class NonFiniteValueError(NonFiniteError):
    """A value became NaN or infinite where `tessera.debug_mode()` looked on.

    Attributes:
        operator: such as ``aten.log``.
        kind: "NaN", "inf" or "-inf".
        phase: "forward", "backward" or "update".
        layer: such as ``blocks.3.attn``; "" outside of layers.
        expression: the part of the user's line that ran; in a backward, whose gradient it is.
    """

    operator = kind = phase = layer = expression = ""


class WatchError(TesseraError, RuntimeError):
    """What a layer returned, or its gradient, is outside of what a watchpoint allows."""


class MismatchError(TesseraError, ArithmeticError):
    """Compiled and plain results disagree by more than rounding explains, under ``verify="shadow"``."""


class NonFiniteStepError(NonFiniteError):
    """The same while `fit` trains, which knows the step and what was trained until then.

    Attributes:
        step: number of the step, from 1.
        epoch: number of its epoch, from 1.
        history: of the steps before it, a `tessera.train.History`.
    """

    def __init__(self, error: NonFiniteError, step: int, epoch: int, history: Any) -> None:
        super().__init__(f"Step {step}, epoch {epoch}: {error.received}", error.expected, error.fix, error.where)
        self.args = (error, step, epoch, history)
        self.step, self.epoch, self.history = step, epoch, history


class NumericsError(TesseraError, ArithmeticError):
    """A function that checks (``tessera.exp``) is known to overflow, divide by zero or leave its domain."""


class NumericsWarning(UserWarning):
    """An operation is known to overflow, vanish, divide by zero, leave its domain, or lose its digits."""


class SettingError(TesseraError, ValueError):
    """An argument names something that there is not, or is a number that makes no sense."""


class MemoryBudgetError(TesseraError, ValueError):
    """No way to compute a training step keeps the memory budget."""


class BatchError(TesseraError, ValueError):
    """A batch has no samples, no labels, or a structure the training step cannot read."""


class LabelError(TesseraError, ValueError):
    """Labels have a dtype, shape or range that the loss cannot take."""


class EmptyDatasetError(TesseraError, ValueError):
    """The data yielded no batch at all."""


class OptimizerError(TesseraError, ValueError):
    """An optimizer belongs to other parameters, has an invalid hyper-parameter, or cannot be used this way."""


class LayerError(TesseraError, ValueError, TypeError):
    """A layer or a model class was given sizes or parts that it cannot be built from."""


class AnnotationError(TesseraError, TypeError):
    """An annotation of a tensor cannot be read, or two of them contradict each other."""


class ShapeError(TesseraError, TypeError, ValueError, RuntimeError):
    """A tensor does not fit what was declared of it, or a function cannot be right for all sizes it declares.

    Args:
        text: the whole message: where, expected and received, why, possible fixes.

    Attributes:
        findings: what a check found, of type `tessera.check.finding.Finding`; empty for an argument of a call.
        mismatch: what does not fit in a call, a `tessera.shapes.unify.Mismatch`.
    """

    def __init__(self, received: str, expected: str, fix: str, where: SourceLine | None = None, text: str = "") -> None:
        super().__init__(received, expected, fix, where)
        self.args = (received, expected, fix, where, text)
        self.text = text
        self.findings: tuple[Any, ...] = ()
        self.mismatch: Any = None

    def __str__(self) -> str:
        return self.text or super().__str__()


class StalePredictionError(TesseraError, RuntimeError):
    """A prediction is read for the first time after something that its forward reads has changed."""


class WeightsError(TesseraError, ValueError):
    """A weights file is truncated, unreadable, or made for another model; the model was left as it was."""


class ExportError(TesseraError, RuntimeError):
    """A model could not be exported, or the exported file does not agree with the model."""


class ArtefactError(TesseraError, RuntimeError):
    """An artefact cannot be saved or loaded: damaged, not trusted, or made for another model, machine or torch."""


class TransformError(TesseraError, ValueError, TypeError):
    """A function cannot be transformed as asked: not one number, no such argument, sizes that do not go together."""


class MissingDependencyError(TesseraError, ImportError):
    """An optional package is needed for what was asked."""


class ProgramError(TesseraError, RuntimeError):
    """A Program breaks an invariant: a defect in Tessera or in a pass, never in the user's model."""


class CheckpointError(TesseraError, RuntimeError):
    """A checkpoint is unfinished, truncated, altered or foreign, does not fit, or could not be written."""


class StateError(CheckpointError, TypeError):
    """State that is to be saved holds something that a file without code in it cannot hold."""


class ResumeError(CheckpointError):
    """A run is resumed with another model, optimizer or data than it was begun with."""


class DataError(TesseraError, RuntimeError):
    """A sample could not be read, or a function of the data pipeline failed on it."""


class WorkerError(TesseraError, RuntimeError):
    """A worker of a data loader died, or could not start."""


class DataStateError(TesseraError, ValueError):
    """A saved position belongs to other data, another order or another seed."""


class QuantizeError(TesseraError, ValueError):
    """A model cannot be quantized as asked: rules, calibration data, or a weight that no format can hold."""
