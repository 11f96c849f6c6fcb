from __future__ import annotations

import functools
import gc
import os
import weakref
from collections import ChainMap, OrderedDict, defaultdict
from types import ModuleType, SimpleNamespace

import pytest
import torch

import tessera
from tessera import torch_internals
from tessera.capture.dispatch import Dispatch

NEGATE = False
SEEN = []


def scaled(x, factor):
    return -x * factor if NEGATE else x * factor


def remembering(x, factor):
    SEEN.append(factor)
    return x * factor


def bind(x, factor):
    return locals()


class Backend:
    def __init__(self):
        self.graphs = 0

    def compile(self, graph_module, inputs):
        self.graphs += 1
        return graph_module.forward


@pytest.fixture
def backend():
    return Backend()


def test_a_hit_does_not_go_through_dynamo_and_a_changed_global_does(monkeypatch, backend):
    call = Dispatch(scaled, bind, backend.compile, whole=True)
    x = torch.randn(3)
    assert not call.captured
    for _ in range(3):
        assert torch.equal(call(x, 2), x * 2)
    assert (call.captured, call.misses, backend.graphs) == (True, 1, 1)
    monkeypatch.setitem(globals(), "NEGATE", True)
    assert torch.equal(call(x, 2), -x * 2)
    assert call.misses == 2
    monkeypatch.setitem(globals(), "NEGATE", False)
    assert torch.equal(call(x, 2), x * 2)
    assert (call.misses, backend.graphs) == (2, 2)  # both versions are kept


def test_forgetting_captures_anew(backend):
    call = Dispatch(scaled, bind, backend.compile, whole=True)
    x = torch.randn(3)
    call(x, 2)
    call.forget()
    assert not call.captured
    assert torch.equal(call(x, 2), x * 2)
    assert backend.graphs == 2


def test_two_of_the_same_function_do_not_share_captures(backend):
    first, second = (Dispatch(scaled, bind, backend.compile, whole=True) for _ in range(2))
    x = torch.randn(3)
    first(x, 2)
    assert not second.captured
    second(x, 2)
    assert second.misses == 1
    assert backend.graphs == 2


def test_only_code_without_side_effects_is_pure(backend):
    x = torch.randn(3)
    plain = Dispatch(scaled, bind, backend.compile, whole=True)
    assert plain.pure(x, 2) is None
    plain(x, 2)
    assert torch.equal(plain.pure(x, 2)(x, 2), x * 2)
    assert plain.pure(torch.randn(3, dtype=torch.float64), 2) is None
    writing = Dispatch(remembering, bind, backend.compile, whole=True)
    writing(x, 2)
    writing(x, 2)
    assert SEEN == [2, 2]
    assert writing.pure(x, 2) is None


def test_what_a_capture_holds_goes_with_the_dispatch():
    class Holding(Backend):
        def compile(self, graph_module, inputs):
            return lambda *inputs: (self, graph_module.forward(*inputs))[1]

    owner, x = Holding(), torch.randn(3)
    call = Dispatch(scaled, bind, owner.compile, whole=True)
    call(x, 2)
    assert call.pure(x, 2) is not None
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is not None
    del call
    gc.collect()
    assert gone() is None


def test_the_owner_of_the_backend_is_not_kept_alive():
    owner = Backend()
    call = Dispatch(scaled, bind, owner.compile, whole=True)
    call(torch.randn(3), 2)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_what_dynamo_leaves_alone_is_done_once():
    """Its first try to capture all of a function would have run one that it leaves alone, and then raised."""
    done = []

    class Manager:
        def __enter__(self):
            done.append("in")

        def __exit__(self, *_):
            done.append("out")

    def helper(x):
        print(end="")  # noqa: T201 - Dynamo breaks here
        return x * 2

    def function(x):
        with Manager():
            done.append("body")
        return helper(x)

    compiled = tessera.compile(function)
    for calls in (1, 2, 3):
        assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0))
        assert done == ["in", "body", "out"] * calls


def test_captured_code_that_cannot_be_hashed():
    kept = []

    def function(x, k):
        def later(z=x * k):
            return z + k

        kept.append(later)
        return later()

    compiled, x = tessera.compile(function), torch.ones(2)
    for k in (2, 3.0):
        assert torch.equal(compiled(x, k), x * k + k)
        assert torch.equal(kept[-1](), x * k + k)


class Log:
    """Notes what is set."""

    def __init__(self):
        self.done = []

    def __setattr__(self, name, value):
        if name != "done":
            self.done.append(name)
        if isinstance(value, float) and value < 0:
            raise ValueError(name)
        super().__setattr__(name, value)


def test_pieces_are_not_begun_in_vain():
    log = Log()

    def function(x, value):
        log.mean = (x * 2).mean().item()
        log.value = value
        return x + log.mean

    def run(called):
        log.done.clear()
        for value in (2.0, -1.0, torch.tensor(1.0), 3):
            try:
                called(torch.ones(2), value)
            except ValueError as error:
                log.done.append(str(error))
        return list(log.done)

    expected = run(function)
    assert run(tessera.compile(function)) == expected


