"""Sums in formats of few digits: what is added no longer changes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx

from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.formats import Format, format_of
from tessera.backend.ranges.hazard import Hazard, Subject, dtype_name
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.question import dtype_of

_LOW = (torch.float16, torch.bfloat16)


def sums_of_few_digits(subject: Subject) -> Iterator[Hazard]:
    """Sums over many values, running sums, chains of additions and averages with a small weight."""
    lengths: dict[fx.Node, int] = {}
    for node in subject.graph.nodes:
        form = format_of(dtype_of(node)) if dtype_of(node) in _LOW else None
        if form is None or node in subject.found.overflows:
            continue
        name = operation(node)
        if name in ("sum", "cumsum"):
            yield from _reduction(subject, node, form)
        elif name == "add" and len(node.args) == 2:
            lengths[node] = 1 + max((lengths.get(one, 0) for one in node.all_input_nodes), default=0)
            if lengths[node] == round(0.5 / form.epsilon):
                yield _hazard(node, f"{lengths[node]} values are added one by one", form)
            yield from _average(node, form)


def _reduction(subject: Subject, node: fx.Node, form: Format) -> Iterator[Hazard]:
    question = subject.found.question(node)
    dims = question.dims(question.argument(1, "dim"))
    least, _ = question.count(dims)
    of = question.x
    enough = 1 / form.epsilon if of.low >= 0 else 16 / form.epsilon
    if operation(node) == "cumsum":
        enough = 1 / form.epsilon
    if of.rows.total is not None or least <= 2 * enough or of.constant:
        return
    yield _hazard(node, f"{least:.0f} values are added", form)


def _average(node: fx.Node, form: Format) -> Iterator[Hazard]:
    """A * 0.999 + b * 0.001."""
    factors = []
    for one in node.args:
        if not isinstance(one, fx.Node) or operation(one) != "mul":
            return
        factors.append(next((arg for arg in one.args if isinstance(arg, (int, float))), None))
    if None in factors:
        return
    small, large = sorted(abs(factor) for factor in factors if factor is not None)
    if 0 < small < form.epsilon / 2 and 0.5 < large <= 1 and abs(small + large - 1) < form.epsilon:
        yield Hazard(
            node,
            Kind.ACCUMULATION,
            f"A running average with the weight {small:.3g} is kept in {dtype_name(node)}, whose steps are"
            f" {form.epsilon:.2g} of a value.",
            "What is added is rounded away, and the average stands still.",
            "average.float()",
        )


def _hazard(node: fx.Node, what: str, form: Format) -> Hazard:
    return Hazard(
        node,
        Kind.ACCUMULATION,
        f"{what} in {dtype_name(node)}, which has {form.digits} binary digits.",
        f"From about {1 / form.epsilon:.0f} equal values on, one more no longer changes the sum.",
        "x.sum(dtype=torch.float32)" if operation(node) != "add" else "total.float()",
    )
