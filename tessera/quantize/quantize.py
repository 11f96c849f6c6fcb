"""``tessera.quantize``: a copy of a model with smaller numbers, and the truth about it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from tessera.capture.compile import plain_module
from tessera.errors import QuantizeError, SettingError
from tessera.quantize.cache import QuantizedCache
from tessera.quantize.cache_choice import choose_caches
from tessera.quantize.cache_layer import install_caches
from tessera.quantize.calibration import Statistics, calibration_batches, observe
from tessera.quantize.fake_weight import FakeWeight
from tessera.quantize.formats import FORMATS
from tessera.quantize.fused_encoder import call_layers
from tessera.quantize.layer import install, kind, weights_of
from tessera.quantize.measurement import output_error, speed
from tessera.quantize.quantized_tensor import QuantizedTensor
from tessera.quantize.recipe import Recipe, Tied, recipe
from tessera.quantize.report import LayerReport, QuantizationReport, disk_bytes, memory_bytes, relative_error
from tessera.quantize.rule import Rule, assign
from tessera.quantize.sensitivity import Metric, too_sensitive
from tessera.quantize.state import state_kept
from tessera.quantize.targets import target_named
from tessera.quantize.training import WAYS, add_adapters
from tessera.quantize.transposed import as_linear, put_linear

_LEAST_TABLE = 1024  # numbers, below which a target leaves the parameters of unknown layers alone


def quantize(
    module: torch.nn.Module,
    target: str | None = None,
    calibration_data: object = None,
    rules: Sequence[Rule] | None = None,
    *,
    kv_cache: str | None = None,
    metric: Metric | None = None,
    max_metric_drop: float | None = None,
    measure: str | None = "eager",
    train: str | None = None,
    rank: int = 8,
) -> torch.nn.Module:
    """A copy of ``module`` that computes with quantized weights and, where asked for, activations.

    The model's code is the one it has; layers are chosen by where they are. ``print(result.report)`` says what became
    of every layer, what it costs in accuracy and what it gains in size and time, all of it measured.

    Args:
        module: any ``torch.nn.Module``; it stays as it is.
        target: what happens to all layers that no rule matches: ``"int8"`` (weights and activations),
            ``"int8-weight"``, ``"int4"``, ``"int4-int8"``, ``"fp8"``, ``"fp8_e5m2"``, ``"nf4"``, ``"mxfp4"``.
            ``"int8"`` where there are no rules and no ``kv_cache``; with either and no target they stay as they are.
        calibration_data: what the model is called with, in any form that ``tessera.predict`` takes. Errors and speed
            are measured on it; static activations and all methods but rounding need it. Of a model with a cache it is
            the calls of a generation in their order: ``[(prompt, positions), (token, position), ...]``.
        rules: the first that matches a layer's path counts.
        kv_cache: ``"int8"``, ``"fp8_e4m3"`` or ``"fp8_e5m2"``: keys and values that the model keeps in buffers
            ``[..., channels]`` are codes with a scale for each token and head, whatever writes them (``index_copy_``,
            a slice, a longer tensor in their place). A forward that asks for such a buffer gets its numbers, and what
            it wrote is rounded when it ends; a tensor kept from there must not be written later. The buffers are found
            by calling the model with ``calibration_data``; ``Rule("k_cache", cache="int8")`` names them.
        metric: a number for a model, the larger the better, such as ``lambda m: tessera.evaluate(m, ...)["accuracy"]``.
        max_metric_drop: by how much the metric may fall. The layers that cost most, each measured alone, stay as
            they are until it does not fall further.
        measure: ``"eager"``, ``"compiled"`` (both are compiled, which takes a while), or None for no timing.
        train: ``"qat"`` trains the weights while they are rounded, straight through, with ``tessera.train_step`` or any
            other way; ``from tessera.quantize import convert`` ends it. ``"qlora"`` trains a low-rank part beside
            linear layers, and nothing else.
        rank: of that part.

    Returns:
        A module of the class of ``module``, with ``report``, a ``QuantizationReport``.

    Raises:
        QuantizeError: an unknown target, rules that match nothing or contradict, calibration data that is empty, does
            not fit or holds NaN, weights that are not finite, a model without anything to quantize.
    """
    if not isinstance(module, torch.nn.Module):
        raise QuantizeError(
            f"A {type(module).__name__} was to be quantized.",
            "It is a torch.nn.Module.",
            "Write tessera.quantize(model, target='int8').",
        )
    if measure not in ("eager", "compiled", None):
        raise SettingError(
            f"measure={measure!r} was passed.",
            "It is 'eager', 'compiled', or None for no timing.",
            "Write tessera.quantize(model, measure='compiled').",
        )
    if train not in (None, *WAYS):
        raise SettingError(
            f"train={train!r} was passed.",
            "It is 'qat', 'qlora', or None for a model that is ready.",
            "Write tessera.quantize(model, target='int8', train='qat').",
        )
    if max_metric_drop is not None and (metric is None or not max_metric_drop >= 0):
        raise QuantizeError(
            f"max_metric_drop={max_metric_drop!r} was passed" + (" without a metric." if metric is None else "."),
            "It is by how much a metric may fall, 0 or more.",
            "Write max_metric_drop=0.5, metric=lambda m: tessera.evaluate(m, data)['loss'] * -1.",
        )
    module = plain_module(module)
    layers = {path: as_linear(layer) if path else layer for path, layer in module.named_modules() if weights_of(layer)}
    for_caches = [rule for rule in rules or () if isinstance(rule, Rule) and rule.cache is not None]
    for_layers = [rule for rule in rules or () if rule not in for_caches]
    of_caches_alone = target is None and not for_layers and (kv_cache is not None or bool(for_caches))
    chosen, left_alone = ({}, {}) if of_caches_alone else _choose(layers, target, for_layers)
    batches = [] if calibration_data is None else calibration_batches(module, calibration_data)
    caches, changing = choose_caches(module, kv_cache, for_caches, batches)
    left_alone |= changing
    gram = frozenset(path for path, rule in chosen.items() if rule.method in ("gptq", "awq"))
    watched = {path: module.get_submodule(path) for path in chosen}
    with state_kept(module):
        statistics = observe(module, watched, batches, gram) if batches else {}
        cache_rows = [_cache_row(path, module.get_buffer(path), form, len(batches)) for path, form in caches.items()]
    recipes = _recipes(layers, chosen, statistics)
    before = None if metric is None else float(metric(module))
    if metric is not None and max_metric_drop is not None and before is not None:

        def build(paths: Collection[str]) -> torch.nn.Module:
            of_layers = {path: made for path, made in recipes.items() if path in paths}
            return _build(module, of_layers, {path: form for path, form in caches.items() if path in paths})

        for path, drop in too_sensitive(build, [*recipes, *caches], metric, before, max_metric_drop).items():
            recipes.pop(path, None)
            caches.pop(path, None)
            left_alone[path] = f"alone it costs {drop:.4g} of the metric"
    result = _build(module, recipes, caches, train, rank)
    rows = [_row(recipe) for recipe in recipes.values()] + [row for row in cache_rows if row.path in caches]
    report = QuantizationReport(rows, left_alone, data=len(batches))
    report.memory_bytes = memory_bytes(module), memory_bytes(result)
    report.disk_bytes = disk_bytes(module), disk_bytes(result)
    if batches:
        report.output_error = output_error(module, result, batches)
        report.speed = speed(module, result, batches[0], measure) if measure else None
    if metric is not None and before is not None:
        report.metric = before, float(metric(result))
    result.report = report  # type: ignore[assignment]
    return result


def _choose(
    layers: dict[str, torch.nn.Module], target: str | None, rules: Sequence[Rule]
) -> tuple[dict[str, Rule], dict[str, str]]:
    """The rule of each layer that is quantized, and why the others are not."""
    ruled = assign(rules, list(layers)) if rules else {}
    defaults = target_named(target or "int8") if target or not rules else None
    chosen: dict[str, Rule] = {}
    left_alone: dict[str, str] = {}
    for path, layer in layers.items():
        found = kind(layer)
        if isinstance(layer, torch.nn.RNNBase):
            left_alone[path] = "its kernel reads the weights as one block of floats"
            if path in ruled and ruled[path].weight is not None:
                raise _unfit(path, layer, ruled[path], left_alone[path])
        elif path in ruled:
            rule = ruled[path]
            if rule.act is not None and found in ("embedding", "other"):
                if not _several_match(rule, ruled):
                    raise _unfit(path, layer, rule, "what flows into it is not known to be one tensor of numbers")
                rule = replace(rule, act=None, static=False)
            if rule.weight is None:
                left_alone[path] = "a rule"
            else:
                chosen[path] = rule
        elif defaults is None:
            left_alone[path] = "no rule matches"
        elif found == "other" and sum(getattr(layer, name).numel() for name in weights_of(layer)) < _LEAST_TABLE:
            left_alone[path] = "few weights, in a layer with a forward of its own"
        else:
            chosen[path] = defaults[0] if found in ("linear", "convolution") else defaults[1]
    if not chosen:
        raise QuantizeError(
            "The model has nothing to quantize" + (f": {left_alone}." if left_alone else ": no layer has a matrix."),
            "At least one layer has a weight of two dimensions or more, and a rule or a target that quantizes it.",
            "Write tessera.quantize(model, target='int8') with a model of linear layers, convolutions or embeddings.",
        )
    return chosen, left_alone


def _several_match(rule: Rule, ruled: dict[str, Rule]) -> bool:
    return sum(other is rule for other in ruled.values()) > 1


def _unfit(path: str, layer: torch.nn.Module, rule: Rule, reason: str) -> QuantizeError:
    return QuantizeError(
        f"{rule} matches {path!r}, a {type(layer).__name__}, which it cannot be applied to: {reason}.",
        "Activations are quantized in front of linear layers and convolutions; recurrent layers stay as they are.",
        f"Leave act out for it, or leave the layer out with Rule('^{path}$', weight=None) before this rule.",
    )


def _recipes(
    layers: dict[str, torch.nn.Module], chosen: dict[str, Rule], statistics: dict[str, Statistics]
) -> dict[str, Recipe]:
    tied: Tied = {}
    return {path: recipe(path, layers[path], rule, statistics.get(path), tied) for path, rule in chosen.items()}


def _build(
    module: torch.nn.Module,
    recipes: dict[str, Recipe],
    caches: Mapping[str, str],
    train: str | None = None,
    rank: int = 0,
) -> torch.nn.Module:
    """A copy of ``module`` with these layers and caches quantized; weights that are replaced are never copied."""
    replaced = {id(w): w for made in recipes.values() for w in made.replaced}
    try:
        result = copy.deepcopy(module, dict(replaced))
    except Exception as error:
        raise QuantizeError(
            f"{type(module).__name__} cannot be copied: {error}",
            "Quantization changes a copy and leaves the model as it is.",
            "Keep out of the module what copy.deepcopy refuses, such as open files and tensors with a history.",
        ) from error
    trained: dict[QuantizedTensor, FakeWeight] = {}
    for path, made in recipes.items():
        weights: dict[str, QuantizedTensor | FakeWeight] = dict(made.weights)
        if train == "qat":
            for (name, weight), exact in zip(made.weights.items(), made.replaced, strict=True):
                weights[name] = trained[weight] = trained.get(weight) or made.trainable(weight, exact)
        install(put_linear(result, path), weights, made.activation, made.smoothing, made.bias)
    _part_from(result, replaced)
    install_caches(result, caches)
    call_layers(result)
    if train == "qlora":
        add_adapters(result, list(recipes), rank)
    return result


def _part_from(result: torch.nn.Module, shared: dict[int, torch.Tensor]) -> None:
    """Copy what was not copied but is still used: a weight of a quantized layer that another layer has as well."""
    copies: dict[int, torch.nn.Parameter] = {}
    for part in result.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if id(weight) in shared:
                fresh = copies.setdefault(id(weight), torch.nn.Parameter(weight.detach().clone(), weight.requires_grad))
                setattr(part, name, fresh)


def _row(made: Recipe) -> LayerReport:
    return LayerReport(
        made.path, made.words, made.error, made.measured_on, made.bytes_before, made.bytes_after, made.note
    )


def _cache_row(path: str, values: torch.Tensor, form: str, batches: int) -> LayerReport:
    """What rounding does to what a cache holds behind the calibration data."""
    cache = QuantizedCache(values, FORMATS[form])
    after = sum(buffer.numel() * buffer.element_size() for buffer in cache.buffers())
    error = relative_error(values, cache.dequantize())
    notes = {0: "nothing is known of its error, since there is no calibration data"}
    notes[1] = "its rows are rounded after the call that writes them: pass several calls to see it in the outputs"
    before = values.numel() * values.element_size()
    return LayerReport(path, f"{form} cache per row", error, "rows", before, after, notes.get(batches, ""))
