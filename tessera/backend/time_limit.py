"""Ends code of somebody else's that does not come to an end."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator


class _TimeIsOver(BaseException):
    """Ends the block; no ``except Exception`` in it stops that."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TimeoutError`` once the block has run for ``seconds``.

    Another thread asks Python to raise it here, which happens between two instructions of Python: a single call of C
    that never returns is not ended.
    """
    thread, lock = threading.get_ident(), threading.Lock()
    over = finished = arrived = False

    def end() -> None:
        nonlocal over
        with lock:
            if not finished:
                over = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_TimeIsOver))

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    try:
        watch.start()
        try:
            yield
        except _TimeIsOver:
            arrived = True
        finally:
            with lock:
                finished = True
            watch.cancel()
        while over and not arrived:  # it is on its way: let it arrive here and not somewhere behind the block
            time.sleep(0.001)
    except _TimeIsOver:
        pass
    if over:
        raise TimeoutError(f"it took longer than {seconds:g} s")
