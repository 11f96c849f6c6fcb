import contextlib
import copy
import gc
import pickle
import traceback
import weakref

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import LossError
from tessera.explain.door import explain, explanation, passed_compiled_code
from tests.explain.told import PROGRAMS, check, of, raised


class Mistake(RuntimeError):
    def __init__(self, *args):
        super().__init__(*args)
        self.detail = 7


class Net(tessera.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.inner(x)


class Inner(tessera.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        if isinstance(x, Exception):
            raise x
        return self.head(x)


def compiled(model):
    return tessera.compile(model)


def stepped(model):
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters()))
    return lambda x: step(x, torch.zeros(2))


@pytest.mark.parametrize("door", [lambda model: model, compiled, stepped], ids=["call", "compile", "train_step"])
@pytest.mark.parametrize("kind", [Mistake, KeyError, ValueError], ids=["own", "KeyError", "ValueError"])
def test_what_the_user_raises_passes_untouched(door, kind):
    class Raising(Net):
        def forward(self, x):
            self.inner.head(x)
            try:
                {}["absent"]
            except LookupError as first:
                raise kind("mat1 and mat2 shapes", 3) from first

    with pytest.raises(kind) as error:
        door(Raising())(torch.ones(2, 3))
    assert error.type is kind
    assert error.value.args == ("mat1 and mat2 shapes", 3)
    assert isinstance(error.value.__cause__, LookupError)
    assert not hasattr(error.value, "__notes__")
    assert explanation(error.value) is None


def test_the_very_object_comes_out():
    mine = Mistake("no")
    with pytest.raises(Mistake) as error:
        Net()(mine)
    assert error.value is mine


def test_the_outermost_module_gives_the_path():
    with pytest.raises(
        RuntimeError, match=r"^Shape Error in 'forward' \(inner\.head\) at .*\n.*return self\.head\(x\)"
    ):
        Net()(torch.ones(2, 4))


def test_frames_of_torch_are_left_out_and_compilers_are_not_named():
    for door in (lambda model: model, compiled, stepped):
        with pytest.raises(RuntimeError) as error:
            door(Net())(torch.ones(2, 4))
        shown = "".join(traceback.format_exception(error.value))
        assert "torch/nn" not in shown
        assert "_dynamo" not in shown
        assert "another exception" not in shown


def test_it_survives_a_process_border():
    with pytest.raises(RuntimeError) as error:
        Net()(torch.ones(2, 4))
    again = pickle.loads(pickle.dumps(error.value))
    assert str(again) == str(error.value)
    assert "in_features" in explanation(copy.copy(again)).expected


def test_what_no_rule_knows_keeps_its_text_and_gets_the_place():
    class Singular(tessera.nn.Module):
        def forward(self, x):
            return torch.linalg.inv(x)

    with pytest.raises(RuntimeError) as error:
        Singular()(torch.zeros(2, 2))
    assert str(error.value).startswith("linalg.inv")
    (note,) = error.value.__notes__
    assert note.startswith("in 'forward' at ")
    assert "return torch.linalg.inv(x)" in note


def test_errors_of_tessera_are_not_told_again():
    error = LossError("a.", "b.", "c.")
    explain(error)
    assert str(error) == "a. b. c."


def test_a_tensor_is_kept_by_the_error_alone():
    def fails():
        x = torch.ones(2, 4)
        kept = weakref.ref(x)
        with contextlib.suppress(RuntimeError):
            Net()(x)
        return kept

    kept = fails()
    gc.collect()
    assert kept() is None


def test_a_loss_that_waits_is_explained_at_its_line():
    @tessera.model
    class Small:
        def __init__(self):
            self.head = nn.Linear(3, 2)

        def forward(self, x):
            return self.head(x)

    with pytest.raises(RuntimeError, match=r"^Shape Error in 'forward' \(head\)"):
        Small()(torch.ones(2, 4))


def test_compiled_code_has_no_line_of_the_users():
    error = RuntimeError("x")
    assert passed_compiled_code(error)
    assert not passed_compiled_code(raised(PROGRAMS[0], lambda model, *inputs: model(*inputs)))


def run_compiled(model, *inputs):
    return tessera.compile(model)(*inputs)


def run_step(model, *inputs):
    step = tessera.train_step(model, None, torch.optim.SGD(model.parameters(), lr=0.1))
    return step(*inputs)


SOME = ("linear_in_a_sequential", "scores_not_transposed", "embedding_out_of_range", "labels_out_of_range",
        "double_input", "backward_of_several", "layer_name", "tuple_of_a_gru")  # fmt: skip
# Compiled they raise nothing, as with torch.compile: Inductor looks at no probabilities, takes whole numbers, and NumPy
# is captured.
RAISE_NOTHING = ("bce_of_scores", "softmax_of_integers", "numpy_of_a_result")
ALL = [program.name for program in PROGRAMS if program.name not in RAISE_NOTHING]


@of(*SOME)
@pytest.mark.parametrize("run", [run_compiled, run_step], ids=["compile", "train_step"])
def test_every_door_says_the_same(program, run):
    check(program, run)


@pytest.mark.slow
@of(*ALL)
@pytest.mark.parametrize("run", [run_compiled, run_step], ids=["compile", "train_step"])
def test_every_door_says_the_same_of_all(program, run):
    check(program, run)
