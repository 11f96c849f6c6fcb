"""The doors by which Tessera reads files, each with good files and a judge of what was read.

A judge says ``RIGHT`` (the answers of the good file), or ``OTHER`` (those that the changed file holds: no format
without a hash can tell a changed weight), or raises. Whatever it could not be held against is ``UNTOLD``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.export.hostile.mutations import Files

RIGHT, OTHER, UNTOLD = "read, right", "read, as changed", "read, untold"
VALUES = {"step": 3, "notes": {"a": [1, 2.5, None, "x"], "odd": {1: (2, b"3")}}}
X = torch.linspace(-1, 1, 12).reshape(4, 3)
SECRET = np.full(16, 1234.5, np.float32).tobytes()  # beside the folder that is read
MANY = 10_000
_BESIDE = 100  # a tensor of few bytes stays in its ONNX file whatever is asked for
KINDS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Door:
    """``make`` writes good files into a folder; ``read`` reads what lies there now and says how it was."""

    make: Callable[[Path], None]
    read: Callable[[Path], str]
    needs: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        return all(importlib.util.find_spec(package) is not None for package in self.needs)

    def files(self, folder: Path) -> Files:
        """The good files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.make(folder)
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }


def net(width: int = 4) -> torch.nn.Module:
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)).eval()


def _export(name, width=4, **options):
    def make(folder):
        from tessera.export.export import export

        example = () if name.endswith(".safetensors") else (X,)
        export(net(width), folder / name, *example, measure=False, **options)

    return make


# Weights.


def _same_state(module) -> bool:
    good = net().state_dict()
    return all(torch.equal(value, good[name]) for name, value in module.state_dict().items())


def _load_weights(path) -> str:
    from tessera.nn.weights import load_weights

    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    load_weights(module, path)
    if _same_state(module):
        return RIGHT
    held = _plain_tensors(path)
    for name, value in module.state_dict().items():
        assert value.numpy().tobytes() == held[name], f"{name} is not what the file holds"
    return OTHER


def _plain_tensors(path) -> dict[str, bytes]:
    """The bytes of every tensor as float32, read by hand: from safetensors, or from the folder's shards."""
    if path.is_dir():
        names = set(json.loads((path / "model.safetensors.index.json").read_bytes())["weight_map"].values())
        return {key: value for name in names for key, value in _plain_tensors(path / name).items()}
    content = path.read_bytes()
    if path.suffix == ".pt":
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                assert file.testzip() is None, "a member is not what was written"
        loaded = torch.load(io.BytesIO(content), weights_only=True)
        return {name: value.float().resolve_neg().numpy().tobytes() for name, value in loaded.items()}
    size = int.from_bytes(content[:8], "little")
    found = {}
    for name, each in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = each["data_offsets"]
            raw = content[8 + size + begin : 8 + size + end]
            assert len(raw) == KINDS[each["dtype"]] * int(np.prod(each["shape"]))
            assert each["dtype"] == "F32"
            found[name] = raw
    return found


def _write_torch(path, **options):
    def make(folder):
        torch.save(net().state_dict(), folder / path, **options)

    return make


def _sharded(folder):
    from tessera.checkpoint import save_weights

    save_weights(folder, net(), max_shard_bytes=60)


