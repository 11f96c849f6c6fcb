"""The only file that imports private torch names: one small function for each need, with the reason beside it.

Works on torch 2.11, 2.12 and 2.13. Nothing here changes torch for anybody else: settings are patched only while a
compilation of ours runs.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import dis
import functools
import importlib
import inspect
import itertools
import json
import logging
import math
import os
import random
import re
import shlex
import subprocess
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import getitem
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, Protocol, Self, TypeVar, cast

import numpy as np
import torch
from torch import fx
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules import module as _all_modules
from torch.optim import optimizer as _all_optimizers
from torch.utils import _python_dispatch
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_leaves, tree_map, tree_unflatten
from torch.utils.hooks import RemovableHandle

DispatchMode = _python_dispatch.TorchDispatchMode  # sees every operation that runs inside it
is_recording = _python_dispatch.is_in_torch_dispatch_mode  # whether operations become a graph, or go to any such mode

# -- Dynamo: capture, guards -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GuardedCode:
    """One captured version of a function: Dynamo's guard tree and the code it made for inputs that pass it.

    ``wrapper.cache_entry`` is None once an object that the guards compare by identity has died or Dynamo was reset.
    """

    wrapper: Any
    check: Callable[[dict[str, object]], bool]
    code: Any  # types.CodeType; None where Dynamo leaves such calls alone


class Guard(Protocol):
    """What Dynamo tells a ``guard_filter_fn`` of one guard."""

    name: str
    guard_type: str
    derived_guard_types: tuple[str, ...]
    has_value: bool
    value: object


def process_state() -> dict[str, Any]:
    """What the captures of this process depend on besides their arguments: threads, default dtype, autocast, ...

    Dynamo guards the same, with the same C++ object; it comes with torch and loads nothing.
    """
    from torch._C._dynamo.guards import GlobalStateGuard

    guard: Any = GlobalStateGuard()
    state: dict[str, Any] = json.loads(guard.__getstate__())
    state["default_device"] = str(torch.get_default_device())
    state["function_modes"] = torch._C._len_torch_function_stack()
    return state


class ProcessState:
    """A check that the process is in a state that ``process_state`` returned."""

    def __init__(self, state: dict[str, Any]) -> None:
        from torch._C._dynamo.guards import GlobalStateGuard

        own = {key: value for key, value in state.items() if key not in ("default_device", "function_modes")}
        self._state = state
        self._guard: Any = GlobalStateGuard()
        self._guard.__setstate__(json.dumps(own))

    def holds(self) -> bool:
        return bool(self._guard.check()) and torch._C._len_torch_function_stack() == self._state["function_modes"]

    def differences(self) -> list[str]:
        """What is another, in words."""
        now = process_state()
        return [
            f"{key} was {value} and is {now.get(key)}" for key, value in self._state.items() if now.get(key) != value
        ]


def layout_check(tensors: Sequence[torch.Tensor]) -> Callable[..., bool]:
    """A check that as many tensors are like these: class, dtype, device, shape, strides, gradient, none twice.

    It is what Dynamo checks tensors with; it takes a microsecond.
    """
    from torch._C._dynamo.guards import TensorGuards

    sizes, strides = ([list(of(t)) for t in tensors] for of in (torch.Tensor.size, torch.Tensor.stride))
    make: Any = TensorGuards
    check: Callable[..., bool] = make(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides).check
    return check


def guarded_codes(code: types.CodeType) -> list[GuardedCode]:
    """The versions Dynamo holds of a function, latest used first.

    Dynamo's own dispatch costs some ten microseconds a call; its guard tree alone about one. Holding the tree lets a
    hit skip the rest while every guard is still checked.
    """
    from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list

    entries = _debug_get_cache_entry_list(code)
    return [GuardedCode(e.guard_manager, e.guard_manager.root.check, e.code) for e in entries]


# A number of a dict that is another after every change: one comparison where Python would look up many names.
namespace_version: Callable[[dict[str, Any]], int] = torch._C._dynamo.guards.dict_version


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _constant_in_captures(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """What ``torch.compiler.assume_constant_result`` does, without loading Dynamo."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@_constant_in_captures
def captured_line(skipped: tuple[str, ...]) -> str:
    """``file.py:12`` of the innermost code that Dynamo captures outside of the ``skipped`` files; "" if none is."""
    from torch._guards import TracingContext

    frames = (frame for frame in reversed(TracingContext.extract_stack()) if not frame.filename.startswith(skipped))
    return next((f"{frame.filename}:{frame.lineno}" for frame in frames), "")


@_constant_in_captures
def captured_training_mode() -> bool | None:
    """Whether the module whose function Dynamo captures is training, the innermost; None where none is captured.

    The attribute is read as Dynamo reads it, so that its guards hold for it.
    """
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables import CellVariable

    frame: Any = InstructionTranslator.current_tx().output.current_tx
    while frame is not None:
        for name in (*frame.f_code.co_varnames[:1], "self"):  # after a graph break the first may be another
            owner = frame.symbolic_locals.get(name)
            if isinstance(owner, CellVariable):  # a lambda uses it too
                owner = frame.output.side_effects.load_cell(owner)
            if owner is not None and isinstance(getattr(owner.realize(), "value", None), torch.nn.Module):
                return bool(owner.realize().var_getattr(frame, "training").realize().as_python_constant())
        frame = getattr(frame, "parent", None)
    return None


def only_calls_its_graph(code: types.CodeType) -> bool:
    """Whether Dynamo's code does nothing but call one compiled graph: no side effect to replay afterwards.

    That a ``tessera.function`` puts back which call was running before it changes nothing, and is left out: a write of
    ``RUNNING.running_call``, which torch 2.13 makes with a call of its own.
    """
    instructions = list(dis.get_instructions(code))
    names = [i.opname for i in instructions if (i.opname, i.argval) != ("STORE_ATTR", "running_call")]
    put_back = sum((i.opname, i.argval) == ("LOAD_CONST", "running_call") for i in instructions)
    targets = ("ATTR", "SUBSCR", "SLICE", "GLOBAL", "DEREF")
    writes = {f"{verb}_{target}" for verb in ("STORE", "DELETE") for target in targets}
    calls = [name for name in names if name.startswith("CALL") and "INTRINSIC" not in name]
    # Where the frame itself cannot be captured, the one call is that of the plain function.
    return len(calls) - put_back == 1 and len(called_graphs(code)) == 1 and writes.isdisjoint(names)


def capture_has_side_effects() -> bool:
    """Whether the capture whose graph is being compiled changes something that was there before, other than tensors."""
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables.base import AttributeMutationNew, ValueMutationNew

    effects = InstructionTranslator.current_tx().output.side_effects
    there = [
        value
        for value in effects.id_to_variable.values()
        if not isinstance(value.mutation_type, (AttributeMutationNew, ValueMutationNew)) and effects.is_modified(value)
    ]
    # That a ``tessera.function`` notes which call is running, and puts that back, changes nothing.
    changed = [v for v in there if set(effects.store_attr_mutations.get(v, ("",))) != {"running_call"}]
    return bool(changed or effects.tensor_hooks)


def changed_objects() -> frozenset[int]:
    """The ids of what was there before and is changed by the capture whose graph is being compiled, bar tensors."""
    from torch._dynamo.symbolic_convert import InstructionTranslator

    effects = InstructionTranslator.current_tx().output.side_effects
    return frozenset(key for key, variable in effects.id_to_variable.items() if effects.is_modified(variable))


def capture_draws_numbers() -> bool:
    """Whether the capture whose graph is being compiled draws from Python's ``random``."""
    from torch._dynamo.symbolic_convert import InstructionTranslator

    return bool(InstructionTranslator.current_tx().output.random_calls)


def guard_aliases() -> None:
    """Have Dynamo guard what it takes for granted: that two names of a capture are names of one object.

    It makes one variable of the two, and looks at the object behind one name only. That both name one object it guards
    between two globals, or two arguments ("this technically means we miss a guard here", says ``make_dupe_guard``),
    and not at all of functions with a closure (2.11 to 2.13). Only while it hands a graph to a backend.
    """
    from torch._dynamo.guards import GuardBuilder, install_guard
    from torch._dynamo.source import is_from_local_source
    from torch._dynamo.symbolic_convert import InstructionTranslator

    functions: dict[int, Any] = {}
    for source, lazy in InstructionTranslator.current_tx().output.variable_tracker_cache.items():
        variable: Any = lazy.unwrap()
        other, function = getattr(variable, "source", None), vars(variable).get("fn")
        if type(function) is types.FunctionType and function.__closure__:
            other = functions.setdefault(id(function), source)
        elif other is None or is_from_local_source(other) == is_from_local_source(source):
            continue
        if other != source:
            install_guard(source.make_guard(functools.partial(GuardBuilder.DUPLICATE_INPUT, source_b=other)))


def guard_absences() -> None:
    """Have Dynamo guard that what a capture did not find is still missing.

    ``try: d[k]`` and ``try: x.name`` are captured with the error that they raise, and nothing looks whether they still
    would (2.11 to 2.13). Where something is caught, the keys of all dicts that were met are guarded, and the attributes
    that objects do not have. Nor does anything look at the keys of a dict that becomes a text, or part of a list; at
    whether an object with a ``__getattr__`` got the attribute itself; at what came into a ``__dict__`` that is asked
    for. Only while it hands a graph to a backend.
    """
    from torch._dynamo.guards import GuardBuilder, install_guard
    from torch._dynamo.source import AttrSource
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._guards import TracingContext

    traced_codes = TracingContext.get_traced_code() or ()
    codes = [code for code in traced_codes if not is_of_a_library(code.co_filename)]
    catches = any(map(_catches, codes)) or collections.ChainMap.__getitem__.__code__ in traced_codes
    output = InstructionTranslator.current_tx().output
    met = [(source, lazy.unwrap()) for source, lazy in output.variable_tracker_cache.items()]
    functions = [vars(variable).get("fn") for _, variable in met]  # one that raises is not among what was traced
    codes += [
        f.__code__ for f in functions if type(f) is types.FunctionType and not is_of_a_library(f.__code__.co_filename)
    ]
    names = _attributes_named(codes)
    takes_all = any(map(_takes_all_keys, codes)) or any(f is text for f in functions for text in (str, repr, format))
    looks_inside = any(not {"__dict__", "vars"}.isdisjoint(code.co_names) for code in codes)
    known = {id(value): value for value in output.side_effects.keepalive}
    values = {id(variable): known.get(key) for key, variable in output.side_effects.id_to_variable.items()}
    for source, variable in met:
        value = vars(variable).get("value", values.get(id(variable)))
        if looks_inside and _is_followed_inside(value):
            install_guard(AttrSource(source, "__dict__").make_guard(GuardBuilder.DICT_KEYS_MATCH))
        if _finds_what_it_lacks(value):
            for name in sorted(names - vars(value).keys()):
                guard = functools.partial(GuardBuilder.NOT_PRESENT_IN_GENERIC_DICT, attr=name)
                install_guard(source.make_guard(guard))
        elif (catches or takes_all) and type(value) in (dict, collections.OrderedDict, collections.defaultdict):
            install_guard(source.make_guard(GuardBuilder.DICT_KEYS_MATCH))
        elif catches and _is_asked_for_attributes(value):
            for name in sorted(names):
                if not hasattr(value, name):
                    if "attr" in inspect.signature(GuardBuilder.HASATTR).parameters:  # from 2.12
                        install_guard(source.make_guard(functools.partial(GuardBuilder.HASATTR, attr=name)))
                    else:
                        install_guard(AttrSource(source, name).make_guard(GuardBuilder.HASATTR))


def guard_orders() -> None:
    """Have Dynamo guard in which order a dict holds its keys wherever it guards which keys it holds.

    It looks at the order of a dict that is iterated over, and not of one that is copied, spread out or joined with
    another (2.11 to 2.13). Only while it hands a graph to a backend. A dict with a NaN among its keys is left: in order
    the guard would take any other NaN for it, and else it takes none, so that the call runs as it is.
    """
    from torch._dynamo.symbolic_convert import InstructionTranslator

    output = InstructionTranslator.current_tx().output
    keyed = {guard.originating_source for guard in output.guards if guard.create_fn_name() == "DICT_KEYS_MATCH"}
    effects = output.side_effects
    for value in effects.keepalive:
        if isinstance(value, dict) and any(type(key) is float and math.isnan(key) for key in value):
            keyed.discard(getattr(effects.id_to_variable.get(id(value)), "source", None))
    output.guard_on_key_order.update(keyed)


def _attributes_named(codes: Sequence[types.CodeType]) -> set[str]:
    """The attributes that functions ask for, and may ask for by ``getattr``."""
    names = {i.argval for code in codes for i in dis.get_instructions(code) if i.opname in ("LOAD_ATTR", "LOAD_METHOD")}
    asking = [code for code in codes if not {"getattr", "hasattr"}.isdisjoint(code.co_names)]
    return names | {value for code in asking for value in code.co_consts if isinstance(value, str)}


def _catches(code: types.CodeType) -> bool:
    return "suppress" in code.co_names or any(i.opname == "CHECK_EXC_MATCH" for i in dis.get_instructions(code))


def _takes_all_keys(code: types.CodeType) -> bool:
    """Whether a dict may be made a text, a part of a list, or joined with another."""
    if not {"str", "repr", "ascii", "format", "extend"}.isdisjoint(code.co_names):
        return True
    instructions = [i for i in dis.get_instructions(code) if i.opname != "EXTENDED_ARG"]
    return any(
        i.opname.startswith("FORMAT_")
        or (i.opname == "BINARY_OP" and i.argrepr in ("%", "|", "|="))
        or (i.opname == "LIST_EXTEND" and before.opname != "LOAD_CONST")
        for before, i in itertools.pairwise(instructions)
    )


def _is_asked_for_attributes(value: Any) -> bool:
    """Whether to ask an object for its attributes does nothing else."""
    kind = type(value)
    if isinstance(value, torch.nn.Module):
        return kind.__getattr__ is torch.nn.Module.__getattr__
    ours = kind.__module__ not in ("builtins", "types") or kind is types.SimpleNamespace
    plain = not isinstance(kind.__getattribute__, types.FunctionType) and not hasattr(kind, "__getattr__")
    holds = hasattr(value, "__dict__") or hasattr(kind, "__slots__")
    return ours and plain and holds and not isinstance(value, (type, torch.Tensor))


def _is_followed_inside(value: Any) -> bool:
    """Whether it is an object of a class of the user's that keeps its attributes in a dict."""
    kind = type(value)
    users = kind.__module__ not in ("builtins", "types") or kind is types.SimpleNamespace
    known = isinstance(vars(value) if hasattr(value, "__dict__") else None, dict)
    return users and known and not isinstance(value, (type, torch.Tensor))


def _finds_what_it_lacks(value: Any) -> bool:
    """Whether a ``__getattr__``, and not torch's, answers for what is not in the ``__dict__`` of an object."""
    own = getattr(type(value), "__getattr__", None)
    torchs = type(value).__module__.partition(".")[0] == "torch" or own is torch.nn.Module.__getattr__
    return isinstance(own, types.FunctionType) and not torchs and isinstance(getattr(value, "__dict__", None), dict)


@contextlib.contextmanager
def told_of_tracing(begins: Callable[[], None], ends: Callable[[], None]) -> Iterator[None]:
    """``begins`` and ``ends`` are called around every time that Dynamo traces and compiles something."""
    from torch._dynamo.callback import CallbackArgs, callback_handler

    def begin(_: CallbackArgs) -> None:
        begins()

    def end(_: CallbackArgs) -> None:
        ends()

    callback_handler.register_start_callback(begin)
    callback_handler.register_end_callback(end)
    try:
        yield
    finally:
        callback_handler.remove_start_callback(begin)
        callback_handler.remove_end_callback(end)


