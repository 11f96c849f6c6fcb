from __future__ import annotations

from pathlib import Path

from tessera.export.exported import Exported, in_bytes


def test_it_prints_what_was_written():
    exported = Exported(
        Path("model.onnx"),
        "ONNX",
        2e-7,
        True,
        "Its answers differ by 2e-07 at most.",
        41_250,
        {"MatMul": 3, "Add": 2},
        {"aten.linear": ["MatMul", "Add"]},
        ["Its sizes are fixed."],
        {"file": 0.10412, "eager": 1.2},
    )
    assert str(exported) == (
        "model.onnx (ONNX, 41.25 kB): accepted. Its answers differ by 2e-07 at most.\n"
        "  operators: MatMul 3, Add 2\n"
        "  decomposed: aten.linear into MatMul, Add\n"
        "  a call here: file 0.104 ms, eager 1.2 ms\n"
        "  Its sizes are fixed."
    )


def test_a_rejected_file_is_called_so():
    rejected = Exported(Path("m.onnx.rejected"), "ONNX", 1.0, False, "It differs.", 12)
    assert str(rejected) == "m.onnx.rejected (ONNX, 12 bytes): rejected. It differs."


def test_sizes_in_words():
    assert [in_bytes(10.0**n) for n in (0, 3, 6, 9, 12)] == ["1 bytes", "1 kB", "1 MB", "1 GB", "1000 GB"]
