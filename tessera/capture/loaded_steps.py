"""Calls the Programs of an artefact in place of a capture; what none of them fits goes to the capture behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera.artefact.structure import CannotDescribe, structure_of
from tessera.capture.dispatch import Dispatch
from tessera.capture.loaded_program import CannotBind, LoadedProgram
from tessera.capture.saved_step import GIVEN
from tessera.capture.training_job import TrainingJob
from tessera.errors import ArtefactError
from tessera.program import StepDown

Result = tuple[torch.Tensor, Sequence[torch.Tensor]]


class LoadedSteps:
    """Stands in for a `Dispatch`.

    Args:
        programs: of the artefact.
        origin: the artefact's path.
        job: what the step is about.
        names: the globals of the captured function.
        absent: which of the captured function's parameters the user did not pass.
        otherwise: captures what no Program fits; None where the loss is not there to be captured.
    """

    def __init__(
        self,
        programs: Sequence[LoadedProgram],
        origin: str,
        job: TrainingJob,
        names: Mapping[str, Any],
        absent: Sequence[str],
        otherwise: Dispatch | None,
    ) -> None:
        self._programs, self._origin, self._job, self._names = list(programs), origin, job, names
        self._absent, self._otherwise = absent, otherwise
        self._captured_too = False

    def __call__(self, *args: Any) -> Result:
        found = self._find(args)
        if isinstance(found, list):
            return self._fall_back(found, args)
        program, inputs = found
        return program.run(inputs)

    @property
    def captured(self) -> bool:
        """Whether a call could run as one Program so far."""
        return any(program.is_bound for program in self._programs) or (
            self._otherwise is not None and self._otherwise.captured
        )

    def pure(self, *args: Any) -> Callable[..., Result] | None:
        """What runs these arguments with no need to look at them again; None where nothing is ready for them."""
        found = self._find(args, bind=False)
        if isinstance(found, list):
            return None if self._otherwise is None else self._otherwise.pure(*args)
        program, inputs = found
        run = program.run
        return lambda *_: run(inputs)

    def forget(self) -> None:
        """Something that the Programs are bound to is another object now: bind anew at the next call."""
        for program in self._programs:
            program.release()
        if self._otherwise is not None:
            self._otherwise.forget()

    def _find(self, args: Sequence[Any], *, bind: bool = True) -> tuple[LoadedProgram, list[Any]] | list[str]:
        """The Program for these arguments and its inputs, or why there is none."""
        reasons: list[str] = []
        given = dict(zip(GIVEN, args, strict=False)) | dict.fromkeys(self._absent)
        for program in self._programs:
            leaves = program.structure.leaves(args[len(GIVEN) :])
            if leaves is None:
                reasons.append(self._other_batch(program, args))
                continue
            if not program.process.holds():
                reasons += program.process.differences()
                continue
            fresh = not program.is_bound
            if fresh:
                if not bind:
                    continue
                try:
                    program.bind(self._job, given, self._names)
                except CannotBind as error:
                    reasons += error.reasons
                    continue
                self._job.report.add(program.compilation)
                self._job.report.rung = f"whole step in one Program, loaded from {self._origin}"
            inputs = program.inputs(leaves)
            if inputs is not None:
                return program, inputs
            if self._other_batch(program, args):
                reasons.append(self._other_batch(program, args))
            elif not fresh:
                program.release()  # what was bound has changed: what it is now is compared anew
                return self._find(args, bind=bind)
            else:
                reasons.append("the model is another one")
        return reasons

    def _other_batch(self, program: LoadedProgram, args: Sequence[Any]) -> str:
        """How the batch differs from that of a Program; empty if it does not."""
        try:
            came = structure_of(args[len(GIVEN) :])
        except CannotDescribe as error:
            return str(error)
        saved = program.structure
        if came.written == saved.written and came.layouts == saved.layouts:
            return ""
        if came.written != saved.written:
            return "the batch has another structure"
        return f"it was saved for {_layouts(saved.layouts)}, and {_layouts(came.layouts)} came"

    def _fall_back(self, reasons: Sequence[str], args: Sequence[Any]) -> Result:
        reason = "; ".join(dict.fromkeys(reasons))
        never = not any(program.is_bound for program in self._programs)
        if self._otherwise is None or (never and not self._only_the_batch(args)):
            passed = ", ".join(f"{name}={name}" for name in self._absent)
            fix = "Compile the step and save it anew with step.save(path)"
            if self._absent:
                fix = f"Pass the {' and the '.join(self._absent)} too: tessera.load(path, ..., {passed}) compiles it"
            raise ArtefactError(
                f"The step in {self._origin} does not fit: {reason}.",
                "A saved step runs the model, the optimizer and the batches that it was saved with.",
                f"{fix}, or pass what it was saved for.",
            )
        if not self._captured_too:
            self._captured_too = True
            instead = "Save the step after a call with this batch too, and it is in the artefact."
            self._job.report.add(StepDown("a new compilation", f"{self._origin} does not fit: {reason}", instead))
        return self._otherwise(*args)

    def _only_the_batch(self, args: Sequence[Any]) -> bool:
        return all(self._other_batch(program, args) for program in self._programs)


def _layouts(layouts: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"{dtype}{shape}" for shape, _, dtype in layouts)
