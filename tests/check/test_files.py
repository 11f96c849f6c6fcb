from __future__ import annotations

from tessera.check.files import check_files

PACKAGE = """
from tessera import Tensor
from . import sizes

def f(x: Tensor["B", 8]) -> Tensor["B", 9]:
    return sizes.widen(x)
"""


def test_a_file_of_a_package_is_imported_as_part_of_it(tmp_path):
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "sizes.py").write_text("def widen(x):\n    return x\n")
    (folder / "model.py").write_text(PACKAGE)
    (finding,) = check_files([folder / "sizes.py", folder / "model.py"]).errors
    assert (finding.file, finding.line) == (str(folder / "model.py"), 6)


def test_a_file_that_raises_is_a_finding_at_its_line(tmp_path):
    file = tmp_path / "raises_on_import.py"
    file.write_text('from tessera import Tensor\nx: Tensor["B"] = None\n1 / 0\n')
    (finding,) = check_files([file]).errors
    assert (finding.kind, finding.line) == ("import", 3)
    assert "ZeroDivisionError" in finding.why


def test_a_syntax_error_is_a_finding_at_its_line(tmp_path):
    file = tmp_path / "not_python.py"
    file.write_text("x = 'Tensor['\ndef f(:\n")
    (finding,) = check_files([file]).errors
    assert (finding.kind, finding.line) == ("import", 2)


def test_a_malformed_annotation_is_a_finding(tmp_path):
    file = tmp_path / "malformed.py"
    file.write_text("from tessera import Tensor\n\n\ndef f(x: \"Tensor['B S']\"):\n    return x\n")
    (finding,) = check_files([file]).errors
    assert (finding.kind, finding.line) == ("annotation", 4)


def test_a_malformed_annotation_that_ends_the_import_is_one_of_an_annotation(tmp_path):
    file = tmp_path / "malformed_at_once.py"
    file.write_text('from tessera import Tensor\n\n\ndef f(x: Tensor["B", -3]):\n    return x\n')
    (finding,) = check_files([file]).errors
    assert (finding.kind, finding.line) == ("annotation", 4)
    assert finding.fixes[0].startswith("Write for example Tensor")


def test_a_file_with_the_name_of_another_module_is_a_note(tmp_path):
    file = tmp_path / "json.py"
    file.write_text('from tessera import Tensor\ndef f(x: Tensor["B"]): return x\n')
    report = check_files([file])
    assert "its name json is that of another module" in report.notes[0]
