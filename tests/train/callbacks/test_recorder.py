from __future__ import annotations

import pytest

from tessera.train.callbacks.recorder import Recorder, Tag
from tests.train.callbacks.hand_made import Training


class Kept(Recorder):
    """Keeps what it is told to write; like a log without a memory of its own."""

    def __init__(self, every):
        super().__init__(every)
        self.written, self.closed = [], 0

    def open(self, run):
        return min(self._logged, run.step)

    def write(self, run, values):
        self.written.append((run.step, {tag: value for tag, value in values.items() if tag.name != "samples/s"}))

    def close(self):
        self.closed += 1


def losses(written):
    return {step: values[Tag("train", "loss")] for step, values in written if Tag("train", "loss") in values}


def test_every_loss_is_in_one_mean():
    training, kept = Training(20, 7, validate_every=6), Kept(4)
    training.run([kept])
    assert list(losses(kept.written)) == [4, 6, 7, 8, 12, 14, 16, 18, 20]
    steps = [0, *losses(kept.written)]
    total = sum(
        mean * (end - begin)
        for begin, end, mean in zip(steps[:-1], steps[1:], losses(kept.written).values(), strict=True)
    )
    assert total == pytest.approx(sum(map(training.loss, range(1, 21))))
    assert kept.closed == 1


def test_groups():
    training, kept = Training(4, 4, validate_every=2), Kept(2)
    training.run([kept])
    groups = [(step, {tag.group for tag in values}) for step, values in kept.written]
    assert groups == [(2, {"train"}), (2, {"validation"}), (4, {"train"}), (4, {"validation"}), (4, {"epoch"})]


@pytest.mark.parametrize("save_first", [False, True])
def test_a_resumed_training_writes_the_same(save_first):
    settings = {"steps": 24, "epoch_steps": 9, "validate_every": 5, "save_every": 7, "save_first": save_first}
    whole, cut, resumed = Kept(4), Kept(4), Kept(4)
    Training(**settings).run([whole])
    *_, last = Training(**settings).run([cut], die_after=17)
    Training(**settings).run([resumed], since=last)
    assert last.step == 14
    assert [row for row in cut.written if row[0] <= 14] + resumed.written == whole.written


def test_a_begin_that_fails_ends_without_another_error():
    class Broken(Kept):
        def open(self, run):
            raise OSError

    broken = Broken(1)
    with pytest.raises(OSError):  # noqa: PT011 - any
        Training().run([broken])
    broken.end(None)
    assert broken.closed == 0


def test_the_other_ranks_have_the_same_state_and_write_nothing(monkeypatch):
    monkeypatch.setattr("tessera.train.callbacks.recorder.rank_of", lambda: 1)
    kept = Kept(4)
    Training(10, 7).run([kept])
    assert (kept.state_dict(), kept.written, kept.closed) == ({"logged": 8}, [], 0)
