"""Jobs of several processes: `launch` forks the ranks and hands back what each of them answered."""

from __future__ import annotations

import json
import os
import socket
import traceback
import warnings
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tessera.checkpoint import CheckpointManager, latest, restore, save
from tessera.errors import CheckpointError, StateError


def launch(job, folder: Path, ranks: int) -> list:
    """Run ``job(folder, ranks)`` on every rank of a gloo group; raises with the trace of a rank that fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = [folder.parent / f"{folder.name}-{port}-rank{rank}.json" for rank in range(ranks)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: none of them holds anything
        children = [os.fork() or run_rank(job, folder, rank, ranks, port, answers[rank]) for rank in range(ranks)]
    for child in children:
        os.waitpid(child, 0)
    said = [json.loads(answer.read_text()) for answer in answers]
    if any("error" in one for one in said):
        raise AssertionError("\n".join(one.get("error", "") for one in said))
    return [one["answer"] for one in said]


def run_rank(job, folder: Path, rank: int, ranks: int, port: int, answer: Path) -> None:
    """Never returns: this is the life of a child."""
    try:
        warnings.simplefilter("error")
        distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
        answer.write_text(json.dumps({"answer": job(folder, ranks)}))
        distributed.barrier()
        distributed.destroy_process_group()
    except BaseException:  # noqa: BLE001 - the parent raises it, whatever it is
        answer.write_text(json.dumps({"error": traceback.format_exc()}))
    finally:
        os._exit(0)


def parts(ranks: int):
    """A sharded model whose first dim no number of ranks divides, and its optimizer, after ``steps`` steps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 7), torch.nn.Tanh(), torch.nn.Linear(7, 5), torch.nn.BatchNorm1d(5))
    if ranks:
        mesh = init_device_mesh("cpu", (ranks,))
        fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def train(model, optimizer, steps: int) -> float:
    data = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(8, 6, generator=data)
        loss = model(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def whole(model) -> list:
    """The weights, gathered."""
    gathered = (
        value.full_tensor() if hasattr(value, "full_tensor") else value for value in model.state_dict().values()
    )
    return [value.double().flatten().tolist() for value in gathered]


def save_sharded(folder, ranks):

    model, optimizer = parts(ranks)
    train(model, optimizer, 3)
    rank = distributed.get_rank()
    path = save(
        folder,
        model=model,
        optimizer=optimizer,
        step=3,
        of_rank={f"rank{rank}": {"seed": rank, "bits": torch.full((3,), rank)}},
    )
    return {"path": str(path), "weights": whole(model), "next": train(model, optimizer, 1), "then": whole(model)}


def restore_sharded(folder, ranks):

    model, optimizer = parts(ranks)
    with torch.no_grad():
        for param in model.parameters():
            param.fill_(9)
    found = restore(folder, {"model": model, "optimizer": optimizer})
    weights = whole(model)
    return {"weights": weights, "next": train(model, optimizer, 1), "then": whole(model), "whole": found.whole}


def disagree(folder, ranks):

    try:
        save(folder, best=float(distributed.get_rank()))
    except StateError as error:
        return str(error)
    return ""


def fail_on_one_rank(folder, ranks):
    """Rank 1's disk is full: nobody has a snapshot, and everybody knows."""
    own = {f"rank{distributed.get_rank()}": torch.ones(3)}
    save(folder, own=own, step=0)
    if distributed.get_rank() == 1:
        os.write = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    try:
        save(folder, own=own, step=1)
    except CheckpointError as error:
        distributed.barrier()
        return [str(error), latest(folder).name, sorted(path.name for path in folder.iterdir())]
    return []


def damaged_for_one_rank(folder, ranks):
    """Only rank 1 needs the damaged file: no rank has loaded anything."""
    model, _ = parts(ranks)
    path = save(folder, model=model)
    distributed.barrier()
    if distributed.get_rank() == 0:
        file = path / "tensors-00002-of-00002.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    distributed.barrier()
    with torch.no_grad():
        for param in model.parameters():
            param.fill_(9)
    try:
        restore(folder, {"model": model})
    except CheckpointError as error:
        return [str(error), all(bool((p.full_tensor() == 9).all()) for p in model.parameters())]
    return []


def resume_run(folder, ranks):
    """Four steps, interrupted after two by a new manager, are four steps in one go."""
    model, optimizer = parts(ranks)
    data = torch.Generator().manual_seed(distributed.get_rank())
    torch.manual_seed(100 + distributed.get_rank())

    state = {"model": model, "optimizer": optimizer, "data": data}
    seen = []
    with CheckpointManager(folder, state, save_every=2, keep=2) as checkpoints:
        for step in range(checkpoints.resume() + 1, 5):
            loss = model(torch.randn(8, 6, generator=data) + torch.randn(8, 6)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            checkpoints.step(step)
            seen.append(float(loss.detach()))
            if step == 2 and not (folder / "uninterrupted").exists():
                break
    return [seen, whole(model)]