class Mlp(torch.nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(3, width), torch.nn.Linear(width, 2)


def _with_config(folder):
    from tessera.export.export import export

    torch.manual_seed(7)
    export(Mlp(width=4), folder / "m.safetensors", config={"width": 4})


def _rebuild(folder) -> str:
    from tessera.export import rebuild

    module = rebuild(folder / "m.safetensors", Mlp)
    held = _plain_tensors(folder / "m.safetensors")
    for name, value in module.state_dict().items():
        assert value.numpy().tobytes() == held[name], f"{name} is not what the file holds"
    torch.manual_seed(7)
    good = Mlp().state_dict()
    return RIGHT if all(torch.equal(value, good[name]) for name, value in module.state_dict().items()) else OTHER


# Snapshots.


def _snapshot(folder):
    from tessera.checkpoint import save

    save(folder, model=net().state_dict(), **VALUES)


def _load_snapshot(folder) -> str:
    from tessera.checkpoint import inspect, load

    str(inspect(folder))
    found = load(folder)
    good = {"model": net().state_dict(), **VALUES}
    if repr(found) == repr(good):
        return RIGHT
    path = next(folder.rglob("manifest.json"))
    manifest = json.loads(path.read_bytes())
    inner = path.read_bytes()[len('{"sha256":"","content":') + 64 : -2]
    assert manifest["sha256"] == _hash(inner), "a manifest with another hash was taken"
    for name, each in manifest["content"]["files"].items():
        assert each["sha256"] == _hash((path.parent / name).read_bytes()), f"{name} with another hash was taken"
    return OTHER  # whoever changed it wrote the right hashes


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# What runs.


def _run(name, width=4):
    def read(folder) -> str:
        from tessera.export import load_model

        answers = load_model(folder / name)(X)
        assert all(isinstance(answer, torch.Tensor) for answer in answers)
        if name.endswith(".onnx"):
            _assert_all_inside(folder / name)
        with torch.no_grad():
            right = net(width)(X)
        alike = len(answers) == 1 and answers[0].shape == right.shape and answers[0].dtype == right.dtype
        if alike and torch.allclose(answers[0], right, atol=1e-6):
            return RIGHT
        return _as_the_file_says(folder / name, answers) if name.endswith(".onnx") else UNTOLD

    return read


def _as_the_file_says(path, answers) -> str:
    """ONNX's own, slow evaluator is asked."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(path)
    if any(node.op_type in ("ConstantOfShape", "Loop", "RandomNormal") for node in model.graph.node):
        return UNTOLD  # it would take the memory, or the time, here; or nobody can tell the numbers
    if any(answer.numel() > MANY for answer in answers):
        return UNTOLD
    try:
        with np.errstate(all="ignore"):
            expected = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: X.numpy()})
    except Exception:  # noqa: BLE001 - it is stricter, or knows less
        return UNTOLD
    for answer, wanted in zip(answers, expected, strict=True):
        # Infinity or NaN: weights made of other bytes are large, and then the order of a sum decides.
        given, finite = answer.numpy(), np.isfinite(wanted)
        assert np.allclose(given[finite], wanted[finite], rtol=1e-3, atol=1e-5), "not what the file computes"
        assert not np.isfinite(given[~finite]).any(), "numbers where the file computes none"
    return OTHER


def _assert_all_inside(path) -> None:
    import onnx

    for place in _locations(onnx.load(path, load_external_data=False)):
        assert (path.parent / place).resolve().is_relative_to(path.parent), f"a tensor was taken from {place}"


def _locations(message):
    """Of the files that a model names, anywhere in it."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield from (each.value for each in message.external_data if each.key == "location")
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if hasattr(value, "__len__") else [value]:
                yield from _locations(each)


def _step(folder):
    import tessera

    module = net().train()
    step = tessera.train_step(module, "mse", torch.optim.SGD(module.parameters(), 0.1))
    step(X, torch.zeros(4, 2))
    step.save(folder / "step.tessera")


def _load_step(folder) -> str:
    import tessera

    module = net().train()
    step = tessera.load(folder / "step.tessera", model=module, optimizer=torch.optim.SGD(module.parameters(), 0.1))
    loss = step(X, torch.zeros(4, 2))
    with torch.no_grad():
        torch.testing.assert_close(loss.detach(), net()(X).square().mean())
    return RIGHT


def _info(name):
    def read(folder) -> str:
        from tessera.cli.main import main

        said, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            code = main(["info", str(folder / name)])
        if code:
            from tessera.errors import ArtefactError

            assert "Traceback" not in errors.getvalue()
            raise ArtefactError(errors.getvalue() or "nothing was said", ".", ".")
        return UNTOLD  # what is shown stands in the file

    return read


def _file(name, read):
    return lambda folder: read(folder / name)


DOORS = {
    "safetensors: load_weights": Door(_export("m.safetensors"), _file("m.safetensors", _load_weights)),
    "safetensors: rebuild": Door(_with_config, _rebuild),
    "safetensors: folder of shards": Door(_sharded, _load_weights),
    ".pt: load_weights": Door(_write_torch("m.pt"), _file("m.pt", _load_weights)),
    ".pt: of older torch": Door(
        _write_torch("m.pt", _use_new_zipfile_serialization=False), _file("m.pt", _load_weights)
    ),
    "checkpoint: load, inspect": Door(_snapshot, _load_snapshot),
    ".onnx: load_model": Door(_export("m.onnx"), _run("m.onnx"), ("onnx", "onnxscript", "onnxruntime")),
    ".onnx: weights beside": Door(
        _export("m.onnx", _BESIDE, weights="beside"), _run("m.onnx", _BESIDE), ("onnx", "onnxscript", "onnxruntime")
    ),
    ".pt2: load_model": Door(_export("m.pt2"), _run("m.pt2")),
    ".tessera: load_model": Door(_export("m.tessera"), _run("m.tessera")),
    ".tessera: tessera.load": Door(_step, _load_step),
    ".tessera: tessera info": Door(_step, _info("step.tessera")),
    ".pte: load_model": Door(_export("m.pte"), _run("m.pte"), ("executorch",)),
}
