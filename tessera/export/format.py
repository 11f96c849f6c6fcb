"""What a file format is to an export: how to write it, how to run what was written, what it needs.

A format is one file of this folder with one constant ``FORMAT``; ``formats.py`` says which endings are whose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tessera.errors import MissingDependencyError
from tessera.export.example import Example
from tessera.export.exported import Exported
from tessera.export.flat import FlatCall

Runner = Callable[[Example], list[torch.Tensor]]  # answers to the example's tensors, in the order of the model's


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of some formats and not of others; None: not asked.

    Attributes:
        opset: the version of ONNX's operators.
        weights: ``"inside"`` the file or ``"beside"`` it.
        metadata: texts that the file carries.
        target: the device that the file is for.
        config: the arguments that the model's class is made with.
        sizes: the sizes that a file of fixed sizes is for, by name.
    """

    opset: int | None = None
    weights: str | None = None
    metadata: Mapping[str, str] | None = None
    target: str | None = None
    config: Mapping[str, Any] | None = None
    sizes: Mapping[str, Sequence[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer can say of its file.

    Attributes:
        operators: how many of each there are in the file.
        decomposed: what of the model's operators became which operators.
        notes: sentences that whoever uses the file should read.
        largest: of every size that may change, where the file has a bound that nobody declared.
    """

    operators: Mapping[str, int] = field(default_factory=dict)
    decomposed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    largest: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        name: as it is written in a sentence.
        endings: of its files, with the dot.
        packages: the modules that writing and running import.
        install: the command that installs them.
        write: writes a model to a path, and what belongs beside it into the same folder. The model takes the example's
            tensors by position, gives a tuple of tensors, and is in eval mode. What cannot be written raises
            ``ExportError``; any other error is told as one.
        load: what runs the file at a path in the format's own runtime, on the CPU; None for a format that holds weights
            and no computation: its writer reads back what it wrote and compares it.
        takes_dynamic: whether one file can answer for several sizes. Where it cannot, the sizes of the example are
            fixed, and the report says so.
        keeps_state: whether a file keeps the buffers that a call changes, and begins anew when it is loaded.
        options: the names of those ``Options`` that it takes.
        instead: where the packages are not there, what writes something that is of use all the same and gives the error
            to raise. It is given a function that writes and checks another format with the same call.
    """

    name: str
    endings: tuple[str, ...]
    packages: tuple[str, ...]
    install: str
    write: Callable[[FlatCall, Example, Path, Options], Written]
    load: Callable[[Path], Runner] | None
    takes_dynamic: bool = True
    keeps_state: bool = False
    options: frozenset[str] = frozenset()
    instead: Callable[[Example, Path, Callable[[Format, Path], Exported]], MissingDependencyError] | None = None
