"""A step from a file is the step that was saved, to the bit, without tracing or compiling."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

import tessera
from tessera.errors import ArtefactError
from tests.capture.saved_steps import CASES, ROWS, Case, Net, OwnLoss, accuracy, train

STEPS = 7
QUICK = ("own loss", "momentum")  # the others compile more


@pytest.fixture
def path(tmp_path):
    return tmp_path / "step.tessera"


@pytest.fixture
def no_capture(monkeypatch):
    """Nothing can be captured from here on."""

    def block():
        def refuse(*_, **__):
            raise AssertionError("something was captured")

        monkeypatch.setattr(torch, "compile", refuse)
        monkeypatch.setattr(tessera.torch_internals, "joint_graph", refuse)

    return block


def saved(case, path, calls=2):
    """Save a step after some calls; returns its file's hash."""
    model, optimizer, step = case.step()
    train(case, model, optimizer, step, calls)
    return step.save(path)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in CASES],
    ids=lambda name: name,
)
def test_training_from_a_file_is_the_training_that_was_saved(name, path, no_capture):
    case = CASES[name]
    expected_parts = case.step()
    expected = train(case, *expected_parts, STEPS)
    expected_parts[2].save(path)
    no_capture()
    model, optimizer, step = case.loaded(path)
    keys = list(model.state_dict())
    found = train(case, model, optimizer, step, STEPS)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert list(model.state_dict()) == keys
    assert step.report.rung == f"whole step in one Program, loaded from {path}"
    assert step.report.step_downs == []


@pytest.fixture
def clipped(tmp_path_factory):
    """The file of one step with clipping and a metric, and the file's hash; saved once for all tests."""
    folder = tmp_path_factory.getbasetemp() / "clipped"
    if not folder.exists():
        folder.mkdir()
        (folder / "hash").write_text(saved(CLIPPED, folder / "step.tessera"))
    return folder / "step.tessera"


CLIPPED = CASES["clipped, with a metric"]
BATCH = CLIPPED.batch()


def test_what_stands_in_the_file(clipped):
    with zipfile.ZipFile(clipped) as file:
        manifest = json.loads(file.read("manifest.json"))
        names = set(file.namelist())
    assert names == {"manifest.json", "signature", *manifest["members"]}
    assert manifest["kind"] == "training step"
    assert manifest["environment"]["torch"].startswith(torch.__version__)
    assert manifest["model"]["tied"] == {"again.weight": "middle.weight", "again.bias": "middle.bias"}
    assert manifest["model"]["tensors"]["last.weight"].startswith("Parameter float32[3, 6]")
    assert manifest["step"]["options"]["clip_norm"] == 0.3
    assert manifest["step"]["metrics"] == ["accuracy"]
    (program,) = manifest["programs"]
    assert ["at", "module.mask"] in program["inputs"]
    assert sorted(where for kind, where in program["inputs"] if kind == "batch") == [0, 1]


def test_a_step_is_loaded_with_its_model_and_optimizer(clipped):
    words = r"holds a training step, and no model and no optimizer was passed.*Write tessera.load\(path, model=net,"
    with pytest.raises(ArtefactError, match=words):
        tessera.load(clipped)
    with pytest.raises(ArtefactError, match=r"and no optimizer was passed"):
        tessera.load(clipped, model=CLIPPED.step()[0])


def test_a_batch_that_was_not_saved_is_compiled_where_the_loss_is_there(clipped, caplog):
    model, _, step = CLIPPED.loaded(clipped, loss="cross_entropy", metrics={"accuracy": accuracy})
    twin, _, plain = CLIPPED.step()
    keys = list(model.state_dict())
    for rows in (ROWS, 3, ROWS):
        torch.manual_seed(rows)
        x, y = torch.randn(rows, 4), torch.randint(3, (rows,))
        torch.manual_seed(0)
        loss = step(x, y)
        torch.manual_seed(0)
        torch.testing.assert_close(loss, plain(x, y))
    torch.testing.assert_close(model.last.weight, twin.last.weight, rtol=1e-4, atol=1e-4)
    (told,) = step.report.step_downs
    assert str(told).startswith(
        f"stepped down to a new compilation: {clipped} does not fit: "
        "it was saved for float32[8, 4], int64[8], and float32[3, 4], int64[3] came"
    )
    assert len(step.report.compilations) == 2
    assert list(model.state_dict()) == keys


def test_a_batch_that_was_not_saved_is_an_error_where_the_metric_is_not_there(clipped):
    model, _, step = CLIPPED.loaded(clipped)
    step(*BATCH)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for batch, word in (
        ((torch.randn(3, 4), BATCH[1]), r"float32\[8, 4\], int64\[8\], and float32\[3, 4\], int64\[8\] came"),
        ((BATCH[0].double(), BATCH[1]), r"and float64\[8, 4\]"),
        ((BATCH[0], BATCH[1].tolist()), "the batch has another structure"),
        ((BATCH[0], BATCH[1].numpy()), "the batch holds a numpy.ndarray"),
        ((torch.randn(4, ROWS).T, BATCH[1]), "saved for"),
    ):
        with pytest.raises(ArtefactError, match=rf"{word}.*A saved step runs.*Pass the metrics too: tessera.load"):
            step(*batch)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    step(*BATCH)


