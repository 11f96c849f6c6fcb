from __future__ import annotations

import torch

from examples.gpt import Corpus, main, small, windows


def test_the_corpus_is_real_and_held_out_by_files():
    corpus = Corpus.load()
    assert len(corpus.text) > 4_000_000
    assert corpus.files > 10 * corpus.held_out_files > 0
    assert b"def __init__(self" in bytes(corpus.text[:1_000_000].tolist())


def test_labels_are_the_next_bytes():
    text = torch.arange(100, dtype=torch.uint8)
    inputs, labels = windows(text, 7, 10, seed=0)
    assert inputs.shape == labels.shape == (7, 10)
    assert torch.equal(labels, inputs + 1)
    assert torch.equal(windows(text, 7, 10, seed=0)[0], inputs)
    assert not torch.equal(windows(text, 7, 10, seed=1)[0], inputs)


def test_a_position_sees_only_what_came_before():
    model = small()
    tokens = torch.randint(0, 256, (1, 12))
    changed = tokens.clone()
    changed[0, 8] = (tokens[0, 8] + 1) % 256
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :8], after[:, :8])
    assert not torch.allclose(before[:, 8], after[:, 8])


def test_it_writes():
    assert small().write("def ", 3).startswith("def ")


def test_the_program_runs(tmp_path, capsys):
    main(["--quick", "--folder", str(tmp_path)])
    assert capsys.readouterr().out.splitlines()[-1] == f"saved to {tmp_path / 'gpt.safetensors'}"
    assert "head.weight" in small().load(tmp_path / "gpt.safetensors")
