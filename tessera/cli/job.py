"""A training as its config says it: the objects that ``tessera.fit`` takes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tessera import train
from tessera.cli.calls import arguments, call, check_kinds
from tessera.cli.config import Config, Entry, nearest
from tessera.cli.objects import find_object, is_reference
from tessera.cli.optimizer import read_optimizer
from tessera.cli.pipeline import read_data
from tessera.nn.losses import resolve_loss
from tessera.train.callbacks.callback import Callback
from tessera.train.fit import fit
from tessera.train.history import History

_OWN_LOSS = "own"
_BESIDE = ("model", "data", "validation", "loss", "metrics", "optimizer", "callbacks")  # keys of their own
_FIT = tuple(name for name in inspect.signature(fit).parameters if name not in {"module", *_BESIDE})


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how.

    Attributes:
        module: the model.
        data: what ``fit`` takes.
        settings: the other arguments of ``fit``.
        folder: of the snapshots; None where none are made.
    """

    module: torch.nn.Module
    data: Any
    settings: dict[str, Any]
    folder: Path | None

    def run(self) -> History:
        """Train, or go on with it."""
        return fit(self.module, self.data, **self.settings)


def read_job(config: Config) -> Job:
    """Make everything that a config names.

    Raises:
        SettingError: an unknown key or name, or a missing one; the line and the nearest name are said.
        TesseraError: what the named things raise, with their lines in the config.
    """
    root = config.root
    root.check_keys((*_BESIDE, "device", "fit"))
    for key, example in (("model", '"net.py:Net"'), ("data", '"net.py:train"')):
        if key not in root:
            raise root.error(
                f"{config.path} has no {key!r}.",
                "A run has a model and data.",
                f"Write for example {key} = {example}.",
            )
    settings = _fit_settings(root)
    seed = settings.get("seed")
    module = _model(root, seed)
    found: dict[str, Any] = {}
    if "validation" in root:
        found["validation"] = read_data(root["validation"], seed=seed, shuffle=False)
    if "loss" in root:
        found["loss"] = _loss(root["loss"])
    if "metrics" in root:
        found["metrics"] = _metrics(root["metrics"])
    if "optimizer" in root:
        found["optimizer"] = read_optimizer(root["optimizer"], module)
    if "callbacks" in root:
        found["callbacks"] = _callbacks(root["callbacks"])
    data = read_data(root["data"], seed=seed, shuffle=True)
    folder = settings["checkpoint"]
    return Job(module, data, settings | found, None if folder is None else Path(folder))


def _fit_settings(root: Entry) -> dict[str, Any]:
    """The arguments under ``[fit]``; runs are shown, and have a folder unless they want none."""
    entry = root["fit"].table("[fit] has the arguments of tessera.fit.") if "fit" in root else root.without(*root.value)
    if entry.keys:
        entry.check_keys(_FIT)
        check_kinds(fit, entry.without("checkpoint"))  # which may be false, too
    folder = root.config.path.parent / "runs" / root.config.path.stem
    settings = {"checkpoint": str(folder), "progress": True} | arguments(fit, entry)
    if settings["checkpoint"] is False:
        settings["checkpoint"] = None
    elif not isinstance(settings["checkpoint"], str):
        raise entry["checkpoint"].error(
            f"checkpoint = {settings['checkpoint']!r} was passed.",
            "It is a folder, or false for none.",
            'Write for example checkpoint = "runs/a".',
        )
    return settings


def _model(root: Entry, seed: object) -> torch.nn.Module:
    entry = root["model"]
    if isinstance(entry.value, str):
        entry = Entry(entry.config, entry.keys, {"name": entry.value})
    table = entry.table('A model is an object, as in "net.py:Net", or a table with its name and its arguments.')
    if "name" not in table:
        raise table.error(
            f"[{table.name}] has no name.", "The name says where the model is.", 'Write name = "net.py:Net".'
        )
    found, made = find_object(table["name"]), table.without("name")
    if isinstance(seed, int):
        torch.manual_seed(seed)  # after the import, which may draw too: the first weights follow from the seed alone
    builds = callable(found) and not isinstance(found, torch.nn.Module)
    module = call(found, made) if builds else found
    if not isinstance(module, torch.nn.Module) or (made.value and not builds):
        what = f"takes no {', '.join(made.value)}: it is" if made.value and not builds else "gave" if builds else "is"
        raise entry.error(
            f"{table['name'].value} {what} a {type(module).__name__}.",
            "A model is a torch.nn.Module, or a class or function that makes one and may take arguments.",
            "Name the class, or a function that returns the module.",
        )
    if "device" in root:
        device = root["device"]
        try:
            return module.to(torch.device(device.value))
        except (RuntimeError, AssertionError, TypeError) as error:  # torch built without it says so by an assertion
            raise device.error(
                f"device = {device.value!r} cannot be used: {error}.",
                "It is a device of this machine; `tessera info` lists them.",
                'Write for example device = "cpu".',
            ) from error
    return module


def _loss(entry: Entry) -> Any:
    if entry.value == _OWN_LOSS:
        return None
    if isinstance(entry.value, dict):
        if "name" not in entry:
            raise entry.error("[loss] has no name.", "The name says which loss it is.", 'Write name = "net.py:loss".')
        return call(find_object(entry["name"]), entry.without("name"))
    with entry.blamed():
        if not is_reference(entry.value):
            return resolve_loss(entry.value)
        found = find_object(entry)
        return found() if isinstance(found, type) else resolve_loss(found)


def _metrics(entry: Entry) -> Any:
    """One metric or several: by name, as objects, as tables with a name and arguments, or under names of one's own."""
    if isinstance(entry.value, dict):
        if "name" in entry:
            return call(find_object(entry["name"]), entry.without("name"))
        return {str(key): _metrics(one) for key, one in entry.items()}
    if isinstance(entry.value, list):
        return [_metrics(one) for _, one in entry.items()]
    if not is_reference(entry.value):
        return entry.value
    found = find_object(entry)
    return found() if isinstance(found, type) else found


def _callbacks(entry: Entry) -> list[Any]:
    if not isinstance(entry.value, list):
        raise entry.error(
            f"{entry.name} = {entry.value!r} is no array.",
            "Callbacks are an array of tables, each with a name and its arguments.",
            'Write [[callbacks]], and below it name = "CSVLogger".',
        )
    return [_callback(one) for _, one in entry.items()]


def _callback(entry: Entry) -> Any:
    table = entry.table('Callbacks are tables: [[callbacks]] with name = "CSVLogger" and its arguments.')
    if "name" not in table:
        raise table.error(
            "A table of [[callbacks]] has no name.",
            "The name says which callback it is.",
            'Write for example name = "CSVLogger".',
        )
    name = table["name"]
    known = _named_callbacks()
    if is_reference(name.value):
        found = find_object(name)
        return call(found, table.without("name")) if isinstance(found, type) or len(table.value) > 1 else found
    if name.value not in known:
        names = sorted(known)
        raise name.error(
            f"There is no callback {name.value!r}.",
            f'The names are {", ".join(names)}, or "file.py:name" for one of your own.',
            nearest(str(name.value), names),
        )
    return call(known[name.value], table.without("name"))


def _named_callbacks() -> dict[str, type[Callback]]:
    """Tessera's own callbacks."""
    found = [one for one in vars(train).values() if isinstance(one, type) and issubclass(one, Callback)]
    return {one.__name__: one for one in found if one is not Callback}
