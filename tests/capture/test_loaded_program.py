"""Programs from a file are bound to what is there, or say what is not."""

from __future__ import annotations

import pytest
import torch

from tessera.artefact.archive import read_archive
from tessera.capture.loaded_program import CannotBind, LoadedProgram
from tessera.capture.train_step import _forward_and_loss
from tests.capture.saved_steps import Case

TINY = Case(model=lambda: torch.nn.Linear(4, 3), optimizer=lambda m: torch.optim.Adam(m.parameters(), lr=0.1))


@pytest.fixture
def program(tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "tiny.tessera"
    if not path.exists():
        _, _, step = TINY.step()
        step(*TINY.batch())
        step.save(path)
    archive = read_archive(path)
    return LoadedProgram(archive.manifest["programs"][0], archive.manifest["optimizers"], archive.read, str(path))


def bind(program, model, optimizer):
    import tessera

    step = tessera.train_step(model, "cross_entropy", optimizer)
    given = {"module": model, "loss": step._loss, "metrics": ()}
    program.bind(step._job, given, _forward_and_loss.__globals__)


def test_bound_it_runs_and_released_it_does_not(program):
    model, optimizer = TINY.parts()
    x, y = TINY.batch()
    assert not program.is_bound
    assert program.inputs([x, y]) is None
    with pytest.raises(CannotBind, match="bound to no model"):
        program.run([])
    bind(program, model, optimizer)
    inputs = program.inputs([x, y])
    expected = torch.nn.functional.cross_entropy(model(x), y)
    loss, metrics = program.run(inputs)
    torch.testing.assert_close(loss, expected.detach())
    assert metrics == []
    assert len(optimizer.state) == 2
    program.release()
    assert not program.is_bound


def test_a_failed_binding_leaves_the_optimizer_as_it_was(program):
    model, optimizer = TINY.parts()
    optimizer.param_groups[0]["maximize"] = True
    with pytest.raises(CannotBind) as raised:
        bind(program, model, optimizer)
    assert raised.value.reasons == ["maximize of group 0 of Adam was bool False and is bool True"]
    assert len(optimizer.state) == 0
    with pytest.raises(CannotBind, match="parameters of group 0"):
        bind(program, model, torch.optim.Adam([model.weight], lr=0.1))


def test_two_parameters_in_one_memory_are_not_two_parameters(program):
    model, _ = TINY.parts()
    memory = torch.zeros(15)
    model.weight = torch.nn.Parameter(memory[:12].view(3, 4))
    model.bias = torch.nn.Parameter(memory[12:])
    with pytest.raises(CannotBind, match="share memory"):
        bind(program, model, torch.optim.Adam(model.parameters(), lr=0.1))