def _counting(monkeypatch):
    """How often graphs are called, which run one operation at a time."""
    calls = []

    def compile_pieces(graph_module, *_, **__):
        return lambda *inputs: (calls.append(1), graph_module.forward(*inputs))[1]

    monkeypatch.setattr(torch_internals, "compile_graph_pieces", compile_pieces)
    return calls


def test_what_dynamo_broke_up_is_compiled_in_every_call(monkeypatch):
    calls = _counting(monkeypatch)

    def function(x):
        y = x * 2
        print(end="")  # noqa: T201 - Dynamo breaks here
        return y + 1

    compiled = tessera.compile(function)
    for size in (2, 2, 3, 4, 4):
        calls.clear()
        assert torch.equal(compiled(torch.ones(size)), torch.full((size,), 3.0))
        assert len(calls) == 2


def test_what_comes_before_an_exception_is_done_once(monkeypatch):
    _counting(monkeypatch)
    done = []

    def function(x):
        done.append(int(x.sum()))  # Dynamo breaks here
        raise ValueError(done[-1])

    compiled = tessera.compile(function)
    for calls, size in enumerate((2, 4, 3, 2, 5), start=1):
        with pytest.raises(ValueError, match=str(size)):
            compiled(torch.ones(size))
        assert len(done) == calls


def test_pieces_look_at_what_dynamo_does_not_guard(monkeypatch):
    _counting(monkeypatch)
    monkeypatch.delenv("ODD_SCALE", raising=False)

    def function(x):
        print(end="")  # noqa: T201 - Dynamo breaks here
        return x * float(os.environ.get("ODD_SCALE", "2"))

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 2
    monkeypatch.setenv("ODD_SCALE", "3")
    assert compiled(torch.ones(1)) == 3


def test_a_variable_that_is_asked_for_by_getenv(monkeypatch):
    _counting(monkeypatch)
    monkeypatch.delenv("ODD_SCALE", raising=False)
    compiled = tessera.compile(lambda x: x * float(os.getenv("ODD_SCALE", "2")))
    assert compiled(torch.ones(1)) == 2
    monkeypatch.setenv("ODD_SCALE", "3")
    assert compiled(torch.ones(1)) == 3


SETTINGS = {"scale": 2.0}


def scaled_by(k):
    return lambda x: x * k


SCALED = scaled_by(2.0)


@pytest.mark.parametrize("first", ["global", "argument"])
@pytest.mark.parametrize(
    ("one", "other", "use"),
    [
        (SETTINGS, {"scale": 5.0}, lambda settings, x: x * settings["scale"]),
        (SCALED, scaled_by(5.0), lambda function, x: function(x)),
    ],
    ids=["dict", "closure"],
)
def test_a_global_that_is_an_argument_too_is_not_always(monkeypatch, first, one, other, use):
    _counting(monkeypatch)

    def known():
        return SETTINGS if one is SETTINGS else SCALED

    def function(x, given):
        if first == "global":
            return use(known(), x) * 10 + use(given, x)
        return use(given, x) + use(known(), x) * 10

    compiled = tessera.compile(function)
    for given, value in ((one, 22), (other, 25), (one, 22)):
        assert compiled(torch.ones(1), given) == value


def test_a_function_twice_is_not_always_one_function(monkeypatch):
    _counting(monkeypatch)
    compiled = tessera.compile(lambda x, f, g: f(x) * 10 + g(x))
    one, other, x = scaled_by(2.0), scaled_by(5.0), torch.ones(1)
    assert [float(compiled(x, *pair)) for pair in ((one, one), (one, other), (other, one))] == [22, 25, 52]


@pytest.mark.parametrize(
    ("make", "change", "use"),
    [
        (dict, lambda table: table.update(scale=3.0), lambda table: table["scale"]),
        (OrderedDict, lambda table: table.update(scale=3.0), lambda table: table["scale"]),
        (SimpleNamespace, lambda holder: setattr(holder, "scale", 3.0), lambda holder: holder.scale),
        (torch.nn.Module, lambda layer: layer.register_buffer("scale", torch.tensor(3.0)), lambda layer: layer.scale),
    ],
    ids=["dict", "ordered", "object", "module"],
)
def test_what_was_missing_may_be_there_later(monkeypatch, make, change, use):
    _counting(monkeypatch)
    holder = make()

    def function(x):
        try:
            return x * use(holder)
        except (KeyError, AttributeError):
            return x * 2

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 2
    change(holder)
    assert compiled(torch.ones(1)) == 3


def test_what_was_missing_in_the_first_of_several_may_be_there_later(monkeypatch):
    _counting(monkeypatch)
    settings = ChainMap({}, {"scale": 2.0})
    compiled = tessera.compile(lambda x: x * settings["scale"])
    assert compiled(torch.ones(1)) == 2
    settings["scale"] = 3.0
    assert compiled(torch.ones(1)) == 3


