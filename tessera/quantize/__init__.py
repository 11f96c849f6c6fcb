"""Quantization: `tessera.quantize(module, ...)`, and the rules it takes."""

from tessera.quantize.report import QuantizationReport as QuantizationReport
from tessera.quantize.rule import Rule as Rule
from tessera.quantize.training import convert as convert
