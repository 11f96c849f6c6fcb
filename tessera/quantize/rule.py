"""Which layers are quantized how: regular expressions over module paths, the first that matches counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from tessera.errors import QuantizeError
from tessera.quantize.cache import CACHE_FORMATS
from tessera.quantize.formats import ACTIVATION_FORMATS, FORMATS, NumberFormat, format_named
from tessera.quantize.quantized_tensor import Layout
from tessera.quantize.ranges import RANGES

METHODS = ("round", "smooth", "gptq", "awq")
PER = ("tensor", "channel", "group")


@dataclass(frozen=True)
class Rule:
    r"""How the layers whose path ``pattern`` finds are quantized (regular expressions over paths: Qwix, Google, 2025).

    Args:
        pattern: a regular expression, searched anywhere in the path: ``"embed"``, ``r"layers\.\d+\.mlp"``.
        weight: ``"int8"``, ``"int4"``, ``"fp8_e4m3"``, ``"fp8_e5m2"``, ``"nf4"``, ``"mxfp4"``; None leaves the layers
            as they are.
        act: what flows into the layers: ``"int8"``, ``"int4"``, ``"fp8_e4m3"``, ``"fp8_e5m2"``, or None.
        group: numbers of an output channel that share a scale.
        per: ``"tensor"``, ``"channel"`` or ``"group"``; left out, groups for four bits and channels for eight.
        symmetric: whether weights have no zero point.
        static: whether the scale of ``act`` is calibrated once (needs calibration data) and not found for each row.
        act_symmetric: whether a static ``act`` has no zero point; the default has one.
        range: how a range is chosen: ``"min-max"``, ``"percentile"``, ``"mse"``, ``"entropy"``, ``"rms"``.
        method: ``"round"``, ``"smooth"`` (SmoothQuant), ``"gptq"``, ``"awq"``.
        bias_correction: whether what rounding does to the mean of the outputs is taken off the bias.
        cache: ``"int8"``, ``"fp8_e4m3"``, ``"fp8_e5m2"``: the rule is for buffers and not for layers; ``pattern`` is
            searched in the paths of buffers, such as ``"k_cache|v_cache"``, and each row ``[channels]`` gets a scale.

    Raises:
        QuantizeError: a name there is not, or settings that contradict each other.
    """

    pattern: str
    weight: str | None = None
    act: str | None = field(default=None, kw_only=True)
    group: int | None = field(default=None, kw_only=True)
    per: str | None = field(default=None, kw_only=True)
    symmetric: bool = field(default=True, kw_only=True)
    static: bool = field(default=False, kw_only=True)
    act_symmetric: bool = field(default=False, kw_only=True)
    range: str = field(default="min-max", kw_only=True)
    method: str = field(default="round", kw_only=True)
    bias_correction: bool = field(default=False, kw_only=True)
    cache: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise QuantizeError(
                f"The pattern of a rule is {self.pattern!r}, which is not a regular expression: {error}.",
                "A pattern is a regular expression over module paths such as 'layers.0.mlp'.",
                r"Write for example Rule(r'layers\.\d+\.mlp', weight='int8').",
            ) from None
        for name, value, known in (
            ("range", self.range, tuple(RANGES)),
            ("method", self.method, METHODS),
            ("per", self.per, (None, *PER)),
        ):
            if value not in known:
                raise QuantizeError(
                    f"{self} has {name}={value!r}.",
                    f"There are {', '.join(map(repr, known))}.",
                    f"Write for example {name}={known[-1]!r}.",
                )
        if self.weight is not None:
            format_named(self.weight)
        if self.act is not None:
            format_named(self.act, ACTIVATION_FORMATS)
        if self.cache is not None:
            format_named(self.cache, CACHE_FORMATS)
        for contradiction, fix in self._contradictions():
            raise QuantizeError(f"{self} contradicts itself.", contradiction, fix)

    def _contradictions(self) -> list[tuple[str, str]]:
        """What does not go together, as (what was expected, what to write instead)."""
        found: list[tuple[str, str]] = []
        if self.cache is not None and set(self._given()) != {"cache"}:
            return [("A rule is for caches or for layers.", "Write a rule of its own for the weights.")]
        if self.weight is None and any(
            (self.act, self.group, self.per, self.static, not self.symmetric, self.method != "round")
        ):
            found.append(("A rule without a weight format leaves its layers alone.", "Add weight='int8'."))
        if self.group is not None and (
            isinstance(self.group, bool) or not isinstance(self.group, int) or self.group < 1
        ):
            found.append(("A group is a number of weights, at least 1.", "Write for example group=32."))
        if self.group is not None and self.per in ("tensor", "channel"):
            found.append((f"With per={self.per!r} there are no groups.", "Leave out group, or write per='group'."))
        if self.weight is not None and not self.symmetric and not FORMATS[self.weight].integer:
            found.append((f"{self.weight} has no zero point.", "Leave out symmetric=False, or choose int8 or int4."))
        if self.static and self.act is None:
            found.append(("What is static is the scale of act.", "Add act='int8', or leave out static=True."))
        if self.method == "gptq" and self.weight is not None and FORMATS[self.weight].power_of_two:
            found.append(("GPTQ rounds to a grid that is fixed before.", "Leave out method for mxfp4."))
        return found

    @property
    def form(self) -> NumberFormat:
        """Of the weights; there is none for a rule that leaves layers alone."""
        return FORMATS[str(self.weight)]

    def layout(self, channel: int) -> Layout:
        """How a weight with ``channel`` numbers in each output channel is cut."""
        per = self.per or ("group" if self.group or self.form.group else "channel")
        size = self.group or self.form.group or 32
        return Layout(per, max(1, min(size, channel))) if per == "group" else Layout(per)

    def __str__(self) -> str:
        return f"Rule({', '.join([repr(self.pattern), *(f'{n}={v!r}' for n, v in self._given().items())])})"

    def _given(self) -> dict[str, object]:
        """What is not as it is where it is left out."""
        fields = self.__dataclass_fields__
        values = {name: getattr(self, name) for name in fields if name != "pattern"}
        return {name: value for name, value in values.items() if value != fields[name].default}


def assign(rules: Sequence[Rule], paths: Sequence[str], what: str = "layer") -> dict[str, Rule]:
    """The rule of each path that one matches.

    Args:
        rules: in their order.
        paths: of layers with weights, or of buffers.
        what: which of these they are, for messages.

    Raises:
        QuantizeError: a rule matches no path, or only such as an earlier rule takes.
    """
    several = "layers with weights" if what == "layer" else f"{what}s"
    taken: dict[str, Rule] = {}
    for rule in rules:
        if not isinstance(rule, Rule):
            raise QuantizeError(
                f"rules holds {rule!r}.", "It is a list of rules.", "Write rules=[Rule('embed', weight='int8')]."
            )
        matching = [path for path in paths if re.search(rule.pattern, path)]
        if not matching:
            near = _nearest(rule.pattern, paths)
            raise QuantizeError(
                f"{rule} matches no {what}.",
                f"The nearest paths of {several} are {', '.join(map(repr, near))}."
                if near
                else f"The model has no {several}.",
                f"Correct the pattern: it is a regular expression, searched in the path of a {what}.",
            )
        new = {path: rule for path in matching if path not in taken}
        if not new:
            others = list(dict.fromkeys(str(taken[path]) for path in matching))
            raise QuantizeError(
                f"{rule} never counts: all that it matches ({', '.join(matching[:3])}) belongs to {', '.join(others)}.",
                f"The first rule that matches a {what} counts.",
                "Put the more special rule first, or leave it out.",
            )
        taken |= new
    return taken


def _nearest(pattern: str, paths: Sequence[str]) -> list[str]:
    words = re.sub(r"\\[dwsDWS.][+*?]?|[\^$()\[\]|+*?\\]", ".", pattern)
    close = get_close_matches(words, paths, n=3, cutoff=0.0)
    parts = re.findall(r"[A-Za-z_]{2,}", pattern)
    names = {piece: path for path in paths for piece in path.split(".")}
    by_word = [names[name] for part in parts for name in get_close_matches(part, list(names), n=2, cutoff=0.6)]
    return list(dict.fromkeys(by_word + close))[:3]
