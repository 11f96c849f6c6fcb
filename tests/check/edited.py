"""What edits a function is given, and what one of them makes of it."""

from __future__ import annotations

import ast

from tessera.check.text_edits import text_edits


def edits(text: str, names=None, **options):
    (function,) = ast.parse(text).body
    return {edit.text: edit for edit in text_edits(function, names or {}, [7], **options)}


def after(text: str, shown: str, names=None, **options) -> str:
    (function,) = ast.parse(text).body
    edit = next(edit for edit in text_edits(function, names or {}, [7], **options) if edit.text == shown)
    changed = ast.unparse(edit.applied(function))
    assert ast.unparse(function) == ast.unparse(ast.parse(text).body[0])
    return changed
