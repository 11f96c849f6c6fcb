import pytest

from tessera.backend.loops import compiled_loop, loop


@pytest.fixture
def eager_turns(monkeypatch):
    """Loops whose turns are not compiled: what else there is to them is tested without waiting for a compiler."""

    def refuse(*_):
        raise RuntimeError("not here")

    monkeypatch.setattr(compiled_loop, "compile_graph", refuse)
    monkeypatch.setattr(loop, "COMPILED", {})
