"""``debug_mode()``: inside, everything runs line by line, and nothing that is not finite is born unseen."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self

import torch

from tessera import torch_internals
from tessera.debug.active import SWITCH
from tessera.debug.backward import Backward, Computes
from tessera.debug.birth_error import birth_error
from tessera.debug.born import Birth
from tessera.debug.declared_dims import DeclaredDims
from tessera.debug.describe import Described, described
from tessera.debug.gradient_health import GradientHealth, GradientTable
from tessera.debug.index_arithmetic import IndexArithmetic
from tessera.debug.layer_hooks import LayerHooks
from tessera.debug.operation import Operation, Trace
from tessera.debug.origins import Origins
from tessera.debug.place import Here
from tessera.debug.watching import Watching
from tessera.debug.watchpoint import Hit, On, WatchAction, Watchpoint
from tessera.errors import NonFiniteValueError, SettingError

Action = Literal["raise", "warn", "ignore"]
_ACTIONS = ("raise", "warn", "ignore")


def debug_mode(*, nan: Action = "raise", inf: Action = "raise", trace: int = 10_000) -> DebugMode:
    """Run what is inside line by line: as PyTorch does, with the results of the compiled step.

    Whatever ``tessera.compile``, ``train_step``, ``optimizer.step(loss)`` or ``fit`` would compile runs its Python
    body, so breakpoints, pdb and ``print`` work; clipping, loss scaling, accumulation and the update are those of the
    compiled step, and a step that is not finite leaves the weights alone. What is compiled outside of the block stays
    compiled. Other threads go on as they were. Modes nest; the innermost one looks on.

    Products have the precision that was asked for, forward and backward, by the rules of the compiled step that need no
    look at other operations. Lowered here and not there are products of positions or of what you cast yourself, whose
    result is an angle or factorised, and what ``"auto"`` lifts back because the first batch does not bear it. What the
    compiled step keeps in low precision for the backward, and gradients whose rows it adds up, are float32 here.

    A value that is not finite stops the program where it is **born**: NaN or infinity out of finite values, by
    arithmetic, in a forward, a backward or an update. Infinities that are put there are left alone: fills and constants
    (``masked_fill(mask, -inf)``, ``torch.full``), the largest numbers of a dtype and their sums, and what follows from
    an infinity that was there (``exp(-inf)``, a maximum over ``-inf`` alone). NaN that comes of infinities is born too:
    ``0 * inf``, the softmax of a row that is all ``-inf``. In a backward the gradients that leave a formula count, not
    what it masks itself. What is born among whole numbers alone (positions, counts) is told when data meets it or
    nothing puts it away. Gradients that overflow under a dynamic loss scale are part of its rule and do not stop.

    Args:
        nan: what to do when NaN is born: ``"raise"``, ``"warn"`` once for each line, or ``"ignore"``.
        inf: likewise for infinities.
        trace: how many of the last operations are kept for ``debug.trace``, some hundred bytes each.

    Returns:
        A context manager; entered it is what ``as debug`` names.

    Raises:
        SettingError: an action or a number that makes no sense.
        NonFiniteValueError: inside the block; it names operator, line, layer, and what it was given.

    Example:
        >>> import torch, tessera
        >>> with tessera.debug_mode() as debug:
        ...     p = torch.softmax(torch.tensor([1.0, 2.0]), 0)
        ...     print(debug.info(p).range)
        float32[2] in [0.2689, 0.7311]
    """
    for name, action in (("nan", nan), ("inf", inf)):
        if action not in _ACTIONS:
            raise SettingError(
                f"debug_mode({name}={action!r}) was passed.",
                'It is "raise", "warn" or "ignore".',
                f'Write debug_mode({name}="raise") to stop where it is born.',
            )
    if not isinstance(trace, int) or isinstance(trace, bool) or trace < 0:
        raise SettingError(
            f"debug_mode(trace={trace!r}) was passed.",
            "It is how many operations are kept, a whole number from 0.",
            "Write debug_mode(trace=10_000).",
        )
    return DebugMode(nan, inf, trace)


class DebugMode:
    """See ``debug_mode``.

    Attributes:
        trace: the last operations, the oldest first: ``print(debug.trace)``.
        found: what was born and did not stop the program.
        observers: are called with every operation and its results.
    """

    def __init__(self, nan: Action, inf: Action, trace: int) -> None:
        self._actions: dict[str, Action] = {"NaN": nan, "inf": inf, "-inf": inf}
        self._most = trace
        self._watching: Watching | None = None
        self._outer: DebugMode | None = None
        self._watched: list[Watchpoint] = []
        self._warned: set[tuple[str, str]] = set()
        self.is_covered = False
        self._forgives: Callable[[], bool] = _never
        self._overflowed = False
        self.computes: Computes | None = None
        self._begin()

    def _begin(self) -> None:
        self.trace, self.origins = Trace(self._most), Origins()
        self.found: list[NonFiniteValueError] = []
        self.health, self.indices = GradientHealth(), IndexArithmetic()
        self.observers: list[Callable[[Operation, Sequence[torch.Tensor]], None]] = []
        self.models: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()

        self._layers = LayerHooks(lambda: self.is_covered)
        for watchpoint in self._watched:
            self._layers.add(watchpoint)

    def __enter__(self) -> Self:
        if self._watching is not None:
            raise SettingError(
                "This debug_mode() was entered a second time.",
                "One mode is one block; several nest.",
                "Write with tessera.debug_mode() as debug: for each block.",
            )
        self._begin()
        self._declared = DeclaredDims(self.origins, lambda: self.is_covered)
        self.backward = Backward(self.tell)
        self._outer = SWITCH.mode()
        if self._outer is not None:
            self._outer.is_covered = True
        self._watching = Watching(self)
        SWITCH.enter(self)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        watching, self._watching = self._watching, None
        if watching is None:
            return
        try:
            watching.__exit__(*error)
        finally:
            SWITCH.leave()
            if self._outer is not None:
                self._outer.is_covered = False
            self.backward.close()
            self.health.rests()
            self._declared.close()
            self._layers.close(check=error == (None, None, None))
        for left in self.indices.left() if error == (None, None, None) else ():
            self.tell(left)

    def info(self, tensor: torch.Tensor) -> Described:
        """What is known of ``tensor``: name, shape, dtype, declared dims, range, the line that made it, its parents.

        Raises:
            SettingError: it is no tensor.
        """
        return described(tensor, self, depth=2)

    def watch(
        self,
        pattern: str,
        *,
        max_abs: float | None = None,
        min_std: float | None = None,
        has_nan: bool = False,
        shape: Sequence[int | str | None] | None = None,
        when: Callable[[torch.Tensor], Any] | None = None,
        on: On = "both",
        action: WatchAction = "raise",
    ) -> None:
        """Look at what layers return, and at the gradients that come back to it, from here to the end of the block.

        Args:
            pattern: path of layers within the outermost module that is called; ``*`` stands for one part of it,
                ``**`` for any number: ``"blocks.*.attn"``.
            max_abs: stop above this size, in either direction; infinity is above every one.
            min_std: stop where the standard deviation of all values is below this.
            has_nan: stop at NaN.
            shape: stop at any other shape; a name or None stands for any size.
            when: stop where this function of the tensor is true.
            on: ``"output"``, ``"gradient"`` or ``"both"``.
            action: ``"raise"``, ``"warn"``, ``"breakpoint"`` or ``"record"``, into ``debug.hits``. With no condition
                every value is met.

        Raises:
            SettingError: here for an argument that makes no sense; at the end of the block for a pattern that met no
                layer, with the nearest there are.
            WatchError: inside the block, when a value is met.

        Example:
            >>> import torch, tessera
            >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
            >>> with tessera.debug_mode() as debug:
            ...     debug.watch("*", shape=["B", 2], action="record")
            ...     _ = model(torch.ones(1, 2))
            >>> len(debug.hits)
            0
        """
        watchpoint = Watchpoint(pattern, on, max_abs, min_std, has_nan, shape, when, action)
        self._watched.append(watchpoint)
        if self._watching is not None:
            self._layers.add(watchpoint)

    @property
    def hits(self) -> list[Hit]:
        """The watchpoints that were met and did not stop the program, the last of them."""
        return list(self._layers.hits)

    def gradients(self, model: torch.nn.Module | None = None) -> GradientTable:
        """How healthy the gradients are, by parameter, the worst first; ``print`` it.

        Args:
            model: whose; without it all modules that were called, and what optimizers updated.

        Of a gradient that is there now; else of the last one that an optimizer was given in this block, behind
        clipping. The update beside its weights is that of the last step.
        """
        return self.health.table(list(self.models) if model is None else [model])

    @property
    def looks_for_births(self) -> bool:
        """Whether anything would be done about one."""
        return any(action != "ignore" for action in self._actions.values())

    @contextlib.contextmanager
    def forgiving(self, forgives: Callable[[], bool]) -> Iterator[None]:
        """Inside, what is born in a backward while ``forgives()`` is noted and does not stop: a loss scale answers it.

        Neither does what comes of it before the block ends.
        """
        before, self._forgives, self._overflowed = self._forgives, forgives, False
        try:
            yield
        finally:
            self._forgives, self._overflowed = before, False

    @contextlib.contextmanager
    def computing(self, computes: Computes | None) -> Iterator[None]:
        """Inside, operators run as ``computes`` runs them, and so does their backward; the outermost block says how."""
        before = self.computes
        self.computes = before or computes
        try:
            yield
        finally:
            self.computes = before

    def born(
        self, birth: Birth, operation: Operation, call: Any, results: Sequence[torch.Tensor], node: Any, spot: Here
    ) -> None:
        """Something was born in ``operation``."""
        if self._actions[birth.kind] == "ignore":
            return
        error = birth_error(birth, operation, call, results, node, spot, self)
        if node is not None:
            self.backward.bore(node, error)
        elif not self.indices.waits(operation, error):
            self.tell(error)

    def tell(self, error: NonFiniteValueError) -> None:
        """Do what was asked for where something is born: raise, warn or go on."""
        with torch_internals.outside_of_modes():
            forgiven = self._overflowed or (error.phase == "backward" and self._forgives())
        self._overflowed = forgiven
        if self._actions[error.kind] == "raise" and not forgiven:
            raise error
        self.found.append(error)
        key = (error.operator, str(error.where))
        if not forgiven and key not in self._warned:
            self._warned.add(key)
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)

    def __str__(self) -> str:
        return str(self.trace)


def _never() -> bool:
    return False
