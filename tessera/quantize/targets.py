"""The recipes that have a name."""

from __future__ import annotations

from tessera.errors import QuantizeError
from tessera.quantize.rule import Rule

# What a target does to products (linear layers, convolutions) and to tables (embeddings, parameters of other layers).
TARGETS: dict[str, tuple[Rule, Rule]] = {
    "int8": (Rule("", weight="int8", act="int8"), Rule("", weight="int8")),
    "int8-weight": (Rule("", weight="int8"), Rule("", weight="int8")),
    "int4": (Rule("", weight="int4"), Rule("", weight="int4")),
    "int4-int8": (Rule("", weight="int4", act="int8", group=128), Rule("", weight="int4")),
    "fp8": (Rule("", weight="fp8_e4m3"), Rule("", weight="fp8_e4m3")),
    "fp8_e5m2": (Rule("", weight="fp8_e5m2"), Rule("", weight="fp8_e5m2")),
    "nf4": (Rule("", weight="nf4"), Rule("", weight="nf4")),
    "mxfp4": (Rule("", weight="mxfp4"), Rule("", weight="mxfp4")),
}


def target_named(name: str) -> tuple[Rule, Rule]:
    """The rules of a target, for products and for tables.

    Raises:
        QuantizeError: there is none of that name.
    """
    if name not in TARGETS:
        raise QuantizeError(
            f"target={name!r} was passed.",
            f"There are {', '.join(map(repr, TARGETS))}.",
            "Write tessera.quantize(model, target='int8'), or say it layer by layer with rules=[Rule(...)].",
        )
    return TARGETS[name]
