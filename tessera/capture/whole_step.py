"""A training step as one Program: forward, loss, backward, clipping, the optimizers' updates.

Dynamo hands over the forward and loss as a graph; AOTAutograd adds the backward; what follows is appended here. The
resulting ``WholeStep`` stands in for the forward in Dynamo's code: called with the same inputs it runs the whole step
and returns the forward's outputs, so whatever Python side effects Dynamo replays stay as they were.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.inductor import Executable, compile_program
from tessera.backend.unsafe_graphs import traced_wrongly
from tessera.capture.splice import Splicer
from tessera.capture.step_down import CannotCapture
from tessera.capture.update import Update, record_update
from tessera.program import COPY, Phase, Program, Report, Role, Value, copy_graph, source_line

LOSS = 0  # the loss is what the captured function returns first


class StaleProgram(Exception):
    """A parameter, a state tensor or the optimizer's structure changed since the capture: capture again."""


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


class CannotLoop(Exception):
    """This Program runs one step a call: it calls libraries between its kernels, or its results depend on Python."""


@dataclass
class TrainingJob:
    """The things a training step is about, named for the Report.

    ``extra`` receives what the last call computed besides the forward's outputs: gradient norm and the finite flag.
    ``loop`` asks the next call to run many steps. ``accumulators`` hold the sum of the gradients of the micro-batches
    since the last update, for every parameter that took part in them.
    """

    name: str
    module: torch.nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    options: StepOptions
    report: Report
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    micro_step: int = 0
    accumulators: dict[torch.nn.Parameter, torch.Tensor] = field(default_factory=dict)
    loop: Loop | None = None


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
        _refuse(graph_module, inputs, self._owned)
        self._joint = torch_internals.joint_graph(_detached(graph_module), inputs)
        self._inputs = inputs
        if self._joint.views:
            raise CannotCapture(
                "a tensor that leaves the forward (an attribute, a list) is a view of a parameter, buffer or batch",
                "Keep a copy instead: write .clone().",
                source_line(_returned(graph_module)[self._joint.views[0]]),
            )
        self._trained = [inputs[i] for i in self._joint.gradients if id(inputs[i]) in self._owned]
        if not self._trained:
            raise CannotCapture("the loss depends on no parameter of the optimizer")
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
        self._state = [slot.tensor for update in self.updates for slot in update.slots]
        self._hyper = [t for update in self.updates for t in update.hyper_parameters.tensors]
        for optimizer in job.optimizers:
            torch_internals.mark_stepped(optimizer)
        del self._joint, self._inputs

    def _compile(self, started: float) -> None:
        job = self.job
        self.updates = [record_update(o, _of(o, self._trained)) for o in job.optimizers]
        self._accumulates = job.options.accumulate > 1
        self._build(final=True, started=started)
        if self._accumulates:
            self._build(final=False, started=time.perf_counter())

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
        if job.loop is not None:
            return self._run_loop(job.loop, inputs)
        if self._accumulates:
            return self._accumulate(inputs)
        executable, extra = self._variants[True]
        results = executable.call([*inputs, *self._state, *self._hyper])
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
        results = executable.call([*inputs, *self._state, *self._hyper, *sums])
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
        everything = [*values, *self._state, *self._hyper]
        ran, results = executable.native.loop(len(loop.stacked[0]), everything, stacked, stop)
        torch_internals.mark_written(self._trained)
        return self._returned([result[:ran] for result in results], extra, inputs)

    # -- building the Program ------------------------------------------------------------------------------------

    def _build(self, final: bool, started: float) -> None:
        program, extra = self._program(final)
        executable = compile_program(program, time.perf_counter() - started)
        self.job.report.add(executable.compilation)
        self._variants[final] = (executable, extra)

    def _program(self, final: bool) -> tuple[Program, list[str]]:
        options, joint = self.job.options, self._joint
        graph_module = copy_graph(joint.graph_module)
        graph = graph_module.graph
        placeholders = list(graph.find_nodes(op="placeholder"))
        returned = _returned(graph_module)
        for node in graph.nodes:
            backward = torch_internals.joint_metadata_is_backward(node)
            node.meta["phase"] = Phase.BACKWARD if backward else Phase.FORWARD
        splicer = Splicer(graph_module, torch_internals.fake_mode_of([p.meta["val"] for p in placeholders]))
        inputs = placeholders[: len(self._inputs)]
        self._replace_tangents(graph, placeholders, 1.0 / options.accumulate)

        states = [splicer.input(f"state_{slot.name}", slot.tensor) for u in self.updates for slot in u.slots]
        hypers = [splicer.input("hyper", tensor) for u in self.updates for tensor in u.hyper_parameters.tensors]
        sums = [splicer.input("sum", p.detach()) for p in self._trained if self._accumulates]

        loss = returned[joint.results[LOSS]]
        owned = [i for i in joint.gradients if id(self._inputs[i]) in self._owned]
        gradients = {i: returned[joint.gradients[i]] for i in owned}
        new_values: dict[fx.Node, fx.Node] = {inputs[i]: returned[at] for i, at in joint.mutations.items()}
        extra: list[tuple[str, fx.Node]] = []
        if sums:
            added = splicer.append(_add, [*sums, *gradients.values()], Phase.BACKWARD)
            gradients = dict(zip(owned, added, strict=True))
            if not final:
                new_values |= dict(zip(sums, added, strict=True))
        if final:
            if options.clip_norm is not None:
                limit = options.clip_norm
                norm, *clipped = splicer.append(lambda *g: _clip(g, limit), list(gradients.values()), Phase.CLIP)
                gradients = dict(zip(owned, clipped, strict=True))
                extra.append(("grad_norm", norm))
            self._append_updates(splicer, inputs, states, hypers, gradients, new_values)
        if options.check_finite:
            (finite,) = splicer.append(_all_finite, [loss, *gradients.values()], Phase.CHECK)
            old = list(new_values)
            kept = splicer.append(_keep_unless, [finite, *old, *new_values.values()], Phase.CHECK)
            new_values = dict(zip(old, kept, strict=True))
            extra.append(("finite", finite))

        output = graph.output_node()
        with graph.inserting_before(output):
            for destination, source in new_values.items():
                copy = graph.call_function(COPY, (destination, source))
                copy.meta |= {"val": destination.meta["val"], "phase": Phase.UPDATE}
        results = [returned[joint.results[i]] for i in self._graph_outputs] + [node for _, node in extra]
        output.args = (tuple(results),)
        output.meta = {}
        graph.eliminate_dead_code()
        graph_module.recompile()
        names = [name for name, _ in extra]
        return Program(self.job.name, graph_module, self._named_inputs(placeholders), self._named_outputs(names)), names

    def _replace_tangents(self, graph: fx.Graph, placeholders: list[fx.Node], scale: float) -> None:
        for position, of in self._joint.tangents.items():
            tangent = placeholders[position]
            # Nothing follows the step, so the new value of an input has no gradient.
            number = scale if of == LOSS else 0.0
            value = tangent.meta["val"]
            with graph.inserting_after(placeholders[-1]):
                options = {"dtype": value.dtype, "device": value.device}
                constant = graph.call_function(torch.ops.aten.full.default, (list(value.shape), number), options)
            constant.meta |= {"val": value, "phase": Phase.BACKWARD}
            tangent.replace_all_uses_with(constant)
            graph.erase_node(tangent)

    def _append_updates(
        self,
        splicer: Splicer,
        inputs: Sequence[fx.Node],
        states: Sequence[fx.Node],
        hypers: Sequence[fx.Node],
        gradients: dict[int, fx.Node],
        new_values: dict[fx.Node, fx.Node],
    ) -> None:
        position = {id(self._inputs[i]): i for i in gradients}
        states, hypers = list(states), list(hypers)
        for update in self.updates:
            at = [position[id(p)] for p in update.parameters]
            parameters, grads = [inputs[i] for i in at], [gradients[i] for i in at]
            # The forward may have edited a parameter (weights clamped under no_grad): the update starts from there.
            edited = [new_values.get(p, p) for p in parameters]
            own_states = [states.pop(0) for _ in update.slots]
            own_hypers = [hypers.pop(0) for _ in update.hyper_parameters.tensors]
            new = splicer.append(_applied(update), [*edited, *grads, *own_states, *own_hypers], Phase.UPDATE)
            new_values |= dict(zip([*parameters, *own_states], new, strict=True))

    def _named_inputs(self, placeholders: Sequence[fx.Node]) -> list[Value]:
        names = {id(p): name for name, p in self.job.module.named_parameters()}
        buffers = {id(b): name for name, b in self.job.module.named_buffers()}
        values = []
        for node, example in zip(placeholders, self._inputs, strict=False):
            if id(example) in names:
                values.append(Value(names[id(example)], Role.PARAMETER))
            elif id(example) in buffers:
                values.append(Value(buffers[id(example)], Role.BUFFER))
            else:
                values.append(Value(node.name, Role.BATCH if isinstance(example, torch.Tensor) else Role.SIZE))
        for update in self.updates:
            owner = [names.get(id(s.parameter), "parameter") for s in update.slots]
            values += [Value(f"{o}.{s.name}", Role.OPTIMIZER_STATE) for o, s in zip(owner, update.slots, strict=True)]
        for update in self.updates:
            values += [Value(name, Role.HYPER_PARAMETER) for name in update.hyper_parameters.names]
        return values + [Value(names[id(p)], Role.ACCUMULATOR) for p in self._trained if self._accumulates]

    def _named_outputs(self, extra: Sequence[str]) -> list[Value]:
        results = [Value("loss", Role.LOSS)]
        results += [Value(f"output {i}", Role.RESULT) for i in self._graph_outputs[1:]]
        return results + [Value(name, Role.METRIC) for name in extra]


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
    results = _returned(graph_module)
    loss = results[LOSS] if results else None
    example = loss.meta.get("example_value") if isinstance(loss, fx.Node) else None
    if not isinstance(example, torch.Tensor) or example.numel() != 1 or not example.requires_grad:
        raise CannotCapture("the loss is not a scalar tensor that depends on trainable parameters")


