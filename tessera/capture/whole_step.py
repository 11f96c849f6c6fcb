"""A training step as one Program: forward, loss, backward, clipping, the optimizers' updates.

Dynamo hands over the forward and loss as a graph; AOTAutograd adds the backward; `StepProgram` what follows. The
resulting ``WholeStep`` stands in for the forward in Dynamo's code: called with the same inputs it runs the whole step
and returns the forward's outputs, so whatever Python side effects Dynamo replays stay as they were.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.device_precision import uses_float16
from tessera.backend.inductor import Executable, compile_program
from tessera.backend.loops.captured import with_loops
from tessera.backend.unsafe_graphs import traced_wrongly
from tessera.capture.closure import ascends
from tessera.capture.float16 import graph_has_float16_gradients
from tessera.capture.splice import returned_nodes
from tessera.capture.step_down import CannotCapture
from tessera.capture.step_program import LOSS, StepProgram
from tessera.capture.training_job import Loop, TrainingJob
from tessera.capture.update import record_update
from tessera.program import copy_graph, source_line


class StaleProgram(Exception):
    """A parameter, a state tensor or the optimizer's structure changed since the capture: capture again."""


class CannotLoop(Exception):
    """This Program runs one step a call: it calls libraries between its kernels, or its results depend on Python."""


