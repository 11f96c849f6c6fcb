from __future__ import annotations

from tessera.errors import NonFiniteError, SourceLine
from tessera.train.errors import NonFiniteStepError, SettingError
from tessera.train.history import History


def test_a_setting_is_a_value_error():
    assert isinstance(SettingError("A.", "B.", "C."), ValueError)


def test_the_step_stands_before_what_was_not_finite():
    history = History(loss=[1.0])
    born = NonFiniteError("The loss is nan.", "It is finite.", "Lower the learning rate.", SourceLine("model.py", 42))
    error = NonFiniteStepError(born, 2, 1, history)
    assert isinstance(error, NonFiniteError)
    assert (error.step, error.epoch) == (2, 1)
    assert error.history is history
    assert str(error) == ("Step 2, epoch 1: The loss is nan. It is finite. Lower the learning rate.\n  at model.py:42")
