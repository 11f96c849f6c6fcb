"""Weights and what rebuilds their model: the name of its class and the arguments that it is made with, as JSON.

The file names a class and never imports one: whoever rebuilds the model passes the class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tessera.errors import ExportError, WeightsError
from tessera.nn.weights import load_weights


def config_of(module: torch.nn.Module, config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What rebuilds ``module``: the arguments that were passed, else the config that Hugging Face's models carry."""
    own = getattr(module, "config", None)
    if config is None and own is not None and hasattr(own, "to_json_string"):
        return {"class": _name(type(module)), "pretrained_config": json.loads(own.to_json_string())}
    return None if config is None else {"class": _name(type(module)), "arguments": dict(config)}


def write_config(module: torch.nn.Module, config: Mapping[str, Any] | None, path: Path) -> bool:
    """Write beside the weights at ``path`` what rebuilds the model, if it is known; whether it is.

    Raises:
        ExportError: the arguments make another model, or JSON has no words for them.
    """
    described = config_of(module, config)
    if described is None:
        return False
    try:
        text = json.dumps(described, indent=1, sort_keys=True)
        with torch.device("meta"):
            again = _made(type(module), json.loads(text))
    except Exception as error:
        raise _not_rebuilt(module, f"{type(error).__name__}: {error}") from error
    ours, theirs = _shapes(module), _shapes(again)
    if different := [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]:
        name = different[0]
        raise _not_rebuilt(module, f"{name} is {theirs.get(name, 'not there')} and not {ours.get(name, 'there')}")
    _config_file(path).write_text(text, encoding="utf-8")
    return True


def rebuild(path: Path, kind: type[torch.nn.Module]) -> torch.nn.Module:
    """The model of weights at ``path`` and the config beside them, in eval mode.

    Args:
        kind: its class; the file only says which it was.

    Raises:
        WeightsError: the config or the weights cannot be read, or are of another class.
    """
    try:
        described = json.loads(_config_file(path).read_text(encoding="utf-8"))
        said = described["class"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{_config_file(path)} cannot be read ({type(error).__name__}).",
            "A model is rebuilt from the config that lies beside its weights.",
            "Export it with config={...}, the arguments that its class is made with.",
        ) from error
    if said != _name(kind):
        raise WeightsError(
            f"{path.name} holds the weights of a {said}, and {_name(kind)} was passed.",
            "Weights go into a model of their class.",
            "Pass that class.",
        )
    try:
        module = _made(kind, described)
    except Exception as error:
        raise WeightsError(
            f"{_name(kind)} cannot be made from {_config_file(path).name} ({type(error).__name__}: {error}).",
            "The config holds the arguments of its class.",
            "Copy it again from where it was written.",
        ) from error
    load_weights(module, path)
    return module.eval()


def _made(kind: type[torch.nn.Module], described: Mapping[str, Any]) -> torch.nn.Module:
    if "pretrained_config" in described:
        return kind(kind.config_class.from_dict(described["pretrained_config"]))  # type: ignore[attr-defined]
    return kind(**described["arguments"])


def _shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}


def _config_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _not_rebuilt(module: torch.nn.Module, why: str) -> ExportError:
    return ExportError(
        f"{type(module).__name__} is not rebuilt by its config: {why}.",
        "The config is what the model's class is called with, in plain values, and gives the same tensors.",
        "Pass the arguments as config={...}, or leave it out for the weights alone.",
    )
