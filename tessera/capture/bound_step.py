"""A compiled training step, bound to the model, the optimizers and the state that it works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.inductor import Executable
from tessera.backend.unsafe_graphs import SHARED_MEMORY, shares_memory
from tessera.capture.bound_update import BoundUpdate
from tessera.capture.loss_scale import Scaling
from tessera.capture.step_down import CannotCapture
from tessera.capture.training_job import Loop, TrainingJob


class StaleProgram(Exception):
    """A parameter, a state tensor or the optimizer's structure changed since the capture: capture again."""


class CannotLoop(Exception):
    """This Program runs one step a call: it calls libraries between its kernels, or its results depend on Python."""


def share_memory(tensors: Sequence[torch.Tensor], trained: Sequence[torch.Tensor]) -> bool:
    """Whether two inputs of a step share memory, and one of them is updated."""
    updated = {id(tensor) for tensor in trained}
    storages: dict[int, torch.Tensor] = {}
    for tensor in tensors:
        first = storages.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        if first is not tensor and tensor.numel() and (id(tensor) in updated or id(first) in updated):
            return True
    return False


class BoundStep:
    """Called with the inputs of the forward's graph it runs the whole step and returns the outputs of that graph.

    Attributes:
        job: what the step is about.
        updates: what the optimizers do, in their order.
        expected: the parameters among the inputs, with their positions.
        trained: the parameters that are updated, in the Program's order.
        scaling: the loss scale that the Program applies.
        graph_outputs: outputs of the forward's graph that the Program returns, in order.
        same: outputs that are an input themselves, with the position of that input.
        mutated: positions of the inputs that the Program writes besides what it trains.
        given: positions of what is no state of the module, where some of it is written: it may share no memory.
        variants: by whether the call updates: what runs, and the names of what it returns behind ``graph_outputs``.
    """

    job: TrainingJob
    updates: Sequence[BoundUpdate]
    expected: Sequence[tuple[int, torch.nn.Parameter]]
    trained: Sequence[torch.nn.Parameter]
    scaling: Scaling | None
    graph_outputs: Sequence[int]
    same: dict[int, int]
    mutated: Sequence[int]
    given: Sequence[int] = ()
    variants: dict[bool, tuple[Executable, list[str]]]
    _hook_count: int

    def _begin(self) -> None:
        """Everything is there: the next call may come."""
        # What the Program reads and writes besides the forward's inputs and the sums of gradients.
        self._kept = [slot.tensor for update in self.updates for slot in update.slots]
        self._kept += [t for update in self.updates for t in update.hyper_parameters.tensors]
        self._kept += self.scaling.tensors if self.scaling is not None else ()
        self._written = [i for i in self.mutated if i in self.given]
        for optimizer in self.job.optimizers:
            torch_internals.mark_stepped(optimizer)

    def __call__(self, *inputs: Any) -> Sequence[Any]:
        for index, parameter in self.expected:
            if inputs[index] is not parameter:
                raise StaleProgram
        if self._hook_count != torch_internals.hook_count():
            self._look_for_hooks()
        for update in self.updates:
            if not update.current():
                raise StaleProgram
        job = self.job
        if job.scales is not self.scaling:
            raise StaleProgram
        if self.given and shares_memory([inputs[i] for i in self.given]):
            raise CannotCapture(SHARED_MEMORY)
        if job.loop is not None:
            return self._run_loop(job.loop, inputs)
        if job.options.accumulate > 1:
            return self._accumulate(inputs)
        executable, extra = self.variants[True]
        results = executable.call([*inputs, *self._kept])
        torch_internals.mark_written(self.trained)
        if self._written:
            torch_internals.mark_written([inputs[i] for i in self._written])
        if not extra and not self.same:
            return results
        return self._returned(results, extra, inputs)

    def _look_for_hooks(self) -> None:
        count = torch_internals.hook_count()
        if torch_internals.have_gradient_hooks([p for _, p in self.expected]):
            raise StaleProgram
        if any(torch_internals.has_step_hooks(optimizer) for optimizer in self.job.optimizers):
            raise StaleProgram
        self._hook_count = count

    def _returned(self, results: Sequence[Any], extra: Sequence[str], inputs: Sequence[Any]) -> Sequence[Any]:
        """Take out what the job keeps, put in what is an input itself."""
        if extra:
            self.job.extra = dict(zip(extra, results[len(self.graph_outputs) :], strict=True))
        outputs = dict(zip(self.graph_outputs, results, strict=False))
        outputs |= {i: inputs[at] for i, at in self.same.items()}
        return [outputs[i] for i in range(len(outputs))]

    def _accumulate(self, inputs: Sequence[Any]) -> Sequence[Any]:
        job = self.job
        sums = [job.accumulators.get(p) for p in self.trained]
        final = job.micro_step + 1 == job.options.accumulate
        if final and len(job.accumulators) > sum(s is not None for s in sums):
            raise CannotCapture("other parameters took part in the micro-batches before")
        for index, parameter in enumerate(self.trained):
            if sums[index] is None:
                sums[index] = job.accumulators[parameter] = torch.zeros_like(parameter)
        executable, extra = self.variants[final]
        results = executable.call([*inputs, *self._kept, *sums])
        if self._written:
            torch_internals.mark_written([inputs[i] for i in self._written])
        if final:
            torch_internals.mark_written(self.trained)
        job.micro_step = 0 if final else job.micro_step + 1
        if final:
            job.accumulators.clear()
        return self._returned(results, extra, inputs)

    def _run_loop(self, loop: Loop, inputs: Sequence[Any]) -> Sequence[Any]:
        executable, extra = self.variants[True]
        batch = {id(t): whole for t, whole in zip(loop.first, loop.stacked, strict=True)}
        memory = {whole.untyped_storage().data_ptr() for whole in loop.stacked}
        stacked = [i for i, t in enumerate(inputs) if id(t) in batch]
        for value in inputs:
            if not isinstance(value, torch.Tensor) or (
                id(value) not in batch and value.untyped_storage().data_ptr() in memory
            ):
                raise CannotLoop
        if executable.native is None or self.job.options.accumulate > 1 or self.same:
            raise CannotLoop
        values = [batch.get(id(t), t) for t in inputs]
        stop = len(self.graph_outputs) + extra.index("finite") if "finite" in extra else None
        everything = [*values, *self._kept]
        ran, results = executable.native.loop(len(loop.stacked[0]), everything, stacked, stop)
        if stop is not None and not results[stop][ran - 1]:
            ran -= 1  # that step changed nothing
        torch_internals.mark_written(self.trained)
        return self._returned([result[:ran] for result in results], extra, inputs)
