"""One layer: from its weights, its rule and what flowed into it to what it is replaced by."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch

from tessera.errors import QuantizeError
from tessera.quantize.activation import ActivationQuantizer
from tessera.quantize.calibration import Statistics
from tessera.quantize.fake_weight import FakeWeight
from tessera.quantize.formats import FORMATS
from tessera.quantize.layer import install, kind, weights_of
from tessera.quantize.methods.awq import awq
from tessera.quantize.methods.bias_correction import corrected_bias
from tessera.quantize.methods.gptq import gptq
from tessera.quantize.methods.smooth_quant import smooth_quant
from tessera.quantize.quantized_tensor import Choose, QuantizedTensor, quantize_tensor
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
    bias: torch.Tensor | None = None
    words: str = ""
    error: float = 0.0
    measured_on: str = "weights"
    note: str = ""
    replaced: list[torch.Tensor] = field(default_factory=list)

    symmetric: bool = True
    choose: Choose | None = None

    def trainable(self, weight: QuantizedTensor, exact: torch.Tensor) -> FakeWeight:
        """What is ``weight`` while it trains: ``exact``, with the smoothing that it has."""
        exact = exact.detach() if self.smoothing is None else exact.detach() * self.smoothing
        return FakeWeight(exact, weight.format, weight.layout, self.symmetric, self.choose)

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
    made = Recipe(path, {})
    rule = _applicable(rule, layer, seen, made)
    tied = {} if tied is None else tied
    for name in weights_of(layer):
        weight = getattr(layer, name)
        made.replaced.append(weight)
        how = (rule.weight, rule.group, rule.per, rule.symmetric, rule.range)
        key = (id(weight), path if rule.method != "round" else "", *how)
        try:
            made.weights[name] = tied[key] = tied.get(key) or _quantized(weight, rule, seen, made)
        except QuantizeError as error:
            raise QuantizeError(f"{path}.{name}: {error.received}", error.expected, error.fix) from None
    if rule.act is not None:
        made.activation = _activation(rule, layer, seen, made.smoothing)
    if rule.bias_correction and seen is not None and seen.total is not None:
        rounded = made.weights["weight"].dequantize(torch.float64)
        rounded = rounded if made.smoothing is None else rounded / made.smoothing
        made.bias = corrected_bias(layer.bias, made.replaced[0], rounded, seen.total / seen.rows)  # type: ignore[arg-type]
    if (bias := made.bias if made.bias is not None else getattr(layer, "bias", None)) is not None:
        made.bias = _on_the_grid(bias.detach(), made) if _sums_integers(made) else made.bias
    made.words = _words(rule, made)
    made.error, made.measured_on = _error(layer, made, seen)
    return made


def _applicable(rule: Rule, layer: torch.nn.Module, seen: Statistics | None, made: Recipe) -> Rule:
    """The part of ``rule`` that can be applied to this layer; what cannot is said in its note."""
    notes = []
    linear = kind(layer) == "linear"
    if seen is not None and not seen.calls:
        if rule.act is not None or rule.method != "round" or rule.bias_correction:
            notes.append("not called on the calibration data: its weights alone are rounded")
        rule = replace(rule, act=None, static=False, method="round", bias_correction=False)
    elif not linear and (rule.method != "round" or rule.bias_correction):
        notes.append("rounded to nearest: other methods are for linear layers")
        rule = replace(rule, method="round", bias_correction=False)
    made.note = "; ".join(notes)
    return rule


def _quantized(weight: torch.Tensor, rule: Rule, seen: Statistics | None, made: Recipe) -> QuantizedTensor:
    layout = rule.layout(torch.Size(weight.shape[1:]).numel())
    choose = None if rule.range == "min-max" else RANGES[rule.range]
    made.symmetric, made.choose = rule.symmetric, choose

    def rounded(values: torch.Tensor) -> QuantizedTensor:
        return quantize_tensor(values, rule.form, layout, symmetric=rule.symmetric, choose=choose)

    plain = rounded(weight)  # refuses what no method can take
    if rule.method == "round" or seen is None or seen.reach is None or seen.magnitude is None:
        return plain
    if rule.method == "smooth":
        made.smoothing = smooth_quant(weight, seen.reach)
    elif rule.method == "awq" and seen.gram is not None:
        made.smoothing = awq(weight, seen.magnitude / seen.rows, seen.gram, lambda values: rounded(values).dequantize())
    elif seen.gram is not None:
        return gptq(weight, seen.gram, rule.form, layout, symmetric=rule.symmetric, choose=choose)
    return plain if made.smoothing is None else rounded((weight.detach() * made.smoothing).to(weight.dtype))


def _activation(
    rule: Rule, layer: torch.nn.Module, seen: Statistics | None, smoothing: torch.Tensor | None
) -> ActivationQuantizer:
    form = FORMATS[str(rule.act)]
    axis = -1 if kind(layer) == "linear" else 1
    if not rule.static or seen is None:
        return ActivationQuantizer(form, None, axis=axis)
    if smoothing is not None and seen.reach is not None:
        reach = float((seen.reach / smoothing).max())
        return ActivationQuantizer(form, (-reach, reach), symmetric=True, axis=axis)
    values = torch.cat(seen.values)[None, None] if seen.values else torch.zeros(1, 1, 1)
    least, largest = RANGES[rule.range](values.double(), form, rule.act_symmetric)
    return ActivationQuantizer(form, (float(least), float(largest)), symmetric=rule.act_symmetric, axis=axis)


def _sums_integers(made: Recipe) -> bool:
    """Whether a runtime may add up integers for this layer, which all have one scale in an output channel."""
    weight, activation = made.weights.get("weight"), made.activation
    return (
        activation is not None
        and activation.static
        and activation.format.integer
        and weight is not None
        and weight.format.integer
        and weight.scale.shape[1] == 1
    )


def _on_the_grid(bias: torch.Tensor, made: Recipe) -> torch.Tensor:
    """``bias [out]`` as a multiple of those sums' scale: runtimes keep it as an integer, and all compute alike."""
    assert made.activation is not None  # noqa: S101 - the caller has seen to it
    step = (made.weights["weight"].scale.flatten() * made.activation.scale).to(bias.device)
    count = (bias.float() / step).round()
    return torch.where(count.abs() < 2**31, count * step, bias.float()).to(bias.dtype)