def _returned(graph_module: fx.GraphModule) -> list[fx.Node]:
    (results,) = graph_module.graph.output_node().args
    return list(results)  # type: ignore[arg-type]


def _detached(graph_module: fx.GraphModule) -> fx.GraphModule:
    """A copy in which only the loss carries a gradient: other outputs leave the step as plain values."""
    copied = copy_graph(graph_module)
    output = copied.graph.output_node()
    loss, *others = _returned(copied)
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


def _applied(update: Update) -> Any:
    count, slots = len(update.parameters), len(update.slots)

    def applied(*flat: Any) -> list[Any]:
        parameters, gradients = list(flat[:count]), list(flat[count : 2 * count])
        states, hypers = list(flat[2 * count : 2 * count + slots]), list(flat[2 * count + slots :])
        new_parameters, new_states = update.apply(parameters, gradients, states, hypers)
        return new_parameters + new_states

    return applied


# -- tensor code of the step besides forward, backward and update ----------------------------------------------------


def _add(*flat: torch.Tensor) -> list[torch.Tensor]:
    half = len(flat) // 2
    return [total + gradient for total, gradient in zip(flat[:half], flat[half:], strict=True)]


def _clip(gradients: Sequence[torch.Tensor], limit: float) -> list[torch.Tensor]:
    # The formula of torch.nn.utils.clip_grad_norm_, 1e-6 included.
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
    return [norm, *(g * scale for g in gradients)]


def _all_finite(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [torch.stack([torch.isfinite(t).all() for t in tensors]).all()]


def _keep_unless(finite: torch.Tensor, *flat: torch.Tensor) -> list[torch.Tensor]:
    half = len(flat) // 2
    return [torch.where(finite, new, old) for old, new in zip(flat[:half], flat[half:], strict=True)]
