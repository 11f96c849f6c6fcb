"""What `tessera info` shows of a `.tessera` file: from what its compiled code was saved. Nothing in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessera.artefact.archive import Archive, inspect_archive
from tessera.artefact.environment import unfit
from tessera.artefact.trust import is_ones_own
from tessera.errors import ArtefactError
from tessera.export.artefact import KIND as EXPORTED


def collect(path: Path) -> dict[str, dict[str, Any]]:
    """By section, in plain values.

    Raises:
        ArtefactError: it is no such file.
    """
    archive = inspect_archive(path)
    try:
        return _facts(archive)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ArtefactError(
            f"{path} holds something else than its manifest says: {type(error).__name__}: {error}.",
            "An artefact is a file that step.save(path) or tessera.export wrote with this version of Tessera.",
            "Compile the step once and save it anew, or export the model anew.",
        ) from error


def _facts(archive: Archive) -> dict[str, dict[str, Any]]:
    manifest = archive.manifest
    return {
        "artefact": {
            "kind": manifest["kind"],
            "name": manifest["name"],
            "hash": archive.hash,
            "saved by you": is_ones_own(archive.written, archive.signature),
            "fits here": "; ".join(unfit(manifest["environment"])) or "yes",
        },
        **(_exported(manifest) if manifest["kind"] == EXPORTED else _step(manifest)),
        "environment": {name: value for name, value in manifest["environment"].items() if name != "instructions"},
        "members": {name: int(described["size"]) for name, described in manifest["members"].items()},
    }


def _step(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    step = manifest["step"]
    batches = [", ".join(f"{d}{shape}" for shape, _, d in each["batch"]["layouts"]) for each in manifest["programs"]]
    return {
        "step": {
            **{name: step[name] for name in ("metrics", "targets", "memory_budget")},
            **step["options"],
            "loss": step["loss"].get("name", step["loss"]["kind"]),
            "precision": step["precision"][0],
            **{f"batch {number}": batch for number, batch in enumerate(batches, start=1)},
        },
        "model": {"class": manifest["model"]["class"], **manifest["model"]["tensors"]},
    }


def _exported(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A size that may change stands there by its name."""

    def described(each: dict[str, Any]) -> str:
        return f"{each['dtype'].removeprefix('torch.')}[{', '.join(map(str, each['shape']))}]"

    inputs = {each["name"]: described(each) for each in manifest["inputs"]}
    outputs = {str(at): name for at, name in enumerate(manifest["outputs"])}
    metadata = {"metadata": dict(manifest["metadata"])} if manifest["metadata"] else {}
    return {"inputs": inputs, "outputs": outputs, **metadata}
