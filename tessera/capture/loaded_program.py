"""A training step's Program from a file, bound to a model and optimizers of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.artefact.descriptions import describe_tensor
from tessera.artefact.structure import Structure
from tessera.backend.inductor import Executable
from tessera.backend.saved_code import Read, load_executable
from tessera.capture.assumptions import CannotFollow, Scope, main_modules
from tessera.capture.bound_step import BoundStep, share_memory
from tessera.capture.bound_update import BoundUpdate, make_state, parameters_of, state_slots
from tessera.capture.hook_watch import HookWatch
from tessera.capture.hyper_parameters import HyperParameters
from tessera.capture.number_guards import NumberGuards
from tessera.capture.saved_step import describe_optimizer
from tessera.capture.step_down import NeedsEagerStep
from tessera.capture.training_job import TrainingJob
from tessera.capture.watch import Watch
from tessera.program import Compilation


class CannotBind(Exception):
    """What of a model, an optimizer or a process is not what the Program was made for, one sentence each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


class LoadedProgram:
    """One captured version of a step.

    Args:
        saved: what ``save_program`` returned.
        optimizers: what ``describe_optimizer`` returned for each optimizer.
        read: bytes of the file's members by name.
        origin: where it was loaded from, for the Report.
    """

    def __init__(self, saved: dict[str, Any], optimizers: Sequence[Mapping[str, str]], read: Read, origin: str) -> None:
        self._saved, self._optimizers = saved, optimizers
        self.structure = Structure(saved["batch"]["structure"], saved["batch"]["layouts"])
        self.process = torch_internals.ProcessState(saved["process"])
        self.compilation = Compilation(saved["name"], origin=origin)
        self._variants = {
            bool(each["final"]): (load_executable(each, read, self.compilation), list(each["extra"]))
            for each in saved["variants"]
        }
        self._bound: _Binding | None = None

    def bind(self, job: TrainingJob, given: Mapping[str, Any], names: Mapping[str, Any]) -> None:
        """Find the model's tensors and the optimizers' state, and see that everything is what was saved.

        Args:
            given: the captured function's parameters that are not the batch, by name; None for what is not here.
            names: its globals.

        Raises:
            CannotBind: something is not.
            NeedsEagerStep: an optimizer makes its state in its first step.
        """
        if reasons := self.process.differences():
            raise CannotBind(reasons)
        absent = {name for name in ("loss", "metrics") if given[name] is None}
        assumed = [each for each in self._saved["assumptions"] if _root(each[0]) not in absent]
        scope = _scope(given, names, assumed)
        tensors: list[Any] = [None] * len(self._saved["inputs"])
        for at, (kind, where) in enumerate(self._saved["inputs"]):
            if kind == "at":
                try:
                    tensors[at] = scope.follow(where)
                except CannotFollow as error:
                    raise CannotBind([str(error)]) from error
        self._bound = _Binding(self._saved, job, tensors, self._variants, self._updates(job, tensors), scope, assumed)

    @property
    def is_bound(self) -> bool:
        """Whether it has a model to work on."""
        return self._bound is not None

    def release(self) -> None:
        """Forget the model: it is to be bound anew."""
        self._bound = None

    def inputs(self, leaves: Sequence[torch.Tensor]) -> list[Any] | None:
        """The Program's first inputs, with these tensors of a batch; None where it is not right for them any more."""
        if self._bound is None:
            return None
        inputs = self._bound.inputs(leaves)
        return inputs if self._bound.takes(inputs) else None

    @property
    def run(self) -> Callable[[Sequence[Any]], tuple[torch.Tensor, list[torch.Tensor]]]:
        """One step on what ``inputs`` returned; the loss and the metrics."""
        if self._bound is None:
            raise CannotBind(["it is bound to no model"])
        return self._bound.run

    def _updates(self, job: TrainingJob, tensors: Sequence[Any]) -> list[BoundUpdate]:
        trained = [tensors[at] for at in self._saved["trained"]]
        known = [set(optimizer.state) for optimizer in job.optimizers]
        try:
            return [
                _bound_update(optimizer, trained, job.module, saved, described)
                for optimizer, saved, described in zip(
                    job.optimizers, self._saved["updates"], self._optimizers, strict=True
                )
            ]
        except CannotBind:
            for optimizer, before in zip(job.optimizers, known, strict=True):
                for parameter in set(optimizer.state) - before:
                    del optimizer.state[parameter]
            raise


