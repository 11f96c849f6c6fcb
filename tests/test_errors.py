from __future__ import annotations

import inspect
import pickle

import pytest

from tessera import errors
from tessera.errors import NonFiniteError, NonFiniteStepError, SourceLine, TesseraError

# Every error class and the built-in type that an `except` clause written for plain PyTorch would have caught.
BUILT_IN = {
    errors.AnnotationError: TypeError,
    errors.ShapeError: TypeError,
    errors.LossError: ValueError,
    errors.NonFiniteError: ArithmeticError,
    errors.NonFiniteValueError: ArithmeticError,
    errors.MismatchError: ArithmeticError,
    errors.WatchError: RuntimeError,
    errors.NumericsError: ArithmeticError,
    errors.BatchError: ValueError,
    errors.LabelError: ValueError,
    errors.EmptyDatasetError: ValueError,
    errors.OptimizerError: ValueError,
    errors.WeightsError: ValueError,
    errors.ExportError: RuntimeError,
    errors.QuantizeError: ValueError,
    errors.TransformError: (ValueError, TypeError),
    errors.ArtefactError: RuntimeError,
    errors.MissingDependencyError: ImportError,
    errors.ProgramError: RuntimeError,
    errors.SettingError: ValueError,
    errors.MemoryBudgetError: ValueError,
    errors.LayerError: (ValueError, TypeError),
    errors.StalePredictionError: RuntimeError,
    errors.CheckpointError: RuntimeError,
    errors.StateError: (RuntimeError, TypeError),
    errors.ResumeError: RuntimeError,
    errors.DataError: RuntimeError,
    errors.WorkerError: RuntimeError,
    errors.DataStateError: ValueError,
}
SENTENCES = ("The labels are float32.", "cross_entropy takes int64 class numbers.", "Write labels.long() instead.")


def test_every_error_class_is_in_the_table():
    classes = {value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, TesseraError)}
    assert classes - {TesseraError, NonFiniteStepError} == set(BUILT_IN)


@pytest.mark.parametrize("error", BUILT_IN, ids=lambda error: error.__name__)
def test_an_error_is_three_sentences_and_a_built_in(error):
    built_in = BUILT_IN[error]
    for caught_as in built_in if isinstance(built_in, tuple) else (built_in,):
        with pytest.raises(caught_as) as caught:
            raise error(*SENTENCES)
        assert isinstance(caught.value, TesseraError)
        assert str(caught.value) == " ".join(SENTENCES)
        assert (caught.value.received, caught.value.expected, caught.value.fix) == SENTENCES
        assert caught.value.where is None


@pytest.mark.parametrize("error", [TesseraError, *BUILT_IN], ids=lambda error: error.__name__)
def test_the_users_line_stands_last(error):
    where = SourceLine("model.py", 42, "loss(prediction, labels)")
    raised = error(*SENTENCES, where)
    assert str(raised) == " ".join(SENTENCES) + "\n  at model.py:42  loss(prediction, labels)"
    assert raised.where is where


@pytest.mark.parametrize("error", [TesseraError, *BUILT_IN], ids=lambda error: error.__name__)
def test_the_docstring_says_when_it_is_raised(error):
    assert "__doc__" in vars(error)  # its own, not inherited
    assert (error.__doc__ or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize("error", [TesseraError, *BUILT_IN], ids=lambda error: error.__name__)
def test_an_error_reaches_another_process_as_it_is(error):
    raised = error(*SENTENCES, SourceLine("model.py", 42))
    again = pickle.loads(pickle.dumps(raised))
    assert type(again) is error
    assert (str(again), again.where) == (str(raised), raised.where)


def test_an_error_of_a_step_reaches_another_process_too():
    raised = NonFiniteStepError(NonFiniteError(*SENTENCES), 3, 2, None)
    again = pickle.loads(pickle.dumps(raised))
    assert (str(again), again.step, again.epoch) == (str(raised), 3, 2)


def test_the_step_stands_before_what_was_not_finite():
    born = NonFiniteError("The loss is nan.", "It is finite.", "Lower the learning rate.", SourceLine("model.py", 42))
    error = NonFiniteStepError(born, 2, 1, "a history")
    assert isinstance(error, NonFiniteError)
    assert (error.step, error.epoch, error.history) == (2, 1, "a history")
    assert str(error) == "Step 2, epoch 1: The loss is nan. It is finite. Lower the learning rate.\n  at model.py:42"


def test_a_source_line_without_code_is_file_and_line():
    assert str(SourceLine("model.py", 42)) == "model.py:42"
    assert str(TesseraError(*SENTENCES, SourceLine("model.py", 42))).endswith("instead.\n  at model.py:42")
