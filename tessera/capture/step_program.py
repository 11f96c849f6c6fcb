"""Puts a training step together as one Program: behind forward and backward, what becomes of the gradients.

    micro-batch   sums' = sums + gradients
    update        [sums +] gradients  >  divided by the loss scale  >  clipped  >  the optimizers' updates
    ascent        before the update of an optimizer that takes gradients elsewhere: forward and backward once more there
    check         what is not finite keeps everything, or only the update, as it was

The loss scale is the tangent of the loss, where the backward begins.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.capture import gradients as arithmetic
from tessera.capture.loss_scale import LossScale
from tessera.capture.splice import Splicer, returned_nodes
from tessera.capture.training_job import TrainingJob
from tessera.capture.update import Apply, Update
from tessera.program import COPY, Phase, Program, Role, Value, copy_graph

LOSS = 0  # the loss is what the captured function returns first


class StepProgram:
    """One variant of a training step, written into a copy of its joint graph.

    Args:
        job: what the step is about.
        joint: forward and backward; its gradients of ``inputs`` that no update takes are dropped.
        inputs: real examples of the forward's inputs.
        updates: what the optimizers do.
        final: whether this call updates, or is a micro-batch that only adds to the sums of gradients.

    Attributes:
        program: the result. Its inputs are the forward's, then ``kept`` tensors, then a sum for each trained parameter.
        extra: names of what it returns behind the forward's outputs.
    """

    def __init__(
        self,
        job: TrainingJob,
        joint: torch_internals.JointGraph,
        inputs: Sequence[Any],
        updates: Sequence[Update],
        *,
        final: bool,
    ) -> None:
        self._job, self._joint, self._examples, self._updates = job, joint, inputs, updates
        graph_module = copy_graph(joint.graph_module)
        self._graph = graph_module.graph
        for node in self._graph.nodes:
            backward = torch_internals.joint_metadata_is_backward(node)
            node.meta["phase"] = Phase.BACKWARD if backward else Phase.FORWARD
        placeholders = list(self._graph.find_nodes(op="placeholder"))
        self._returned = returned_nodes(graph_module)
        self._splicer = Splicer(graph_module, torch_internals.fake_mode_of([p.meta["val"] for p in placeholders]))
        self._inputs = placeholders[: len(inputs)]
        taken = {id(p) for update in updates for p in update.parameters}
        self._owned = [i for i in joint.gradients if id(inputs[i]) in taken]
        self._add_inputs()
        self._replace_tangents(placeholders)
        self._gradients = [self._returned[joint.gradients[i]] for i in self._owned]
        self._new_values = {self._inputs[i]: self._returned[at] for i, at in joint.mutations.items()}
        self._latest_loss = self._returned[joint.results[LOSS]]
        self._checked: list[fx.Node] = []
        self._extra: dict[str, fx.Node] = {}
        self._append(final)
        self.extra = list(self._extra)
        self._finish()
        graph_module.recompile()
        named = self._named_inputs(), self._named_outputs()
        self.program = Program(job.name, graph_module, *named, job.precision, self._real_inputs())
        self.program.memory_budget = job.memory_budget

    def _add_inputs(self) -> None:
        splicer, scaling = self._splicer, self._job.scales
        trained = [self._examples[i] for i in self._owned]
        accumulates = self._job.options.accumulate > 1
        self._states = [splicer.input(f"state_{s.name}", s.tensor) for u in self._updates for s in u.slots]
        self._hypers = [splicer.input("hyper", t) for u in self._updates for t in u.hyper_parameters.tensors]
        self._scaling = [splicer.input("loss_scale", t) for t in scaling.tensors] if scaling else []
        self._sums = [splicer.input("sum", p.detach()) for p in trained] if accumulates else []

    def _replace_tangents(self, placeholders: Sequence[fx.Node]) -> None:
        first = next(node for node in self._graph.nodes if node.op != "placeholder")
        share = 1.0 / self._job.options.accumulate
        for position, of in self._joint.tangents.items():
            tangent = placeholders[position]
            value = tangent.meta["val"]
            if of == LOSS and self._scaling:
                make = functools.partial(_scaled_tangent, self._job.options.accumulate, value.dtype, value.shape)
                (new,) = self._splicer.append(make, self._scaling[:1], Phase.BACKWARD, before=first)
            else:
                # Nothing follows the step, so the new value of an input has no gradient.
                number = share if of == LOSS else 0.0
                options = {"dtype": value.dtype, "device": value.device}
                with self._graph.inserting_before(first):
                    new = self._graph.call_function(_FULL, (list(value.shape), number), options)
                new.meta |= {"val": value, "phase": Phase.BACKWARD}
            tangent.replace_all_uses_with(new)
            self._graph.erase_node(tangent)

    def _append(self, final: bool) -> None:
        options, scaling = self._job.options, self._job.scales
        evaluation = [node for node in self._graph.nodes if node.op not in ("placeholder", "output")]
        if self._sums:
            self._change_gradients(arithmetic.add, Phase.BACKWARD, *self._sums)
            if not final:
                self._new_values |= dict(zip(self._sums, self._gradients, strict=True))
        keeps_all = options.check_finite and not self._job.forgives
        if final:
            self._unscale_and_clip()
            if moved := self._append_ascent():
                self._checked += self._to_check()
                self._evaluate_again(evaluation, moved)
                self._unscale_and_clip()
            updated = self._append_updates()
            if scaling is not None and not keeps_all:
                finite = self._finite()
                updated = self._kept_unless(finite, updated)
                follow = functools.partial(LossScale.next, scaling.rule)
                new = self._splicer.append(follow, [finite, *self._scaling], Phase.CHECK)
                updated |= {old: (old, value) for old, value in zip(self._scaling, new, strict=True)}
                if options.check_finite:
                    tolerated = [finite, self._scaling[0]]
                    (self._extra["finite"],) = self._splicer.append(arithmetic.tolerated, tolerated, Phase.CHECK)
            self._new_values |= {destination: new for destination, (_, new) in updated.items()}
        if keeps_all:
            finite = self._finite()
            changed = {destination: (destination, new) for destination, new in self._new_values.items()}
            kept = self._kept_unless(finite, changed)
            self._new_values = {destination: new for destination, (_, new) in kept.items()}
            self._extra["finite"] = finite

    def _unscale_and_clip(self) -> None:
        options, scaling = self._job.options, self._job.scales
        if scaling is not None:
            self._change_gradients(arithmetic.unscale, Phase.CLIP, self._scaling[0])
        if options.clip_norm is not None:
            clip = functools.partial(arithmetic.clip, options.clip_norm)
            (self._extra["grad_norm"],) = self._change_gradients(clip, Phase.CLIP)
        if scaling is not None:
            dtypes = [self._examples[i].dtype for i in self._owned]
            self._change_gradients(functools.partial(arithmetic.cast, dtypes), Phase.CLIP)

    def _change_gradients(self, function: Callable[..., Any], phase: Phase, *before: fx.Node) -> list[fx.Node]:
        """Put what ``function`` makes of the gradients in their place; returns what it makes before them."""
        made = self._splicer.append(function, [*before, *self._gradients], phase)
        count = len(made) - len(self._gradients)
        self._gradients = made[count:]
        return made[:count]

    def _append_ascent(self) -> dict[fx.Node, fx.Node]:
        """Parameter -> where its gradient is to be taken, for those that an optimizer wants to have elsewhere."""
        moved: dict[fx.Node, fx.Node] = {}
        for update, parameters, values in self._arguments():
            if update.ascend is not None:
                ascend = _on_lists(update.ascend, len(parameters), len(update.slots))
                new = self._splicer.append(ascend, values, Phase.BACKWARD)
                moved |= dict(zip(parameters, new, strict=False))
        return moved

    def _evaluate_again(self, evaluation: Sequence[fx.Node], moved: dict[fx.Node, fx.Node]) -> None:
        """Forward and backward once more, with parameters ``moved`` and buffers as they are by now."""
        edits = {node: new for node, new in self._new_values.items() if node not in moved}
        copied: dict[fx.Node, fx.Node] = {node: node for node in self._graph.find_nodes(op="placeholder")}
        copied |= edits | moved
        output = self._graph.output_node()
        for node in evaluation:
            with self._graph.inserting_before(output):
                copied[node] = self._graph.node_copy(node, copied.__getitem__)
        returned = [copied[node] if isinstance(node, fx.Node) else node for node in self._returned]
        self._new_values |= {node: copied[new] for node, new in edits.items()}
        self._gradients = [returned[self._joint.gradients[i]] for i in self._owned]
        self._latest_loss = returned[self._joint.results[LOSS]]

    def _append_updates(self) -> dict[fx.Node, tuple[fx.Node, fx.Node]]:
        """Add the optimizers' updates; returns destination -> (value before, value after)."""
        updated: dict[fx.Node, tuple[fx.Node, fx.Node]] = {}
        for update, parameters, values in self._arguments():
            count, slots = len(parameters), len(update.slots)
            before, gradients = values[:count], values[count : 2 * count]
            states, hypers = values[2 * count : 2 * count + slots], values[2 * count + slots :]
            for kind in update.kinds:
                members = [
                    [*(before[i] for i in at), *(gradients[i] for i in at), *(states[i] for i in own)]
                    for at, own in kind.members
                ]
                at, own = kind.members[0]
                results = self._splicer.append_each(
                    _on_lists(kind.apply, len(at), len(own)), members, hypers, Phase.UPDATE
                )
                for (at, own), new in zip(kind.members, results, strict=True):
                    old = zip([*(before[i] for i in at), *(states[i] for i in own)], new, strict=True)
                    updated |= dict(zip([*(parameters[i] for i in at), *(states[i] for i in own)], old, strict=True))
        return updated

    def _arguments(self) -> Iterator[tuple[Update, list[fx.Node], list[fx.Node]]]:
        """Each update with its parameters and what it is computed from: their values, gradients, states, numbers."""
        position = {id(self._examples[i]): at for at, i in enumerate(self._owned)}
        states, hypers = iter(self._states), iter(self._hypers)
        for update in self._updates:
            at = [position[id(p)] for p in update.parameters]
            parameters = [self._inputs[self._owned[i]] for i in at]
            # The forward may have edited a parameter (weights clamped under no_grad): the update starts from there.
            edited = [self._new_values.get(p, p) for p in parameters]
            own_states = itertools.islice(states, len(update.slots))
            own_hypers = itertools.islice(hypers, len(update.hyper_parameters.tensors))
            yield update, parameters, [*edited, *(self._gradients[i] for i in at), *own_states, *own_hypers]

    def _to_check(self) -> list[fx.Node]:
        """The gradients, and the loss where that matters."""
        return [*([self._latest_loss] if self._job.options.check_finite else []), *self._gradients]

    def _finite(self) -> fx.Node:
        """Whether all of them are finite, of each evaluation."""
        checked = [*self._checked, *self._to_check()]
        (finite,) = self._splicer.append(lambda *values: [arithmetic.all_finite(values)], checked, Phase.CHECK)
        return finite

    def _kept_unless(
        self, finite: fx.Node, changes: dict[fx.Node, tuple[fx.Node, fx.Node]]
    ) -> dict[fx.Node, tuple[fx.Node, fx.Node]]:
        old, new = [old for old, _ in changes.values()], [new for _, new in changes.values()]
        kept = self._splicer.append(arithmetic.choose, [finite, *old, *new], Phase.CHECK)
        return dict(zip(changes, zip(old, kept, strict=True), strict=True))

    def _finish(self) -> None:
        output = self._graph.output_node()
        with self._graph.inserting_before(output):
            for destination, source in self._new_values.items():
                copy = self._graph.call_function(COPY, (destination, source))
                copy.meta |= {"val": destination.meta["val"], "phase": Phase.UPDATE}
        results = [self._returned[at] for at in self._result_positions().values()]
        output.args = ((*results, *self._extra.values()),)
        output.meta = {}
        self._graph.eliminate_dead_code()

    def _result_positions(self) -> dict[int, int]:
        """Output of the captured function -> position in the joint graph, for those that are no input themselves."""
        return {i: at for i, at in sorted(self._joint.results.items()) if i not in self._joint.same}

    def _real_inputs(self) -> list[Any]:
        """An example of every input of the Program, in order."""
        scaling = self._job.scales
        kept = [s.tensor for u in self._updates for s in u.slots]
        kept += [t for u in self._updates for t in u.hyper_parameters.tensors]
        kept += scaling.tensors if scaling else []
        sums = [torch.zeros_like(self._examples[i]) for i in self._owned] if self._sums else []
        return [*map(torch_internals.size_hint, self._examples), *kept, *sums]

    def _named_inputs(self) -> list[Value]:
        names = {id(p): name for name, p in self._job.module.named_parameters()}
        buffers = {id(b): name for name, b in self._job.module.named_buffers()}
        values = []
        for node, example in zip(self._inputs, self._examples, strict=True):
            if id(example) in names:
                values.append(Value(names[id(example)], Role.PARAMETER))
            elif id(example) in buffers:
                values.append(Value(buffers[id(example)], Role.BUFFER))
            else:
                values.append(Value(node.name, Role.BATCH if isinstance(example, torch.Tensor) else Role.SIZE))
        for update in self._updates:
            owner = [names.get(id(s.parameter), "parameter") for s in update.slots]
            values += [Value(f"{o}.{s.name}", Role.OPTIMIZER_STATE) for o, s in zip(owner, update.slots, strict=True)]
        for update in self._updates:
            values += [Value(name, Role.HYPER_PARAMETER) for name in update.hyper_parameters.names]
        scaling = self._job.scales
        values += [Value(f"loss scale: {name}", Role.OPTIMIZER_STATE) for name in scaling.names] if scaling else []
        sums = self._owned if self._sums else []
        return values + [Value(names[id(self._examples[i])], Role.ACCUMULATOR) for i in sums]

    def _named_outputs(self) -> list[Value]:
        results = [Value("loss", Role.LOSS)]
        results += [Value(f"output {i}", Role.RESULT) for i in list(self._result_positions())[1:]]
        return results + [Value(name, Role.METRIC) for name in self._extra]


_FULL = torch.ops.aten.full.default


def _scaled_tangent(
    accumulate: int, dtype: torch.dtype, shape: Sequence[int], scale: torch.Tensor
) -> list[torch.Tensor]:
    return [arithmetic.tangent(scale, accumulate, dtype).expand(shape)]


def _on_lists(apply: Apply, count: int, slots: int) -> Callable[..., list[Any]]:
    def applied(*flat: Any) -> list[Any]:
        parameters, gradients = list(flat[:count]), list(flat[count : 2 * count])
        states, hypers = list(flat[2 * count : 2 * count + slots]), list(flat[2 * count + slots :])
        new_parameters, new_states = apply(parameters, gradients, states, hypers)
        return new_parameters + new_states

    return applied
