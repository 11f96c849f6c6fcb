"""``tessera.compile``: a function or module, captured and compiled, with every guard checked at every call."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, TypeVar, cast

import torch

from tessera import torch_internals
from tessera.backend.entry import compile_pieces
from tessera.backend.own_passes import resolve_passes
from tessera.backend.rewrite import Pass
from tessera.backend.tuning import resolve_tune
from tessera.capture.declared_dims import DeclaredDims
from tessera.capture.dispatch import Dispatch, only_captured
from tessera.capture.line_by_line import eagerly
from tessera.capture.shadow import ShadowedCalls, compiled_difference
from tessera.capture.step_down import RunsEagerly, RunsEagerlyOnce, line_of_error
from tessera.capture.unfit import refuse_given_twice
from tessera.debug.active import SWITCH
from tessera.debug.diff import Comparison
from tessera.debug.mode import DebugMode
from tessera.debug.recording import modules_of
from tessera.debug.shadow import Shadow, resolve_verify
from tessera.errors import SettingError, TesseraError
from tessera.explain.door import explain, passed_compiled_code
from tessera.program import Precision, Report, StepDown, resolve_precision
from tessera.program.provenance import line_of_trace
from tessera.random.eager_mode import drawing
from tessera.random.source import Source, resolve_random

Mode = Literal["default", "inference"]
F = TypeVar("F", bound=Callable[..., Any])


def compile(
    function: F | None = None,
    *,
    mode: Mode = "default",
    precision: str | Mapping[str, str] = "fp32",
    passes: Sequence[Pass] = (),
    tune: str | float | None = None,
    verify: str | Shadow | None = None,
    stabilise: bool = True,
    random: str = "torch",
) -> F:
    """Compile a function or a module; use as a call or as a decorator.

    Results, side effects and exceptions are those of the plain function. What cannot be captured runs as plain PyTorch,
    and ``compiled.report`` names the line and what to write instead.

    Args:
        function: a function, or a ``torch.nn.Module``. A module comes back as a module of the same class that shares
            parameters, buffers and state_dict keys with the original.
        mode: ``"inference"`` runs without recording gradients; ``"default"`` is differentiable.
        precision: of float32 products, as in ``train_step``; results keep their dtypes.
        passes: of your own, as in ``train_step``.
        tune: how long other ways to compile each graph, forward and backward, may be tried, ``"30s"`` or seconds;
            they are measured with made-up values of the shapes that the function is called with.
        verify: ``"shadow"`` computes the first three calls, and later one in a thousand, twice, compiled and as plain
            PyTorch from the same state, gradients included. Where they differ by more than rounding explains (measured
            in double precision), the Report and a warning name the first operation that does, its line and what made
            it so, and the plain result is returned. A ``tessera.debug.Shadow`` says how many calls, and may raise.
        stabilise: expressions that are wrong in floating point are computed in a stable form, value and gradient:
            ``log(softmax(x))``, ``sqrt(sum(x**2))`` at 0, ``mean(x**2) - mean(x)**2`` and their like, in any spelling.
            What has none and is wrong in float32 is computed in float64 inside of its kernel, for about twice the time.
            The Report names each. An ``eps`` of yours and compensated arithmetic stay. False leaves all as it is.
        random: ``"tessera"`` has dropout and torch's other random functions draw from Tessera's counter-based numbers,
            as ``tessera.dropout`` does: kernels compute them where they use them. What runs eagerly draws the same; a
            key for each call comes from torch's generator, so seeds, checkpoints and resumed runs repeat them. By
            default the numbers are those that PyTorch draws.

    Raises:
        SettingError: there is no such mode, precision, layer, ``verify`` or ``random``, ``passes`` holds something else
            than passes, or ``tune`` is no time.
        MismatchError: when it is called, under ``verify=Shadow(on_mismatch="raise")``.

    Example:
        >>> fast = tessera.compile(model)
        >>> @tessera.compile(mode="inference")
        ... def predict(x):
        ...     return model(x).argmax(-1)
    """
    if mode not in ("default", "inference"):
        raise SettingError(
            f"mode={mode!r} was passed.",
            "It is 'default', which is differentiable, or 'inference', which records no gradients.",
            "Write tessera.compile(f), or tessera.compile(f, mode='inference').",
        )
    asked, own_passes, seconds = resolve_precision(precision), resolve_passes(passes), resolve_tune(tune)
    shadow, numbers = resolve_verify(verify), resolve_random(random)
    if function is None:
        options: dict[str, Any] = {"mode": mode, "precision": precision, "passes": passes, "tune": tune}
        return cast("F", functools.partial(compile, **options, verify=shadow, stabilise=stabilise, random=random))
    if isinstance(function, torch.nn.Module):
        asked.check_layers(module := plain_module(function))
        return cast("F", _compiled_module(module, mode, asked, own_passes, seconds, shadow, stabilise, numbers))
    name = getattr(function, "__qualname__", type(function).__name__)
    run = _Compiled(function, name, mode, asked, own_passes, seconds, shadow, stabilise, numbers)

    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    compiled.report = run.report  # type: ignore[attr-defined]
    compiled.difference_from_eager = run.difference_from_eager  # type: ignore[attr-defined]
    return cast("F", compiled)


def plain_module(module: torch.nn.Module) -> torch.nn.Module:
    """The module that ``tessera.compile`` was given, if ``module`` came from there; else ``module``."""
    return module.plain() if isinstance(module, _CompiledModule) else module


class _Compiled:
    """A callable behind capture and compilation."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        mode: Mode,
        precision: Precision,
        own_passes: Sequence[Pass],
        tune: float | None,
        verify: Shadow | None = None,
        stabilise: bool = True,
        random: Source = "torch",
    ) -> None:
        self.report = Report(name)
        self._function, self._inference = function, mode == "inference"
        self._has_parameters = _has_parameters(function)
        self._settings = mode, precision, own_passes, tune
        self._stabilise, self._random = stabilise, random
        pieces = compile_pieces(self.report, precision, own_passes, tune, verify, stabilise=stabilise, random=random)
        dims = DeclaredDims(function, self.report)

        def around(called: Any, args: Any, kwargs: Any) -> AbstractContextManager[None]:
            refuse_given_twice(called, args, kwargs)
            return dims.as_symbols(args, kwargs)

        self._dispatch = Dispatch(
            _call,
            _bind,
            pieces,
            whole=False,
            around=around,
            report=self.report,
        )
        self._shadow: ShadowedCalls | None = None
        if verify is not None:
            self._shadow = ShadowedCalls(function, self, self._is_pure, verify, self.report, precision, self._drawing)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # inside another capture this is just the function
            return self._function(*args, **kwargs)
        if self._inference and torch.is_grad_enabled():
            with torch.no_grad():
                return self(*args, **kwargs)
        if (SWITCH.entered or self._shadow is not None) and (other := self._instead()) is not None:
            return other(*args, **kwargs)
        if not self._has_parameters:  # the first call makes them, which is no part of what is compiled
            with self._drawing():
                result = self._function(*args, **kwargs)
            self._has_parameters = _has_parameters(self._function)
            return result
        misses, result = self._dispatch.misses, _NOT_RUN
        try:
            return self._captured(args, kwargs)
        except (RunsEagerly, RunsEagerlyOnce) as error:
            self.report.add(StepDown("eager", error.reason, error.instead))
        except TesseraError:
            raise
        except Exception as error:
            compiled = torch_internals.is_index_error(error) or passed_compiled_code(error)
            if not compiled and not torch_internals.is_of_the_compiler(error):
                explain(error, args, kwargs)
                raise
            if self._dispatch.misses != misses:
                self._dispatch.take_back()
            if compiled:
                result = self._eagerly(args, kwargs, error)  # raises what plain PyTorch raises, if it does
            self.report.add(StepDown("eager", torch_internals.compiler_reason(error), where=line_of_error(error)))
        finally:
            if self._dispatch.misses != misses:
                self._explain()
        return self._eagerly(args, kwargs) if result is _NOT_RUN else result

    def _captured(self, args: Any, kwargs: Any) -> Any:
        if self._random == "torch":
            return self._dispatch(self._function, args, kwargs)
        if (whole := self._dispatch.pure(self._function, args, kwargs)) is not None:
            return whole(self._function, args, kwargs)
        with self._drawing():  # of pieces, what lies between them is plain Python
            return self._dispatch(self._function, args, kwargs)

    def _drawing(self) -> AbstractContextManager[Any]:
        """What runs eagerly inside draws the numbers of compiled code."""
        return drawing(self._random, self._draws_from_torch)

    def _draws_from_torch(self, said: str) -> None:
        if all(entry.reason != said for entry in self.report.step_downs):
            self.report.add(StepDown("torch's random numbers", said))

    def _eagerly(self, args: Any, kwargs: Any, before: Exception | None = None) -> Any:
        try:
            with self._drawing():
                return self._function(*args, **kwargs)
        except Exception as error:
            explain(error, args, kwargs)
            if before is not None and error.__context__ is before:
                error.__context__ = None  # how compiled code says the same
            raise

    def _instead(self) -> Callable[..., Any] | None:
        """What runs in place of compiled code: Python line by line in a ``debug_mode``, or both, to be compared."""
        if (debug := SWITCH.mode()) is not None:
            return functools.partial(self._line_by_line, debug)
        if self._shadow is None or not self._has_parameters or not self._shadow.due():
            return None
        return self._shadow.verified

    def _line_by_line(self, debug: DebugMode, *args: Any, **kwargs: Any) -> Any:
        with debug.computing(eagerly(self._settings[1])), self._drawing():
            return self._function(*args, **kwargs)

    def _is_pure(self, *args: Any, **kwargs: Any) -> bool:
        """Whether Python does nothing for these arguments but what the graph does."""
        return self._dispatch.pure(self._function, args, kwargs) is not None

    def difference_from_eager(self, eager: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Comparison:
        """What ``tessera.debug.diff(eager, compiled, *args)`` finds."""
        shadow = Shadow(calls=1, every=None)
        twin = _Compiled(self._function, self.report.subject, *self._settings, shadow, self._stabilise, self._random)
        return compiled_difference(eager, self._function, twin, twin.report, args, kwargs)

    def _explain(self) -> None:
        known = [entry.where for entry in self.report.step_downs]
        for reason, stack in torch_internals.graph_breaks():
            where = line_of_trace(stack)
            if where is None or where not in known:  # Dynamo may give up on one line in several ways
                self.report.add(StepDown("pieces", reason, _INSTEAD, where))
                known.append(where)
        whole = "one graph" if not self.report.step_downs else "pieces"
        self.report.rung = whole if self.report.compilations else "eager"


def _has_parameters(function: Callable[..., Any]) -> bool:
    """Whether there are none left to be made by the first call, of a ``tessera.function`` or a lazy layer."""
    modules = modules_of(function)
    own = [value for module in modules for layer in module.modules() for value in vars(layer).values()]
    modules += [module for value in own if type(value) is types.FunctionType for module in modules_of(value)]
    parameters = (parameter for module in modules for parameter in module.parameters())
    return not any(torch.nn.parameter.is_lazy(parameter) for parameter in parameters)


_NOT_RUN: Any = object()
_INSTEAD = "Write it with tensor operations (torch.where, torch.cond) or move it out of the compiled function."


def _call(function: Any, args: Any, kwargs: Any) -> Any:
    """What Dynamo captures."""
    only_captured()
    return function(*args, **kwargs)


def _bind(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return locals()


class _CompiledModule:
    """What a compiled module adds to its class; the values stand on a class of its own, made for it alone."""

    _run: ClassVar[_Compiled]
    _original: ClassVar[torch.nn.Module]
    _mode: ClassVar[Mode]
    _precision: ClassVar[Precision]
    _own_passes: ClassVar[Sequence[Pass]]
    _tune: ClassVar[float | None]
    _verify: ClassVar[Shadow | None]
    _stabilise: ClassVar[bool]
    _random: ClassVar[Source]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.nn.Module:
        copied = copy.deepcopy(self._original, memo)
        return _compiled_module(copied, *self._compile_settings())

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return _compiled_module, (self._original, *self._compile_settings())

    def _compile_settings(self) -> tuple[Any, ...]:
        kept = self._mode, self._precision, self._own_passes, self._tune, self._verify, self._stabilise
        return *kept, self._random

    def plain(self) -> torch.nn.Module:
        """The module this one was made from."""
        return self._original

    def difference_from_eager(self, eager: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Comparison:
        """What ``tessera.debug.diff(eager, compiled, *args)`` finds."""
        return self._run.difference_from_eager(eager, args, kwargs)

    @property
    def report(self) -> Report:
        """What was compiled, and why anything was not."""
        return self._run.report


def _compiled_module(
    module: torch.nn.Module,
    mode: Mode,
    precision: Precision,
    own_passes: Sequence[Pass] = (),
    tune: float | None = None,
    verify: Shadow | None = None,
    stabilise: bool = True,
    random: Source = "torch",
) -> torch.nn.Module:
    kind = type(module)
    own = {
        "_run": _Compiled(module, kind.__name__, mode, precision, own_passes, tune, verify, stabilise, random),
        "_original": module,
        "_mode": mode,
        "_precision": precision,
        "_own_passes": own_passes,
        "_tune": tune,
        "_verify": verify,
        "_stabilise": stabilise,
        "_random": random,
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
    }
    compiled: Any = object.__new__(type(kind.__name__, (_CompiledModule, kind), own))
    # One set of parameters, buffers, modes and hooks for both: the same dictionary, not a copy.
    object.__setattr__(compiled, "__dict__", module.__dict__)
    return cast("torch.nn.Module", compiled)