class WholeStep:
    """The callable that Dynamo's code calls in place of the captured forward."""

    def __init__(self, job: TrainingJob, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> None:
        started = time.perf_counter()
        self.job = job
        parameters = [p for o in job.optimizers for group in o.param_groups for p in group["params"]]
        self._owned = {id(p): p for p in parameters}
        if len(self._owned) < len(parameters):
            raise CannotCapture("a parameter is updated twice in one step: it stands in two groups or optimizers")
        self._expected = [(i, p) for i, p in enumerate(inputs) if isinstance(p, torch.nn.Parameter)]
        self._hook_count = torch_internals.hook_count()
        graph_module = self._looping(graph_module)
        _refuse(graph_module, inputs, self._owned)
        _refuse_second_evaluation(job.optimizers)
        self._joint = torch_internals.joint_graph(_detached(graph_module), inputs)
        self._inputs = inputs
        if self._joint.views:
            raise CannotCapture(
                "a tensor that leaves the forward (an attribute, a list) is a view of a parameter, buffer or batch",
                "Keep a copy instead: write .clone().",
                source_line(returned_nodes(graph_module)[self._joint.views[0]]),
            )
        self._trained = [inputs[i] for i in self._joint.gradients if id(inputs[i]) in self._owned]
        if not self._trained:
            raise CannotCapture("the loss depends on no parameter of the optimizer")
        device = self._trained[0].device
        if graph_has_float16_gradients(graph_module) or uses_float16(job.precision, device):
            job.meet_float16()
        self._scaling = job.scales
        if self._scaling is not None:
            self._scaling.move_to(device)
        # What the captured function returns: a result of the Program, or an input itself.
        self._graph_outputs = [i for i in sorted(self._joint.results) if i not in self._joint.same]
        self._same = dict(self._joint.same)
        self._forward_outputs = len(self._graph_outputs)
        self._variants: dict[bool, tuple[Executable, list[str]]] = {}
        state_before = [(o, set(o.state)) for o in job.optimizers]
        try:
            self._compile(started)
        except BaseException:
            for optimizer, known in state_before:
                for parameter in set(optimizer.state) - known:
                    del optimizer.state[parameter]
            raise
        # What the Program reads and writes besides the forward's inputs and the sums of gradients.
        self._kept = [slot.tensor for update in self.updates for slot in update.slots]
        self._kept += [t for update in self.updates for t in update.hyper_parameters.tensors]
        self._kept += self._scaling.tensors if self._scaling is not None else ()
        for optimizer in job.optimizers:
            torch_internals.mark_stepped(optimizer)
        del self._joint, self._inputs

    def _looping(self, graph_module: fx.GraphModule) -> fx.GraphModule:
        """How loops over time are traced."""
        return with_loops(graph_module)

    def _compile(self, started: float) -> None:
        job = self.job
        self.updates = [record_update(o, _of(o, self._trained)) for o in job.optimizers]
        self._accumulates = job.options.accumulate > 1
        for final in (True, False) if self._accumulates else (True,):
            made = StepProgram(job, self._joint, self._inputs, self.updates, final=final)
            capture_seconds = time.perf_counter() - started
            executable = compile_program(made.program, capture_seconds, own_passes=job.own_passes)
            job.report.add(executable.compilation)
            self._variants[final] = (executable, made.extra)
            started = time.perf_counter()

    def __call__(self, *inputs: Any) -> Sequence[Any]:
        for index, parameter in self._expected:
            if inputs[index] is not parameter:
                raise StaleProgram
        if self._hook_count != torch_internals.hook_count():
            self._look_for_hooks()
        for update in self.updates:
            if not update.current():
                raise StaleProgram
        job = self.job
        if job.scales is not self._scaling:
            raise StaleProgram
        if job.loop is not None:
            return self._run_loop(job.loop, inputs)
        if self._accumulates:
            return self._accumulate(inputs)
        executable, extra = self._variants[True]
        results = executable.call([*inputs, *self._kept])
        torch_internals.mark_written(self._trained)
        if not extra and not self._same:
            return results
        return self._returned(results, extra, inputs)

    def _look_for_hooks(self) -> None:
        count = torch_internals.hook_count()
        if torch_internals.have_gradient_hooks([p for _, p in self._expected]):
            raise StaleProgram
        if any(torch_internals.has_step_hooks(optimizer) for optimizer in self.job.optimizers):
            raise StaleProgram
        self._hook_count = count

    def _returned(self, results: Sequence[Any], extra: Sequence[str], inputs: Sequence[Any]) -> Sequence[Any]:
        """Take out what the job keeps, put in what is an input itself."""
        if extra:
            self.job.extra = dict(zip(extra, results[self._forward_outputs :], strict=True))
        outputs = dict(zip(self._graph_outputs, results, strict=False))
        outputs |= {i: inputs[at] for i, at in self._same.items()}
        return [outputs[i] for i in range(len(outputs))]

    def _accumulate(self, inputs: Sequence[Any]) -> Sequence[Any]:
        job = self.job
        sums = [job.accumulators.get(p) for p in self._trained]
        final = job.micro_step + 1 == job.options.accumulate
        if final and len(job.accumulators) > sum(s is not None for s in sums):
            raise CannotCapture("other parameters took part in the micro-batches before")
        for index, parameter in enumerate(self._trained):
            if sums[index] is None:
                sums[index] = job.accumulators[parameter] = torch.zeros_like(parameter)
        executable, extra = self._variants[final]
        results = executable.call([*inputs, *self._kept, *sums])
        if final:
            torch_internals.mark_written(self._trained)
        job.micro_step = 0 if final else job.micro_step + 1
        if final:
            job.accumulators.clear()
        return self._returned(results, extra, inputs)

    def _run_loop(self, loop: Loop, inputs: Sequence[Any]) -> Sequence[Any]:
        executable, extra = self._variants[True]
        batch = {id(t): whole for t, whole in zip(loop.first, loop.stacked, strict=True)}
        memory = {whole.untyped_storage().data_ptr() for whole in loop.stacked}
        stacked = [i for i, t in enumerate(inputs) if id(t) in batch]
        for value in inputs:
            if not isinstance(value, torch.Tensor) or (
                id(value) not in batch and value.untyped_storage().data_ptr() in memory
            ):
                raise CannotLoop
        if executable.native is None or self._accumulates or self._same:
            raise CannotLoop
        values = [batch.get(id(t), t) for t in inputs]
        stop = self._forward_outputs + extra.index("finite") if "finite" in extra else None
        everything = [*values, *self._kept]
        ran, results = executable.native.loop(len(loop.stacked[0]), everything, stacked, stop)
        if stop is not None and not results[stop][ran - 1]:
            ran -= 1  # that step changed nothing
        torch_internals.mark_written(self._trained)
        return self._returned([result[:ran] for result in results], extra, inputs)


def _refuse(graph_module: fx.GraphModule, inputs: Sequence[Any], owned: dict[int, torch.nn.Parameter]) -> None:
    """Refuse what one Program would get wrong in silence."""
    if reason := traced_wrongly(graph_module):
        raise CannotCapture(reason)
    tensors = [t for t in inputs if isinstance(t, torch.Tensor)]
    for tensor in tensors:
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
            raise CannotCapture(f"an input is a {type(tensor).__name__}, a tensor subclass")
        if tensor.requires_grad and id(tensor) not in owned and not isinstance(tensor, torch.nn.Parameter):
            raise CannotCapture("a batch tensor requires a gradient, which one Program never stores")
        if torch_internals.have_gradient_hooks([tensor]):
            raise CannotCapture(
                "a parameter has gradient hooks, which see gradients that one Program never stores",
                "Remove the hooks, or do their work in the loss or as a gradient transformation.",
            )
    storages: dict[int, torch.Tensor] = {}
    for tensor in tensors:
        first = storages.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        if first is not tensor and tensor.numel() and (id(tensor) in owned or id(first) in owned):
            raise CannotCapture("two inputs of the step share memory, and one of them is a parameter that is updated")
    results = returned_nodes(graph_module)
    loss = results[LOSS] if results else None
    example = loss.meta.get("example_value") if isinstance(loss, fx.Node) else None
    if not isinstance(example, torch.Tensor) or example.numel() != 1 or not example.requires_grad:
        raise CannotCapture("the loss is not a scalar tensor that depends on trainable parameters")


def _refuse_second_evaluation(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Refuse an optimizer that evaluates the loss twice, where one Program would not be what happens then."""
    for optimizer in optimizers if any(ascends(o) for o in optimizers) else ():
        kind = type(optimizer).__name__
        if len(optimizers) > 1:
            raise CannotCapture(
                f"{kind} is one of several optimizers, and one evaluates the loss twice, after those before it stepped",
                "Give all parameters to one optimizer; partition() updates them by different rules.",
            )
        if torch_internals.capture_has_side_effects():
            raise CannotCapture(
                f"{kind} evaluates the loss twice, and the forward or the loss changes something in Python each time",
                "Keep what changes in a buffer, as a tensor.",
            )


def _detached(graph_module: fx.GraphModule) -> fx.GraphModule:
    """A copy in which only the loss carries a gradient: other outputs leave the step as plain values."""
    copied = copy_graph(graph_module)
    output = copied.graph.output_node()
    loss, *others = returned_nodes(copied)
    with copied.graph.inserting_before(output):
        detached = [
            copied.graph.call_method("detach", (node,))
            if isinstance(node, fx.Node) and getattr(node.meta.get("example_value"), "requires_grad", False)
            else node
            for node in others
        ]
    output.args = ((loss, *detached),)
    copied.recompile()
    return copied


def _of(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [p for p in parameters if id(p) in own]
