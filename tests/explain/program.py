"""A program with one mistake, on the line that says ``# here``, and what its error has to name."""

import dataclasses
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import tessera


@dataclasses.dataclass
class Program:
    """A forward with a mistake.

    ``kind`` are the first words of the error, ``fix`` stands in one of the fixes that it lists, ``first`` is whether it
    stands in the first; ``layer`` is the path of the layer.
    """

    forward: Callable[..., Any]
    kind: str
    fix: str
    layers: Callable[[], dict[str, nn.Module]]
    inputs: Callable[[], tuple[Any, ...]]
    layer: str = ""
    first: bool = True

    @property
    def name(self):
        return self.forward.__name__

    def model(self, base=tessera.nn.Module):
        forward = self.forward

        class Net(base):
            pass

        Net.forward = forward
        net = Net()
        net.anchor = nn.Linear(1, 1)
        for name, layer in self.layers().items():
            setattr(net, name, layer)
        return net

    @property
    def file(self):
        return self.forward.__module__.rpartition(".")[2] + ".py"

    @property
    def line(self):
        code = self.forward.__code__
        rows = range(code.co_firstlineno, code.co_firstlineno + 40)
        return next(row for row in rows if "# here" in linecache.getline(code.co_filename, row))


PROGRAMS: list[Program] = []


def broken(kind, fix, layers=dict, inputs=lambda: (grid(),), layer="", *, first=True):
    def keep(forward):
        PROGRAMS.append(Program(forward, kind, fix, layers, inputs, layer, first))
        return forward

    return keep


def grid(*shape):
    return torch.linspace(-1, 1, int(np.prod(shape or (2, 4)))).reshape(shape or (2, 4))
