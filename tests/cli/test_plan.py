from __future__ import annotations

import pytest
import torch

from tessera import checkpoint
from tessera.cli.config import read_config
from tessera.cli.job import read_job
from tessera.cli.plan import plan, standing
from tessera.errors import TesseraError


def made(project, *overrides: str):
    config = read_config(project / "run.toml", overrides)
    return config, read_job(config)


def rows(project, *overrides: str) -> dict[str, str]:
    below = plan(*made(project, *overrides)).rpartition("\n\n")[2]
    return {name: rest.strip() for name, _, rest in (line.partition(" ") for line in below.splitlines())}


def test_it_says_what_would_be_run(project):
    text = plan(*made(project))
    parameters = sum(p.numel() for p in made(project)[1].module.parameters())
    assert f"total                         {parameters}" in text
    told = rows(project)
    assert told["config"] == str(project / "run.toml")
    assert told["data"] == "32 samples in memory"
    assert told["optimizer"] == "SGD(lr=0.1)"
    assert told["fit"] == "epochs=2, seed=3, progress=False"
    assert told["checkpoint"] == f"{project / 'runs' / 'run'}, nothing saved yet"


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["data={name='net.py:train', samples=33}"], "4; 2 x 2"),
        (["fit.batch_size=5"], "14; 2 x 7"),
        (["fit.steps=3"], "3; 1 an epoch"),
        (["data='own.py:dataset'", "fit.batch_size=3"], "4; 2 x 2"),
        (["data='own.py:loader'"], "4; 2 x 2"),
        (["data='own.py:filtered'"], "2 epochs; as many an epoch as the data has"),
        (["data='own.py:batches'"], "2 epochs; as many an epoch as the data has"),
        (["data='own.py:named'", "fit.batch_size=4"], "4; 2 x 2"),
    ],
)
def test_the_number_of_steps(project, overrides, steps):
    (project / "own.py").write_text(
        "import torch\nfrom tessera.data import Loader, arrays\n"
        "x, y = torch.zeros(6, 4), torch.zeros(6, dtype=torch.int64)\n"
        "dataset = arrays((x, y))\n"
        "loader = Loader(dataset, 4)\n"
        "filtered = Loader(dataset.filter(bool), 4)\n"
        "def batches(): yield x, y\n"
        "named = {'x': x, 'labels': y}\n"
    )
    assert rows(project, *overrides)["steps"] == steps


def test_a_precision_for_a_layer_that_is_not_there(project):
    assert rows(project, "fit.precision='bf16'")["steps"]
    with pytest.raises(TesseraError, match="has no such layer"):
        rows(project, "fit.precision={nowhere='bf16'}")


def test_so_many_steps_it_takes(project):
    told = rows(project, "data={name='net.py:train', samples=70}")["steps"]
    history = made(project, "data={name='net.py:train', samples=70}", "fit.checkpoint=false")[1].run()
    assert told == f"{len(history.loss)}; 2 x 3"


def test_a_schedule_and_a_chain_are_shown_as_calls(project):
    lr = "{schedule='constant', value=0.1}"
    assert rows(project, f"optimizer.lr={lr}")["optimizer"] == "SGD(lr=constant(value=0.1))"
    chain = "[{name='clip_by_global_norm', max_norm=1.0}, {name='sgd', lr=0.1}]"
    assert rows(project, f"optimizer={chain}")["optimizer"] == "clip_by_global_norm(max_norm=1.0), sgd(lr=0.1)"


@pytest.mark.parametrize("override", ["fit.epochs='2'", "fit.batch_size=0", "data='net.py:error'", "data='net.py:at'"])
def test_what_cannot_be_run_is_said_before(project, override):
    with pytest.raises(TesseraError):
        plan(*made(project, override))


def test_how_far_the_run_is(project):
    _, job = made(project)
    for step in (4, 7):
        with checkpoint.CheckpointManager(job.folder, {"model": torch.nn.Linear(1, 1)}) as manager:
            manager.save(step)
    assert standing(job) == f"{job.folder}, goes on after step 7"
    newest = checkpoint.inspect(job.folder).path
    next(newest.glob("*.json")).write_text("{")  # no longer whole: the one before it counts
    assert standing(job) == f"{job.folder}, goes on after step 4"
    assert standing(made(project, "fit.resume=false")[1]).startswith(f"{job.folder}, begins anew")
    assert standing(made(project, "fit.checkpoint=false")[1]) == "none, the run cannot be resumed"
