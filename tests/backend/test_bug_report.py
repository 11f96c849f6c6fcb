from __future__ import annotations

import json

import pytest
import torch

from tessera.backend.bug_report import write_bug_report
from tessera.backend.rewrite import Pass
from tessera.program import copy_graph
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


def test_it_holds_the_graph_the_error_and_the_versions(failed, tmp_path):
    made, before = failed
    folder = write_bug_report(Pass("drop neg/", "close", len), made, before, raised())
    assert folder.parent == tmp_path / "tessera" / "bug_reports"
    assert folder.name.startswith("drop_neg_-")
    assert "neg: float32[5] = aten.neg.default(x_1)" in (folder / "before.txt").read_text()
    assert "neg" not in (folder / "after.txt").read_text()
    told = json.loads((folder / "report.json").read_text())
    assert told["error"] == "KeyError: 'lost a node'"
    assert any("in lose_a_node" in line for line in told["traceback"])
    assert told["versions"]["torch"] == torch.__version__
    everything = "".join(path.read_text() for path in folder.iterdir())
    assert "123.4" not in everything  # no value of a tensor


def test_the_same_failure_is_written_once(failed):
    made, before = failed
    folders = {write_bug_report(Pass("p", "close", len), made, before, raised()) for _ in range(3)}
    assert len(folders) == 1
    assert write_bug_report(Pass("p", "close", len), made, before, ValueError("other")) not in folders


def test_where_nothing_can_be_written(failed, monkeypatch, tmp_path):
    made, before = failed
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert write_bug_report(Pass("p", "close", len), made, before, raised()) is None
