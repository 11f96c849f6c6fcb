from __future__ import annotations

import signal
import threading

import pytest

from tessera.train.interruption import Interruption


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGINT, "stopped by Ctrl-C"), (signal.SIGTERM, "stopped by SIGTERM")]
)
def test_the_first_signal_is_noted_and_the_second_is_itself_again(number, reason, capsys):
    before = signal.getsignal(number)
    seen = []
    signal.signal(number, lambda *_: seen.append("mine"))
    try:
        with Interruption() as interruption:
            assert interruption.received is None
            signal.raise_signal(number)
            assert interruption.received is number
            assert seen == []
            signal.raise_signal(number)
            assert seen == ["mine"]
        assert interruption.reason == reason
        signal.raise_signal(number)
        assert seen == ["mine", "mine"]
    finally:
        signal.signal(number, before)
    assert reason in capsys.readouterr().err


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_notes_nothing():
    before, inside = signal.getsignal(signal.SIGTERM), []

    def work():
        with Interruption():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
