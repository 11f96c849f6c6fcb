from __future__ import annotations

import json
import random
import tomllib

import pytest

from tessera.cli.config import Entry, line_of, nearest, read_config
from tessera.errors import SettingError, SourceLine, TesseraError

TEXT = """\
# a run
model = "net.py:Net"

[optimizer]
name = "AdamW"
lr = {schedule = "linear", steps = 10}
betas = [
  0.9,  # first
  0.99,
]

[[callbacks]]
name = "CSVLogger"

[[callbacks]]
path = \"\"\"two
lines = 1\"\"\"
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str, *overrides: str):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return read_config(path, overrides)

    return write


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("model",), 2),
        (("optimizer",), 4),
        (("optimizer", "lr", "steps"), 6),
        (("optimizer", "betas", 1), 7),
        (("callbacks", 0, "name"), 13),
        (("callbacks", 1), 15),
        (("callbacks", 1, "path"), 16),
    ],
)
def test_a_key_is_found_on_its_line(written, keys, line):
    config = written(TEXT)
    found = line_of(config, keys)
    assert found == SourceLine(str(config.path), line, TEXT.splitlines()[line - 1])


@pytest.mark.parametrize("keys", [(), ("data",), ("optimizer", "eps"), ("callbacks", 2), ("model", "name")])
def test_what_is_not_there_has_no_line(written, keys):
    assert line_of(written(TEXT), keys) is None


def test_a_short_name_stands_where_its_text_does(written):
    config = written(TEXT)
    short = Entry(config, ("model", "name"), "net.py:Net")
    assert short.where == config.root["model"].where == line_of(config, ("model",))
    assert config.root.where is None


def test_a_mark_in_front_is_none_of_the_text(tmp_path):
    (tmp_path / "run.toml").write_bytes("\ufeffa = 1".encode())
    assert read_config(tmp_path / "run.toml").values == {"a": 1}


def random_toml(source: random.Random) -> tuple[str, dict[tuple[str | int, ...], int]]:
    """A config, and the line of every key in it."""
    lines: list[str] = []
    places: dict[tuple[str | int, ...], int] = {}
    values = ["1", "'#'", '"[x]"', "[1,\n  2]", "{a = 1}", '"""\nb = 2\n"""', "'''\n[c]'''", "[\n # none\n]"]

    def fill(above: tuple[str | int, ...]) -> None:
        for name in source.sample(["a", "b", "c", '"d e"'], source.randrange(4)):
            lines.extend([""] * source.randrange(2) + ["# a = 3"] * source.randrange(2))
            places[*above, name.strip('"')] = len(lines) + 1
            lines.extend(f"{name} = {source.choice(values)}".split("\n"))

    fill(())
    for table in source.sample(["s", "t", "u"], source.randrange(4)):
        places[(table,)] = len(lines) + 1
        if source.random() < 0.5:
            for number in range(source.randrange(1, 3)):
                places[table, number] = len(lines) + 1
                lines.append(f"[[{table}]]")
                fill((table, number))
        else:
            lines.append(f"[{table}]")
            fill((table,))
    return "\n".join(lines), places


@pytest.mark.parametrize("seed", range(20))
def test_lines_of_random_configs(written, seed):
    text, places = random_toml(random.Random(seed))
    config = written(text)
    assert {keys: line_of(config, keys).line for keys in places} == places


@pytest.mark.parametrize("seed", range(10))
def test_an_override_does_what_the_same_line_in_the_file_does(written, seed):
    source = random.Random(seed)
    values: dict = {}
    overrides = []
    for _ in range(6):
        path = source.sample(["a", "b", "c d"], source.randrange(1, 4))
        inside, value = values, source.choice([1, -2.5, "x=y", True, [1, [2]], {"k": "v"}])
        for key in path[:-1]:
            inside = inside.setdefault(key, {})
            if not isinstance(inside, dict):
                break  # nothing can be set below a number or a string
        else:
            inside[path[-1]] = value
            written_value = "{k = 'v'}" if isinstance(value, dict) else json.dumps(value)
            overrides.append(".".join(f'"{key}"' if " " in key else key for key in path) + f"={written_value}")
    assert written("", *overrides).values == values


def test_an_override_reaches_into_arrays_and_short_names(written):
    config = written(TEXT, "callbacks.1.path='x'", "optimizer.betas.0=0.8", "model.hidden=64", "fit.epochs=2")
    assert config.values["callbacks"][1] == {"path": "x"}
    assert config.values["optimizer"]["betas"] == [0.8, 0.99]
    assert config.values["model"] == {"name": "net.py:Net", "hidden": 64}
    assert config.values["fit"] == {"epochs": 2}


def test_an_override_is_where_its_value_stands(written):
    config = written(TEXT, "fit.epochs=2", "optimizer={name = 'SGD'}")
    assert config.root["fit"]["epochs"].where == SourceLine("--set", 1, "fit.epochs=2")
    assert config.root["optimizer"]["name"].where == SourceLine("--set", 2, "optimizer={name = 'SGD'}")
    assert config.root["model"].where.line == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("fit.epochs", "KEY=VALUE"),
        ("=5", "KEY=VALUE"),
        ("a..b=5", "KEY=VALUE"),
        ("x={=1", "no TOML value"),
        ("loss=mse", """--set 'loss="mse"'"""),
        ("fit.resume=False", "Write --set fit.resume=false."),
        ("fit.lr=.5", "no TOML value"),
        ("fit.a=1\nb = 2", "no TOML value"),
        ("optimizer.betas.2=1", "there is no optimizer.betas.2"),
        ("optimizer.betas.7.0=1", "there is no optimizer.betas.7"),
        ("optimizer.lr.steps.x=1", "there is no optimizer.lr.steps.x"),
        ("callbacks.name='x'", "there is no callbacks.name"),
    ],
)
def test_an_override_that_cannot_be_set(written, override, words):
    with pytest.raises(SettingError) as caught:
        written(TEXT, override)
    assert override in str(caught.value)
    assert words in str(caught.value)


def test_what_is_no_toml_names_its_line(written):
    with pytest.raises(SettingError, match="TOML") as caught:
        written("a = 1\nb = yes\n")
    assert caught.value.where == SourceLine(caught.value.where.file, 2, "b = yes")


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"a = '\xff'")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "run.toml"):
        with pytest.raises(SettingError, match="cannot be read"):
            read_config(path)


def test_unknown_keys_name_the_nearest_and_the_line(written):
    entry = written("[fit]\nepohcs = 3\n").root["fit"]
    with pytest.raises(SettingError) as caught:
        entry.check_keys(("steps", "epochs"))
    assert str(caught.value).startswith("[fit] has the key 'epohcs'. The keys are epochs, steps. Write 'epochs'.")
    assert caught.value.where.line == 2


def test_entries_of_tables_and_arrays(written):
    root = written(TEXT).root
    assert [(key, entry.name) for key, entry in root["callbacks"].items()] == [(0, "callbacks.0"), (1, "callbacks.1")]
    assert dict(root["optimizer"].without("lr", "betas").value) == {"name": "AdamW"}
    assert "lr" in root["optimizer"]
    assert "lr" in root.config.values["optimizer"]  # the config itself stays whole
    with pytest.raises(SettingError, match="model = 'net.py:Net' is no table"):
        root["model"].table("A model is a table.")


def test_blame_keeps_the_line_that_an_error_has(written):
    entry = written(TEXT).root["model"]
    own = SourceLine("net.py", 3)
    for where, shown in ((None, entry.where), (own, own)):
        with pytest.raises(TesseraError) as caught, entry.blamed():
            raise TesseraError("a.", "b.", "c.", where)
        assert caught.value.where == shown


def test_the_values_are_those_of_the_file(written):
    assert written(TEXT).values == tomllib.loads(TEXT)


def test_the_nearest_name():
    assert nearest("adamw", ["SGD", "AdamW"]) == "Write 'AdamW'."
    assert nearest("cosin", ["join", "cosine_decay", "cosine_restarts"]) == "Write 'cosine_decay'."
    assert nearest("zzz", ["SGD"]) == "Write one of them, or leave it out."