def unseen_cells() -> list[types.CellType]:
    """Variables around functions that the capture that is being compiled uses without seeing them change.

    Of a function that Dynamo cannot name, a method of a class of an object that was made inside for one, it takes what
    the closure holds as constant: no guard looks again, and what is appended to a list in it is lost (2.11 to 2.13).
    """
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables import CellVariable

    effects = InstructionTranslator.current_tx().output.side_effects
    cells = [cell for cell in effects.keepalive if isinstance(cell, types.CellType)]
    variables = [effects.id_to_variable.get(id(cell)) for cell in cells]
    return [c for c, v in zip(cells, variables, strict=True) if isinstance(v, CellVariable) and v.mutation_type is None]


@dataclass(frozen=True)
class Traced:
    """What the capture that is being compiled went through, of the user's own.

    Attributes:
        frame: the code of the function that Dynamo met.
        variables: its variables and their values, before it runs.
        codes: of functions, those made inside among them.
        capture: the same object for as long as the capture lasts.
        roots: what it met: the function that began it, its arguments, functions, classes, objects.
        objects: those whose changes it follows, and stand-ins for those that are made inside.
        draws: whether numbers are drawn from a ``random.Random`` that is not the module's.
        leaves: whether a generator is returned, or kept in an attribute.
        numbers: whether NumPy's own numbers are among what is returned or kept.
        set_on_classes: the attributes of classes that are set.
    """

    frame: types.CodeType
    variables: dict[str, Any]
    codes: frozenset[types.CodeType]
    capture: Any
    roots: list[Any]
    objects: list[Any]
    draws: bool
    leaves: bool
    numbers: bool = False
    set_on_classes: frozenset[str] = frozenset()


def traced() -> Traced:
    """Ask Dynamo; only while it hands a graph to a backend."""
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables import UserDefinedClassVariable
    from torch._guards import TracingContext

    output = InstructionTranslator.current_tx().output
    codes = {code for code in TracingContext.get_traced_code() or () if not is_of_a_library(code.co_filename)}
    draws = any(draw not in _DRAWS for draw, _, _ in output.random_calls)
    frame, variables = output.root_tx.f_code, dict(output.root_tx.f_locals)
    stored = output.side_effects.store_attr_mutations.items()
    kept = [list(names.values()) for _, names in stored]
    of_classes = frozenset(n for owner, names in stored if isinstance(owner, UserDefinedClassVariable) for n in names)
    generators = [code for code in codes if code.co_flags & inspect.CO_GENERATOR]
    leaves = bool(generators) and _holds_iterator([output.root_tx.stack, kept])
    objects = list(output.side_effects.keepalive)
    numbers = _holds_numpy_number([output.root_tx.stack, kept])
    roots = [*_values_met(output), *objects]
    return Traced(frame, variables, frozenset(codes), output, roots, objects, draws, leaves, numbers, of_classes)


def _values_met(output: Any) -> Iterator[Any]:
    """What a capture has looked at: the function that it began with, its arguments, and all that it found by a name."""
    root = output.root_tx
    yield types.FunctionType(root.f_code, root.f_globals, closure=root.closure or ())
    yield from root.f_locals.values()
    for variable in output.variable_tracker_cache.values():
        known = vars(variable)  # an attribute of one that waits to be looked at would have it looked at
        known = vars(variable) if (lazy := known.get("_cache")) is None else vars(getattr(lazy, "vt", None) or lazy)
        yield from (known[name] for name in ("value", "fn", "wrapper_obj") if name in known)


@dataclass(frozen=True)
class Symbols:
    """What the capture that is being compiled takes for symbols.

    Attributes:
        any: whether there are some.
        numbers: whether Python's numbers are among them, and not sizes of tensors alone.
        elements: whether these are numbers in containers.
    """

    any: bool
    numbers: bool
    elements: bool


def symbols() -> Symbols:
    """Ask Dynamo; only while it hands a graph to a backend."""
    from torch._dynamo.source import TensorPropertySource
    from torch._dynamo.symbolic_convert import InstructionTranslator

    environment: Any = InstructionTranslator.current_tx().output.shape_env
    sources = [source for of_symbol in environment.var_to_sources.values() for source in of_symbol[:1]]
    numbers = [source for source in sources if not isinstance(source, TensorPropertySource)]
    names = [source.name if isinstance(source.name, str) else source.name() for source in numbers]
    elements = any(name.endswith("]") and not _ARGUMENT.fullmatch(name) for name in names)
    return Symbols(bool(sources), bool(numbers), elements)


_ARGUMENT = re.compile(r"L\['(\w+'\]|(args|inputs|targets)'\]\[\d+\]|(kwargs|named)'\]\['\w+'\])")


def numpy_numbers() -> frozenset[str]:
    """The inputs of a graph that Dynamo made arrays of numbers of NumPy's for; only while it is handed to a backend."""
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables.tensor import NumpyNdarrayVariable

    met = [one.unwrap() for one in InstructionTranslator.current_tx().output.variable_tracker_cache.values()]
    # isinstance() would make an input of every variable that nobody has looked at yet.
    nodes = [one.proxy.node for one in met if issubclass(type(one), NumpyNdarrayVariable)]
    return frozenset(node.name for node in nodes if node.meta["example_value"].dim() == 0)


def has_own_gradients() -> bool:
    """Whether the capture that is being compiled met an ``autograd.Function``; only while it is handed to a backend."""
    from torch._dynamo.symbolic_convert import InstructionTranslator
    from torch._dynamo.variables import AutogradFunctionVariable

    met = [one.unwrap() for one in InstructionTranslator.current_tx().output.variable_tracker_cache.values()]
    return any(issubclass(type(one), AutogradFunctionVariable) for one in met)


def _holds_numpy_number(variables: Any) -> bool:
    """Whether an array without dimensions is among ``variables``, which is what Dynamo makes of a NumPy number."""
    from torch._dynamo.variables.base import VariableTracker
    from torch._dynamo.variables.tensor import NumpyNdarrayVariable

    found: list[Any] = []
    VariableTracker.visit(lambda v: found.append(v) if isinstance(v, NumpyNdarrayVariable) else None, variables)
    return any(one.proxy.node.meta["example_value"].dim() == 0 for one in found)


def _holds_iterator(variables: Any) -> bool:
    """Whether an iterator is among ``variables``: what Dynamo makes of a generator that it has to hand over."""
    from torch._dynamo.variables import ListIteratorVariable
    from torch._dynamo.variables.base import VariableTracker
    from torch._dynamo.variables.functions import LocalGeneratorObjectVariable

    found: list[Any] = []
    kinds = (ListIteratorVariable, LocalGeneratorObjectVariable)
    VariableTracker.visit(lambda v: found.append(v) if isinstance(v, kinds) else None, variables)
    return bool(found)


_DRAWS = (random.random, random.randint, random.randrange, random.uniform)


