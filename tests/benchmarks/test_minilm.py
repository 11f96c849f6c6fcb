from __future__ import annotations

import pytest
import torch

from benchmarks import minilm
from benchmarks.plan import Plan
from benchmarks.sentences import SENTENCES
from tessera.errors import ExportError


class Words(torch.nn.Module):
    """Stands in for BERT: ids to vectors."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(100, 8)

    def forward(self, input_ids, attention_mask):
        return type("Answer", (), {"last_hidden_state": self.embedding(input_ids)})


@pytest.fixture
def small(monkeypatch):
    torch.manual_seed(0)
    encoder = minilm.Encoder(Words()).eval()
    ids = [torch.randint(1, 100, (length,)) for length in (3, 5, 2, 9)]
    monkeypatch.setattr(minilm, "load", lambda sentences: (encoder, ids))
    return encoder, ids


def test_forty_sentences():
    assert len(set(SENTENCES)) == 40


def test_padding_is_no_part_of_a_sentence(small):
    encoder, ids = small
    alone = [encoder(*minilm.padded([each])) for each in ids]
    together = [encoder(*minilm.padded(ids))]
    torch.testing.assert_close(minilm.similarities(alone), minilm.similarities(together))
    words, mask = (minilm.fill(rows) for rows in minilm.padded(ids))
    assert words.shape == mask.shape == (minilm.TOGETHER, minilm.LONGEST)
    assert mask.sum() == sum(map(len, ids))


def test_a_format_is_held_to_pytorch(small, monkeypatch):
    monkeypatch.setattr(minilm, "RUNTIMES", {".onnx": minilm.RUNTIMES[".onnx"]})  # the others take longer
    part = minilm.measure(Plan(quick=True))
    assert [(row.peer, row.met) for row in part.rows] == [("ONNX (.onnx)", True)]
    assert "exported and checked in" in part.notes[0]


def test_another_answer_is_seen(small, monkeypatch):
    right = minilm.RUNTIMES[".onnx"]
    wrong = {".onnx": lambda path: lambda *inputs: right(path)(*inputs).roll(1, 0)}
    monkeypatch.setattr(minilm, "RUNTIMES", wrong)
    (row,) = minilm.measure(Plan(quick=True)).rows
    assert row.met is False


def test_a_refusal_is_a_row(small, monkeypatch):
    def refuse(*_, **__):
        raise ExportError("It cannot be written.", "It should.", "Do not.")

    monkeypatch.setattr(minilm.tessera, "export", refuse)
    monkeypatch.setattr(minilm, "RUNTIMES", {".onnx": None})
    (row,) = minilm.measure(Plan(quick=True)).rows
    assert (row.ours, row.met) == ("refused: It cannot be written.", False)


def test_what_is_not_installed_is_a_row(small, monkeypatch):
    monkeypatch.setattr(minilm, "missing_packages", lambda form: ["onnx"])
    rows = minilm.measure(Plan(quick=True)).rows
    assert all(row.ours.startswith("not installed: pip install ") for row in rows)
    monkeypatch.undo()
    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
    (row,) = minilm.measure(Plan(quick=True)).rows
    assert (row.ours, row.met) == (minilm.INSTALL, None)
