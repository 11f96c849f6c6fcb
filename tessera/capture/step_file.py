"""``step.save`` and ``tessera.load``: a compiled training step in a file, and in another process.

The file holds neither weights nor state: the model, the optimizers and a checkpoint bring those.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from tessera.artefact.archive import Archive, Members, read_archive, write_archive
from tessera.artefact.environment import environment, unfit
from tessera.backend.portable_wrapper import CannotSave
from tessera.capture import train_step as whole
from tessera.capture.compile import plain_module
from tessera.capture.dispatch import Dispatch
from tessera.capture.loaded_program import LoadedProgram
from tessera.capture.loaded_steps import LoadedSteps
from tessera.capture.loss_scale import LossScale
from tessera.capture.saved_step import GIVEN, describe_model, describe_optimizer, save_program
from tessera.capture.training_job import TrainingJob
from tessera.errors import ArtefactError
from tessera.nn.losses import LOSSES

KIND = "training step"


def save_step(
    job: TrainingJob,
    dispatch: Dispatch | LoadedSteps | None,
    given: Sequence[Any],
    targets: int,
    metrics: Sequence[str],
    path: Path,
) -> str:
    """What ``TrainStep.save`` does.

    Args:
        dispatch: what captured the step.
        given: the captured function's arguments that are not the batch.
        targets: how many of the batch's last values go to the loss.
        metrics: their names.
    """
    if isinstance(dispatch, LoadedSteps):
        raise ArtefactError(
            f"{job.name} was loaded from a file, and is to be saved.",
            "What is saved is what this process compiled.",
            "Copy the file that it was loaded from.",
        )
    captures = [] if dispatch is None else dispatch.captures()
    if not captures:
        raise ArtefactError(
            f"{job.name} has no Program that could be saved: it is {job.report.rung}.",
            "What is saved is a whole step that was compiled.",
            "Call the step with a batch before; print(step.report) says why one is not captured whole.",
        )
    named = dict(zip(GIVEN, given, strict=True))
    members = Members()
    try:
        programs = [{"name": job.name, **save_program(each, job.module, named, members)} for each in captures]
        optimizers = [describe_optimizer(optimizer, job.module) for optimizer in job.optimizers]
    except CannotSave as error:
        raise ArtefactError(
            f"{job.name} cannot be saved: {error}.",
            "A saved step starts elsewhere without Python's part of the capture, so it may only compute with tensors.",
            "Leave that out of the model, the loss or the optimizer, or let every process compile: the cache is warm.",
        ) from error
    scaling = job.scaling
    manifest = {
        "kind": KIND,
        "name": job.name,
        "environment": environment(),
        "model": describe_model(job.module),
        "optimizers": optimizers,
        "step": {
            "targets": targets,
            "loss": _loss_in_words(named["loss"]),
            "metrics": list(metrics),
            "options": dataclasses.asdict(job.options),
            "loss_scale": None if scaling is None else {**dataclasses.asdict(scaling.rule), "now": scaling.in_force},
            "memory_budget": None if job.memory_budget is None else dataclasses.asdict(job.memory_budget),
            "precision": [job.precision.default, [list(rule) for rule in job.precision.layers]],
            "random": job.random,
        },
        "programs": programs,
    }
    return write_archive(path, manifest, members)


def load(
    path: str | os.PathLike[str],
    *,
    model: torch.nn.Module | None = None,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    loss: str | Callable[..., torch.Tensor] | None = None,
    metrics: Mapping[str, whole.Metric] | None = None,
    trust: str | None = None,
) -> whole.TrainStep:
    """A training step that another process compiled: nothing is traced or compiled here.

    Build the model and the optimizer as the program that saved the step did, and load their state from a checkpoint;
    the file holds only what was compiled.

    Args:
        path: what ``step.save(path)`` wrote.
        model: of the class, code and settings of the one that was saved.
        optimizer: likewise; or several.
        loss: needed only where a batch comes that the step was not saved for: then it is captured and compiled.
        metrics: likewise.
        trust: the hash that ``step.save`` returned, for a file that another user or machine wrote.

    Raises:
        ArtefactError: the file is damaged or not trusted, or was made for another model, processor, torch or Python; it
            holds an exported model, or no model or optimizer was passed.
        OptimizerError: an optimizer belongs to other parameters.

    Example:
        >>> step = tessera.load("step.tessera", model=net, optimizer=torch.optim.AdamW(net.parameters()))
        >>> loss = step(x, labels)
    """
    archive = read_archive(Path(path), trust)
    _check_kind(archive)
    if model is None or optimizer is None:
        absent = [name for name, given in (("model", model), ("optimizer", optimizer)) if given is None]
        raise ArtefactError(
            f"{archive.path} holds a training step, and no {' and no '.join(absent)} was passed.",
            "A saved step holds neither weights nor state: the model and the optimizer bring those.",
            "Write tessera.load(path, model=net, optimizer=optimizer) with both built as they were.",
        )
    _check(archive, model)
    try:
        return _loaded(archive, plain_module(model), optimizer, loss, metrics)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        _not_ours(archive, error)


def _check_kind(archive: Archive) -> None:
    if archive.manifest.get("kind") != KIND:
        raise ArtefactError(
            f"{archive.path} holds: {archive.manifest.get('kind')}.",
            "What is loaded with an optimizer is a training step.",
            "Load a file that step.save(path) wrote; an exported model runs with tessera.load_model(path).",
        )


def _check(archive: Archive, model: torch.nn.Module) -> None:
    """Raise unless the file is for this process and this model."""
    manifest, path = archive.manifest, archive.path
    if differing := unfit(manifest["environment"]):
        raise ArtefactError(
            f"{path} was compiled elsewhere: {'; '.join(differing)}.",
            "Compiled code runs with the versions and the kind of processor that it was compiled for.",
            "Compile the step once in this environment, and save it anew: step.save(path).",
        )
    saved, now = manifest["model"], describe_model(plain_module(model))
    tensors = dict.fromkeys([*saved["tensors"], *now["tensors"]])
    reasons = [f"its class was {saved['class']} and is {now['class']}"] if saved["class"] != now["class"] else []
    reasons += [
        f"{name} was {saved['tensors'].get(name, 'not there')} and is {now['tensors'].get(name, 'not there')}"
        for name in tensors
        if saved["tensors"].get(name) != now["tensors"].get(name)
    ]
    if saved["tied"] != now["tied"]:
        reasons.append("other parameters are tied to each other")
    if reasons:
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        raise ArtefactError(
            f"{path} was saved for another model: {'; '.join(reasons[:_SHOWN])}{more}.",
            "A saved step runs a model with the same parameters and buffers.",
            "Build the model as it was, or compile this one and save it: step.save(path).",
        )


_SHOWN = 4


def _loaded(
    archive: Archive,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    loss: str | Callable[..., torch.Tensor] | None,
    metrics: Mapping[str, whole.Metric] | None,
) -> whole.TrainStep:
    manifest, saved = archive.manifest, archive.manifest["step"]
    absent = []
    if loss is None and saved["loss"]["kind"] == "name":
        loss = saved["loss"]["name"]
    elif loss is None and saved["loss"]["kind"] == "function":
        absent, loss = ["loss"], _not_passed
    if metrics is None and saved["metrics"]:
        absent.append("metrics")
    if list(metrics or saved["metrics"]) != saved["metrics"]:
        raise ArtefactError(
            f"The metrics {', '.join(metrics or ())} were passed for {archive.path}.",
            f"It was saved with the metrics {', '.join(saved['metrics']) or 'of none'}.",
            "Pass the same, in the same order, or none.",
        )
    step = whole.train_step(
        model,
        loss,
        optimizer,
        targets=max(1, saved["targets"]),
        metrics=dict.fromkeys(saved["metrics"], _not_passed) if metrics is None else metrics,
        **saved["options"],
        loss_scale=_loss_scale(saved["loss_scale"]),
        memory_budget=_memory_budget(saved["memory_budget"]),
        precision={"default": saved["precision"][0], **dict(saved["precision"][1])},
        random=saved["random"],
    )
    programs = [
        LoadedProgram(each, manifest["optimizers"], archive.read, str(archive.path)) for each in manifest["programs"]
    ]
    step.begin_with(programs, str(archive.path), absent)
    return step


def _memory_budget(saved: Mapping[str, Any] | None) -> str | float | None:
    if saved is None or saved["share"] is not None:
        return None if saved is None else float(saved["share"])
    return "auto" if saved["size"] is None else f"{saved['size']}B"


def _loss_scale(saved: Mapping[str, Any] | None) -> str | LossScale | None:
    if saved is None:
        return None
    return LossScale(**{key: value for key, value in saved.items() if key != "now"}) if saved["now"] else "auto"


def _not_passed(*_: Any) -> NoReturn:
    raise ArtefactError(
        "A loaded step has to run eagerly, and its loss or its metrics were not passed.",
        "What is saved of them is only what they compute for the batches that were saved.",
        "Pass them too: tessera.load(path, ..., loss=loss, metrics=metrics).",
    )


def _loss_in_words(loss: Callable[..., torch.Tensor] | None) -> dict[str, str]:
    if loss is None:
        return {"kind": "own"}
    name = next((name for name, each in LOSSES.items() if each is loss), None)
    return {"kind": "function"} if name is None else {"kind": "name", "name": name}


def _not_ours(archive: Archive, error: Exception) -> NoReturn:
    raise ArtefactError(
        f"{archive.path} holds something else than its manifest says: {type(error).__name__}: {error}.",
        "An artefact is a file that step.save(path) wrote with this version of Tessera.",
        "Compile the step once, and save it anew.",
    ) from error
