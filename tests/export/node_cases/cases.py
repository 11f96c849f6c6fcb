"""The node cases of the onnx package as PyTorch modules, exported and held against the case's own expected answers.

    python -m tests.export.node_cases.cases            # all of them: a table and what went wrong
    python -m tests.export.node_cases.cases Conv LSTM  # those of these operators

A case counts where PyTorch says the same with operators of its own (``operators``, ``layers``): the module's own answer
is the expected one. Then the file has to give the expected answer in onnxruntime, or the export has to refuse. Several
cases go into one file, which takes a fifth of the time; where that is refused or wrong, each goes into one of its own.
"""

from __future__ import annotations

import collections
import inspect
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from tessera.errors import TesseraError
from tessera.export.export import export
from tessera.export.onnx_values import from_runtime, to_runtime
from tests.export.node_cases.layers import LAYERS
from tests.export.node_cases.operators import FIXED, OPERATORS, NotTheSame

KNOWN = {**OPERATORS, **LAYERS}
_ROUNDING = 1e-6
PASSED, REFUSED, WRONG = "passed", "refused", "wrong"
UNKNOWN, OTHERWISE, NO_TENSORS = "no such operator in the table", "PyTorch says otherwise", "no tensors"


@dataclass(frozen=True)
class Verdict:
    kind: str
    why: str = ""


class Graph(torch.nn.Module):
    """One case: what does not depend on the inputs is computed once, when it is built."""

    def __init__(self, case) -> None:
        super().__init__()
        self.case = case
        self.nodes, self.names = list(case.model.graph.node), [each.name for each in case.model.graph.input]
        given, expected = case.data_sets[0]
        self.outputs = [each.name for each in case.model.graph.output]
        values = {"": None}
        values |= {each.name: _tensor(numpy_helper.to_array(each)) for each in case.model.graph.initializer}
        inputs = {name: _tensor(value) for name, value in zip(self.names, given, strict=True)}
        fixed = {name for node in self.nodes for at, name in enumerate(node.input) if at in FIXED.get(node.op_type, ())}
        values |= {name: value for name, value in inputs.items() if name in fixed}
        self.free = [name for name in self.names if name not in fixed]
        self.expected = [_tensor(each) for each in expected]
        self.example = tuple(inputs[name] for name in self.free)
        self.constants = {}
        with torch.no_grad():
            everything = self._run({**values, **inputs})
        known = set(values)
        for node in self.nodes:
            reads = node.input[: {"Shape": 0, "Size": 0, "CastLike": 1}.get(node.op_type)]  # of the others the values
            if all(name in known for name in reads):
                known.update(node.output)
        at_fixed = {
            name for node in self.nodes for at, name in enumerate(node.input) if at in FIXED.get(node.op_type, ())
        }
        if not at_fixed <= known:
            raise NotTheSame("what is fixed here depends on data")
        self.constants = {
            name: _plain_array(everything[name]) if name in at_fixed else everything[name]
            for name in known
            if name in everything
        }

    def forward(self, *tensors):
        values = self._run({**self.constants, **dict(zip(self.free, tensors, strict=True))})
        return tuple(values[name] for name in self.outputs)

    def _run(self, values):
        for node in self.nodes:
            if all(name in values for name in node.output if name):
                continue
            known = FIXED.get(node.op_type, ())
            inputs = [(_plain_array if at in known else _as_tensor)(values[name]) for at, name in enumerate(node.input)]
            answers = _answers(node, inputs)
            values |= dict(zip(node.output, answers, strict=False))
        return values


class Several(torch.nn.Module):
    """Some cases side by side: their inputs one after the other, and their answers."""

    def __init__(self, graphs) -> None:
        super().__init__()
        self.graphs = torch.nn.ModuleList(graphs)

    def forward(self, *tensors):
        answers, at = [], 0
        for graph in self.graphs:
            answers += graph(*tensors[at : at + len(graph.example)])
            at += len(graph.example)
        return tuple(answers)


