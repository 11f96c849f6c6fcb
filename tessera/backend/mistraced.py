"""What Dynamo captures wrongly and in silence, recognised in what it went through; such a frame runs as plain Python.

Each reason was seen on torch 2.11 to 2.13. What only a guard is missing for is looked at again at every call instead:
``tessera.capture.name_watch`` and ``class_watch``.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import operator
import random
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.compared_elements import seeks_among_others
from tessera.backend.exception_texts import takes_text_of_exception
from tessera.backend.formats import formats_symbols
from tessera.backend.identity_tests import begin, identity_tests, names_stored
from tessera.backend.named_values import named_values
from tessera.backend.numpy_numbers import overflows_unnoticed, promotes_otherwise
from tessera.backend.own_methods import owner_of, root_of
from tessera.backend.passes.leave_out_dropout import drops_nothing
from tessera.backend.searches import lines_of_search, searches_symbols
from tessera.backend.traced_functions import CACHE, TracedFunctions, functions_of
from tessera.backend.unsafe_graphs import overlaps_itself, written_nodes
from tessera.program.provenance import frames_of_trace, line_of_trace

UNSEEN_CLOSURE = "Dynamo takes the closure of {} for constant, a function that it cannot name"
YIELD_FROM = "Dynamo loses what yield from returns in {}"
OWN_DRAWS = "Dynamo takes the state of a random.Random for constant"
CACHED = "Dynamo computes again what functools.lru_cache keeps of {}"
METACLASS = "Dynamo passes over {} of the metaclass of {}"
CLASS_ATTRIBUTE = "Dynamo does not find {} by an object once it is set on its class"
WRITTEN_OVER = "{}() writes to one place of memory several times, which PyTorch refuses and Dynamo does not"
OBJECT_KEYS = "Dynamo takes what a dict keeps under objects for constant"
EQUAL_BY_METHOD = "Dynamo does not ask {}.__eq__ what is twice in a set"
FUNCTION_OF_TENSORS = "Dynamo does not guard which function __torch_function__ is called for"
LEAVING_GENERATOR = "Dynamo runs a generator that is returned or kept to its end"
LARGEST = "Dynamo compares tensors in {}() element by element"
NUMPY_WRITES = "Dynamo counts a write to a NumPy array as one to its tensor"
BOUNDED_DEQUE = "Dynamo forgets how long a collections.deque may become"
UNCLOSED = "Dynamo does not close the generator {} where it is left before its end"
NUMPY_NUMBER = "Dynamo makes an array of a NumPy number"
NUMPY_PROMOTES = "Dynamo takes a NumPy number for an array, which decides the dtype of what is computed"
NUMPY_OVERFLOWS = "NumPy warns of a whole number that overflows, and compiled code does not"
OWN_BACKWARD = "Dynamo leaves out the backward of an autograd.Function inside of a transformation such as grad or vmap"
FORMATTED = "Dynamo loses the format of a number in format()"
NOT_FORMATTED = "Dynamo takes a number that changes from call to call for its own text in an f-string"
MOVED_TO_END = "Dynamo loses OrderedDict.move_to_end"
COMPARED = "Dynamo makes a tensor of whether, where or how often a tensor is in a list"
NEVER_EQUAL = "Dynamo finds no constant that equals a tensor in a list, or an object with an __eq__ of its own"
SAME_DROPOUT = "Dynamo takes dropout that does nothing for another tensor than its input, and is asked"
RESHAPED = "Dynamo takes a tensor for as large as before {}()"
SOUGHT = "Dynamo finds no number among sizes and numbers that change from call to call"
COMPLEX_WRITTEN = "Dynamo casts a complex number that is written to real ones, which PyTorch refuses"
WEAKLY = "Dynamo lets go of a tensor that a weak reference is made to"
EXCEPTION_TEXT = "Dynamo makes the text of an exception that {} catches of its arguments alone"
COPIED = "Dynamo copies an object of {} without its {}"
KEPT = "Dynamo makes other objects of those that a WeakValueDictionary holds"
LIMIT = "Dynamo takes sys.getrecursionlimit() for constant"
SAME_NUMBER = "Dynamo says of two equal numbers that they are two objects"


def why_mistraced(graph_module: fx.GraphModule) -> str:
    """The reason to run the frame that is being captured into a graph as plain Python, or an empty string."""
    traced = torch_internals.traced()
    return next(itertools.chain(_reasons(traced, functions_of(traced)), _in_graph(graph_module, traced)), "")


def _reasons(traced: torch_internals.Traced, found: TracedFunctions) -> Iterator[str]:
    yield from _of_closures(found)
    if "__torch_function__" in traced.frame.co_name:
        yield FUNCTION_OF_TENSORS
    if traced.leaves:
        yield LEAVING_GENERATOR
    if traced.numbers:
        yield NUMPY_NUMBER
    symbols = torch_internals.symbols()
    if searches_symbols(traced.codes, symbols):
        yield SOUGHT
    if formats_symbols(traced.codes, symbols):
        yield NOT_FORMATTED
    for code in traced.codes:
        if torch_internals.uses_result_of_yield_from(code):
            yield YIELD_FROM.format(code.co_qualname)
        if "format" in _builtins_of(code):
            yield FORMATTED
    for name in sorted(traced.set_on_classes):
        named = [value for function in found.functions for value, read in named_values(function) if read == name]
        of_named = any(not issubclass(type(value), type | types.ModuleType) for value in named)
        if of_named or any(_reads_of_object(code, name) for code in traced.codes):
            yield CLASS_ATTRIBUTE.format(name)
    called = {name for code in traced.codes for name in code.co_names}
    if "getrecursionlimit" in called:
        yield LIMIT
    for function in found.functions:
        yield from _of_function(function, found.holders.get(id(function), []), called)
    yield from _of_objects(traced, called)


def _of_closures(found: TracedFunctions) -> Iterator[str]:
    for cell in torch_internals.unseen_cells():
        for owner in sorted(found.of_cell(cell), key=lambda function: function.__code__.co_firstlineno):
            if not torch_internals.is_of_a_library(owner.__code__.co_filename):
                yield UNSEEN_CLOSURE.format(owner.__qualname__)


def _of_function(function: types.FunctionType, holders: list[Any], called: set[str]) -> Iterator[str]:
    if not holders and _is_closed_by_catching(function):  # what a context manager holds is run to its end
        yield UNCLOSED.format(function.__qualname__)
    if any(type(holder) is CACHE for holder in holders) and not _is_pure(function):
        yield CACHED.format(function.__qualname__)
    if takes_text_of_exception(function):
        yield EXCEPTION_TEXT.format(function.__qualname__)
    for value, _ in named_values(function):
        if value is weakref.ref or value is weakref.proxy:
            yield WEAKLY
        if issubclass(type(value), type):
            yield from _of_metaclass(value, called)


def _is_closed_by_catching(function: types.FunctionType) -> bool:
    """Whether a generator has something to do when it is closed."""
    code = function.__code__
    generates = bool(code.co_flags & inspect.CO_GENERATOR)
    return generates and "PUSH_EXC_INFO" in {i.opname for i in dis.get_instructions(code)}


def _of_objects(traced: torch_internals.Traced, called: set[str]) -> Iterator[str]:
    kinds = {type(o) for o in traced.objects}
    if traced.draws or any(issubclass(kind, random.Random) for kind in kinds):
        yield OWN_DRAWS
    if any(issubclass(type(o), dict) and _has_object_keys(o) for o in traced.objects):
        yield OBJECT_KEYS
    if any(isinstance(o, weakref.WeakValueDictionary) for o in traced.objects):
        yield KEPT
    if any(isinstance(o, deque) and o.maxlen is not None for o in traced.objects):
        yield BOUNDED_DEQUE
    if any(map(_builds_sets, traced.codes)):
        for kind in kinds:
            if (owner := owner_of(kind, "__eq__")) is not None:
                yield EQUAL_BY_METHOD.format(owner.__qualname__)
    if not {"copy", "deepcopy"}.isdisjoint(called):
        for kind, name in itertools.product(kinds, _OF_COPIES):
            if (owner := owner_of(kind, name)) is not None:
                yield COPIED.format(owner.__qualname__, name)
    if "move_to_end" in called and OrderedDict in kinds:
        yield MOVED_TO_END


_OF_COPIES = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")


def _in_graph(graph_module: fx.GraphModule, traced: torch_internals.Traced) -> Iterator[str]:
    for name, targets in _OF_BUILTINS.items():
        lines = {line for code in traced.codes for line in _lines_of_builtin(code, name)}
        for node in graph_module.graph.nodes if lines else ():
            where = line_of_trace(node.stack_trace or "") if node.target in targets else None
            if where is not None and (where.file, where.line) in lines:
                yield LARGEST.format(name)
    searched = {(code.co_filename, line) for code in traced.codes for line in lines_of_search(code)}
    for node in graph_module.graph.find_nodes(op="call_function", target=operator.eq) if searched else ():
        where = line_of_trace(node.stack_trace or "")
        compares = isinstance(node.meta.get("example_value"), torch.Tensor)  # and not two symbols
        if compares and where is not None and (where.file, where.line) in searched:
            yield COMPARED
    if seeks_among_others(graph_module, traced):
        yield NEVER_EQUAL
    if torch_internals.transforms_inside(graph_module.graph) and torch_internals.has_own_gradients():
        yield OWN_BACKWARD
    numbers = torch_internals.numpy_numbers()
    if overflows_unnoticed(graph_module.graph, numbers):
        yield NUMPY_OVERFLOWS
    for node in graph_module.graph.nodes:
        yield from _of_node(node, traced)
        if promotes_otherwise(node, numbers):
            yield NUMPY_PROMOTES


def _of_node(node: fx.Node, traced: torch_internals.Traced) -> Iterator[str]:
    if node.op == "call_method" and node.target in _RESHAPING:
        yield RESHAPED.format(node.target)
    if any(isinstance(value, complex) for value in node.args) and written_nodes(node):
        yield COMPLEX_WRITTEN
    if any(map(_has_one_place_twice, written_nodes(node))):
        yield WRITTEN_OVER.format(getattr(node.target, "__name__", node.target))
    if node.target is operator.is_:
        yield SAME_NUMBER
    if drops_nothing(node) and any(_asks_about(node, code) for code in traced.codes):
        yield SAME_DROPOUT
    if str(node.target).startswith("<Wrapped method <original __setitem__"):
        yield NUMPY_WRITES


_RESHAPING = {"t_", "transpose_", "swapaxes_", "swapdims_", "unsqueeze_", "squeeze_", "as_strided_", "resize_as_"}
_OF_BUILTINS: dict[str, tuple[Callable[..., Any], ...]] = {
    "max": (torch.maximum, torch.clamp),
    "min": (torch.minimum, torch.clamp),
}


def _has_one_place_twice(node: Any) -> bool:
    """Whether a tensor has several elements in one place, as an expanded one has."""
    value = node.meta.get("example_value") if isinstance(node, fx.Node) else None
    return isinstance(value, torch.Tensor) and node.op != "placeholder" and overlaps_itself(value)


def _lines_of_builtin(code: types.CodeType, name: str) -> set[tuple[str, int]]:
    """All lines of a function that calls ``name``, and not what Dynamo makes of it."""
    if name not in code.co_names or not {"maximum", "minimum", "clamp"}.isdisjoint(code.co_names):
        return set()
    if name not in _builtins_of(code):
        return set()
    return {(code.co_filename, line) for _, _, line in code.co_lines() if line is not None}


def _asks_about(node: fx.Node, code: types.CodeType) -> bool:
    """Whether a function asks with ``is`` about what a line of it computed, which is behind ``node``."""
    lines = [line for file, line in frames_of_trace(node.stack_trace or "") if file == code.co_filename]
    tests = list(identity_tests(code)) if lines else []
    return any(
        test.lines[0] <= line <= test.lines[1] or not test.names.isdisjoint(names_stored(code, line))
        for test in tests
        for line in lines
    )


def _builtins_of(code: types.CodeType) -> set[str]:
    """The names that a function reads which are none of its own variables, nor attributes."""
    return {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _is_pure(function: types.FunctionType) -> bool:
    """Whether a function computes a tensor or number of its arguments, which are no objects, and does nothing else."""
    code = function.__code__
    if code.co_freevars or not _CHANGES.isdisjoint(i.opname for i in dis.get_instructions(code)):
        return False
    values = [value for value, _ in named_values(function)]
    modules = [value.__name__ for value in values if type(value) is types.ModuleType]
    others = [value for value in values if type(value) is not types.ModuleType]
    return (
        all(name.partition(".")[0] in ("torch", "math", "numpy") for name in modules)
        and all(callable(value) and root_of(value) in ("torch", "math") for value in others)
        and not any("rand" in name or name in _IMPURE for name in code.co_names)
        and not _reads_arguments(code)
    )


_CHANGES = {"STORE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "BUILD_LIST", "BUILD_MAP", "BUILD_SET", "LIST_APPEND"}
_IMPURE = {"getattr", "print", "open", "input", "eval", "exec", "next", "setattr", "globals", "vars", "list", "dict"}


def _reads_arguments(code: types.CodeType) -> bool:
    """Whether attributes or elements of an argument are read: it may be an object that changes."""
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    before = None
    for instruction in dis.get_instructions(code):
        if before in arguments and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            return True
        before = instruction.argval if instruction.opname == "LOAD_FAST" else None
    return "BINARY_SUBSCR" in {i.opname for i in dis.get_instructions(code)}


def _reads_of_object(code: types.CodeType, name: str) -> bool:
    """Whether a function may read an attribute of an object that is no name around it, and not to count it up."""
    instructions = list(dis.get_instructions(code))
    stores = [begin(i) for i in instructions if i.opname == "STORE_ATTR" and i.argval == name]
    return any(
        i.opname in ("LOAD_ATTR", "LOAD_METHOD")
        and i.argval == name
        and before.opname not in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME")
        and begin(i) not in stores
        for before, i in itertools.pairwise(instructions)
    )


def _of_metaclass(kind: type, called: set[str]) -> Iterator[str]:
    special = {
        "__call__": True,
        "__instancecheck__": "isinstance" in called,
        "__subclasscheck__": "issubclass" in called,
    }
    for name, matters in special.items():
        if matters and owner_of(type(kind), name) is not None:
            yield METACLASS.format(name, kind.__qualname__)


def _has_object_keys(table: dict[Any, Any]) -> bool:
    """Whether tensors are among the keys, or objects of a class of the user's that says itself what is equal."""
    kinds = set(map(type, dict.keys(table)))
    return any(issubclass(kind, torch.Tensor) or owner_of(kind, "__hash__") is not None for kind in kinds)


def _builds_sets(code: types.CodeType) -> bool:
    if not {"set", "frozenset"}.isdisjoint(code.co_names):
        return True
    return not {"BUILD_SET", "SET_ADD", "SET_UPDATE"}.isdisjoint(i.opname for i in dis.get_instructions(code))