def _words(rule: Rule, made: Recipe) -> str:
    layout, activation = next(iter(made.weights.values())).layout, made.activation
    words = [f"{rule.weight} per {layout.per}" + (f" of {layout.group}" if layout.per == "group" else "")]
    if not rule.symmetric:
        words.append("zero point")
    if activation is not None:
        words.append(f"act {rule.act} {'static' if activation.static else 'dynamic'}")
    words += [word for word in (rule.range, rule.method) if word not in ("min-max", "round")]
    words += ["bias corrected"] * rule.bias_correction
    return ", ".join(words)


def _error(layer: torch.nn.Module, made: Recipe, seen: Statistics | None) -> tuple[float, str]:
    if seen is not None and seen.example is not None and kind(layer) != "other":
        twin = copy.deepcopy(layer, {id(w): w for w in made.replaced}).eval()
        install(twin, dict(made.weights), made.activation, made.smoothing, made.bias)
        with torch.no_grad():
            return relative_error(_forward(layer, seen.example), _forward(twin, seen.example)), "outputs"
    pairs = [(getattr(layer, name), made.weights[name].dequantize()) for name in made.weights]
    exact, found = (torch.cat([t.detach().flatten() for t in side]) for side in zip(*pairs, strict=True))
    return relative_error(exact, found), "weights"


def _forward(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the layer computes, without the hooks that the user put on it."""
    answer: torch.Tensor = layer.forward(x)
    return answer
