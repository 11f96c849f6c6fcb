from __future__ import annotations

from tessera.export.exported import Exported


def test_it_prints_what_was_written(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(41_250))
    exported = Exported(path, "onnx", 2e-7, True, "Its answers differ by 2e-07 at most.")
    assert str(exported) == f"{path} (onnx, 41.25 kB): accepted. Its answers differ by 2e-07 at most."


def test_a_rejected_file_is_called_so(tmp_path):
    path = tmp_path / "model.onnx.rejected"
    path.write_bytes(bytes(12))
    assert str(Exported(path, "onnx", 1.0, False, "It differs.")) == f"{path} (onnx, 12 bytes): rejected. It differs."
