"""Exceptions, contexts and generators: what is raised, caught, left and entered, in order."""

from __future__ import annotations

import contextlib
import itertools

import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def try_except_else_finally(r):
    log = []

    def f(x, n):
        try:
            log.append("try")
            y = x * (10 // n)
        except ZeroDivisionError as error:
            log.append(str(error))
            y = x
        else:
            log.append("else")
            y = y + 1
        finally:
            log.append("finally")
        return y

    f = r.compile(f)
    for n in (2, 0, 5):
        f(grid(), n)
        r.see(log)


@odd
def return_in_finally(r):
    def f(x):
        try:
            return x * 2
        finally:
            x.add_(1)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def raises_after_effects(r):
    log = []

    def f(x):
        x.add_(1)
        log.append(len(log))
        raise ValueError(f"after {len(log)}")

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(log)


@odd
def raises_on_a_value(r):
    def f(x):
        y = x * 2
        if y.sum() < 0:
            raise ArithmeticError(f"negative: {y.sum().item():.1f}")
        return y

    f = r.compile(f)
    for s in (1, -1, 1, -2):
        f(grid(s))


@odd
def assert_on_a_value(r):
    def f(x):
        assert x.sum() > 0, f"sum is {x.sum().item()}"
        return x * 2

    f = r.compile(f)
    for s in (1, -1, 1):
        f(grid(s))


@odd
def assert_on_a_shape(r):
    def f(x):
        assert x.shape[0] == 2, ("shape", tuple(x.shape))
        return x * 2

    f = r.compile(f)
    f(grid())
    f(grid()[:1])
    f(grid())


@odd
def exception_of_torch_caught(r):
    def f(x):
        try:
            return x @ x
        except RuntimeError as error:
            return x * len(str(error))

    f = r.compile(f)
    f(grid())
    f(torch.ones(2, 2))


@odd
def exception_chain(r):
    def f(x):
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("chained") from error
        return x

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def exception_with_data(r):
    class Own(Exception):
        def __init__(self, tensor):
            super().__init__("own")
            self.tensor = tensor

    def f(x):
        raise Own(x * 2)

    f = r.compile(f)
    f(grid())
    f(grid() + 1)


@odd
def exception_group(r):
    def f(x):
        try:
            raise ExceptionGroup("many", [ValueError("a"), KeyError("b")])
        except* ValueError:
            x = x * 2
        except* KeyError:
            x = x + 1
        return x

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def stop_iteration_escapes(r):
    f = r.compile(lambda x: next(iter([])) * x)
    f(grid())
    f(grid())


@odd
def system_exit_inside(r):
    def f(x):
        try:
            raise SystemExit(3)
        except SystemExit as error:
            return x * error.code

    f = r.compile(f)
    f(grid())


@odd
def context_manager_class(r):
    log = []

    class Manager:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            log.append(f"in {self.name}")
            return self

        def __exit__(self, kind, error, trace):
            log.append(f"out {self.name} {kind and kind.__name__}")
            return kind is ValueError

    def f(x, n):
        with Manager("a") as a, Manager("b"):
            x = x * len(a.name) + 1
            if n == 1:
                raise ValueError
            if n == 2:
                raise KeyError("k")
            if n == 3:
                return x * 10
        return x

    f = r.compile(f)
    for n in (0, 1, 2, 3):
        f(grid(), n)
        r.see(log)


@odd
def context_manager_generator(r):
    log = []

    @contextlib.contextmanager
    def noted(name):
        log.append(f"in {name}")
        try:
            yield len(log)
        except ValueError:
            log.append("caught")
        finally:
            log.append(f"out {name}")

    def f(x, fails):
        with noted("a") as n:
            x = x * n
            if fails:
                raise ValueError
        return x

    f = r.compile(f)
    for fails in (False, True, False):
        f(grid(), fails)
        r.see(log)


@odd
def exit_stack(r):
    log = []

    def f(x):
        with contextlib.ExitStack() as stack:
            for i in range(3):
                stack.callback(log.append, i)
            stack.enter_context(contextlib.nullcontext())
            x = x + 1
        with contextlib.suppress(KeyError):
            {}["k"]
        return x

    f = r.compile(f)
    f(grid())
    r.see(log)
    f(grid())
    r.see(log)


@odd
def generator_returned(r):
    def f(x):
        for i in range(3):
            yield x * i

    f = r.compile(lambda x, f=f: list(f(x)))
    f(grid())
    f(grid())


@odd
def generator_given_and_partly_consumed(r):
    f = r.compile(lambda x, it: x * next(it) + next(it))
    it = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    f(grid(), it)
    r.see(list(it))
    made = (i * 2 for i in range(10))
    f(grid(), made)
    r.see(next(made))
    f(grid(), made)
    r.see(list(made))


@odd
def generator_of_the_closure(r):
    counter = itertools.count(3)
    f = r.compile(lambda x: x * next(counter))
    for _ in range(3):
        f(grid())
    r.see(next(counter))


@odd
def generator_send_and_close(r):
    log = []

    def talk():
        try:
            got = yield 1
            while True:
                got = yield got * 2
        finally:
            log.append("closed")

    def f(x):
        g = talk()
        first = next(g)
        y = g.send(x)
        g.close()
        return y + first

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(log)


@odd
def generator_left_open(r):
    log = []

    def numbers(x):
        log.append("start")
        for i in range(5):
            log.append(i)
            yield x * i

    def f(x):
        g = numbers(x)
        return next(g) + next(g)

    f = r.compile(f)
    f(grid())
    r.see(log)
    f(grid())
    r.see(log)


@odd
def yield_from_and_return_value(r):
    def inner(x):
        yield x
        return x * 5

    def outer(x):
        last = yield from inner(x)
        yield last

    f = r.compile(lambda x: [*outer(x)])
    f(grid())


@odd
def generator_leaves(r):
    def f(x):
        return (x * i for i in range(3))

    f = r.compile(f)
    got = f(grid())
    r.see(type(got).__name__)


@odd
def itertools_and_zip(r):
    def f(x, names):
        pairs = dict(zip(names, x, strict=True))
        chained = [*itertools.chain(x, x), *itertools.islice(itertools.cycle([1, 2]), 3)]
        grouped = [list(g) for _, g in itertools.groupby([1, 1, 2])]
        return (
            pairs,
            chained[-3:],
            grouped,
            list(itertools.product([1, 2], [x[0]])),
            list(map(lambda a, b: a * b, x, x)),
        )

    f = r.compile(f)
    f(grid(), ["a", "b"])
    f(grid(), ["a", "b", "c"])
    f(grid(), ("q", "a"))
