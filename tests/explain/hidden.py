"""Broken programs, each with one of its operands behind a call of the user's own, which nothing may run twice."""

import ast
import dataclasses
import inspect
import textwrap

from tests.explain.program import Program


def hidden(value):
    """A function of the user's: what it returns is not known."""
    return value


def variants(program: Program, folder):
    """The program with ``hidden(x)`` for ``x``, for each operand on the line of its mistake; files go to ``folder``."""
    lines = textwrap.dedent(inspect.getsource(program.forward)).splitlines()
    lines = lines[next(at for at, line in enumerate(lines) if line.startswith("def ")) :]
    tree = ast.parse("\n".join(lines))
    local = {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)}
    local |= {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in local - {"self"}:
            line, rest = lines[each.lineno - 1], lines[each.lineno :]
            if "# here" not in line:
                continue
            changed = f"{line[: each.col_offset]}hidden({each.id}){line[each.end_col_offset :]}"
            file = folder / f"{program.name}_{each.col_offset}.py"
            file.write_text("\n".join([*lines[: each.lineno - 1], changed, *rest]) + "\n")
            names = {**program.forward.__globals__, "hidden": hidden}
            exec(compile(file.read_text(), str(file), "exec"), names)
            yield each.id, dataclasses.replace(program, forward=names[program.name])
