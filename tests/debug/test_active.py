from __future__ import annotations

import threading

import tessera
from tessera.debug.active import SWITCH


def test_the_innermost_mode_of_a_thread_is_the_one():
    assert SWITCH.mode() is None
    with tessera.debug_mode() as outer:
        assert SWITCH.mode() is outer
        with tessera.debug_mode() as inner:
            assert SWITCH.mode() is inner
        assert SWITCH.mode() is outer
    assert SWITCH.mode() is None
    assert SWITCH.entered == 0


def test_other_threads_have_no_mode():
    seen = []
    with tessera.debug_mode():
        thread = threading.Thread(target=lambda: seen.append(SWITCH.mode()))
        thread.start()
        thread.join()
    assert seen == [None]