def imported_names(codes: Iterable[types.CodeType]) -> set[str]:
    """The modules that functions import when they run."""
    names = {i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"}
    _imported_inside.update(names)
    return names


_imported_inside: set[str] = set()  # by functions that were captured


def renew_imports() -> None:
    """Have Dynamo look at the modules that there are now; it keeps the first of each name, and a global for it."""
    from torch._dynamo import symbolic_convert

    symbolic_convert._import_module.cache_clear()
    for name in _imported_inside:
        alias, module = f"__import_{name.replace('.', '_dot_')}", sys.modules.get(name)
        for holder in list(sys.modules.values()) if module is not None else ():
            names = getattr(holder, "__dict__", None)
            if isinstance(names, dict) and names.get(alias, module) is not module:
                names[alias] = module


def uses_result_of_yield_from(code: types.CodeType) -> bool:
    """Whether a generator does something with what ``yield from`` returns; Dynamo makes None of it (2.13)."""
    instructions = list(dis.get_instructions(code))
    pairs = itertools.pairwise(instructions)
    ends = ("END_SEND",) if sys.version_info >= (3, 12) else ("JUMP_BACKWARD_NO_INTERRUPT",)
    return any(one.opname in ends and following.opname != "POP_TOP" for one, following in pairs) and any(
        i.opname == "GET_YIELD_FROM_ITER" for i in instructions
    )


def is_of_a_library(file: str) -> bool:
    """Whether no capture of a file's code is the user's."""
    return file.startswith(_LIBRARIES) or "site-packages" in file


_LIBRARIES = (os.path.dirname(os.__file__), os.path.dirname(__file__), os.path.dirname(torch.__file__), "<frozen")  # noqa: PTH120


def data_of_tensors(graph_module: fx.GraphModule) -> list[fx.Node]:
    """Where a graph from Dynamo has the ``data`` of a tensor."""
    get_data: Any = torch._C._autograd._get_data_attr  # type: ignore[attr-defined]
    return list(graph_module.graph.find_nodes(op="call_function", target=get_data))


def replaces_data(graph_module: fx.GraphModule) -> bool:
    """Whether a graph from Dynamo has ``tensor.data = other``, written as ``set_`` and a version counted back."""
    names = (getattr(node.target, "__name__", "") for node in graph_module.graph.nodes)
    return "_lower_version_count_by_1" in names  # a function that Dynamo makes where it traces the assignment


def leave_alone() -> Exception:
    """What a backend raises for a frame that is to run as it is, or who is asked which guards a capture needs.

    While guards are made, their maker would keep all that was captured for as long as an object that they are about.
    """
    from torch._dynamo.exc import SkipFrame
    from torch._dynamo.guards import CheckFunctionManager

    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not CheckFunctionManager.__init__.__code__:
        frame = frame.f_back
    if frame is not None:
        frame.f_locals["self"].output_graph = None
    return SkipFrame()


def call_directly(guarded: GuardedCode, names: dict[str, Any]) -> None:
    """Let Dynamo's code call its compiled graphs themselves instead of through a wrapper that switches Dynamo off.

    The wrapper is Dynamo's own global in ``names``; nobody else reads it.
    """
    for name in guarded.code.co_names:
        if name.startswith("__compiled_fn") and (plain := getattr(names[name], "_torchdynamo_orig_callable", None)):
            names[name] = plain


def called_graphs(code: types.CodeType) -> list[str]:
    """The global names of the compiled graphs that Dynamo's code for a function calls."""
    return [name for name in code.co_names if name.startswith("__compiled_fn")]


def forget_captures(code: types.CodeType) -> None:
    """Drop every version Dynamo holds of a function, so that its next call captures anew."""
    from torch._dynamo.eval_frame import reset_code

    reset_code(code)


def is_whole(code: types.CodeType | None) -> bool:
    """Whether Dynamo's code for a function needs no second look by Dynamo: no graph break, nothing to resume."""
    if code is None:  # Dynamo remembers that it is to leave such calls alone
        return False
    names = (*code.co_names, *code.co_freevars, *code.co_varnames)
    return not any("__resume_at_" in name for name in names)


def capture_errors() -> tuple[type[Exception], ...]:
    """What Dynamo raises when it cannot capture a function whole."""
    from torch._dynamo import exc

    return (exc.TorchDynamoException, exc.InternalTorchDynamoError)


def is_of_the_compiler(error: BaseException) -> bool:
    """Whether an exception was raised while something was captured or compiled, or by what was compiled.

    Not one that the user's own code raised, which ran in between: the frames say so. What autograd refuses may be
    the doing of compiled code that gave it less of a graph.
    """
    if isinstance(error, RuntimeError) and re.search(r"grad|backward", str(error)):
        return True
    frames = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(_INSIDE_COMPILERS.search(file) and not file.endswith(_AROUND_CALLS) for file in frames)


_INSIDE_COMPILERS = re.compile(r"[/\\](torch[/\\]_(dynamo|functorch|inductor|subclasses)|tessera[/\\]backend)[/\\]")
_AROUND_CALLS = ("eval_frame.py", "external_utils.py", "decorators.py")  # of Dynamo, around code that runs as it is


def forward_mode_level() -> int:
    """How many levels of forward-mode differentiation are entered, less one."""
    return torch.autograd.forward_ad._current_level


def leave_forward_mode(level: int) -> None:
    """Leave the levels above: a capture that fails inside ``torch.func.jvp`` does not."""
    while torch.autograd.forward_ad._current_level > level:
        torch.autograd.forward_ad.exit_dual_level()


def backend_failure(error: BaseException) -> BaseException | None:
    """The exception that our own backend raised, taken out of Dynamo's wrapping."""
    from torch._dynamo.exc import BackendCompilerFailed

    return error.inner_exception if isinstance(error, BackendCompilerFailed) else None


def capture_reason(error: BaseException | str) -> str:
    """Dynamo's reason for stopping in one or two lines, without its advice to developers of torch."""
    lines = [line.strip() for line in str(getattr(error, "msg", error)).splitlines() if line.strip()]
    explained = [line.removeprefix("Explanation: ") for line in lines[1:] if line.startswith("Explanation: ")]
    return ": ".join([*lines[:1], *explained[:1]]) or type(error).__name__


def user_stack(error: BaseException) -> str:
    """The user's stack at the place where capture stopped, printed; empty when Dynamo does not know it."""
    return "".join(traceback.format_list(getattr(error, "real_stack", None) or []))


def stopped_by_value(error: BaseException) -> tuple[str, str, int] | None:
    """Where a tensor was asked whether it is true, if that stopped a capture: the file, the function and the line."""
    stack = getattr(error, "real_stack", None)
    if not stack or not isinstance(error, capture_errors()) or "Data-dependent branching\n" not in str(error):
        return None
    return stack[-1].filename, stack[-1].name, stack[-1].lineno


@contextlib.contextmanager
def capturing(*, whole: bool) -> Iterator[None]:
    """Dynamo's settings while a job of ours is captured.

    ``allow_rnn``: LSTM and GRU are captured (their loop unrolls) instead of refused.
    ``suppress_errors``: in pieces, a piece that Dynamo fails on runs eagerly; whole, the failure is ours to handle.
    ``record_runtime_overhead``: no profiler marks in the generated code; they cost two microseconds a call.
    ``use_numpy_random_stream``: NumPy's random numbers come from its own stream, as in eager.
    ``skip_nnmodule_hook_guards`` off: a hook registered after the capture is seen; ``hook_watch`` leaves out most.
    ``skip_tensor_guards_with_matching_dict_tags`` and ``use_recursive_dict_tags_for_guards`` off: they look away when a
    parameter is frozen.
    ``run_gc_after_compile`` off: it is too early, and makes old what is let go of right after; see ``circles.py``.
    """
    from torch._dynamo import config

    settings = {
        "allow_rnn": True,
        "suppress_errors": not whole,
        "record_runtime_overhead": False,
        "use_numpy_random_stream": True,
        "skip_nnmodule_hook_guards": False,
        "skip_tensor_guards_with_matching_dict_tags": False,
        "use_recursive_dict_tags_for_guards": False,
        "run_gc_after_compile": False,
    }
    leave_alone_codes(_LEFT_ALONE, all_they_call=True)
    with config.patch(settings), warnings.catch_warnings():
        # torch warns about its own doings while tracing; where a user made warnings errors, that would end the capture.
        warnings.filterwarnings("default", module=r"torch\.")
        # Once is enough of what an operator warns of: Dynamo runs it first, then whoever traces it anew.
        warnings.filterwarnings("ignore", module=r"torch\.(fx|_functorch|_inductor|_subclasses)\.")
        for of_old_names in (FutureWarning, DeprecationWarning):  # a decomposition of torch calls one of torch's own
            warnings.filterwarnings("ignore", category=of_old_names, module=r"torch\._")
        # What torch's own files do, what the Report says with the line, and what runs as it does in eager.
        for no_news in (
            "`torch.jit.script_m",
            "Dynamo does not know",
            "Torchinductor does not support",
            "Error detected in",
            "Dynamo detected a call to a `functools.lru_cache`",
        ):
            warnings.filterwarnings("ignore", no_news)
        quiet = [log for log in map(logging.getLogger, _LOUD) if _is_news not in log.filters]  # one may be in another
        for log in quiet:
            log.addFilter(_is_news)
        try:
            yield
        finally:
            for log in quiet:
                log.removeFilter(_is_news)


_LEFT_ALONE: list[types.CodeType] = []


def left_alone(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Dynamo is to run this function, and all that it calls, as they are; decorator."""
    _LEFT_ALONE.append(function.__code__)  # type: ignore[attr-defined]
    return function


def leave_alone_codes(codes: Sequence[types.CodeType], *, all_they_call: bool) -> None:
    """Dynamo is to run functions with these codes as they are, where it meets them as frames of their own."""
    from torch._C._dynamo import eval_frame

    skip, default = eval_frame._FrameAction.SKIP, eval_frame._FrameAction.DEFAULT
    for code in codes:
        eval_frame.set_code_exec_strategy(code, eval_frame._FrameExecStrategy(skip, skip if all_they_call else default))


# A call that eager refuses too fails first in the capture, and these two loggers print its whole inner traceback.
_LOUD = ("torch._dynamo.convert_frame", "torch._subclasses.fake_tensor")


def _is_news(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if (found := _TOO_OFTEN.match(text)) is not None:
        _given_up.append((found["file"], int(found["line"]), found["changed"]))
        return False
    return not text.startswith(("WON'T CONVERT", "failed while attempting to run meta"))


_given_up: list[tuple[str, int, str]] = []
_TOO_OFTEN = re.compile(
    r"torch\._dynamo hit config[^\n]*\n\s*function: .* \((?P<file>.*):(?P<line>\d+)\)\n\s*last reason: (?P<changed>.*)"
)


def given_up() -> list[tuple[str, int, str]]:
    """What Dynamo captured too often since the last call, and runs as it is: file, line, the guard that failed last.

    It says so in its log alone.
    """
    found = list(_given_up)
    _given_up.clear()
    return found


# -- optimizers --------------------------------------------------------------------------------------------------


def has_step_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether code of the user's runs before or after ``optimizer.step``."""
    own = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    return bool(own or _all_optimizers._global_optimizer_pre_hooks or _all_optimizers._global_optimizer_post_hooks)


def step_is_watched(optimizer: torch.optim.Optimizer) -> bool:
    """Whether hooks or a profiler wait for ``optimizer.step``: torch's wrapper, made for them, costs microseconds."""
    return has_step_hooks(optimizer) or torch.autograd._profiler_enabled()


def mark_stepped(optimizer: torch.optim.Optimizer) -> None:
    """Tell torch's schedulers that the optimizer has stepped: they warn when ``optimizer.step`` never ran."""
    optimizer._opt_called = True  # type: ignore[attr-defined]


# -- distributed checkpoints ---------------------------------------------------------------------------------------


def save_distributed(tensors: dict[str, torch.Tensor], writer: Any, planner: Any, *, group: Any, alone: bool) -> Any:
    """``torch.distributed.checkpoint.save``, without the warning that it gives a process on its own (``alone``).

    Returns the metadata, the same on all ranks. A warning filter of ours would be the whole process's, and this runs
    beside the training.
    """
    from torch.distributed.checkpoint.state_dict_saver import _save_state_dict

    return _save_state_dict(tensors, writer, group, no_dist=alone, planner=planner)


def load_alone(tensors: dict[str, torch.Tensor], reader: Any, planner: Any) -> None:
    """``torch.distributed.checkpoint.load`` of this rank's part, in place, without that warning.

    Without a group nothing goes between the ranks, so no pickle is read: a plan for loading needs no other rank.
    """
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    _load_state_dict(tensors, reader, no_dist=True, planner=planner)


# -- data: batches -----------------------------------------------------------------------------------------------


def collate(samples: list[Any], stack: Callable[[list[torch.Tensor]], torch.Tensor | None]) -> Any:
    """Torch's ``default_collate``, but for tensors that ``stack`` makes one of; where it returns None, as ever.

    ``default_collate`` takes no place to put a batch, except in a worker of torch's own.
    """
    from torch.utils.data._utils.collate import collate as collate_by
    from torch.utils.data._utils.collate import default_collate_fn_map

    def tensors(batch: list[torch.Tensor], *, collate_fn_map: Any = None) -> torch.Tensor:
        stacked = stack(list(batch))
        return as_ever(batch, collate_fn_map=collate_fn_map) if stacked is None else stacked

    as_ever = default_collate_fn_map[torch.Tensor]
    return collate_by(samples, collate_fn_map={**default_collate_fn_map, torch.Tensor: tensors})


# -- looking inside a run ----------------------------------------------------------------------------------------


_LEAVES = {type(None), bool, int, float, complex, str, torch.dtype, torch.device, torch.SymInt}


def tensors_in(values: Any) -> list[torch.Tensor]:
    """All tensors in nested lists, tuples and dicts."""
    found: list[torch.Tensor] = []
    on_leaves(lambda leaf: found.append(leaf) if isinstance(leaf, torch.Tensor) else None, values)
    return found


def flattened(values: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The leaves of nested lists, tuples and dicts, and what makes the same nest of others."""
    leaves, structure = tree_flatten(values)
    return leaves, lambda others: tree_unflatten(others, structure)


def tensors_by_place(values: Any) -> list[tuple[tuple[str, ...], torch.Tensor]]:
    """All tensors in nested lists, tuples and dicts, each with the keys and positions that lead to it."""
    return [
        (tuple(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path), leaf)
        for path, leaf in tree_flatten_with_path(values)[0]
        if isinstance(leaf, torch.Tensor)
    ]


def on_leaves(function: Callable[..., Any], values: Any) -> Any:
    """The same nest with ``function`` of every leaf."""
    kind = type(values)  # what most arguments are made of is walked here: torch's own walk takes several times as long
    if kind is tuple or kind is list:
        return kind([on_leaves(function, value) for value in values])
    if kind is dict:
        return {key: on_leaves(function, value) for key, value in values.items()}
    if kind in _LEAVES or isinstance(values, torch.Tensor):
        return function(values)
    return tree_map(function, values)


def on_leaves_of_both(function: Callable[[Any, Any], Any], first: Any, second: Any) -> Any:
    """The same nest with ``function`` of both leaves at every place."""
    return tree_map(function, first, second)


def forward_trace_of_backward() -> str:
    """While a backward node runs under anomaly mode: the stack of the forward line it belongs to, printed."""
    node = torch._C._current_autograd_node()
    while node is not None:
        if trace := node.metadata.get("traceback_"):
            return "".join(trace)
        node = node.metadata.get("parent_")
    return ""


CALL_OF_A_MODULE = torch.nn.Module._call_impl.__code__  # the frame of every call of a module has this code
WeakStorage = StorageWeakRef  # whether a tensor's memory is alive, without keeping it alive


def storage_key(tensor: torch.Tensor) -> int:
    """What memory ``tensor`` lies in, as a number that stands for it while a `WeakStorage` to it exists; 0: in none."""
    return 0 if tensor.layout is not torch.strided or _has_no_storage(tensor) else tensor.untyped_storage()._cdata


def _has_no_storage(tensor: torch.Tensor) -> bool:
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor) or type(tensor) not in _WITH_STORAGE


_WITH_STORAGE = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def has_values(tensor: torch.Tensor) -> bool:
    """Whether numbers can be read: not of what stands for zeros without memory, nor of a tensor inside a transform."""
    return not (tensor._is_zerotensor() or torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def backward_node() -> Any:
    """The node of autograd that runs now, in this thread; None outside of a backward."""
    return torch._C._current_autograd_node()


def latest_node() -> int:
    """``node_number`` of the node that autograd made last, in this thread."""
    return torch.autograd._get_sequence_nr() - 1


def node_number(node: Any) -> int:
    """The place of a node in the order in which this thread's nodes were made."""
    return node._sequence_nr()


def gradient_dtypes(loss: torch.Tensor) -> set[torch.dtype]:
    """The dtypes of the gradients that the backward of ``loss`` will compute: of all that autograd recorded.

    Automatic mixed precision leaves no other trace of itself when it is over.
    """
    dtypes: set[torch.dtype] = set()
    seen: set[Any] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            dtypes.update(metadata.dtype for metadata in node._input_metadata)
            waiting += [following for following, _ in node.next_functions]
    return dtypes


def recurrent_kernels() -> tuple[list[Any], list[Any]]:
    """The operators that run a whole recurrent layer, forward and backward; torch's count of FLOPs passes over them."""
    aten = torch.ops.aten
    return [aten.mkldnn_rnn_layer, aten._cudnn_rnn], [aten.mkldnn_rnn_layer_backward, aten._cudnn_rnn_backward]


def hook_count() -> int:
    """How many hooks were ever registered in this process, on whatever."""
    return RemovableHandle.next_id


def layers(module: torch.nn.Module) -> list[torch.nn.Module | None]:
    """The layers directly in ``module``; ``children()`` leaves out repeated ones and takes several times as long."""
    return list(module._modules.values())


def has_module_hooks(module: torch.nn.Module) -> bool:
    """Whether code of the user's runs around the forward or backward of ``module``."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in names)


def has_global_module_hooks() -> bool:
    """Whether hooks are registered for every module there is; Dynamo has no guard for them."""
    return bool(_all_modules._has_any_global_hook())


def mark_written(tensors: Sequence[torch.Tensor]) -> None:
    """Count a write to ``tensors``, as an in-place operation would: autograd and others look at the count."""
    torch._C._increment_version(tensors)


def have_gradient_hooks(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether code of the user's runs when the gradient of one of ``tensors`` is computed or stored."""
    return any(t._backward_hooks or t._post_accumulate_grad_hooks for t in tensors)  # type: ignore[attr-defined]


@contextlib.contextmanager
def outside_of_modes() -> Iterator[None]:
    """Run compiled code as it runs by itself, where a ``DispatchMode`` watches what is around it."""
    if not is_recording():
        yield
        return
    with _python_dispatch._disable_current_modes():
        yield


class TransparentMode(DispatchMode):
    """A ``DispatchMode`` that Dynamo captures under as if it was not there; see ``is_capturing``."""

    supports_higher_order_operators = True

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Dynamo would leave every frame alone."""
        return True


def is_capturing() -> bool:
    """Whether Dynamo or AOTAutograd is at work: what operators are called then compute nothing of the user's."""
    from torch._guards import TracingContext

    return TracingContext.try_get() is not None


def inside_checkpoint() -> bool:
    """Whether ``torch.utils.checkpoint`` is among the callers."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == torch.utils.checkpoint.__file__:
            return True
        frame = frame.f_back
    return False


def product_operator_flops(operator: Any, args: Any, kwargs: Any, result: Any) -> int:
    """FLOPs of a product, convolution or attention that runs on these tensors; 0 for any other operator."""
    from torch.utils.flop_counter import flop_registry

    formula = flop_registry.get(_counted_as(operator.overloadpacket))
    return 0 if formula is None else formula(*args, **kwargs, out_val=result)


# -- AOTAutograd: the joint graph --------------------------------------------------------------------------------


@dataclass(frozen=True)
class JointGraph:
    """Forward and backward of a captured function as one functional graph.

    Attributes:
        graph_module: flat graph; placeholders are the function's inputs, then a tangent for each differentiable output.
        results: position among the graph's outputs of each output of the function.
        mutations: input position -> position among the graph's outputs of its new value.
        gradients: input position -> position among the graph's outputs of its gradient.
        tangents: placeholder position -> output of the function it belongs to, None for the new value of an input.
        views: outputs of the function that are views of an input.
        same: output of the function -> the input that it is.
    """

    graph_module: fx.GraphModule
    results: dict[int, int]
    mutations: dict[int, int]
    gradients: dict[int, int]
    tangents: dict[int, int | None]
    views: list[int]
    same: dict[int, int]


def joint_graph(
    graph_module: fx.GraphModule, inputs: Sequence[Any], more: Mapping[Any, Callable[..., Any]] | None = None
) -> JointGraph:
    """Trace forward and backward of a graph that Dynamo captured, with Inductor's decompositions and ``more``."""
    from torch._functorch._aot_autograd import descriptors as d
    from torch._functorch.aot_autograd import OutputType, aot_export_joint_with_descriptors

    _let_lstm_be_traced(graph_module)
    _mark_autocast(graph_module)
    with contextlib.ExitStack() as stack:
        exported = aot_export_joint_with_descriptors(
            stack, graph_module, tuple(inputs), decompositions=inductor_decompositions(more)
        )
    joint = exported.graph_module
    # The calling convention is nested lists; a Program's is flat.
    joint.graph.set_codegen(fx.graph.CodeGen())
    output = joint.graph.output_node()
    values: list[Any] = list(output.args[0])  # type: ignore[arg-type]
    output.args = (tuple(values),)
    joint.recompile()

    results: dict[int, int] = {}
    mutations: dict[int, int] = {}
    gradients: dict[int, int] = {}
    tangents: dict[int, int | None] = {}
    for position, described in enumerate(output.meta["desc"]):
        if isinstance(described, d.PlainAOTOutput):
            results[described.idx] = position
        elif isinstance(described, d.InputMutationAOTOutput):
            mutations[_input_index(described.mutated_input)] = position
        elif isinstance(described, d.GradAOTOutput):
            if values[position] is not None:  # None: a parameter that only takes part detached
                gradients[_input_index(described.grad_of)] = position
        elif described is not None:
            raise NotImplementedError(f"an output described as {described}")
    for position, node in enumerate(joint.graph.find_nodes(op="placeholder")):
        if isinstance(node.meta["desc"], d.TangentAOTInput):
            of = node.meta["desc"].output
            tangents[position] = of.idx if isinstance(of, d.PlainAOTOutput) else None
    information = exported._aot_state.fw_metadata.output_info
    views = [i for i, info in enumerate(information) if info.output_type is OutputType.alias_of_input]
    same = {
        i: info.base_idx
        for i, info in enumerate(information)
        if info.output_type is OutputType.is_input and info.base_idx is not None
    }
    return JointGraph(joint, results, mutations, gradients, tangents, views, same)


def _let_lstm_be_traced(graph_module: fx.GraphModule) -> None:
    for node in graph_module.graph.find_nodes(op="call_function", target=torch.lstm):
        node.target = _traceable_lstm
    graph_module.recompile()


def _traceable_lstm(*args: Any) -> Any:
    """``torch.lstm``, whose decomposition would else take oneDNN's whole layer: traced, that has no right backward."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        output, *states = torch.lstm(*args)
    finally:
        torch._C._set_mkldnn_enabled(before)
    given = args[2] if isinstance(args[1], torch.Tensor) else args[1]  # behind the batch sizes of a packed sequence
    # Up to torch 2.12 the decomposition returns the states with a dimension too many.
    return output, *(state.reshape(one.shape) for state, one in zip(states, given, strict=True))


def _input_index(described: Any) -> int:
    from torch._functorch._aot_autograd.descriptors import PlainAOTInput

    if not isinstance(described, PlainAOTInput):
        raise NotImplementedError(f"an input described as {described}")
    return described.idx


def joint_metadata_is_backward(node: fx.Node) -> bool:
    """Whether AOTAutograd traced ``node`` as part of the backward pass."""
    return node.meta.get("partitioner_tag") == "is_backward" or node.meta.get("autograd_backward", False)


def _mark_autocast(graph_module: fx.GraphModule) -> None:
    """Mark what the user's code computes under an autocast of its own; AOTAutograd drops the context itself.

    ``custom`` is what AOTAutograd hands on, to the backward too.
    """
    from torch.amp.autocast_mode import _enter_autocast, _exit_autocast

    depth = 0
    for node in graph_module.graph.nodes:
        depth += (node.target is _enter_autocast) - (node.target is _exit_autocast)
        if depth:
            node.meta["custom"] = {**node.meta.get("custom", {}), UNDER_AUTOCAST: True}


def is_under_any_autocast() -> bool:
    """Whether an autocast of any device is on; torch asks for one device at a time."""
    return bool(torch._C._is_any_autocast_enabled())


def is_compiled_backward(node: object) -> bool:
    """Whether a ``grad_fn`` is the backward that AOTAutograd compiled; its class is made anew for each graph."""
    return type(node).__name__ == "CompiledFunctionBackward"


def wrap_compiled_backward(node: Any, run: Callable[[Callable[[], Any], Any, Sequence[Any]], Any]) -> None:
    """Have ``run`` called in place of the backward that AOTAutograd compiled, for every call of its graph.

    ``run`` gets what calls that backward, the node, and the gradients that came in, where what is computed is recorded.
    Only the class that AOTAutograd made for this one graph is changed. A hook would have to be put on every node.
    """
    kind = type(node)._forward_cls
    compiled = kind.backward

    def backward(node: Any, *given: Any) -> Any:
        grads = given[0] if getattr(kind, "boxed_grads_call", False) else given  # from torch 2.13 a list, to be emptied
        known = tuple(grads) if torch.is_grad_enabled() else ()
        return run(lambda: compiled(node, *given), node, known)

    kind.backward = staticmethod(backward)


def keeps_graph() -> bool:
    """Whether the backward that runs leaves its graph for another (``retain_graph=True``); nothing public tells."""
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())


def gradient_edge(tensor: torch.Tensor) -> tuple[Any, int]:
    """Where the gradient of a tensor goes, as ``next_functions`` of a node says it."""
    edge = torch.autograd.graph.get_gradient_edge(tensor)
    return edge.node, edge.output_nr


UNDER_AUTOCAST = "tessera_under_autocast"


def is_under_autocast(node: fx.Node) -> bool:
    """Whether the user's code computes ``node``, or the forward that it is the backward of, under an autocast."""
    return UNDER_AUTOCAST in (node.meta.get("custom") or {})


# -- operators ---------------------------------------------------------------------------------------------------


def is_operator(target: object) -> bool:
    """Whether a node calls an operator of the dispatcher, such as ``aten.add.Tensor`` (control flow is none)."""
    return isinstance(target, torch._ops.OpOverload) and target.namespace != "higher_order"


def is_control_flow(target: object) -> bool:
    """Whether a node calls another graph, or something that is more than a function of tensors."""
    return isinstance(target, torch._ops.HigherOrderOperator)


def is_random(operator: Any) -> bool:
    """Whether two calls of an operator on the same values may differ."""
    return torch.Tag.nondeterministic_seeded in operator.tags


def checkpoint_region(node: fx.Node) -> int | None:
    """Which call of ``torch.utils.checkpoint`` computes ``node``, if its policy is to compute it again."""
    from torch.utils.checkpoint import CheckpointPolicy

    again = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)
    is_backward = joint_metadata_is_backward(node)
    return node.meta.get("ac_graph_id", 0) if node.meta.get("recompute") in again and not is_backward else None


def draws_random_numbers(node: fx.Node) -> bool:
    """Whether a node does: of the operators that may, attention without dropout does not."""
    return _draws(node.target, node.args, node.kwargs)


def _draws(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if not is_random(operator):
        return False
    names = [argument.name for argument in operator._schema.arguments]
    if "dropout_p" not in names:
        return True
    at = names.index("dropout_p")
    probability: Any = args[at] if at < len(args) else kwargs.get("dropout_p", 0.0)
    return bool(probability != 0.0)


def draws_when_run(graph_module: fx.GraphModule) -> bool:
    """Whether a graph from Dynamo draws random numbers; branches that it calls are passed over."""
    with _Draws() as seen, torch.no_grad():
        for node in graph_module.graph.nodes:
            if node.op not in ("call_function", "call_method") or is_control_flow(node.target):
                continue
            given = fx.node.map_arg((node.args, node.kwargs), lambda one: one.meta.get("example_value"))
            args, kwargs = given
            fakes = [value for value in tensors_in((*given, node.meta.get("example_value"))) if is_fake(value)]
            with own_fake_mode(fakes[0] if fakes else None):
                if callable(node.target):
                    node.target(*args, **kwargs)
                else:
                    getattr(args[0], node.target)(*args[1:], **kwargs)
    return seen.any


class _Draws(_python_dispatch.TorchDispatchMode):
    """Notes whether random numbers are drawn while it is active."""

    any = False

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.any = self.any or _draws(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def is_view(target: Any) -> bool:
    """Whether an operator's result may share the memory of its argument."""
    return is_operator(target) and any(r.alias_info is not None for r in target._schema.returns)


def conjugate() -> Any:
    """The operator that marks a complex tensor as conjugate and computes nothing."""
    return torch.ops.aten._conj.default


def call_subgraph() -> Any:
    """The operator ``(subgraph, name, *operands)``: Inductor compiles a subgraph once, however often it is called."""
    return torch.ops.higher_order.invoke_subgraph


def takes_device(operator: Any) -> bool:
    """Whether an operator is told on which device to put its result."""
    return any(argument.name == "device" for argument in operator._schema.arguments)


def writes(operator: Any) -> bool:
    """Whether an operator changes one of its arguments."""
    return bool(operator._schema.is_mutable)


def written_arguments(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """What an operator writes into; the running statistics of a batch norm too, of which its schema says nothing."""
    if operator.overloadpacket.__name__ in _HIDE_THEIR_WRITES:
        named = named_arguments(operator, args, kwargs)
        return [named.get(name) for name in ("running_mean", "running_var") if named.get("training")]
    given = list(zip(operator._schema.arguments, args, strict=False))
    given += [(a, kwargs[a.name]) for a in operator._schema.arguments if a.name in kwargs]
    return [value for argument, value in given if argument.alias_info is not None and argument.alias_info.is_write]


_HIDE_THEIR_WRITES = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")


def named_tensors(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """The tensors that an operator is given, by the names of its parameters."""
    given = named_arguments(operator, args, kwargs)
    return [(name, tensor) for name, value in given.items() for tensor in tensors_in(value)]


def named_arguments(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What an operator is given, by the names of its parameters."""
    return dict(zip((argument.name for argument in operator._schema.arguments), args, strict=False)) | kwargs


def largest_size(size: torch.SymInt) -> int | None:
    """The largest number that a symbolic size can be; None: it has no bound. Only its symbols' ranges know."""
    bound = size.node.shape_env.bound_sympy(size.node.expr).upper
    return int(bound) if bound.is_Integer else None


def smallest_size(size: torch.SymInt) -> int | None:
    """The smallest number that a symbolic size can be; None: it has no bound."""
    bound = size.node.shape_env.bound_sympy(size.node.expr).lower
    return int(bound) if bound.is_Integer else None


def assure(condition: bool | torch.SymBool) -> None:
    """Tell a trace what is true of its sizes; torch documents the function under its private name."""
    torch._check(condition)


@contextlib.contextmanager
def values_unchecked() -> Iterator[None]:
    """Within, distributions do not look at the values of what they are asked, which a trace does not have.

    Torch has a function that switches it off for all, and none that says what it was.
    """
    from torch.distributions import Distribution

    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def scan_operator() -> Any:
    """The operator that stands for ``captured_scan`` in a graph that Dynamo captured."""
    from torch._higher_order_ops.scan import scan_op

    return scan_op


def captured_scan(turn: Callable[..., Any], init: Any, xs: Any, *, reverse: bool) -> Any:
    """Torch's own scan, which Dynamo captures as one operator, whatever the number of turns."""
    from torch._higher_order_ops import scan

    return scan(turn, init, xs, reverse=reverse)


def transforms_inside(graph: fx.Graph) -> bool:
    """Whether a graph that Dynamo captured has calls of ``torch.func``'s transforms in it."""
    names = [getattr(node.target, "__name__", "") for node in graph.nodes if node.op == "call_function"]
    return any(name.endswith("_increment_nesting") for name in names)


@contextlib.contextmanager
def transforms_left() -> Iterator[None]:
    """Leave the levels of ``torch.func``'s transforms that were entered inside, also where an error ends it."""
    functorch = torch._C._functorch
    depth = functorch.get_dynamic_layer_stack_depth()
    try:
        yield
    finally:
        if functorch.get_dynamic_layer_stack_depth() > depth:
            functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)


def captured_while_loop(condition: Callable[..., Any], body: Callable[..., Any], carried: Any) -> Any:
    """Torch's own loop, which Dynamo captures as one operator."""
    from torch._higher_order_ops import while_loop

    return while_loop(condition, body, tuple(carried))


def load_forward_mode() -> None:
    """Load what forward-mode derivatives load in their first use: torch does it by a part of its own that warns."""
    if not torch.compiler.is_dynamo_compiling():
        _load_forward_mode()


@functools.cache
def _load_forward_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def is_batched(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for one element of a batch, inside ``torch.func.vmap``."""
    while functorch_tensor(tensor):
        if torch._C._functorch.is_batchedtensor(tensor):
            return True
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return False


def any_element(flag: torch.Tensor) -> bool:
    """Whether a truth value holds in any element of the batches that it stands for."""
    while functorch_tensor(flag):
        flag = torch._C._functorch.get_unwrapped(flag)
    return bool(flag.any())


def functorch_tensor(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one inside of ``torch.func``'s transforms."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


@functools.cache
def is_fused(operator: Any) -> bool:
    """Whether Inductor computes an operator in a loop, together with its neighbours."""
    from torch._inductor import lowering

    packet = getattr(operator, "overloadpacket", None)
    if packet in _PRODUCTS or not (operator in lowering.lowerings or packet in lowering.lowerings):
        return False
    return operator not in lowering.fallbacks and packet not in lowering.fallbacks


_PRODUCTS = {getattr(torch.ops.aten, name) for name in ("mm", "addmm", "bmm", "baddbmm", "convolution")}


_pointwise: dict[Any, Callable[..., Any]] = {}


def compute_in_loops(operator: Any, function: Callable[..., Any]) -> None:
    """Let Inductor compute an operator ``(Tensor [], SymInt[] shape, int) -> Tensor`` of int64 where it is used.

    ``function(number, place, integer)`` is one element: ``place`` is its number in the result. It computes with
    ``& | ^ + * >> <<`` and ``value.where_below(limit, below, otherwise)``.
    """
    _pointwise[operator] = function


def _lower_in_loops() -> None:
    """Tell Inductor, once it is loaded."""
    from torch._inductor import ir, lowering

    for operator, function in _pointwise.items():
        if operator in lowering.lowerings:
            continue

        def lower(number: Any, shape: Any, integer: int, function: Callable[..., Any] = function) -> Any:
            device, load = number.get_device(), number.make_loader()
            number_of = ir.FixedLayout(
                device, torch.int64, [*shape], ir.FlexibleLayout.contiguous_strides([*shape])
            ).make_indexer()

            def element(index: Any) -> Any:
                place = _InLoop.of("index_expr", number_of(index), torch.int64)
                return function(_InLoop(load([])), place, integer).value

            return ir.Pointwise.create(device=device, dtype=torch.int64, inner_fn=element, ranges=[*shape])

        lowering.register_lowering(operator, type_promotion_kind=None)(lower)


@dataclass(frozen=True)
class _InLoop:
    """An int64 value inside a kernel that Inductor writes; numbers of Python become constants."""

    value: Any

    @staticmethod
    def of(name: str, *arguments: Any) -> _InLoop:
        from torch._inductor.virtualized import ops

        return _InLoop(getattr(ops, name)(*arguments))

    def _with(self, name: str, other: _InLoop | int) -> _InLoop:
        if isinstance(other, int):
            other = _InLoop.of("constant", other, torch.int64)
        return _InLoop.of(name, self.value, other.value)

    def __and__(self, other: _InLoop | int) -> _InLoop:
        return self._with("bitwise_and", other)

    def __or__(self, other: _InLoop | int) -> _InLoop:
        return self._with("bitwise_or", other)

    def __xor__(self, other: _InLoop | int) -> _InLoop:
        return self._with("bitwise_xor", other)

    def __add__(self, other: _InLoop | int) -> _InLoop:
        return self._with("add", other)

    def __mul__(self, other: _InLoop | int) -> _InLoop:
        return self._with("mul", other)

    def __rshift__(self, other: int) -> _InLoop:
        return self._with("bitwise_right_shift", other)

    def __lshift__(self, other: int) -> _InLoop:
        return self._with("bitwise_left_shift", other)

    def where_below(self, limit: int, below: _InLoop, otherwise: _InLoop) -> _InLoop:
        return _InLoop.of("where", self._with("lt", limit).value, below.value, otherwise.value)


# -- tracing further code into a graph ---------------------------------------------------------------------------


def trace(function: Callable[..., Any], *inputs: Any, fake_mode: Any = None, decompose: bool = True) -> fx.GraphModule:
    """``function`` as an ATen graph over flat ``inputs`` (fake tensors or symbolic numbers)."""
    from torch.fx.experimental.proxy_tensor import make_fx

    table = inductor_decompositions() if decompose else None
    with fake_mode or contextlib.nullcontext():
        return make_fx(function, decomposition_table=table, tracing_mode="real", _allow_non_fake_inputs=True)(*inputs)


def trace_as_written(function: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> fx.GraphModule:
    """``function`` as a functional ATen graph with nothing decomposed; its sizes are numbers.

    A node knows the lines that wrote it: those of the graph it was traced from, or of the Python code that ran. What
    torch cannot make functional (an ``autograd.Function`` with its context in ``forward``) keeps its writes in place.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    def made(body: Callable[..., Any]) -> tuple[fx.GraphModule, list[torch.Tensor]]:
        with outside_captures(), torch.enable_grad(), fx.traceback.preserve_node_meta(), new_fake_mode():
            fakes = [without_data(value) for value in inputs]
            return make_fx(body, tracing_mode="real", _allow_non_fake_inputs=True)(*fakes), fakes

    try:
        traced, fakes = made(torch.func.functionalize(function))
    except RuntimeError as error:
        if "functorch transforms" not in str(error):
            raise
        traced, fakes = made(function)
    for node, value in zip(traced.graph.find_nodes(op="placeholder"), fakes, strict=True):
        node.meta["val"] = value
    return traced


class PythonLines(torch.overrides.TorchFunctionMode):
    """While a graph is traced: its nodes know which Python lines called, from below this mode's own frame on.

    make_fx itself keeps the frames of functions that are called ``forward``, and no others.
    """

    def __enter__(self) -> Self:
        self._outermost = sys._getframe(1)
        super().__enter__()
        return self

    def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        fx.traceback.set_stack_trace(python_lines(func, sys._getframe(1), self._outermost))
        return func(*args, **(kwargs or {}))


def python_lines(func: Any, frame: types.FrameType | None, outermost: types.FrameType | None) -> list[str]:
    """The frames of Python above a call of ``func``, as a stack trace prints them, the innermost last.

    Args:
        func: a function of torch.
        frame: that calls it.
        outermost: which is left out, with all above it.
    """
    frames = [_IN_BACKWARD] if func in _BACKWARDS else []
    if code := getattr(func, "__code__", None):  # what it calls in turn is not seen here
        frames.append(f'  File "{code.co_filename}", line {code.co_firstlineno}, in {code.co_name}\n')
    while frame is not None and frame is not outermost:
        frames.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}\n')
        frame = frame.f_back
    return frames[::-1]


class NoValues(_python_dispatch.TorchDispatchMode):
    """While a graph is traced: what Python asks of values that there are not is answered, and real tensors stay as is.

    Args:
        answer: what ``if tensor:`` is told. Every number is 1.

    Attributes:
        asked: whether a branch was.

    Raises:
        RuntimeError: a tensor with data, which a closure or a global holds, was about to be written to.
    """

    def __init__(self, *, answer: bool) -> None:
        super().__init__()
        self._answer, self.asked = answer, False

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(not is_fake(value) for value in tensors_in(written_arguments(func, args, kwargs or {}))):
            raise RuntimeError(f"{func} would write to a tensor with data")
        if func is torch.ops.aten._local_scalar_dense.default:
            dtype = args[0].dtype
            if dtype is not torch.bool:
                return 1.0 if dtype.is_floating_point else 1
        elif func is not torch.ops.aten.equal.default:
            return func(*args, **(kwargs or {}))
        self.asked = True
        return self._answer


_IN_BACKWARD = f'  File "{torch.autograd.__file__}", line 1, in backward\n'
_BACKWARDS = {torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward}


def without_data(tensor: torch.Tensor) -> torch.Tensor:
    """A fake tensor, in the mode that is on, like another one of whatever kind; sizes that are symbols as numbers."""
    sizes, strides = ([size_hint(number) for number in numbers] for numbers in (tensor.shape, tensor.stride()))
    return torch.empty_strided(sizes, strides, dtype=tensor.dtype, device=tensor.device)


def computed_anew(node: fx.Node, fake_mode: Any) -> Any:
    """What the operation of ``node`` returns for what its arguments are said to be."""
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda one: one.meta.get("val"))
    with fake_mode or contextlib.nullcontext():
        return node.target(*args, **kwargs)  # type: ignore[operator]


@contextlib.contextmanager
def outside_captures() -> Iterator[None]:
    """As if nothing was being captured or traced: what is traced or compiled here belongs to no capture around it."""
    from torch._guards import tracing

    with _python_dispatch._disable_current_modes(), tracing(None):
        yield


def trace_aside(
    function: Callable[..., Any], make: Sequence[Callable[[], torch.Tensor]], *, decompose: bool = False
) -> fx.GraphModule:
    """``function`` of the tensors that ``make`` makes, as an ATen graph, whatever else is being traced meanwhile.

    The placeholders carry fake tensors; gradients that ``function`` takes become part of the graph.
    """

    def flat(*values: torch.Tensor) -> Any:  # the tracer looks at the signature
        return function(*values)

    with outside_captures(), torch.enable_grad():
        fake_mode = new_fake_mode()
        with fake_mode:
            examples = [one() for one in make]
        traced = trace(flat, *examples, fake_mode=fake_mode, decompose=decompose)
    for node, example in zip(traced.graph.find_nodes(op="placeholder"), examples, strict=True):
        node.meta["val"] = example
    return traced


def fake_mode_of(values: Sequence[Any]) -> Any:
    """The fake tensor mode that the example values of a captured graph belong to."""
    from torch._guards import detect_fake_mode

    return detect_fake_mode(list(values))


def has_dispatch_modes() -> bool:
    """Whether operators go through a mode of Python: that of tensors without data, a trace."""
    return torch._C._len_torch_dispatch_stack() > 0


def alike(*tensors: torch.Tensor) -> Callable[..., bool]:
    """What tells, in C, whether as many others have their types, sizes, dtypes and devices; strides may differ.

    It says no of what has them and differs in what PyTorch dispatches on: whether a gradient is wanted, autocast. Modes
    of Python are not among that.
    """
    from torch._C._dynamo.guards import TensorGuards

    guards: Any = TensorGuards  # its stub says nothing of the tensors
    sizes = [list(tensor.shape) for tensor in tensors]
    strides = [[None] * tensor.dim() for tensor in tensors]
    return cast("Callable[..., bool]", guards(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides).check)


_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def size_hint(value: Any) -> Any:
    """The number that a symbolic size had when it was captured; anything else as it is."""
    return value.node.hint if isinstance(value, _SYMBOLIC) else value


def new_fake_mode() -> Any:
    """A fresh fake tensor mode with a shape environment of its own."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    env = ShapeEnv(specialize_zero_one=False, duck_shape=False)
    # Constants such as the 1.0 of torch.where(mask, x, 1.0) are real tensors.
    return FakeTensorMode(shape_env=env, allow_non_fake_inputs=True)


@contextlib.contextmanager
def symbolic_sizes(marked: Sequence[tuple[torch.Tensor, Sequence[int]]]) -> Iterator[None]:
    """Within, a capture takes these dimensions of these tensors for symbols, also where they are 0 or 1.

    Dynamo reads an attribute of the tensors; it is taken off them again.
    """
    from torch._dynamo.decorators import maybe_mark_dynamic
    from torch.fx.experimental import _config

    attributes = ("_dynamo_weak_dynamic_indices", "_has_dynamo_dim_marking")
    if not marked:
        yield
        return
    before = [
        (tensor, {name: copy(value) for name, value in vars(tensor).items() if name in attributes})
        for tensor, _ in marked
    ]
    for tensor, axes in marked:
        maybe_mark_dynamic(tensor, list(axes))
    try:
        with _config.patch(backed_size_oblivious=True):
            yield
    finally:
        for tensor, marks in before:
            for name in attributes:
                vars(tensor).pop(name, None)
            vars(tensor).update(marks)


def symbolic_mode(
    answer: Callable[[Any, Any, Callable[[], Any]], Any],
    operates: Callable[[], None],
    operated: Callable[[Any, Sequence[Any], Mapping[str, Any], Any], None],
) -> Any:
    """A fake tensor mode whose questions about symbolic sizes go through ``answer``.

    Args:
        answer: is given what is asked, an expression of sympy; the hint that comes with it; and a function that lets
            torch answer by the hints of its symbols.
        operates: is called before each operation, those that one is made of among them.
        operated: is given each operation, none that one is made of, with its arguments, keywords and result.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    class Environment(ShapeEnv):
        def evaluate_expr(self, orig_expr: Any, hint: Any = None, *rest: Any, **options: Any) -> Any:
            usual = super().evaluate_expr
            return answer(orig_expr, hint, lambda: usual(orig_expr, hint, *rest, **options))

        def _get_user_frame(self) -> None:
            """For torch's log of where a symbol was made; to look for it imports the exporter."""

    class Mode(FakeTensorMode):
        inside = False

        def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            operates()
            if self.inside:
                return super().dispatch(func, types, args, kwargs)
            self.inside = True
            try:
                result = super().dispatch(func, types, args, kwargs)
            finally:
                self.inside = False
            operated(func, args, kwargs or {}, result)
            return result

    return Mode(shape_env=Environment(duck_shape=False), allow_non_fake_inputs=True)


def symbolic_size(fake_mode: Any, name: str, hint: int) -> torch.SymInt:
    """A size with a name, of which nothing is known but that it is 2 or more."""
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic

    source, env = ConstantSource(name), fake_mode.shape_env
    symbol = env.create_symbol(hint, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return env.create_symintnode(symbol, hint=hint, source=source)


def needs_data(error: BaseException | None) -> bool:
    """Whether tensors without data could not be asked for something: their values, a kernel's result."""
    from torch._subclasses import fake_tensor
    from torch.fx.experimental import symbolic_shapes

    kinds = (
        fake_tensor.DataDependentOutputException,
        fake_tensor.DynamicOutputShapeException,
        fake_tensor.UnsupportedFakeTensorException,
        fake_tensor.UnsupportedOperatorException,
        symbolic_shapes.GuardOnDataDependentSymNode,
    )
    return isinstance(error, kinds) or "Cannot access data pointer" in str(error) or ".numpy() is not" in str(error)


@contextlib.contextmanager
def quiet_fake_tensors() -> Iterator[None]:
    """Keep torch from logging what raises on tensors without data: it is what was asked."""
    loggers = [
        logging.getLogger(f"torch.{name}") for name in ("_subclasses.fake_tensor", "fx.experimental.symbolic_shapes")
    ]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def expression_of(size: Any) -> Any:
    """What a symbolic size is made of, as an expression of sympy; a number as it is."""
    return size.node.expr if isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)) else size


def fake_copy(fake_mode: Any, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same shape, strides and dtype that holds no data."""
    return fake_mode.from_tensor(tensor, static_shapes=True)


def without_memory(fake_mode: Any, shape: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A fake tensor of a mode, or one of torch's own where that is None: in a quarter of the time an operator takes."""
    from torch._subclasses.fake_tensor import FakeTensor, in_kernel_invocation_manager

    with in_kernel_invocation_manager(fake_mode) if fake_mode is not None else contextlib.nullcontext():
        meta = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    return meta if fake_mode is None else FakeTensor(fake_mode, meta, torch.device("cpu"))


def is_fake(value: object) -> bool:
    """Whether a tensor has no data."""
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(value, FakeTensor)


def own_fake_mode(value: object) -> Any:
    """The mode of a fake tensor, as a context; AOTAutograd's, which may be current already, is another."""
    return value.fake_mode if is_fake(value) else contextlib.nullcontext()  # type: ignore[attr-defined]


def same_shape(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether two shapes are known to be equal; asking makes no guard."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return len(first) == len(second) and all(
        isinstance(a, int | torch.SymInt) and isinstance(b, int | torch.SymInt) and statically_known_true(a == b)
        for a, b in zip(first, second, strict=True)
    )


def memory_of(tensor: torch.Tensor) -> int:
    """A number that two tensors share if one is a view of the other; fake tensors have it too."""
    return tensor.untyped_storage()._cdata


def symbolic_float(fake_mode: Any, name: str, value: float) -> torch.SymFloat:
    """A Python float as a symbol: code that branches on it leaves a guard, see ``SymbolGuards``."""
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic

    source, env = ConstantSource(name), fake_mode.shape_env
    symbol = env.create_unspecified_symbol(value, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return env.create_symfloatnode(symbol, hint=value, source=source)


class SymbolGuards:
    """What traced code assumed about symbolic numbers, as a check of new values for the same numbers."""

    def __init__(self, fake_mode: Any, numbers: Sequence[torch.SymFloat]) -> None:
        self._expressions = [guard.expr for guard in fake_mode.shape_env.guards]
        self._symbols = [number.node._expr for number in numbers]  # `expr` is a constant once the symbol was fixed

    def __call__(self, values: Sequence[float]) -> bool:
        bound = dict(zip(self._symbols, values, strict=True))
        return all(bool(expression.subs(bound)) for expression in self._expressions)

    def in_words(self) -> list[Any]:
        """The same as nested lists: the name of an operation and its arguments, ``["symbol", position]``, numbers."""
        return [self._in_words(expression) for expression in self._expressions]

    def _in_words(self, expression: Any) -> Any:
        if expression in self._symbols:
            return ["symbol", self._symbols.index(expression)]
        if not expression.args:
            return bool(expression) if expression in (True, False) else float(expression)
        return [expression.func.__name__, *map(self._in_words, expression.args)]


@contextlib.contextmanager
def answer_is_compiling(answer: bool) -> Iterator[None]:
    """Fix what ``torch.compiler.is_compiling()`` answers: torch.optim takes its branch-free formulas when it is True.

    Inside a compilation, where updates are recorded, it would be True throughout.
    """
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = answer
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


# -- Inductor ----------------------------------------------------------------------------------------------------


def inductor_decompositions(more: Mapping[Any, Callable[..., Any]] | None = None) -> dict[Any, Callable[..., Any]]:
    """Inductor's own table: what it decomposes before lowering. ``more`` come first where they are implemented."""
    import torch._inductor.lowering
    from torch._inductor.decomposition import select_decomp_table

    with inductor_settings():
        table: dict[Any, Callable[..., Any]] = dict(select_decomp_table())
    aten = torch.ops.aten
    table[aten.bernoulli.default] = _bernoulli
    table[aten._assert_async.default] = _assert_async
    table[aten.binary_cross_entropy.default] = functools.partial(
        _first_of, _refuse_improbable, table.get(aten.binary_cross_entropy.default)
    )
    table[aten.index_put.default] = _index_put
    table[aten.native_dropout.default] = functools.partial(
        _native_dropout, table.get(aten.native_dropout.default, lambda *_: NotImplemented)
    )
    for operator in (aten.index_add.default, aten.index_copy.default, aten.index_select.default):
        table[operator] = functools.partial(_with_places, table[operator])
    for operator in (aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor):
        table[operator] = functools.partial(_remainder, table.get(operator))
    for operator in (aten.mul.Tensor, aten.mul.Scalar):
        table[operator] = functools.partial(_first_of, _times_zero, table.get(operator))
    for operator in (aten.add.Tensor, aten.sub.Tensor):
        multiplied = functools.partial(_with_multiplied_number, operator)
        table[operator] = functools.partial(_first_of, multiplied, table.get(operator))
    for operator, function in (more or {}).items():
        table[operator] = functools.partial(_first_of, function, table.get(operator))
    return table


def _first_of(first: Callable[..., Any], second: Callable[..., Any] | None, *args: Any, **kwargs: Any) -> Any:
    result = first(*args, **kwargs)
    return second(*args, **kwargs) if result is NotImplemented and second is not None else result


def _with_places(
    otherwise: Callable[..., Any], x: torch.Tensor, dim: int, index: torch.Tensor, *args: Any, **kwargs: Any
) -> Any:
    """A negative place is none, as in eager; decomposed into ``x[index]`` it would count from the end (2.13)."""
    index = torch.where(index < 0, torch.iinfo(index.dtype).max, index)
    return otherwise(x, dim, index, *args, **kwargs)


def _index_put(
    x: torch.Tensor, indices: Sequence[torch.Tensor | None], values: torch.Tensor, accumulate: bool = False
) -> Any:
    """``x[mask] = number`` as a choice: Inductor loses a scatter into ``x`` right before it (2.13)."""
    mask = indices[0] if len(indices) == 1 else None
    if accumulate or mask is None or mask.dtype is not torch.bool or values.numel() != 1 or values.dtype != x.dtype:
        return NotImplemented
    return torch.where(mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim())), values.reshape(()), x)


def _with_multiplied_number(operator: Callable[..., Any], x: Any, y: Any, *, alpha: Any = 1) -> Any:
    """``add(x, number, alpha=2)`` as ``x + number * 2``: what makes a tensor of the number forgets ``alpha`` (2.13)."""
    from_numbers = isinstance(x, torch.SymFloat) or isinstance(y, torch.SymFloat)
    return operator(x, y * alpha) if from_numbers and alpha != 1 else NotImplemented


def _times_zero(x: Any, y: Any) -> Any:
    """``x * 0`` as ``x * 0.0``: of the whole number Inductor makes a zero, also where x is NaN or infinite."""
    zero = type(y) is int and y == 0 and (x.is_floating_point() or x.is_complex())
    return torch.mul(x, 0.0) if zero else NotImplemented


def _remainder(otherwise: Callable[..., Any] | None, x: Any, y: Any) -> Any:
    """By ``fmod``, which is exact, as eager; ``x - floor(x / y) * y`` in a C++ kernel is NaN where y is infinite."""
    dtype = torch.result_type(x, y)
    if not dtype.is_floating_point:
        return NotImplemented if otherwise is None else otherwise(x, y)
    wide = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    device = (x if isinstance(x, torch.Tensor) else y).device
    both = (v if isinstance(v, torch.Tensor) else torch.full((), v, dtype=dtype, device=device) for v in (x, y))
    x, y = (v.to(dtype).to(wide) for v in both)
    rest = torch.fmod(x, y)
    return torch.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest).to(dtype)


def _native_dropout(otherwise: Callable[..., Any], signal: torch.Tensor, p: float, train: bool | None) -> Any:
    """Draws nothing where everything is dropped, as eager; the operator itself draws numbers that it does not need."""
    if p != 1 or train is False:
        return otherwise(signal, p, train)
    return signal * 0.0, torch.zeros_like(signal, dtype=torch.bool)


def _assert_async(condition: torch.Tensor) -> None:
    """With the words of eager: Inductor loses an assertion that has none (2.13)."""
    torch._assert_async(condition, "Expected Tensor with single nonzero value, but got zero")


def _refuse_improbable(input: torch.Tensor, target: torch.Tensor, *_: Any) -> Any:
    """What eager raises on a processor; Inductor's decomposition is NaN there, or of no meaning."""
    if input.device.type == "cpu":
        assert_probabilities(input, "all elements of input should be between 0 and 1")
        assert_probabilities(target, "all elements of target should be between 0 and 1")
    return NotImplemented


def assert_probabilities(values: torch.Tensor, otherwise: str) -> None:
    """Have a program raise RuntimeError where a value is not from 0 to 1; a GPU is not waited for."""
    torch._assert_async(((values >= 0) & (values <= 1)).all(), otherwise)


def _bernoulli(probability: torch.Tensor) -> torch.Tensor:
    """Draws what eager draws, doubles for float64; Inductor's own decomposition draws float32 and refuses nothing."""
    if probability.device.type == "cpu":
        assert_probabilities(probability, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    precision = torch.float64 if probability.dtype == torch.float64 else torch.float32
    drawn = torch.rand(probability.shape, dtype=precision, device=probability.device)
    return (drawn < probability).to(probability.dtype)


@contextlib.contextmanager
def inductor_settings(*, guarded: bool = True) -> Iterator[None]:
    """Inductor's settings while a Program of ours is compiled.

    ``fallback_random``: random operations draw from torch's own stream, as eager does.
    ``size_asserts``: only where Dynamo's guards have not checked the inputs already, as for a backward piece.
    ``reorder_for_locality``: before torch 2.12 it brings draws of random numbers into another order too.
    """
    from torch._inductor import config

    _lower_in_loops()
    settings: dict[str, Any] = {"fallback_random": True, "size_asserts": not guarded, "nan_asserts": False}
    if torch.__version__ < "2.12":
        settings["reorder_for_locality"] = False
    if config.cpp.vec_isa_ok is None:
        settings["cpp.vec_isa_ok"] = _compiler_has_vectors()
    with config.patch(settings), _kernels_in_libraries():
        yield


@functools.cache
def _compiler_has_vectors() -> bool | None:
    """True where the C++ compiler takes the flags of all vectors of this processor; None: Inductor has to find out.

    It would compile torch's headers for one after the other, which takes seconds.
    """
    from torch._inductor import cpu_vec_isa

    processor = cpu_vec_isa.x86_isa_checker()
    vectors = [isa for isa in cpu_vec_isa.supported_vec_isa_list if set(str(isa).split()) <= set(processor)]
    compiler = cpp_compiler()
    if not vectors or not compiler:
        return None
    flags = shlex.split(" ".join(isa.build_arch_flags() for isa in vectors))
    command = [compiler, *flags, "-fsyntax-only", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0 or None  # noqa: S603


@contextlib.contextmanager
def _kernels_in_libraries() -> Iterator[None]:
    """Have Inductor write wrappers for the CPU that make a ``KernelLibrary`` where they would make an ``AsyncCompile``.

    The wrapper and the scheduling of a device are what Inductor lets other backends register. Its own scheduling splits
    a loop over ``i`` that reads ``[i // 16]`` in two, the outer one rounded down: 15 of 63 results were never computed.
    """
    from torch._inductor import config
    from torch._inductor.codegen import common
    from torch._inductor.codegen.cpp import CppScheduling
    from torch._inductor.codegen.wrapper import PythonWrapperCodegen
    from torch.utils._sympy.functions import FloorDiv

    class Scheduling(CppScheduling):
        def try_loop_split(self, nodes: list[Any]) -> list[Any]:
            for node in nodes:
                body = node.node.get_default_sizes_body()[1]
                for expression in body.indexing_exprs.values():
                    for dividend, divisor in (d.args for d in getattr(expression, "find", _nothing)(FloorDiv)):
                        if dividend in body.iter_vars and body.var_ranges[dividend] % divisor != 0:
                            return nodes
            return super().try_loop_split(nodes)

    class Wrapper(PythonWrapperCodegen):
        @staticmethod
        def create(is_subgraph: bool, *rest: Any) -> PythonWrapperCodegen:
            return PythonWrapperCodegen.create(is_subgraph, *rest) if is_subgraph else Wrapper()

        def write_header(self) -> None:
            super().write_header()
            self.header.splice(
                """
                    from tessera.backend.kernel_library import KernelLibrary
                    async_compile = KernelLibrary()
                """,
                strip=True,
            )

    with _registration:
        common.init_backend_registration()
        registered = common.device_codegens["cpu"]
        if not _in_libraries:
            scheduling = Scheduling if config.cpu_backend == "cpp" else registered.scheduling
            ours = dataclasses.replace(registered, wrapper_codegen=Wrapper, scheduling=scheduling)
            common.device_codegens["cpu"] = ours
        _in_libraries.append(registered)
    try:
        yield
    finally:
        with _registration:  # another thread may compile as well: the last one restores what the first one found
            first = _in_libraries[0]
            _in_libraries.pop()
            if not _in_libraries:
                common.device_codegens["cpu"] = first


def _nothing(_: Any) -> tuple[()]:
    return ()


_registration, _in_libraries = threading.Lock(), []  # type: ignore[var-annotated]


@dataclass(frozen=True)
class InductorOutput:
    """What Inductor made of a graph.

    Attributes:
        call: takes the list of inputs (and empties it), returns the outputs. Expects gradients to be off.
        source: the Python wrapper that Inductor wrote, as text; empty when there is none.
        names: the wrapper's global names, kernels among them.
    """

    call: Callable[[list[Any]], Sequence[Any]]
    source: str
    names: dict[str, Any]


PieceCompiler = Callable[[fx.GraphModule, Sequence[Any]], InductorOutput]


def compile_with_inductor(
    graph_module: fx.GraphModule, inputs: Sequence[Any], threads: int = -1, *, guarded: bool = True
) -> InductorOutput:
    """Hand a functional ATen graph with trailing writes to Inductor; ``threads`` -1: as many as torch has."""
    from torch._inductor import config
    from torch._inductor.compile_fx import _recursive_joint_graph_passes, compile_fx_inner
    from torch._inductor.virtualized import V

    with inductor_settings(guarded=guarded), config.patch({"cpp.threads": threads}):
        with V.set_fake_mode(fake_mode_of(inputs)):
            graph_module = _recursive_joint_graph_passes(graph_module)
        return _output(compile_fx_inner(graph_module, list(inputs), is_inference=True))


def wrapper_source(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> str:
    """The wrapper that Inductor would write for a graph, whose kernels nobody compiles; changes ``graph_module``.

    Inductor hands its text to ``save_output_code``, a hook, just before it compiles it.
    """
    from torch._inductor.graph import GraphLowering

    class Written(Exception):
        """Ends the compilation."""

    thread, written = threading.get_ident(), []
    before = GraphLowering.save_output_code

    def stop(source: str) -> None:
        if threading.get_ident() != thread:
            return before(source) if before is not None else None
        written.append(source)
        raise Written

    GraphLowering.save_output_code = stop  # type: ignore[assignment]
    try:
        return compile_with_inductor(graph_module, inputs).source  # somebody had compiled the same graph before
    except Exception:
        if not written:
            raise
        return written[0]
    finally:
        GraphLowering.save_output_code = before


@contextlib.contextmanager
def compiling_with(workers: int) -> Iterator[None]:
    """Let Inductor run at most so many C++ compilers at once; it decides when it needs the first one."""
    from torch._inductor import config

    with config.patch(compile_threads=min(workers, config.compile_threads or workers)):
        yield


def compile_threads() -> int:
    """How many C++ compilers may run at once."""
    from torch._inductor import config

    return config.compile_threads or 1


def async_compile() -> Any:
    """What Inductor's wrappers have kernels compiled by."""
    from torch._inductor.async_compile import AsyncCompile

    return AsyncCompile()


def kernel_compiler() -> list[str]:
    """The command that compiles a source of C++ kernels: the compiler and its flags, without the names of files."""
    from torch._inductor import config
    from torch._inductor.cpp_builder import CppBuilder, CppTorchDeviceOptions
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    with config.patch(cpp_cache_precompile_headers=False):  # tessera/precompiled_headers.py does, when it is worth it
        options = CppTorchDeviceOptions(
            vec_isa=pick_vec_isa(), include_pytorch=False, shared=True, compile_only=False, device_type="cpu"
        )
        command = shlex.split(CppBuilder(name="library", sources="source.cpp", BuildOption=options).get_command_line())
    output = command.index("-o")
    # What it would warn of stands in torch's headers.
    return [part for part in command[:output] + command[output + 2 :] if part != "source.cpp"] + ["-w"]


def unguarded_module(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """An exported program as a module that takes any sizes, those too that it was not traced for."""
    module = program.module(check_guards=False)
    module._forward_pre_hooks.clear()
    return module


def write_package(program: torch.export.ExportedProgram, path: str, metadata: dict[str, str]) -> None:
    """Compile an exported program with AOTInductor into a package that runs without Python."""
    from torch._inductor import aoti_compile_and_package, config

    settings: dict[str, Any] = {"aot_inductor.metadata": metadata}
    if config.cpp.vec_isa_ok is None:
        settings["cpp.vec_isa_ok"] = _compiler_has_vectors()
    aoti_compile_and_package(program, package_path=path, inductor_configs=settings)


def load_package(path: str) -> Any:
    """What runs such a package: called with tensors, it gives what the model gives. Its code is loaded here."""
    from torch._inductor import aoti_load_package

    return aoti_load_package(path)


@contextlib.contextmanager
def inductor_options(options: dict[str, Any]) -> Iterator[None]:
    """Inductor with settings of its own, such as ``{"cpp.simdlen": 256}``."""
    from torch._inductor import config

    with config.patch(options):
        yield


@contextlib.contextmanager
def in_graph_order() -> Iterator[None]:
    """Inductor without an order of its own, in which it does not know what regions hold nor what fences are for."""
    from torch._inductor import config

    with config.patch(reorder_for_peak_memory=False):
        yield


@contextlib.contextmanager
def without_patterns() -> Iterator[None]:
    """Inductor without its own graph patterns, one of which may fail on a graph that is right."""
    from torch._inductor import config

    with config.patch(pattern_matcher=False):
        yield


@contextlib.contextmanager
def without_vectors() -> Iterator[None]:
    """Inductor without explicit vectors in C++; the C++ compiler still finds some by itself."""
    from torch._inductor import config

    with config.patch({"cpp.simdlen": 1}):
        yield


def _output(compiled: Any) -> InductorOutput:
    run = getattr(compiled, "current_callable", None) or compiled
    names = getattr(run, "__globals__", None) or getattr(getattr(run, "__func__", None), "__globals__", {})
    return InductorOutput(run, getattr(compiled, "source_code", ""), names)


def without_gradients(call: Callable[[list[Any]], Sequence[Any]]) -> Callable[[list[Any]], Sequence[Any]]:
    """``call`` with gradients off, as compiled code expects; ``torch.no_grad()`` would cost ten times as much."""
    set_grad_enabled = torch._C._set_grad_enabled

    def run(inputs: list[Any]) -> Sequence[Any]:
        before = torch.is_grad_enabled()
        set_grad_enabled(False)
        try:
            return call(inputs)
        finally:
            set_grad_enabled(before)

    return run


def compile_graph_pieces(
    graph_module: fx.GraphModule,
    inputs: Sequence[Any],
    compile_one: Callable[[fx.GraphModule, str, PieceCompiler], Callable[[list[Any]], Sequence[Any]]],
    rewrite: Callable[[fx.GraphModule], None] | None = None,
    decompositions: Mapping[Any, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """Take a graph from Dynamo through AOTAutograd, with Inductor's decompositions and more.

    Every resulting piece goes to ``compile_one(piece, kind, inductor)`` with kind ``inference``, ``forward`` or
    ``backward`` and the function that hands the piece to Inductor with AOTAutograd's options. ``rewrite`` sees forward
    and backward as one graph, before they are parted, and changes it in place.
    """
    from torch._functorch import config as functorch_config
    from torch._guards import TracingContext
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner
    from torch._inductor.custom_graph_pass import CustomGraphPass
    from torch._inductor.output_code import OutputCode
    from torch.fx.experimental import _config as shapes_config

    returned: list[_Returned] = []  # before Inductor changes anything; twice where the user returns one tensor twice

    class Rewrite(CustomGraphPass):
        """``rewrite`` as Inductor wants it."""

        def __call__(self, graph: fx.Graph) -> None:
            returned[:] = [(node, _in_memory_of(node)) for node in tree_leaves(graph.output_node().args[0])]
            if rewrite is not None:
                rewrite(cast("fx.GraphModule", graph.owning_module))

        def uuid(self) -> Any:
            return "tessera"  # Inductor's cache looks at the graph that results

    class Compiled(OutputCode):
        """The smallest thing that AOTAutograd takes for Inductor's output."""

        def __init__(self, call: Callable[[list[Any]], Sequence[Any]]) -> None:
            # On the object: AOTAutograd wraps it, and wrapping copies what the object itself holds.
            self._call, self._boxed_call = call, True

        def __call__(self, inputs: Sequence[Any]) -> Any:
            return self._call(inputs)  # type: ignore[arg-type]

    def inner(piece: fx.GraphModule, example_inputs: Sequence[Any], **options: Any) -> OutputCode:
        # The strides of what a backward piece receives are those its forward was compiled to produce.
        for node, value in zip(piece.graph.find_nodes(op="placeholder"), example_inputs, strict=True):
            node.meta["val"] = value
        for node in piece.graph.nodes:  # AOTAutograd does not say what random numbers are that a backward draws again
            if node.op == "call_function" and "val" not in node.meta:
                node.meta["val"] = computed_anew(node, fake_mode_of(example_inputs))
        if "get_decomp_fn" in options:  # 2.12 passes a local function, which ends Inductor's cache key with a warning
            options["get_decomp_fn"] = inductor_decompositions
        kind = "inference" if options.get("is_inference") else "backward" if options.get("is_backward") else "forward"
        if kind != "backward":
            _return_different_tensors(piece, returned)
        for node in reversed(piece.graph.nodes) if kind == "backward" else ():
            # The partition puts a draw of the forward into the backward too, where nobody uses what it draws.
            drawn = node.op == "call_function" and is_operator(node.target) and is_random(node.target)
            if drawn and not node.users and node.meta.get("partitioner_tag") == "is_forward":
                piece.graph.erase_node(node)

        def inductor(graph: fx.GraphModule, values: Sequence[Any]) -> InductorOutput:
            if (context := TracingContext.try_get()) and context.output_strides:
                context.output_strides.clear()  # what a first compilation of the same piece has put there
            with inductor_settings(guarded=kind != "backward"):
                output = _output(compile_fx_inner(graph, list(values), **options))
            if shapes_config.backed_size_oblivious and context and context.output_strides:
                # With sizes that may be 1 torch cannot tell that these numbers are what the symbols stand for, and
                # would make them constants of the backward.
                context.output_strides[:] = [None] * len(context.output_strides)
            return output

        return Compiled(compile_one(piece, kind, inductor))

    if torch.is_grad_enabled():
        _let_lstm_be_traced(graph_module)
    _mark_autocast(graph_module)
    # AOTAutograd's own cache does not know our passes: a hit would skip them. Inductor's cache, below, does.
    # A branch writes its answer over what it is given in a backward that is allowed to (donated_buffer), as if nobody
    # read that afterwards: the gradient of two conditions was wrong (2.11 to 2.13).
    settings: dict[str, Any] = {"enable_autograd_cache": False}
    if any(getattr(node.target, "__name__", "") in _COMPILED_BRANCHES for node in graph_module.graph.nodes):
        settings["donated_buffer"] = False
    with (
        inductor_settings(),
        transforms_left(),
        functorch_config.patch(settings),
        config.patch(joint_custom_pre_pass=Rewrite()),
    ):
        return compile_fx(  # type: ignore[return-value]
            graph_module, list(inputs), inner_compile=inner, decompositions=inductor_decompositions(decompositions)
        )


_COMPILED_BRANCHES = frozenset({"cond", "while_loop", "scan", "associative_scan", "map_impl", "invoke_subgraph"})

_Returned = tuple[Any, Any]  # a result of a graph, and whose memory it lies in


def _in_memory_of(node: Any) -> Any:
    """What a node of a functional graph is a view of, or itself; None for no node."""
    while isinstance(node, fx.Node) and node.op == "call_function":
        of_several = node.target is getitem and is_view(cast("fx.Node", node.args[0]).target)
        if not (of_several or is_view(node.target) or node.target is torch.ops.aten._unsafe_view.default):
            return node
        node = node.args[0]
    return node if isinstance(node, fx.Node) else None


def _return_different_tensors(piece: fx.GraphModule, returned: Sequence[_Returned]) -> None:
    """Where Inductor took ``y * ones`` for ``y``, which is returned or given, return a copy: it may be written to.

    The same where ``y`` is a view of what is returned or given.
    """
    from torch._guards import TracingContext

    context, output = TracingContext.try_get(), piece.graph.output_node()
    results: list[Any] = list(output.args[0])  # type: ignore[arg-type]
    if context is None or context.fw_metadata is None or len(returned) < context.fw_metadata.num_forward_returns:
        return
    first, memories = dict[Any, Any](), dict[Any, Any]()  # what results, and those whose memory they lie in, were
    for position, node in enumerate(results[: context.fw_metadata.num_forward_returns]):
        before, memory_before = returned[position]
        memory = _in_memory_of(node)
        if memory is None or memory_before is None:
            continue
        was_given = memory.op == "placeholder" and memory_before.op != "placeholder"
        was_another = first.setdefault(node, before) is not before
        lay_elsewhere = memories.setdefault(memory, memory_before) is not memory_before
        if was_given or was_another or lay_elsewhere:
            with piece.graph.inserting_before(output):
                results[position] = piece.graph.call_function(torch.ops.aten.clone.default, (node,))
            results[position].meta = dict(node.meta)
    output.args = (tuple(results),)
    piece.recompile()


def compiler_reason(error: BaseException) -> str:
    """Why Inductor or the C++ compiler gave up, in one line, with what was noted of it."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return "; ".join([f"{type(error).__name__}: {first}", *getattr(error, "__notes__", ())])


def is_index_error(error: Exception) -> bool:
    """Whether a kernel of Inductor's met an index that is out of range; eager raises IndexError there."""
    return isinstance(error, RuntimeError) and "index out of bounds" in str(error)


def graph_breaks() -> list[tuple[str, str]]:
    """Reason and printed user stack of every graph break since the last call."""
    from torch._dynamo.utils import graph_break_reasons

    breaks = [(capture_reason(r.reason), "".join(traceback.format_list(r.user_stack))) for r in graph_break_reasons]
    graph_break_reasons.clear()
    return breaks


def break_count() -> int:
    """How many graph breaks there were since ``graph_breaks`` was called."""
    from torch._dynamo.utils import graph_break_reasons

    return len(graph_break_reasons)


def tensor_data_pointer_function() -> int:
    """Address of a C function ``void* f(PyObject*)`` for a tensor's data pointer; Inductor's kernels use it too."""
    return torch._C._dynamo.guards._torchinductor_pyobject_tensor_data_ptr


def empty_strided_cpu(shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """``torch.empty_strided`` on the CPU, the way Inductor's own wrappers call it: about four times as fast."""
    return torch._C._dynamo.guards._empty_strided_cpu(shape, strides, dtype)


def view_of_memory(block: torch.Tensor, shape: Sequence[int], strides: Sequence[int]) -> torch.Tensor:
    """A tensor of another shape over the memory of ``block``, a new reference to its storage."""
    return torch._C._dynamo.guards._reinterpret_tensor(block, shape, strides, 0)


def storage_users(handle: int) -> int:
    """How many tensors and storages refer to the memory that ``memory_of`` named; its tensor lives still."""
    return torch._C._storage_Use_Count(handle)  # type: ignore[attr-defined]


def replace_name(output: InductorOutput, name: str, make: Callable[[Any], Any]) -> None:
    """Let the wrapper that Inductor wrote find ``make(what it finds now)`` under one of its global names."""
    if name in output.names:
        output.names[name] = make(output.names[name])


def tensor_handle(tensor: torch.Tensor) -> int:
    """The pointer that a tensor is in C++."""
    handle: int = tensor._cdata
    return handle


@functools.cache
def onednn_matmul() -> int | None:
    """Address of oneDNN's ``void (const Tensor& a, const Tensor& b, const Tensor& out, float beta, float alpha)``.

    Torch itself takes it for low precision only. None where this torch has none or the processor lacks what it asks.
    """
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # the instructions that the function insists on
        return None
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    function = getattr(library, "_ZN2at6native13mkldnn_matmulERKNS_6TensorES3_S3_ff", None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else None


def attention_operators() -> tuple[Any, Any]:
    """Attention on a CPU, forward and backward."""
    forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return forward.default, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default


@functools.cache
def traces_double_attention() -> bool:
    """Whether torch knows while tracing that float64 attention on a CPU has sums in float64; up to 2.12 it does not."""
    q = torch.empty(1, 1, 2, 8, dtype=torch.float64, device="meta")
    sums: torch.Tensor = attention_operators()[0](q, q, q)[1]
    return sums.dtype is torch.float64


def cpu_product_instructions() -> dict[torch.dtype, str]:
    """Low-precision dtypes that this processor multiplies faster than float32, and the instructions for them."""
    found = {}
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        if torch.cpu._is_amx_tile_supported():
            found[torch.bfloat16] = "AMX"
        elif torch.cpu._is_avx512_bf16_supported():
            found[torch.bfloat16] = "AVX512-bf16"
    if torch.ops.mkldnn._is_mkldnn_fp16_supported() and torch.cpu._is_amx_fp16_supported():
        found[torch.float16] = "AMX-fp16"
    return found


def compute_before_use(node: fx.Node) -> bool:
    """Have Inductor compute ``node`` into a buffer instead of inlining it; False if it was marked already."""
    marked = bool(node.meta.get("inductor_realize_to_strides"))
    node.meta["inductor_realize_to_strides"] = True
    return not marked


def wrapper_names() -> dict[str, Any]:
    """What wrappers of Inductor's find under their global names and torch has without Inductor."""
    guards = torch._C._dynamo.guards
    return {
        "torch": torch,
        "aten": torch.ops.aten,
        "math": math,
        "inf": math.inf,
        "nan": math.nan,
        "device": torch.device,
        "assert_size_stride": guards.assert_size_stride,
        "assert_alignment": getattr(guards, "assert_alignment", None),
        "empty_strided_cpu": guards._empty_strided_cpu,
        "reinterpret_tensor": guards._reinterpret_tensor,
    }


@functools.cache
def cpp_compiler() -> str:
    """The C++ compiler that Inductor found; empty when none runs."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return str(get_cpp_compiler())
    except InvalidCxxCompiler:
        return ""


def cache_counts() -> dict[str, int]:
    """How many graphs Inductor has found in its cache so far, and how many not."""
    from torch._dynamo.utils import counters

    found = counters["inductor"]
    return {
        "hit": found["fxgraph_cache_hit"],
        "miss": found["fxgraph_cache_miss"] + found["fxgraph_cache_bypass"],
    }


def inductor_settings_text() -> str:
    """Inductor's settings as its cache sees them, as text."""
    from torch._inductor import config

    with inductor_settings():
        return str(sorted(config.save_config_portable().items(), key=lambda item: item[0]))


def inductor_cache_folder() -> str:
    """Where Inductor keeps what it compiled; the folder need not be there yet."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    return os.environ.get("TORCHINDUCTOR_CACHE_DIR") or str(default_cache_dir())


# -- a GPU that is not here: only in a process of its own, see tessera/backend/targets ---------------------------------


def example_of(number: torch.SymInt | torch.SymFloat) -> int | float:
    """The value that a symbolic number had in the example it was traced with."""
    return number.node.hint


@functools.cache
def has_cuda_kernel(operator: Any) -> bool:
    """Whether an operator can run on CUDA; a torch without CUDA knows it of everybody's operators but its own.

    Of those the list says it that torch's dispatch is generated from, which comes with every build.
    """
    from torch._inductor import lowering

    keys = ("CUDA", "CompositeImplicitAutograd", "CompositeExplicitAutograd")
    if any(torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), key) for key in keys):
        return True
    if operator in lowering.lowerings and operator not in lowering.fallbacks:
        return True
    if operator.namespace != "aten":
        return False
    name = operator.name().removeprefix("aten::")
    found = re.search(rf"^- func: {re.escape(name)}\(.*\n((?: .*\n)*)", _native_functions(), re.MULTILINE)
    if found is None or "dispatch:" not in found[1] or "structured_delegate:" in found[1]:
        return True  # it consists of others, or follows another
    return bool(re.search(r"^    .*\b(CUDA|Composite\w+)\b", found[1], re.MULTILINE))


@functools.cache
def _native_functions() -> str:
    place = Path(torch.__file__).parents[1] / "torchgen/packaged/ATen/native/native_functions.yaml"
    return place.read_text(encoding="utf-8") if place.is_file() else ""


class GPUProperties(Protocol):
    """What Inductor asks a GPU for, by the names that ``torch.cuda.get_device_properties`` uses."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    max_threads_per_multi_processor: int
    shared_memory_per_block_optin: int
    L2_cache_size: int
    total_memory: int


_ON_THE_CPU = torch.library.Library("aten", "IMPL")  # nothing is put into it until ``answer_as``


def _on_the_cpu(operator: Any) -> Callable[..., torch.Tensor]:
    return lambda *args, **kwargs: operator(*args, **kwargs | {"device": "cpu"})


def _guard_like_the_cpu() -> None:
    """Switch to a CUDA device as to the CPU, which does nothing: C++ does so even around fake tensors.

    Entries of the registry are pointers, in the order of c10::DeviceType: CPU, CUDA.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    registry = (ctypes.c_void_p * 2).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    registry[1] = registry[0]


def _layout_of_cudnn(signal: torch.Tensor, weight: torch.Tensor, _: Any) -> torch.memory_format:
    """The layout of what cuDNN's convolution returns: channels last if one of its arguments is."""
    from torch._prims_common import suggest_memory_format

    layouts = {suggest_memory_format(tensor) for tensor in (signal, weight)} - {torch.contiguous_format}
    return layouts.pop() if layouts and signal.dtype is not torch.float64 else torch.contiguous_format


def answer_as(properties: GPUProperties) -> None:
    """Let torch, Inductor and Triton of this process believe that a GPU is there, for good. Nothing can run on it.

    Inductor asks the device interface, which is meant to be replaced, and here and there ``torch.cuda`` itself.
    """
    import triton
    from torch._dynamo import device_interface
    from torch._inductor.fx_passes import joint_graph, post_grad
    from triton.backends import Backend
    from triton.backends.compiler import GPUTarget

    capability = properties.major, properties.minor
    number = 10 * properties.major + properties.minor

    class Driver:
        """Stands in for NVIDIA's: it knows what to compile for and can load nothing."""

        is_active = staticmethod(lambda: True)
        get_current_target = staticmethod(lambda: GPUTarget("cuda", number, 32))
        get_current_device = staticmethod(lambda: 0)
        get_active_torch_device = staticmethod(lambda: torch.device("cuda", 0))

    _guard_like_the_cpu()
    # Inductor traces its patterns on tensors of the device, were there one; on the CPU's they are the same patterns.
    joint_graph.lazy_init(None)
    post_grad.lazy_init()
    device_interface.init_device_reg()
    of_torch: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda _: None,
        "synchronize": lambda _=None: None,
        "_exchange_device": lambda _: 0,
        "_maybe_exchange_device": lambda _: 0,
        "get_device_properties": lambda _=None: properties,
        "get_device_capability": lambda _=None: capability,
        "get_device_name": lambda _=None: properties.name,
        "get_rng_state": lambda _=None: torch.empty(0, dtype=torch.uint8),
        "set_rng_state": lambda *_: None,
        "is_bf16_supported": lambda *_, **__: True,
        "is_tf32_supported": lambda: True,
    }
    of_inductor: dict[str, Callable[..., Any]] = {
        **of_torch,
        "exchange_device": lambda _: 0,
        "maybe_exchange_device": lambda _: 0,
        "get_compute_capability": lambda _=None: number,
        "get_raw_stream": lambda _: 0,
        "is_triton_capable": lambda _=None: True,
        "raise_if_triton_unavailable": lambda _=None: None,
    }
    members: dict[str, Any] = {name: staticmethod(answer) for name, answer in of_inductor.items()}
    interface = type("Interface", (device_interface.CudaInterface,), members | {"Worker": type("Worker", (), members)})
    for name in ("cuda", "cuda:0"):
        device_interface.register_interface_for_device(name, interface)
    for name, answer in of_torch.items():
        setattr(torch.cuda, name, answer)
    # Inductor folds constants by computing them, on tensors of one element.
    _ON_THE_CPU.impl("empty.memory_format", _on_the_cpu(torch.ops.aten.empty.memory_format), "CUDA")
    _ON_THE_CPU.impl("empty_strided", _on_the_cpu(torch.ops.aten.empty_strided.default), "CUDA")
    of_c: dict[str, Any] = {
        "_cuda_getCurrentRawStream": lambda _: 0,
        "_select_conv_backend": lambda *_, **__: torch._C._ConvBackend.Cudnn,
        "_conv_determine_backend_memory_format": _layout_of_cudnn,
    }
    for name, answer in of_c.items():
        setattr(torch._C, name, answer)
    torch.version.cuda = "13.0"
    known = triton.backends.backends["nvidia"]
    triton.backends.backends.clear()
    triton.backends.backends["nvidia"] = Backend(compiler=known.compiler, driver=Driver)
    triton.runtime.driver.set_active(Driver())


@dataclass(frozen=True)
class Launch:
    """One call in the wrapper that Inductor wrote: of a Triton kernel, of a library, or of code on the host.

    Attributes:
        kind: ``triton``, ``library`` or ``host``.
        name: of the kernel or the operator.
        num_bytes: what it has to read and write at least.
        flops: arithmetic operations; each function of an element counts as one.
        dtype: of what it computes, where it writes one tensor.
        nodes: the nodes of Inductor's graph that it stands for.
    """

    kind: str
    name: str
    num_bytes: int
    flops: int
    dtype: torch.dtype | None
    nodes: list[fx.Node]


@dataclass(frozen=True)
class TritonOutput:
    """What Inductor wrote for a GPU: the kernels' sources by name, and what is called, compilation by compilation."""

    kernels: dict[str, str] = field(default_factory=dict)
    launches: list[Launch] = field(default_factory=list)


# Nothing is taken from a cache, compiled in another process, or decided by timing products.
_ABROAD = {"fx_graph_cache": False, "compile_threads": 1, "shape_padding": False}


@contextlib.contextmanager
def recording_triton() -> Iterator[TritonOutput]:
    """Let Inductor write for a GPU and compile nothing; ``answer_as`` was called before.

    Passes may have Inductor compile parts of a graph, so it is on while they run.
    """
    from torch._inductor import async_compile, config
    from torch._inductor.codegen import common, triton, wrapper
    from torch._inductor.virtualized import V

    made = TritonOutput()
    numbers = itertools.count()  # for all compilations together, so that names are unique

    class Recording(triton.TritonScheduling):
        def define_kernel(self, src_code: str, node_schedule: Any, kernel: Any) -> str:
            V.graph.wrapper_code._names_iter = numbers
            name = super().define_kernel(src_code, node_schedule, kernel)
            made.launches.append(_launch("triton", name, _fused(node_schedule)))
            return name

    def keep(_: Any, name: str, source: str, *__: Any, **___: Any) -> None:
        made.kernels[name] = source

    def pass_over(*_: Any, **__: Any) -> None:
        """Code on the host is read, not compiled."""

    def look(nodes: list[Any]) -> list[Any]:
        for node in nodes:
            kind, device = type(node).__name__, node.get_device()
            if node.node is not None and kind == "ExternKernelSchedulerNode":
                if name := _library_name(node.node):
                    made.launches.append(_launch("library", name, [node]))
            elif device is not None and device.type == "cpu" and not kind.startswith("Nop"):
                made.launches.append(_launch("host", "host", [node]))
        return nodes

    common.init_backend_registration()
    common.register_backend_for_device("cuda", Recording, wrapper.PythonWrapperCodegen)
    for name, answer in (("triton", keep), ("cpp", pass_over), ("cpp_pybinding", pass_over)):
        setattr(async_compile.AsyncCompile, name, answer)
    with config.patch({**_ABROAD, "_post_fusion_custom_pass": look}):
        yield made


def _library_name(node: Any) -> str:
    """The operator that a node of Inductor's calls; empty for one that only takes a result apart."""
    from torch._inductor import ir

    if isinstance(node, ir.MultiOutput):
        return ""
    name = getattr(node, "python_kernel_name", None) or getattr(node, "op_overload", None) or type(node).__name__
    return str(name)


@contextlib.contextmanager
def interpreting_triton() -> Iterator[None]:
    """Let what Inductor writes for a GPU run in Triton's interpreter, on CPU tensors.

    The process was started with ``TRITON_INTERPRET=1``, and ``answer_as`` was called in it.
    """
    from torch._inductor import config
    from torch._inductor.runtime import triton_helpers
    from triton.runtime import interpreter

    triton_helpers.libdevice = _Libdevice()
    atomic = interpreter.InterpreterBuilder.create_atomic_rmw

    def atomic_on_whole_arrays(builder: Any, operation: Any, *rest: Any) -> Any:
        for handle in rest[:3]:  # a mask that was spread over its block by strides of 0 is read as if it was not
            handle.data = np.ascontiguousarray(handle.data)
        return atomic(builder, operation, *rest)

    interpreter.InterpreterBuilder.create_atomic_rmw = atomic_on_whole_arrays
    torch._C._dynamo.guards._empty_strided_cuda = empty_strided_cpu  # what the wrapper allocates with
    with config.patch(_ABROAD):
        yield


class _Libdevice:
    """NVIDIA's library of functions, which Triton's interpreter has not: each is torch's function of that name."""

    _NAMES: ClassVar = {"nearbyint": "round", "rint": "round", "atan2": "arctan2", "isinfd": "isinf", "isnand": "isnan"}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(torch, self._NAMES.get(name, name))

        def elementwise(*args: Any) -> Any:
            from triton.language import core
            from triton.runtime.interpreter import TensorHandle

            arrays = [torch.from_numpy(np.array(a.handle.data)) if isinstance(a, core.tensor) else a for a in args]
            found = function(*arrays)
            found = found.int() if found.dtype is torch.bool else found
            kind = getattr(core, str(found.dtype).removeprefix("torch."))
            shaped = next((a.type for a in args if isinstance(a, core.tensor) and a.type.is_block()), None)
            return core.tensor(TensorHandle(found.numpy(), kind), shaped.with_element_ty(kind) if shaped else kind)

        return elementwise


_NO_ARITHMETIC = {
    *("load", "store", "store_reduction", "constant", "get_index", "index_expr", "to_dtype", "to_dtype_bitcast"),
    *("masked", "indirect_indexing", "check_bounds", "getitem", "output", "placeholder", "get_attr", "identity"),
}


def _fused(schedule: Sequence[Any]) -> list[Any]:
    """What the scheduler fused into one kernel, given the nodes in it and marks between them."""
    from torch._inductor.scheduler import BaseSchedulerNode

    nodes = [node for node in schedule if isinstance(node, BaseSchedulerNode)]
    found = [node.scheduler.name_to_fused_node.get(node.get_name(), node) for node in nodes]
    return list({id(node): node for node in found}.values())


def _kernel_bytes(singles: Sequence[Any]) -> int:
    """What one kernel moves: of each tensor the elements that it touches, each of them once.

    Inductor's own count takes the whole of a tensor of which a fused kernel reads a part. What is written and read
    inside of the kernel alone stays in registers.
    """
    from torch._inductor.dependencies import MemoryDep
    from torch._inductor.virtualized import V

    touched: dict[str, dict[Any, int]] = {}
    for single in singles:
        iterations = math.prod(int(size) for part in single.get_ranges() for size in part)
        for one in (*single.read_writes.reads, *single.read_writes.writes):
            if isinstance(one, MemoryDep):  # others say in what order kernels run
                # An index that is itself read, as an embedding's, could touch all; one iteration touches one element.
                touched.setdefault(one.name, {})[one.index, one.size] = min(int(one.get_numel()), iterations)
    known = singles[0].scheduler.name_to_buf
    written = {buffer.get_name() for single in singles for buffer in single.get_outputs()}
    own = {id(single) for single in singles}
    total = 0
    for name, places in touched.items():
        if name in written and all(id(user.node) in own for user in known[name].users):
            continue
        elements = min(sum(places.values()), int(V.graph.get_numel(name)))
        total += elements * V.graph.get_dtype(name).itemsize
    return total


def product_flops(node: fx.Node) -> int:
    """FLOPs of a product, convolution or attention; 0 for any other node. Attention counts as if nothing was masked."""
    if not is_operator(node.target):
        return 0
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda one: one.meta.get("val"))
    return product_operator_flops(node.target, args, kwargs, node.meta.get("val"))


def _counted_as(operator: Any) -> Any:
    """The operator whose count of FLOPs holds for ``operator``: attention on a CPU has none of its own."""
    aten = torch.ops.aten
    alike = {
        aten._scaled_dot_product_flash_attention_for_cpu: aten._scaled_dot_product_flash_attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: aten._scaled_dot_product_flash_attention_backward,
    }
    return alike.get(operator, operator)


def _launch(kind: str, name: str, nodes: Sequence[Any]) -> Launch:
    from torch._inductor.scheduler import SchedulerNode

    singles = [single for node in nodes for single in node.get_nodes()]
    flops = 0
    for single in singles:
        if isinstance(single, SchedulerNode):
            elements = math.prod(int(size) for part in single.get_ranges() for size in part)
            flops += elements * sum(n for op, n in single._body.op_counts.items() if op not in _NO_ARITHMETIC)
        elif single.node is not None:
            flops += max(map(product_flops, single.node.get_origins()), default=0)  # one product, of several steps
    written = [buffer.node for single in singles for buffer in single.get_outputs()]
    dtypes = {dtype for node in written if (dtype := node.maybe_get_dtype()) is not None}
    origins = {origin for single in singles if single.node is not None for origin in single.node.get_origins()}
    inside = all(isinstance(single, SchedulerNode) for single in singles)
    num_bytes = _kernel_bytes(singles) if inside else sum(node.get_read_write_buffers_sizes() for node in nodes)
    return Launch(kind, name, num_bytes, int(flops), dtypes.pop() if len(dtypes) == 1 else None, list(origins))


CALL_NOTE = "# tessera: "  # begins a comment that says what a call in a wrapper of Inductor's was made of


@contextlib.contextmanager
def describing_calls() -> Iterator[None]:
    """Have Inductor note in its wrapper what it fused: a line of JSON behind ``CALL_NOTE`` for each group of nodes.

    The notes are comments, so that they are in Inductor's cache with the wrapper. Each has ``buffers``, the bytes of
    each buffer that the group writes; where it calls something, ``inputs`` that it changes, ``bytes``, ``flops`` and
    ``dtype`` as in ``Launch``, ``nodes`` of the graph with the part of the work that each of them is, and ``others``
    that Inductor names and that are likely computed elsewhere.
    """
    from torch._inductor import config

    if config._post_fusion_custom_pass is not None:  # of ``recording_triton``, which sees the same
        yield
        return
    with config.patch(_post_fusion_custom_pass=_describing_pass()):
        yield


def _describing_pass() -> Any:
    """``_describe`` as Inductor wants it, with a name for the keys of its cache."""
    from torch._inductor import custom_graph_pass

    base = getattr(custom_graph_pass, "CustomSchedulerPass", None)
    if base is None:  # up to torch 2.12 a function is known by its own name
        return _describe
    members = {
        "__call__": lambda _, groups: _describe(groups),
        "uuid": lambda _: "tessera: notes of calls, 4",
        "__reduce__": lambda _: (_describing_pass, ()),
    }
    return type("Describing", (base,), members)()


def _describe(groups: list[Any]) -> list[Any]:
    from torch._inductor.virtualized import V

    # A number made of a symbolic size would be taken for a promise that the size is this one, always.
    graph: Any = V.graph.module.graph
    symbolic = any(_has_symbols(node.meta.get("val")) for node in graph.nodes)
    for group in groups:
        for describe in (_described_without_sizes,) if symbolic else (_described, _described_without_sizes):
            # A note is only read: no compilation ends here.
            with contextlib.suppress(Exception):
                V.graph.wrapper_code.header.writeline(CALL_NOTE + json.dumps(describe(group), separators=(",", ":")))
                break
    return groups


def _has_symbols(value: Any) -> bool:
    sizes = [size for tensor in tensors_in(value) for size in (*tensor.shape, *tensor.stride())]
    return isinstance(value, torch.SymInt) or any(isinstance(size, torch.SymInt) for size in sizes)


def _described_without_sizes(group: Any) -> dict[str, Any]:
    singles = group.get_nodes()
    origins = {node for single in singles if single.node is not None for node in single.node.get_origins()}
    names = sorted(node.name for node in origins if is_operator(node.target) and not is_view(node.target))
    buffers = {buffer.get_name(): 0 for single in singles for buffer in single.get_outputs()}
    numbers: dict[str, Any] = {"bytes": 0, "flops": 0, "dtype": ""}
    return {"buffers": buffers, "inputs": [], **numbers, "nodes": dict.fromkeys(names, 1), "others": []}


def _described(group: Any) -> dict[str, Any]:
    singles = group.get_nodes()
    buffers = {buffer.get_name(): _buffer_bytes(buffer) for single in singles for buffer in single.get_outputs()}
    external = type(group).__name__ == "ExternKernelSchedulerNode"
    if external and not _library_name(group.node):
        return {"buffers": buffers}
    launch = _launch("library" if external else "kernel", "", [group])
    changed = {name for single in singles for buffer in single.get_outputs() for name in buffer.get_mutations()}
    work = {node.name: part for node in launch.nodes if (part := work_of(node))}
    # What a library is called with was computed elsewhere, whatever Inductor says of its origins.
    products = {node.name for node in launch.nodes if external and product_flops(node)} or set(work)
    return {
        "buffers": buffers,
        "inputs": sorted(changed),
        "bytes": launch.num_bytes,
        "flops": launch.flops,
        "dtype": str(launch.dtype or "").removeprefix("torch."),
        "nodes": {name: work[name] for name in sorted(products & set(work))},
        "others": sorted(set(work) - products),
    }


def _buffer_bytes(buffer: Any) -> int:
    from torch._inductor.virtualized import V

    layout = buffer.node.maybe_get_layout() if hasattr(buffer.node, "maybe_get_layout") else None
    if layout is None or not hasattr(layout, "storage_size"):
        return 0
    return int(V.graph.sizevars.optimization_hint(layout.storage_size())) * layout.dtype.itemsize


def work_of(node: fx.Node) -> int:
    """How much of a kernel is made for ``node``: the bytes that it would move alone and a part of its FLOPs.

    It says how the time of the kernel is shared out, nothing more. A view does nothing.
    """
    if not is_operator(node.target) or is_view(node.target):
        return 0
    values = tensors_in([node.meta.get("val"), [one.meta.get("val") for one in node.all_input_nodes]])
    return sum(int(value.numel()) * value.dtype.itemsize for value in values) + product_flops(node) // 16


@dataclass(frozen=True)
class TritonBinary:
    """One schedule of a kernel, compiled: the block sizes and warps it was compiled with, and what came out."""

    blocks: dict[str, int]
    num_warps: int
    num_stages: int
    shared_bytes: int
    ptx: str
    cubin: bytes


def compile_triton(name: str, source: str) -> list[TritonBinary]:
    """Compile a kernel that Inductor wrote with every schedule that Inductor offers; nothing is loaded."""
    from torch._inductor import config
    from torch._inductor.codecache import PyCodeCache

    with config.patch({"use_static_triton_launcher": False} if hasattr(config, "use_static_triton_launcher") else {}):
        kernel = getattr(PyCodeCache.load(source), name)
        kernel.precompile(warm_cache_only=True)
    return [
        TritonBinary(
            blocks=dict(result.config.kwargs),
            num_warps=result.config.num_warps,
            num_stages=result.config.num_stages,
            shared_bytes=result.kernel.metadata.shared,
            ptx=result.kernel.asm["ptx"],
            cubin=result.kernel.asm["cubin"],
        )
        for result in kernel.compile_results
    ]


# -- Quantized arithmetic ------------------------------------------------------------------------------------------


INT8_PRODUCT = torch.ops.aten._int_mm.default


def int8_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """int8 ``[m, k] @ [k, n]`` -> int32 ``[m, n]``, exact: the one integer product that torch has on every device."""
    return torch._int_mm(a, b)


def register_quantized_operators() -> None:
    """Make `quantized_decomposed` known: exporters list torch's operators once, so this is called before an export."""
    from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers the operators


def is_quantized(target: object) -> bool:
    """Whether an operator of a graph is of those by which exporters tell codes from numbers."""
    return isinstance(target, torch._ops.OpOverload) and target.namespace == "quantized_decomposed"


def quantize_dequantize(x: torch.Tensor, scale: float, zero_point: int, least: int) -> torch.Tensor:
    """``x`` through int8, by the two operators that exporters write as QuantizeLinear and DequantizeLinear."""
    operators = torch.ops.quantized_decomposed
    codes = operators.quantize_per_tensor(x, scale, zero_point, least, 127, torch.int8)
    return operators.dequantize_per_tensor(codes, scale, zero_point, least, 127, torch.int8)


def dequantize_rows(codes: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | None) -> torch.Tensor:
    """int8 ``[rows, ...]`` with scale and zero point ``[rows]`` to float32, by the operator that exporters know."""
    zero_point = torch.zeros_like(scale, dtype=torch.int32) if zero_point is None else zero_point.int()
    return torch.ops.quantized_decomposed.dequantize_per_channel(codes, scale, zero_point, 0, -128, 127, torch.int8)