class _Binding:
    """A Program with the tensors that it works on."""

    def __init__(
        self,
        saved: dict[str, Any],
        job: TrainingJob,
        tensors: list[Any],
        variants: dict[bool, tuple[Executable, list[str]]],
        updates: Sequence[BoundUpdate],
        scope: Scope,
        assumed: Sequence[Any],
    ) -> None:
        module = job.module
        if any(map(torch_internals.has_module_hooks, module.modules())):
            raise CannotBind(["a layer has hooks"])
        self._hooks = HookWatch("module")
        self._hooks.begin(module)
        self._tensors = tensors
        self._holes = [(at, where) for at, (kind, where) in enumerate(saved["inputs"]) if kind == "batch"]
        leaves = Structure(saved["batch"]["structure"], saved["batch"]["layouts"]).stand_ins()
        self._fits = torch_internals.layout_check(self.inputs(leaves))
        paths = [path for path, _ in assumed] + [where for kind, where in saved["inputs"] if kind == "at"]
        self._watch = Watch(scope, paths)
        self.step = _LoadedStep(saved, job, self.inputs(leaves), variants, updates)
        self._results = saved["loss"], saved["metrics"]

    def inputs(self, leaves: Sequence[torch.Tensor]) -> list[Any]:
        """The Program's first inputs, with these tensors of a batch."""
        inputs = list(self._tensors)
        for at, number in self._holes:
            inputs[at] = leaves[number]
        return inputs

    def takes(self, inputs: Sequence[Any]) -> bool:
        """Whether the Program is right for these inputs, the model as it is now."""
        return self._fits(*inputs) and self._hooks.holds() and self._watch.holds()

    def run(self, inputs: Sequence[Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """One step; the loss and the metrics."""
        outputs = self.step(*inputs)
        loss, metrics = self._results
        return outputs[loss], [outputs[at] for at in metrics]


class _LoadedStep(BoundStep):
    def __init__(
        self,
        saved: dict[str, Any],
        job: TrainingJob,
        inputs: Sequence[Any],
        variants: dict[bool, tuple[Executable, list[str]]],
        updates: Sequence[BoundUpdate],
    ) -> None:
        self.job, self.updates, self.variants = job, updates, variants
        self.expected = [(at, p) for at, p in enumerate(inputs) if isinstance(p, torch.nn.Parameter)]
        self.trained = [inputs[at] for at in saved["trained"]]
        self.graph_outputs, self.mutated = saved["graph_outputs"], ()
        self.same = dict(saved["same"])
        if saved["scaled"]:
            job.meet_float16()
        self.scaling = job.scales
        if (self.scaling is not None) != saved["scaled"]:
            raise CannotBind([f"its loss is {'not ' if self.scaling is None else ''}scaled here"])
        if share_memory(inputs, self.trained):
            raise CannotBind(["two inputs of the step share memory, and one of them is a parameter that is updated"])
        if torch_internals.have_gradient_hooks([p for _, p in self.expected]):
            raise CannotBind(["a parameter has gradient hooks"])
        if any(map(torch_internals.has_step_hooks, job.optimizers)):
            raise CannotBind(["an optimizer has step hooks"])
        self._hook_count = torch_internals.hook_count()
        self._begin()


def _bound_update(
    optimizer: torch.optim.Optimizer,
    trained: Sequence[torch.Tensor],
    module: torch.nn.Module,
    saved: dict[str, Any],
    described: Mapping[str, str],
) -> BoundUpdate:
    now = describe_optimizer(optimizer, module)
    keys = dict.fromkeys([*described, *now])
    reasons = [
        f"{key} of {type(optimizer).__name__} was {described.get(key)} and is {now.get(key)}"
        for key in keys
        if described.get(key) != now.get(key)
    ]
    if reasons:
        raise CannotBind(reasons)
    names = {id(p): name for name, p in module.named_parameters()}
    parameters = parameters_of(optimizer, trained)
    make_state(optimizer, parameters)
    slots = state_slots(optimizer, parameters)
    found = [[names[id(slot.parameter)], slot.name, describe_tensor(slot.tensor)] for slot in slots]
    if found != saved["slots"]:
        if len(found) < len(saved["slots"]):
            raise NeedsEagerStep(f"{type(optimizer).__name__} makes its state in its first step")
        raise CannotBind([f"the state of {type(optimizer).__name__} is another one"])
    hyper_parameters = HyperParameters(optimizer)
    guards = [NumberGuards(saved["guards"])]
    if hyper_parameters.names != saved["hyper_parameters"]:
        raise CannotBind([f"{type(optimizer).__name__} has other hyper-parameters"])
    if not guards[0](hyper_parameters.values):
        raise CannotBind([f"a hyper-parameter of {type(optimizer).__name__} takes another formula, as a 0 may"])
    return BoundUpdate(optimizer, parameters, slots, hyper_parameters, guards)


def _root(path: str) -> str:
    return path.partition("[")[0].partition(".")[0]


def _scope(given: Mapping[str, Any], names: Mapping[str, Any], assumed: Sequence[Any]) -> Scope:
    """A scope in which all that was assumed holds, whatever the program's main module is called here."""
    reasons: list[str] = []
    for main in main_modules(given):
        scope = Scope(given, names, {"__main__": main})
        found = [
            f"{path} was {described} and is {now}"
            for path, described in assumed
            if (now := scope.described(path)) != described
        ]
        if not found:
            return scope
        reasons = found if not reasons or len(found) < len(reasons) else reasons
    raise CannotBind(reasons)
