"""The house rules. A rule is a function of the files (path -> text); each line it yields says what to repair."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from tests.house.reading import (
    CODE,
    Files,
    belongs_in_init,
    code,
    examples_named,
    imported_modules,
    is_private,
    lines,
    matches,
    package,
    parse,
    tessera_imports,
    torch_names,
    tree_of,
    twin_of,
)

Rule = Callable[[Files], Iterator[str]]

# A folder (or file) of tessera/ imports from its own floor and from floors below it.
FLOORS = {
    **dict.fromkeys(("errors", "shapes", "terminal", "torch_internals", "users_code", "__version__"), 1),
    **dict.fromkeys(("program", "artefact", "explain", "nn", "optim", "random", "kernels", "debug"), 2),
    **dict.fromkeys(("cpp_extension", "precompiled_headers"), 2),
    **dict.fromkeys(("capture", "backend", "transforms"), 3),
    **dict.fromkeys(("data", "checkpoint", "train", "profile", "check"), 4),
    **dict.fromkeys(("export", "quantize"), 5),
    **dict.fromkeys(("serve", "cli", "__main__"), 6),
}
# Methods of a few lines that open an upper floor when they are called. This list is meant to stay short.
DOORS = ("tessera/nn/module.py", "tessera/nn/model.py", "tessera/nn/function.py")

ROOT_FILES = (
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
)
LONGEST_FILE, LARGEST_MEDIAN = 600, 200  # lines
LIST_OF_NEEDS = "tessera/torch_internals.py"  # one small function a need, and one file by design: it grows by needs
UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
EMPTY_NAMES = re.compile(r"^(utils?|common|core|misc|helpers?|.*_v\d+)$")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
REGISTRY = re.compile(r"\b(pypi|pythonhosted|anaconda|npmjs)\.(org|com)\b|\bdownload\.pytorch\b", re.IGNORECASE)


def every_source_has_a_twin(files: Files) -> Iterator[str]:
    for path in package(files):
        twin = twin_of(path)
        if twin not in files:
            yield f"{path} has no test of its own: write {twin}"


def imports_go_down(files: Files) -> Iterator[str]:
    level_arrows: dict[tuple[str, str], str] = {}
    for path, text in package(files).items():
        folder = PurePosixPath(path).parts[1].removesuffix(".py")
        if folder not in FLOORS:
            yield f"{path}: {folder!r} has no floor: add it to FLOORS in tests/house/rules.py"
            continue
        for line, target, inside_function in tessera_imports(path, text):
            place = f"{path}:{line}"
            if target == "":
                yield f"{place} imports the table of contents: import the file that defines the name"
            elif target not in FLOORS:
                yield f"{place} imports tessera.{target}, which has no floor: add it to FLOORS"
            elif FLOORS[target] > FLOORS[folder] and not (inside_function and path in DOORS):
                yield (
                    f"{place} imports {target} (floor {FLOORS[target]}) from {folder} (floor {FLOORS[folder]}): "
                    "move what is needed down, or pass it in as an argument"
                )
            elif FLOORS[target] == FLOORS[folder] and target != folder and not inside_function:
                level_arrows[folder, target] = place
    for (source, target), place in level_arrows.items():
        if (target, source) in level_arrows and source < target:
            back = level_arrows[target, source]
            yield f"{source} and {target} import each other ({place}, {back}): turn one of the two arrows around"


def private_torch_stays_in_one_file(files: Files) -> Iterator[str]:
    for path, text in code(files, "tessera/", "examples/", "benchmarks/").items():
        if path == "tessera/torch_internals.py":
            continue
        uses: dict[int, str] = {}
        for line, name in torch_names(parse(text)):
            if is_private(name) and len(name) > len(uses.get(line, "")):
                uses[line] = name
        for line, name in uses.items():
            yield f"{path}:{line} uses private {name}: put a small function for it into tessera/torch_internals.py"


def files_are_short(files: Files) -> Iterator[str]:
    for path, text in code(files, *CODE).items():
        if lines(text) > LONGEST_FILE and path != LIST_OF_NEEDS:
            yield f"{path} has {lines(text)} lines, {LONGEST_FILE} is the most: split it by idea, one idea a file"


def most_files_are_small(files: Files) -> Iterator[str]:
    sizes = {path: lines(text) for path, text in package(files).items()}
    if sizes and statistics.median(sizes.values()) > LARGEST_MEDIAN:
        longest = ", ".join(sorted(sizes, key=lambda path: -sizes[path])[:5])
        yield f"the median file of tessera/ has over {LARGEST_MEDIAN} lines: split the longest ({longest})"


def init_is_a_table_of_contents(files: Files) -> Iterator[str]:
    for path, text in code(files, "tessera/").items():
        if PurePosixPath(path).name != "__init__.py":
            continue
        for statement in parse(text).body:
            if not belongs_in_init(statement, lazy=path == "tessera/__init__.py"):
                yield (
                    f"{path}:{statement.lineno} has logic: keep the docstring, `from x import y as y`, `__all__`, "
                    "and move the rest into a file named after its idea"
                )


def names_say_something(files: Files) -> Iterator[str]:
    for path in code(files, *CODE):
        for part in PurePosixPath(path).parts:
            if EMPTY_NAMES.match(part.removesuffix(".py").removeprefix("test_")):
                yield f"{path}: {part!r} does not say what is in it: name it after its idea, and keep one version only"


def the_root_is_small(files: Files) -> Iterator[str]:
    for path in files:
        if "/" not in path and path not in ROOT_FILES:
            yield f"{path} lies in the root, which holds only {', '.join(ROOT_FILES)}: give it a folder, or remove it"


def every_example_is_a_program_under_test(files: Files) -> Iterator[str]:
    tested = {name for text in code(files, "tests/").values() for name in examples_named(parse(text))}
    for path, text in code(files, "examples/").items():
        stem = PurePosixPath(path).stem
        if stem == "__init__":
            continue
        if not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in parse(text).body):
            yield f"{path} has no `def main()`: put the program there and call it under `if __name__ == '__main__'`"
        if stem not in tested:
            yield f"{path} is run by no test: call `main()` of examples.{stem} in tests/examples/test_{stem}.py"


def nothing_is_left_unfinished(files: Files) -> Iterator[str]:
    for path, line, found in matches(UNFINISHED, files):
        yield f"{path}:{line} says {found}: do it now, or open an issue and say in words what is not there"


def nothing_is_unpickled(files: Files) -> Iterator[str]:
    for path, text in code(files, "tessera/", "examples/", "benchmarks/").items():
        for node in ast.walk(parse(text)):
            for module in imported_modules(node):
                if module.split(".")[0] in UNPICKLERS:
                    yield f"{path}:{node.lineno} imports {module}, which can run a file's code: use safetensors or JSON"
            if isinstance(node, ast.Call):
                flags = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
                if ast.unparse(node.func) == "torch.load" and flags.get("weights_only") is not True:
                    yield f"{path}:{node.lineno} loads a pickle: write torch.load(..., weights_only=True)"
                if flags.get("allow_pickle"):
                    yield f"{path}:{node.lineno} allows pickle: leave allow_pickle out"


def no_registry_is_named(files: Files) -> Iterator[str]:
    for path, line, found in matches(REGISTRY, files):
        yield f"{path}:{line} names {found}: leave the host out, pip's own configuration knows where packages are"


def installs_are_constrained(files: Files) -> Iterator[str]:
    for path in ("Makefile", ".ci/run", "README.md", "CONTRIBUTING.md"):
        for number, line in enumerate(files.get(path, "").splitlines(), start=1):
            if re.search(r"\bpip3? install\b", line) and "-c constraints.txt" not in line:
                yield f"{path}:{number} installs without `-c constraints.txt`: another torch could come with it"


def readme_tree_is_true(files: Files) -> Iterator[str]:
    named = tree_of(files.get("README.md", ""))
    present = set(code(files, "tessera/"))
    folders = {str(PurePosixPath(path).parent) + "/" for path in present}
    for path in sorted(folders - named):
        yield f"{path} is not in README.md's file tree: add a line that says what it is for"
    for path in sorted(named - folders - present):
        yield f"README.md's file tree names {path}, which is not there: remove the line"


RULES: tuple[Rule, ...] = (
    every_source_has_a_twin,
    imports_go_down,
    private_torch_stays_in_one_file,
    files_are_short,
    most_files_are_small,
    init_is_a_table_of_contents,
    names_say_something,
    the_root_is_small,
    every_example_is_a_program_under_test,
    nothing_is_left_unfinished,
    nothing_is_unpickled,
    no_registry_is_named,
    installs_are_constrained,
    readme_tree_is_true,
)
