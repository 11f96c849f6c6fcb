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
from tessera.backend.checked import Verification, check
from tessera.backend.compile_progress import compiling
from tessera.backend.device_precision import uses_float16
from tessera.backend.explicit_casts import as_written
from tessera.backend.inductor import compile_program
from tessera.backend.loops.captured import with_loops
from tessera.backend.mistraced import why_mistraced
from tessera.backend.own_random_numbers import OwnRandomNumbers
from tessera.backend.rewrite import Captured
from tessera.backend.runner import run_before_autograd
from tessera.backend.unsafe_graphs import refused_by_autograd, traced_wrongly, written_twice
from tessera.capture.bound_step import BoundStep, share_memory
from tessera.capture.bound_update import parameters_of
from tessera.capture.closure import ascends
from tessera.capture.float16 import graph_has_float16_gradients
from tessera.capture.splice import returned_nodes
from tessera.capture.step_down import CannotCapture
from tessera.capture.step_program import LOSS, StepProgram
from tessera.capture.training_job import TrainingJob
from tessera.capture.update import record_update
from tessera.program import copy_graph, source_line


class WholeStep(BoundStep):
    """The callable that Dynamo's code calls in place of the captured forward."""

    _abroad = False  # whether it is compiled for another device than this one's

    def __init__(self, job: TrainingJob, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> None:
        started = time.perf_counter()
        self.job = job
        parameters = [p for o in job.optimizers for group in o.param_groups for p in group["params"]]
        self._owned = {id(p): p for p in parameters}
        if len(self._owned) < len(parameters):
            raise CannotCapture("a parameter is updated twice in one step: it stands in two groups or optimizers")
        self.expected = [(i, p) for i, p in enumerate(inputs) if isinstance(p, torch.nn.Parameter)]
        self._hook_count = torch_internals.hook_count()
        graph_module = with_loops(graph_module)
        _refuse(graph_module, inputs, self._owned)
        _refuse_second_evaluation(job.optimizers)
        captured = Captured(job.name, graph_module, inputs, abroad=self._abroad, stabilise=job.stabilise)
        self._compile_program = as_written(graph_module, compile_program)
        self._joint = self._joint_graph(captured)
        self._inputs = inputs
        if self._joint.views:
            raise CannotCapture(
                "a tensor that leaves the forward (an attribute, a list) is a view of a parameter, buffer or batch",
                "Keep a copy instead: write .clone().",
                source_line(returned_nodes(graph_module)[self._joint.views[0]]),
            )
        self.trained = [inputs[i] for i in self._joint.gradients if id(inputs[i]) in self._owned]
        if not self.trained:
            raise CannotCapture("the loss depends on no parameter of the optimizer")
        device = self.trained[0].device
        if graph_has_float16_gradients(graph_module) or uses_float16(job.precision, device):
            job.meet_float16()
        self.scaling = job.scales
        if self.scaling is not None:
            self.scaling.move_to(device)
        # What the captured function returns: a result of the Program, or an input itself.
        self.graph_outputs = [i for i in sorted(self._joint.results) if i not in self._joint.same]
        self.same = dict(self._joint.same)
        self.mutated = list(self._joint.mutations)
        state = {id(tensor) for tensor in (*job.module.parameters(), *job.module.buffers())}
        given = [i for i, t in enumerate(inputs) if isinstance(t, torch.Tensor) and id(t) not in state]
        self.given = given if set(given) & set(self.mutated) else []
        self.variants = {}
        state_before = [(o, set(o.state)) for o in job.optimizers]
        try:
            self._compile(started)
        except BaseException:
            for optimizer, known in state_before:
                for parameter in set(optimizer.state) - known:
                    del optimizer.state[parameter]
            raise
        self._begin()
        del self._joint, self._inputs

    def _joint_graph(self, captured: Captured) -> torch_internals.JointGraph:
        plain = captured.graph_module
        self._early, self._notes = run_before_autograd(captured), captured.notes
        try:
            return self._traced(captured.graph_module, captured.inputs)
        except Exception as error:  # what an early pass wrote may be more than AOTAutograd takes
            if captured.graph_module is plain:
                raise
            self._notes.append(f"early passes were left out: {torch_internals.compiler_reason(error)}")
            self._early = []
            return self._traced(plain, captured.inputs)

    def _traced(self, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> torch_internals.JointGraph:
        numbers = OwnRandomNumbers(self.job.random)
        joint = torch_internals.joint_graph(_detached(graph_module), inputs, numbers.decompositions)
        self._notes += numbers.notes(joint.graph_module.graph)
        return joint

    def _compile(self, started: float) -> None:
        with compiling(self.job.name):
            self._compile_variants(started)

    def _compile_variants(self, started: float) -> None:
        job = self.job
        self.updates = updates = [record_update(o, parameters_of(o, self.trained)) for o in job.optimizers]
        for final in (True, False) if job.options.accumulate > 1 else (True,):
            made = StepProgram(job, self._joint, self._inputs, updates, final=final)
            made.program.notes += self._notes
            capture_seconds = time.perf_counter() - started
            executable = self._compile_program(
                made.program,
                capture_seconds,
                own_passes=job.own_passes,
                tune=job.tune,
                keep_original=job.verify is not None,
            )
            if job.verify is not None:
                check(executable, Verification(job.verify, job.report, job.own_passes, job.precision))
            executable.compilation.passes[:0] = self._early
            job.report.add(executable.compilation)
            self.variants[final] = (executable, made.extra)
            started = time.perf_counter()


def _refuse(graph_module: fx.GraphModule, inputs: Sequence[Any], owned: dict[int, torch.nn.Parameter]) -> None:
    """Refuse what one Program would get wrong in silence."""
    if reason := why_mistraced(graph_module) or traced_wrongly(graph_module):
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
    if reason := refused_by_autograd(graph_module, inputs, tracked=False) or written_twice(graph_module, inputs):
        raise CannotCapture(reason)
    if share_memory(tensors, list(owned.values())):
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
