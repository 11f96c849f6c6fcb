from __future__ import annotations

import pytest
import torch

from tessera.backend.bug_report import leave_bug_report, write_bug_report
from tessera.backend.inductor import compile_program
from tessera.program import copy_graph
from tessera.torch_internals import compiler_reason
from tests.backend.hand_made import program

X = torch.full((5,), 123.456)


@pytest.fixture
def failed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = program(lambda x: (torch.exp(torch.neg(x)),), X)
    before = copy_graph(made.graph_module).graph
    (neg,) = (node for node in made.graph.nodes if node.name == "neg")
    neg.replace_all_uses_with(neg.args[0])
    made.graph.erase_node(neg)
    return made, before


def raised() -> KeyError:
    with pytest.raises(KeyError) as caught:
        lose_a_node()
    return caught.value


def lose_a_node():
    raise KeyError("lost a node")


def written(made, before, error):
    return write_bug_report("drop neg/", made.name, error, {"before": before, "after": made.graph}, ["x_1: batch"])


def test_it_holds_the_graph_the_error_and_the_versions(failed, tmp_path):
    path = written(*failed, raised())
    assert path.parent == tmp_path / "tessera" / "bug_reports"
    assert path.name.startswith("drop_neg_-")
    text = path.read_text()
    assert text.startswith("drop neg/ failed on hand-made: KeyError: 'lost a node'\n")
    before, after = text.split("== graph ")[1:]
    assert "neg: float32[5] = aten.neg.default(x_1)" in before
    assert "neg" not in after.partition("==")[0]
    assert "x_1: batch" in text
    assert "in lose_a_node" in text
    assert torch.__version__ in text
    assert "123.4" not in text  # no value of a tensor


def test_the_same_failure_is_written_once(failed):
    paths = {written(*failed, RuntimeError(f"g++ /tmp/{number}.cpp failed")) for number in range(3)}
    assert len(paths) == 1
    assert written(*failed, ValueError("other")) not in paths


def test_where_nothing_can_be_written(failed, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert written(*failed, raised()) is None
    leave_bug_report("compiler", "job", error := raised(), {})
    assert not hasattr(error, "__notes__")


def test_what_a_compiler_says_is_folded_into_one_file(failed, tmp_path):
    def broken(*_):
        raise RuntimeError("C++ compile error\n\nsource.cpp:3: much text")

    made, _ = failed
    with pytest.raises(RuntimeError) as caught:
        compile_program(made, inductor=broken)
    (path,) = (tmp_path / "tessera" / "bug_reports").iterdir()
    assert compiler_reason(caught.value) == f"RuntimeError: C++ compile error; a bug report is in {path}"
    text = path.read_text()
    assert "source.cpp:3: much text" in text
    assert "exp: float32[5] = aten.exp.default(x_1)" in text
    leave_bug_report("compiler", "another", caught.value, {})
    assert list(path.parent.iterdir()) == [path]