def expressed(case) -> Graph | Verdict:
    """The case in PyTorch, or why it is none that counts."""
    try:
        graph = Graph(case)
        if not graph.example:
            return Verdict(NO_TENSORS, "nothing is left to be an input")
        with torch.no_grad():
            why = _difference(graph(*graph.example), graph)
    except NotTheSame as error:
        return Verdict(UNKNOWN if "table" in str(error) else OTHERWISE, str(error))
    except Exception as error:  # noqa: BLE001 - torch may refuse an attribute or a dtype in any way
        kind = NO_TENSORS if "no tensor" in str(error) else OTHERWISE
        return Verdict(kind, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return Verdict(OTHERWISE, why) if why else graph


def exported(graphs, *, dynamic: bool = False) -> list[Verdict]:
    """What comes of cases in one file; with ``dynamic`` every size of every input may change."""
    model = Several(graphs)
    example = tuple(tensor for graph in graphs for tensor in graph.example)
    # Equal sizes have one name: which of them belong together is nowhere said.
    dims = tuple({at: f"n{size}" for at, size in enumerate(x.shape)} if dynamic else {} for x in example)
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = export(model, Path(folder) / "case.onnx", example, dims, measure=False).path
        except TesseraError as error:
            return [Verdict(REFUSED, str(error))] * len(graphs)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feed = {f"tensors.{at}": to_runtime(x) for at, x in enumerate(example)}
        found = session.run_with_ort_values(None, {each.name: feed[each.name] for each in session.get_inputs()})
    answers = iter([from_runtime(answer) for answer in found])
    told = [_difference([next(answers) for _ in graph.outputs], graph) for graph in graphs]
    return [Verdict(WRONG, why) if why else Verdict(PASSED) for why in told]


def collected(operators=()):
    """The cases, those of some operators or all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, while the package computes what it expects
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    return [case for case in cases if not operators or case.model.graph.node[0].op_type in operators]


def _tensor(value):
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError("no tensor, but a " + type(value).__name__)
    if value.dtype.kind in "biufc" and value.dtype.isbuiltin == 1:
        return torch.from_numpy(np.array(value, copy=True))
    if (dtype := getattr(torch, value.dtype.name, None)) is None or "int" in value.dtype.name:
        raise TypeError(f"no tensor of torch's, but of {value.dtype}")
    return torch.from_numpy(np.array(value, copy=True).view(_BITS[dtype.itemsize])).view(dtype)


_BITS = {1: np.uint8, 2: np.uint16}


def _plain_array(value):
    """What is known is an array: a trace makes a symbol of every number that is read from a tensor."""
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _as_tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _answers(node, inputs):
    if node.op_type not in KNOWN or node.domain not in ("", "ai.onnx"):
        raise NotTheSame(f"{node.op_type} is not in the table")
    attributes = {each.name: _plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}
    attributes["outputs"] = 1 + max(at for at, name in enumerate(node.output) if name)
    while inputs and inputs[-1] is None:
        inputs.pop()
    function = KNOWN[node.op_type]
    taken = inspect.signature(function).parameters.values()
    if not any(each.kind is each.VAR_POSITIONAL for each in taken) and len(inputs) >= len(taken):
        raise NotTheSame(f"{node.op_type} with {len(inputs)} inputs")
    answer = function(attributes, *inputs)
    answers = answer if isinstance(answer, tuple | list) else (answer,)
    if len(answers) < attributes["outputs"]:
        raise NotTheSame(f"{node.op_type} with {attributes['outputs']} outputs")
    return answers


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return _tensor(numpy_helper.to_array(value))
    return list(value) if not isinstance(value, int | float | str) and hasattr(value, "__iter__") else value


def _difference(answers, graph):
    """Why answers are not the expected ones; an empty text where they are."""
    case = graph.case
    for answer, wanted in zip(answers, graph.expected, strict=True):
        if answer.dtype != wanted.dtype or answer.shape != wanted.shape:
            return f"{answer.dtype}{list(answer.shape)} and not {wanted.dtype}{list(wanted.shape)}"
        ours, theirs = (each.double() if each.is_floating_point() else each for each in (answer, wanted))
        # Beside numbers of hundreds, float32 rounds what should be zero to more than the case's bound.
        scale = theirs.abs().nan_to_num(0, 0, 0).max().item() if answer.is_floating_point() and answer.numel() else 0
        bound = max(case.atol, _ROUNDING * scale)
        close = np.isclose(ours.numpy(), theirs.numpy(), rtol=case.rtol, atol=bound, equal_nan=True)
        if not close.all():
            return f"{(~close).sum()} of {close.size} numbers differ"
    return ""


@dataclass
class Counts:
    kinds: collections.Counter = field(default_factory=collections.Counter)
    operators: set = field(default_factory=set)
    told: list = field(default_factory=list)


def judged(cases, *, dynamic: bool = False, together: int = 16, say=None) -> Counts:
    """All of them, counted; what was not passed is told."""
    counts = Counts()

    def count(case, verdict):
        counts.kinds[verdict.kind] += 1
        if verdict.kind == PASSED:
            counts.operators.add(case.model.graph.node[0].op_type)
            return
        counts.told.append(f"{case.name}: {verdict.kind}: {' '.join(verdict.why.split())}")
        if say:
            say(counts.told[-1])

    graphs = []
    for case in cases:
        found = expressed(case)
        if isinstance(found, Verdict):
            count(case, found)
        else:
            graphs.append(found)
    for at in range(0, len(graphs), together):
        some = graphs[at : at + together]
        for graph, verdict in zip(some, _in_halves(some, dynamic=dynamic), strict=True):
            count(graph.case, verdict)
    return counts


def _in_halves(graphs, *, dynamic: bool) -> list[Verdict]:
    """One file, or two where that one does not pass."""
    verdicts = exported(graphs, dynamic=dynamic)
    if len(graphs) == 1 or all(verdict.kind == PASSED for verdict in verdicts):
        return verdicts
    middle = len(graphs) // 2
    return [*_in_halves(graphs[:middle], dynamic=dynamic), *_in_halves(graphs[middle:], dynamic=dynamic)]


def main(operators) -> None:
    warnings.simplefilter("ignore")
    for dynamic in (False, True):
        chosen = collected(operators)
        if dynamic:  # one operator each: the others have sizes of the case in them
            chosen = [case for case in chosen if len(case.model.graph.node) == 1]
        found = judged(chosen, dynamic=dynamic, together=1 if dynamic else 16, say=_say)
        sizes = "every size may change" if dynamic else "fixed sizes"
        _say(f"{sizes}: {len(chosen)} cases, {dict(found.kinds)}; {len(found.operators)} operators passed")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main(sys.argv[1:])
