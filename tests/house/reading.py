"""How the house rules read the repository: its files as text, their imports and names as syntax."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

Files = Mapping[str, str]

ROOT = Path(__file__).parents[2]
CODE = ("tessera/", "tests/", "examples/", "benchmarks/")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cpp", ".h"}
TEXT_NAMES = {"Makefile", ".gitignore", "run"}


@functools.cache
def repository() -> Files:
    """Every text file of the repository, without what tools leave behind."""
    folders = [ROOT / folder for folder in (*CODE, "docs", ".ci")]
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    paths += [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    wanted = (path for path in paths if path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES)
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in wanted}


def code(files: Files, *folders: str) -> Files:
    return {path: text for path, text in files.items() if path.endswith(".py") and path.startswith(folders)}


def package(files: Files) -> Files:
    """The files of tessera/ that hold code: all but the tables of contents."""
    return {path: text for path, text in code(files, "tessera/").items() if not path.endswith("__init__.py")}


def twin_of(path: str) -> str:
    inside = PurePosixPath(path).relative_to("tessera")
    return str(PurePosixPath("tests") / inside.with_name(f"test_{inside.name}"))


@functools.cache
def parse(text: str) -> ast.Module:
    return ast.parse(text)


def lines(text: str) -> int:
    return len(text.splitlines())


def matches(pattern: re.Pattern[str], files: Files) -> Iterator[tuple[str, int, str]]:
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if found := pattern.search(line):
                yield path, number, found.group()


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def tessera_imports(path: str, text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, folder or file right under tessera/, whether inside a function) for imports that run."""
    here = PurePosixPath(path).parts[:-1]

    def visit(node: ast.AST, *, inside: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "tessera":
                yield node.lineno, (name.split(".")[1:] or [""])[0], inside
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside=inside)

    yield from visit(parse(text), inside=False)


def is_private(name: str) -> bool:
    parts = name.split(".")
    if parts[0] != "torch" or parts[:2] == ["torch", "ops"]:  # operators such as aten._softmax are the graph's alphabet
        return False
    hidden = any(part.startswith("_") and not part.endswith("__") for part in parts)
    return hidden or parts[:3] == ["torch", "fx", "experimental"]


def torch_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything under torch that a file imports or reads as an attribute."""
    known = {"torch": "torch"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield node.lineno, module + alias.name
                if module or alias.asname:
                    known[alias.asname or alias.name] = module + alias.name

    def dotted(node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            above = dotted(node.value)
            return f"{above}.{node.attr}" if above else ""
        return known.get(node.id, "") if isinstance(node, ast.Name) else ""

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, dotted(node)
        elif isinstance(node, ast.Call):
            texts = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            owner = dotted(node.args[0]) if node.args and ast.unparse(node.func) == "getattr" else ""
            for text in texts:
                yield node.lineno, f"{owner}.{text}" if owner else text


def belongs_in_init(statement: ast.stmt, *, lazy: bool) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=[]):
            return all(isinstance(inner, ast.Import | ast.ImportFrom) for inner in body)
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name == "_CONTENTS" or (name.startswith("__") and name.endswith("__"))
        case ast.FunctionDef(name="__getattr__" | "__dir__") | ast.ClassDef(name="_Contents"):
            return lazy
        case ast.Assign(targets=[ast.Attribute(attr="__class__")]):
            return lazy
    return False


def examples_named(tree: ast.Module) -> Iterator[str]:
    """Stems of the examples that a test file imports, or names in a string (`examples.xor`, `examples/xor.py`)."""
    for node in ast.walk(tree):
        names = imported_modules(node)
        if isinstance(node, ast.ImportFrom) and node.module == "examples":
            names = [f"examples.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        for name in names:
            if found := re.fullmatch(r"examples[./](\w+)(\.py)?", name):
                yield found.group(1)


def tree_of(readme: str) -> set[str]:
    """The folders and Python files under tessera/ that the README's file tree names, as paths."""
    block = re.search(r"^```\w*\n(tessera/.*?)^```", readme, re.MULTILINE | re.DOTALL)
    found, folders = set(), []
    for line in block.group(1).splitlines() if block else ():
        name = line.split()[0] if line.split() else ""
        depth = (len(line) - len(line.lstrip())) // 2
        folders = folders[:depth]
        path = "/".join([*folders, name])
        if name.endswith("/"):
            folders = [*folders, name.rstrip("/")]
            found |= {path} if path.startswith("tessera/") else set()
        elif path.startswith("tessera/") and name.endswith(".py"):
            found.add(path)
    return found