def test_the_order_of_the_keywords_of_a_partial(monkeypatch):
    _counting(monkeypatch)
    partial = functools.partial(lambda x, **weights: (x * 2, list(weights)), b=1, a=2)
    compiled = tessera.compile(lambda x: partial(x + 1))
    assert compiled(torch.ones(1))[1] == ["b", "a"]
    partial.keywords["b"] = partial.keywords.pop("b")
    assert compiled(torch.ones(1))[1] == ["a", "b"]


def _names_of(**given):
    return list(given)


@pytest.mark.parametrize(
    "use",
    [
        lambda table: list({**table}),
        lambda table: _names_of(**table),
        lambda table: list(table | {"z": 0}),
        lambda table: [*table],
        lambda table: list(dict(**table)),
        str,
        lambda table: f"{table}",
    ],
)
def test_the_order_of_a_dict_and_what_came_into_it(monkeypatch, use):
    _counting(monkeypatch)
    table = {"a": 1, "b": 2}
    compiled = tessera.compile(lambda x: (x * 2, use(table)))
    assert compiled(torch.ones(1))[1] == use(table)
    table["a"] = table.pop("a")
    assert compiled(torch.ones(1))[1] == use(table)
    table["c"] = 3
    assert compiled(torch.ones(1))[1] == use(table)


@pytest.mark.parametrize("use", [lambda o: list(vars(o)), lambda o: o.__dict__.get("c", 0), lambda o: len(vars(o))])
def test_what_came_into_the_attributes_of_an_object(monkeypatch, use):
    _counting(monkeypatch)
    holder = SimpleNamespace(a=1, b=2)
    compiled = tessera.compile(lambda x: (x * 2, use(holder)))
    assert compiled(torch.ones(1))[1] == use(holder)
    holder.c = 3
    assert compiled(torch.ones(1))[1] == use(holder)
    del holder.a
    holder.a = 1
    assert compiled(torch.ones(1))[1] == use(holder)


@pytest.mark.parametrize("make", [lambda: ModuleType("late"), defaultdict], ids=["module", "defaultdict"])
def test_what_was_missing_elsewhere_may_be_there_later(monkeypatch, make):
    _counting(monkeypatch)
    holder = make()

    def function(x):
        try:
            return x * (holder.scale if isinstance(holder, ModuleType) else holder["scale"])
        except (AttributeError, KeyError):
            return x * 2

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 2
    (vars(holder) if isinstance(holder, ModuleType) else holder)["scale"] = 3.0
    assert compiled(torch.ones(1)) == 3


class Answering:
    def __getattr__(self, name):
        return 2.0


class Passing(torch.nn.Module):
    def __getattr__(self, name):
        return 2.0 if name == "scale" else super().__getattr__(name)


@pytest.mark.parametrize("kind", [Answering, Passing])
def test_an_attribute_that_comes_before_getattr(monkeypatch, kind):
    _counting(monkeypatch)
    holder = kind()
    compiled = tessera.compile(lambda x: x * holder.scale)
    assert compiled(torch.ones(1)) == 2
    holder.scale = 3.0
    assert compiled(torch.ones(1)) == 3
    del holder.scale
    assert compiled(torch.ones(1)) == 2


class Slotted:
    __slots__ = ("scale",)


def test_a_slot_that_is_filled_later(monkeypatch):
    _counting(monkeypatch)
    holder = Slotted()

    def function(x):
        try:
            return x * holder.scale
        except AttributeError:
            return x * 2

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == 2
    holder.scale = 3.0
    assert compiled(torch.ones(1)) == 3


def test_where_nothing_is_computed_nothing_is_missed(monkeypatch):
    _counting(monkeypatch)
    table = {}

    def function(x):
        try:
            return table["scale"]
        except KeyError:
            return "none"

    compiled = tessera.compile(function)
    assert compiled(torch.ones(1)) == "none"
    table["scale"] = 3.0
    assert compiled(torch.ones(1)) == 3.0
    assert not compiled.report.step_downs


def test_what_is_captured_too_often_is_said_once(monkeypatch):
    _counting(monkeypatch)
    table = {}

    def function(x, name):
        try:
            table[name] += 1
        except KeyError:
            table[name] = 1
        return x * len(table)

    compiled = tessera.compile(function)
    assert [float(compiled(torch.ones(1), f"key {k}")) for k in range(14)] == list(range(1, 15))
    assert table == {f"key {k}": 1 for k in range(14)}
    assert [entry.reason.partition(",")[0] for entry in compiled.report.step_downs] == ["it was captured too often"]


def test_a_nan_among_the_keys_of_a_dict_is_found_as_itself_alone():
    nan, other = float("nan"), float("nan")
    compiled = tessera.compile(lambda x, table: (x * 2, table.get(nan, "none")))
    assert compiled(torch.ones(1), {nan: 1})[1] == 1
    assert compiled(torch.ones(1), {other: 1})[1] == "none"