def test_steps_in_one_call(path):
    case = Case(model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)))
    saved(case, path)
    (model, _, step), (twin, _, one) = case.loaded(path), case.loaded(path)
    x, y = torch.randn(4, ROWS, 4), torch.randint(3, (4, ROWS))
    assert step.run(x, y) is None  # nothing is bound yet
    first, losses = step(x[0], y[0]), step.run(x[1:], y[1:])
    assert torch.equal(torch.stack([first, *losses]), torch.stack([one(x[i], y[i]) for i in range(4)]))
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=0)


CHANGES = {
    "another mode": lambda model, _: model.eval(),
    "a setting": lambda model, _: model.settings.update(shift=0.5),
    "another activation": lambda model, _: setattr(model.first, "2", torch.nn.Tanh()),
    "another rate of dropout": lambda model, _: setattr(model.first[3], "p", 0.3),
    "a layer of another size": lambda model, _: setattr(model, "mask", torch.ones(1)),
    "a forward of its own": lambda model, _: setattr(model.last, "forward", torch.relu),
    "frozen": lambda model, _: model.last.weight.requires_grad_(False),
    "a hook": lambda model, _: model.last.register_forward_hook(lambda *_: None),
    "a gradient hook": lambda model, _: model.last.weight.register_hook(lambda g: g),
    "another group": lambda model, optimizer: optimizer.add_param_group({"params": torch.nn.Parameter(torch.ones(1))}),
    "another rule": lambda model, optimizer: optimizer.param_groups[0].update(amsgrad=True),
    "without decay": lambda model, optimizer: optimizer.param_groups[0].update(maximize=True),
    "threads": lambda *_: torch.set_num_threads(2),
    "another default dtype": lambda *_: torch.set_default_dtype(torch.float64),
}


@pytest.fixture
def _process_as_it_was():
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_process_as_it_was")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name)
def test_a_model_an_optimizer_or_a_process_that_changed_is_noticed(change, when, clipped):
    model, optimizer, step = CLIPPED.loaded(clipped)
    if when == "after":
        step(*BATCH)
    CHANGES[change](model, optimizer)
    with pytest.raises(ArtefactError, match="does not fit|run eagerly"):
        step(*BATCH)


def test_what_may_change_may_change(clipped):
    model, optimizer, step = CLIPPED.loaded(clipped)
    step(*BATCH)
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.param_groups[0]["weight_decay"] = 0.5
    before = model.last.weight.clone()
    step(*BATCH)
    assert torch.equal(before, model.last.weight)
    model.load_state_dict({name: value * 0 for name, value in model.state_dict().items()})
    optimizer.load_state_dict(optimizer.state_dict())  # other tensors of state
    model.eval()
    model.train()
    assert step(*BATCH) == pytest.approx(1.0986, abs=1e-3)
    assert step.report.step_downs == []


def test_another_model_is_named(clipped):
    model = Net(width=7)
    with pytest.raises(ArtefactError) as raised:
        tessera.load(clipped, model=model, optimizer=torch.optim.AdamW(model.parameters()))
    assert str(raised.value).startswith(
        f"{clipped} was saved for another model: first.0.weight was Parameter float32[6, 4], strides [4, 1], cpu, "
        "takes a gradient and is Parameter float32[7, 4], strides [4, 1], cpu, takes a gradient; first.0.bias was"
    )
    assert str(raised.value).endswith("compile this one and save it: step.save(path).")
    with pytest.raises(ArtefactError, match="its class was Net and is OwnLoss"):
        tessera.load(clipped, model=OwnLoss(), optimizer=torch.optim.AdamW(model.parameters()))


def test_other_layers_tied_is_another_model(clipped):
    model = Net()
    model.again = torch.nn.Linear(6, 6)
    with pytest.raises(ArtefactError, match="another model: other parameters are tied"):
        tessera.load(clipped, model=model, optimizer=torch.optim.AdamW(model.parameters()))


def test_another_users_file(clipped, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ArtefactError, match="was not saved by you"):
        CLIPPED.loaded(clipped)
    _, _, step = CLIPPED.loaded(clipped, trust=(clipped.parent / "hash").read_text())
    step(*BATCH)


def test_another_torch(clipped, monkeypatch):
    from tessera.artefact import environment

    here = environment.environment()
    monkeypatch.setattr(environment, "environment", lambda: here | {"torch": "3.0"})
    with pytest.raises(ArtefactError, match=r"compiled elsewhere: torch was 2\..* and is 3\.0.*save it anew"):
        CLIPPED.loaded(clipped)


def test_a_step_that_was_not_called_yet(path):
    _, _, step = Case().step()
    with pytest.raises(ArtefactError, match=r"no Program that could be saved: it is not run yet\..*Call the step"):
        step.save(path)
    assert not path.exists()


def test_a_loaded_step_is_not_saved_again(clipped, path):
    with pytest.raises(ArtefactError, match="Copy the file that it was loaded from"):
        CLIPPED.loaded(clipped)[2].save(path)


def test_other_metrics(clipped):
    with pytest.raises(ArtefactError, match="The metrics top were passed.*with the metrics accuracy"):
        CLIPPED.loaded(clipped, metrics={"top": accuracy})
    _, _, step = CLIPPED.loaded(clipped, metrics={"accuracy": lambda p, t: p.sum()})
    with pytest.raises(ArtefactError, match=r"metrics\[0\] was function accuracy"):
        step(*BATCH)
    _, _, step = CLIPPED.loaded(clipped, loss="mse", metrics={"accuracy": accuracy})
    with pytest.raises(ArtefactError, match="loss was function .*cross_entropy.* and is function .*mse"):
        step(*BATCH)
