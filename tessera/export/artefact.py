"""``.tessera``: an AOTInductor package under a manifest of its inputs, outputs and surroundings, signed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from tessera import torch_internals
from tessera.artefact.archive import Archive, Members, inspect_archive, read_archive, write_archive
from tessera.artefact.environment import environment, unfit
from tessera.errors import ArtefactError
from tessera.export.aot_inductor import compile_package
from tessera.export.example import Example
from tessera.export.flat import FlatCall
from tessera.export.format import Format, Options, Runner, Written

KIND = "exported model"


def write_artefact(flat: FlatCall, example: Example, path: Path, options: Options) -> Written:
    """Compile the model and put it into an archive under its manifest.

    Raises:
        ExportError: it cannot be traced or compiled.
    """
    members = Members()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, torch.no_grad():
        package = Path(folder) / "model.pt2"
        written = compile_package(flat, example, package, options)
        name = members.add(package.read_bytes(), suffix=".pt2")
        outputs = flat.output_names(*example.tensors)
    inputs = [
        {
            "name": each,
            "dtype": str(tensor.dtype),
            "shape": [axes.get(at, size) for at, size in enumerate(tensor.shape)],
        }
        for each, tensor, axes in zip(example.names, example.tensors, example.dims, strict=True)
    ]
    manifest = {
        "kind": KIND,
        "name": type(flat.module).__name__,
        "environment": environment(),
        "inputs": inputs,
        "outputs": outputs,
        "metadata": dict(options.metadata or {}),
        "package": name,
    }
    write_archive(path, manifest, members)
    return written


def load_artefact(path: Path, trust: str | None = None) -> Runner:
    """A model that this user exported on this machine, or whose hash is ``trust``.

    Raises:
        ArtefactError: it is damaged, not trusted, something else, or was compiled for other surroundings.
    """
    return _run(read_archive(path, trust))


def _load_own(path: Path) -> Runner:
    """What was written a moment ago in a folder of one's own."""
    return _run(inspect_archive(path))


def _run(archive: Archive) -> Runner:
    if archive.manifest.get("kind") != KIND:
        raise ArtefactError(
            f"{archive.path} holds a {archive.manifest.get('kind')}.",
            "What is run with tensors alone is an exported model.",
            "Load a file that tessera.export wrote; a training step is loaded with tessera.load.",
        )
    if differing := unfit(archive.manifest["environment"]):
        raise ArtefactError(
            f"{archive.path} was compiled elsewhere: {'; '.join(differing)}.",
            "Compiled code runs with the versions and the kind of processor that it was compiled for.",
            "Export the model once more in this environment.",
        )
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.pt2"
        package.write_bytes(archive.read(archive.manifest["package"]))
        model = torch_internals.load_package(str(package))
    return lambda example: list(model(*example.tensors))


FORMAT = Format(
    name="Tessera artefact",
    endings=(".tessera",),
    packages=("torch",),
    install="pip install torch",
    write=write_artefact,
    load=_load_own,
    keeps_state=True,
    options=frozenset({"metadata", "target"}),
)
