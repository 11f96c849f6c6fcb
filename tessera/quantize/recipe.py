"""One layer: from its weights, its rule and what flowed into it to what it is replaced by."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch

from tessera.errors import QuantizeError
from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.calibration import Statistics
from tessera.quantize.formats import FORMATS
from tessera.quantize.layer import install, kind, weights_of
from tessera.quantize.quantized_tensor import QuantizedTensor, quantize_tensor
from tessera.quantize.ranges import RANGES
from tessera.quantize.report import relative_error
from tessera.quantize.rule import Rule

Tied = dict[tuple[object, ...], QuantizedTensor]  # by the weight and how it is cut


@dataclass
class Recipe:
    """What a layer becomes, and what that costs."""

    path: str
    weights: dict[str, QuantizedTensor]
    activation: ActivationQuantizer | None = None
    smoothing: torch.Tensor | None = None
    words: str = ""
    error: float = 0.0
    measured_on: str = "weights"
    note: str = ""
    replaced: list[torch.Tensor] = field(default_factory=list)

    @property
    def bytes_before(self) -> int:
        """Of the weights that are replaced."""
        return sum(w.numel() * w.element_size() for w in self.replaced)

    @property
    def bytes_after(self) -> int:
        """Of what replaces them."""
        return sum(b.numel() * b.element_size() for made in self.weights.values() for b in made.buffers())


def recipe(path: str, layer: torch.nn.Module, rule: Rule, seen: Statistics | None, tied: Tied | None = None) -> Recipe:
    """Quantize one layer as its rule says.

    Args:
        path: for messages.
        layer: stays as it is.
        rule: has a format for weights.
        seen: what flowed into the layer, where there is calibration data.
        tied: what was made of weights so far: a weight that two layers share stays shared, where they are cut alike.

    Raises:
        QuantizeError: the rule needs calibration data and there is none, or the weights are not finite.
    """
    if seen is None and (rule.static or rule.method != "round" or rule.bias_correction):
        what = "static activations" if rule.static else rule.method if rule.method != "round" else "bias correction"
        raise QuantizeError(
            f"{rule} was passed without calibration data.",
            f"It asks for {what}, which follows what flows into the layer.",
            "Pass calibration_data=..., some hundred samples of what the model is called with.",
        )
    note = ""
    activation = None
    if rule.act is not None and seen is not None and not seen.calls:
        note = "not called on the calibration data: its weights alone are quantized"
    elif rule.act is not None:
        activation = _activation(rule, layer, seen)
    weights, replaced = {}, []
    choose = None if rule.range == "min-max" else RANGES[rule.range]
    tied = {} if tied is None else tied
    for name in weights_of(layer):
        weight = getattr(layer, name)
        replaced.append(weight)
        layout = rule.layout(torch.Size(weight.shape[1:]).numel())
        key = (id(weight), rule.weight, layout, rule.symmetric, rule.range)
        try:
            weights[name] = tied[key] = tied.get(key) or quantize_tensor(
                weight, rule.form, layout, symmetric=rule.symmetric, choose=choose
            )
        except QuantizeError as error:
            raise QuantizeError(f"{path}.{name}: {error.received}", error.expected, error.fix) from None
    made = Recipe(path, weights, activation, None, _words(rule, activation), note=note, replaced=replaced)
    made.error, made.measured_on = _error(layer, made, seen)
    return made


def _activation(rule: Rule, layer: torch.nn.Module, seen: Statistics | None) -> ActivationQuantizer:
    form = FORMATS[str(rule.act)]
    axis = -1 if kind(layer) == "linear" else 1
    if not rule.static or seen is None:
        return ActivationQuantizer(form, None, axis=axis)
    values = torch.cat(seen.values)[None, None] if seen.values else torch.zeros(1, 1, 1)
    least, largest = RANGES[rule.range](values.double(), form, rule.act_symmetric)
    return ActivationQuantizer(form, (float(least), float(largest)), symmetric=rule.act_symmetric, axis=axis)


def _words(rule: Rule, activation: ActivationQuantizer | None) -> str:
    layout = rule.layout(2**31)
    words = [f"{rule.weight} per {layout.per}" + (f" of {layout.group}" if layout.per == "group" else "")]
    if not rule.symmetric:
        words.append("zero point")
    if activation is not None:
        words.append(f"act {rule.act} {'static' if activation.static else 'dynamic'}")
    words += [word for word in (rule.range, rule.method) if word not in ("min-max", "round")]
    return ", ".join(words)


def _error(layer: torch.nn.Module, made: Recipe, seen: Statistics | None) -> tuple[float, str]:
    if seen is not None and seen.example is not None and kind(layer) != "other":
        twin = copy.deepcopy(layer, {id(w): w for w in made.replaced}).eval()
        install(twin, dict(made.weights), made.activation, made.smoothing)
        with torch.no_grad():
            return relative_error(_forward(layer, seen.example), _forward(twin, seen.example)), "outputs"
    pairs = [(getattr(layer, name), made.weights[name].dequantize()) for name in made.weights]
    exact, found = (torch.cat([t.detach().flatten() for t in side]) for side in zip(*pairs, strict=True))
    return relative_error(exact, found), "weights"


def _forward(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the layer computes, without the hooks that the user put on it."""
    answer: torch.Tensor = layer.forward(x)
    return answer
