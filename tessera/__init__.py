"""Tessera: the whole job is one graph. This file is the table of contents; names load when first used."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tessera import data as data
    from tessera import debug as debug
    from tessera import errors as errors
    from tessera import nn as nn
    from tessera import optim as optim
    from tessera import random as random
    from tessera import train as train
    from tessera.backend.ranges.check_numerics import check_numerics as check_numerics
    from tessera.backend.rewrite import Pass as Pass
    from tessera.capture.compile import compile as compile
    from tessera.capture.emit import emit as emit
    from tessera.capture.scan import scan as scan
    from tessera.capture.step_file import load as load
    from tessera.capture.train_step import train_step as train_step
    from tessera.check.check import check as check
    from tessera.checkpoint.callable import checkpoint as checkpoint
    from tessera.debug.mode import debug_mode as debug_mode
    from tessera.export.export import export as export
    from tessera.export.loading import load_model as load_model
    from tessera.nn.assume import assume as assume
    from tessera.nn.checked import div as div
    from tessera.nn.checked import divide as divide
    from tessera.nn.checked import exp as exp
    from tessera.nn.checked import exp2 as exp2
    from tessera.nn.checked import log as log
    from tessera.nn.checked import log1p as log1p
    from tessera.nn.checked import log2 as log2
    from tessera.nn.checked import log10 as log10
    from tessera.nn.checked import log_softmax as log_softmax
    from tessera.nn.checked import logsumexp as logsumexp
    from tessera.nn.checked import pow as pow
    from tessera.nn.checked import power as power
    from tessera.nn.checked import reciprocal as reciprocal
    from tessera.nn.checked import rsqrt as rsqrt
    from tessera.nn.checked import softmax as softmax
    from tessera.nn.checked import sqrt as sqrt
    from tessera.nn.checked import stable_exp as stable_exp
    from tessera.nn.dropout import dropout as dropout
    from tessera.nn.function import function as function
    from tessera.nn.model import model as model
    from tessera.nn.tensor import tensor as tensor
    from tessera.profile.profile import profile as profile
    from tessera.quantize.quantize import quantize as quantize
    from tessera.random.seeding import seed as seed
    from tessera.random.state import random_state as random_state
    from tessera.shapes.annotation import Tensor as Tensor
    from tessera.shapes.dtypes import bf16 as bf16
    from tessera.shapes.dtypes import f16 as f16
    from tessera.shapes.dtypes import f32 as f32
    from tessera.shapes.dtypes import f64 as f64
    from tessera.shapes.dtypes import i8 as i8
    from tessera.shapes.dtypes import i16 as i16
    from tessera.shapes.dtypes import i32 as i32
    from tessera.shapes.dtypes import i64 as i64
    from tessera.shapes.dtypes import u8 as u8
    from tessera.shapes.size import dims as dims
    from tessera.shapes.spec import between as between
    from tessera.train.benchmark import benchmark as benchmark
    from tessera.train.evaluate import evaluate as evaluate
    from tessera.train.fit import fit as fit
    from tessera.train.predict import predict as predict
    from tessera.transforms.associative_scan import associative_scan as associative_scan
    from tessera.transforms.cond import cond as cond
    from tessera.transforms.gradients import grad as grad
    from tessera.transforms.gradients import value_and_grad as value_and_grad
    from tessera.transforms.jacobians import hessian as hessian
    from tessera.transforms.jacobians import jacfwd as jacfwd
    from tessera.transforms.jacobians import jacrev as jacrev
    from tessera.transforms.products import jvp as jvp
    from tessera.transforms.products import vjp as vjp
    from tessera.transforms.vmap import vmap as vmap
    from tessera.transforms.while_loop import while_loop as while_loop

__version__ = "0.1.0"

_CONTENTS = {
    "Pass": "tessera.backend.rewrite:Pass",
    "Tensor": "tessera.shapes.annotation:Tensor",
    "associative_scan": "tessera.transforms.associative_scan:associative_scan",
    "assume": "tessera.nn.assume:assume",
    "benchmark": "tessera.train.benchmark:benchmark",
    "between": "tessera.shapes.spec:between",
    "bf16": "tessera.shapes.dtypes:bf16",
    "check": "tessera.check.check:check",
    "check_numerics": "tessera.backend.ranges.check_numerics:check_numerics",
    "checkpoint": "tessera.checkpoint.callable:checkpoint",
    "compile": "tessera.capture.compile:compile",
    "cond": "tessera.transforms.cond:cond",
    "data": "tessera.data",
    "debug": "tessera.debug",
    "debug_mode": "tessera.debug.mode:debug_mode",
    "dims": "tessera.shapes.size:dims",
    "div": "tessera.nn.checked:div",
    "divide": "tessera.nn.checked:divide",
    "dropout": "tessera.nn.dropout:dropout",
    "emit": "tessera.capture.emit:emit",
    "errors": "tessera.errors",
    "evaluate": "tessera.train.evaluate:evaluate",
    "exp": "tessera.nn.checked:exp",
    "exp2": "tessera.nn.checked:exp2",
    "export": "tessera.export.export:export",
    "f16": "tessera.shapes.dtypes:f16",
    "f32": "tessera.shapes.dtypes:f32",
    "f64": "tessera.shapes.dtypes:f64",
    "fit": "tessera.train.fit:fit",
    "function": "tessera.nn.function:function",
    "grad": "tessera.transforms.gradients:grad",
    "hessian": "tessera.transforms.jacobians:hessian",
    "i16": "tessera.shapes.dtypes:i16",
    "i32": "tessera.shapes.dtypes:i32",
    "i64": "tessera.shapes.dtypes:i64",
    "i8": "tessera.shapes.dtypes:i8",
    "jacfwd": "tessera.transforms.jacobians:jacfwd",
    "jacrev": "tessera.transforms.jacobians:jacrev",
    "jvp": "tessera.transforms.products:jvp",
    "load": "tessera.capture.step_file:load",
    "load_model": "tessera.export.loading:load_model",
    "log": "tessera.nn.checked:log",
    "log10": "tessera.nn.checked:log10",
    "log1p": "tessera.nn.checked:log1p",
    "log2": "tessera.nn.checked:log2",
    "log_softmax": "tessera.nn.checked:log_softmax",
    "logsumexp": "tessera.nn.checked:logsumexp",
    "model": "tessera.nn.model:model",
    "nn": "tessera.nn",
    "optim": "tessera.optim",
    "pow": "tessera.nn.checked:pow",
    "power": "tessera.nn.checked:power",
    "predict": "tessera.train.predict:predict",
    "profile": "tessera.profile.profile:profile",
    "quantize": "tessera.quantize.quantize:quantize",
    "random": "tessera.random",
    "random_state": "tessera.random.state:random_state",
    "reciprocal": "tessera.nn.checked:reciprocal",
    "rsqrt": "tessera.nn.checked:rsqrt",
    "scan": "tessera.capture.scan:scan",
    "seed": "tessera.random.seeding:seed",
    "softmax": "tessera.nn.checked:softmax",
    "sqrt": "tessera.nn.checked:sqrt",
    "stable_exp": "tessera.nn.checked:stable_exp",
    "tensor": "tessera.nn.tensor:tensor",
    "train": "tessera.train",
    "train_step": "tessera.capture.train_step:train_step",
    "u8": "tessera.shapes.dtypes:u8",
    "value_and_grad": "tessera.transforms.gradients:value_and_grad",
    "vjp": "tessera.transforms.products:vjp",
    "vmap": "tessera.transforms.vmap:vmap",
    "while_loop": "tessera.transforms.while_loop:while_loop",
}
__all__ = list(_CONTENTS)


def __getattr__(name: str) -> Any:
    if name not in _CONTENTS:
        raise AttributeError(f"module 'tessera' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _CONTENTS[name].partition(":")
    value = importlib.import_module(module)
    value = getattr(value, attribute) if attribute else value
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Contents(ModuleType):
    """This module, with one difference: importing a folder (tessera/export) never hides the function of its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and ":" in _CONTENTS.get(name, "")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Contents
