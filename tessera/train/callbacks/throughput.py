"""How fast a training goes, and how much of the device it uses."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Mapping
from typing import Any

import torch

from tessera.errors import SettingError
from tessera.terminal import Console
from tessera.train.batches import Batch
from tessera.train.callbacks.callback import Callback
from tessera.train.callbacks.intervals import check_interval
from tessera.train.callbacks.model_flops import model_flops
from tessera.train.callbacks.peak_flops import Peak, peak_flops
from tessera.train.callbacks.stopwatch import Lap, Stopwatch
from tessera.train.run import Run

_log = logging.getLogger(__name__)


class Throughput(Callback):
    """Measures windows of ``every`` steps, without compiling and validation.

    - ``steps/s`` and ``samples/s``;
    - ``tokens/s`` where the first input is ``[batch, sequence]`` of int32 or int64, for sequences as long as those of
      the first batch;
    - ``FLOP/s``: see `model_flops`; every sample counts as one of the first batch;
    - ``MFU``: FLOP/s as a part of the peak, 0 to 1 (model FLOPs utilization: Chowdhery et al., PaLM, 2022).

    What cannot be known is left out, and the log says why. With several ranks each measures its own.

    Args:
        every: steps of a window.
        peak_flops: of the device in FLOP/s. By default that of the parameters' device and dtype: a GPU's as published,
            a CPU's as measured. A model under autocast computes in another dtype: pass its peak.
        verbose: print a line at the end of an epoch.

    Attributes:
        records: of every window its last ``step`` and the values.
        flops: of a step with the first batch; None before the first window and where they are not known.
        peak: the peak and where it comes from; None likewise.

    Raises:
        SettingError: ``every`` is no whole number of at least 1, ``peak_flops`` is not a finite number above 0.
    """

    def __init__(self, every: int = 50, peak_flops: float | None = None, *, verbose: bool = False) -> None:
        check_interval(self, every=every)
        if peak_flops is not None and not 0 < peak_flops < math.inf:
            raise SettingError(
                f"Throughput was given peak_flops={peak_flops!r}.",
                "It is the device's peak in floating-point operations a second, a finite number above 0.",
                "Write for example peak_flops=989e12 for bfloat16 on an H100, or leave it out.",
            )
        self.every, self.verbose = every, verbose
        self.records: list[dict[str, float]] = []
        self.flops: int | None = None
        self.peak = None if peak_flops is None else Peak(peak_flops, "given")
        self._given, self._looked, self._shown = self.peak, False, 0

    @property
    def median(self) -> dict[str, float]:
        """The median of every value over the windows."""
        return _median(self.records)

    def begin(self, run: Run) -> None:
        self._watch, self._looked, self._shown = Stopwatch(), False, len(self.records)

    def step(self, run: Run) -> None:
        if lap := self._watch.lap(run):
            self._keep(run, lap)
        if not self._looked and run.batch is not None:
            self._looked = True
            self._look(run.module, run.batch)

    @property
    def watches_epochs(self) -> bool:
        return self.verbose

    def epoch(self, run: Run) -> None:
        self.step(run)
        if self.verbose and self._shown < len(self.records):
            Console().print(_line(_median(self.records[self._shown :])), highlight=False, soft_wrap=True)
            self._shown = len(self.records)

    def state_dict(self) -> dict[str, Any]:
        names = dict.fromkeys(name for record in self.records for name in record)
        columns = {name: [record.get(name, math.nan) for record in self.records] for name in names}
        return {"records": {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        columns = {name: column.tolist() for name, column in state["records"].items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self.records = [{name: value for name, value in row.items() if not math.isnan(value)} for row in rows]

    def _look(self, module: torch.nn.Module, batch: Batch) -> None:
        """Find out what a step is; it takes a moment, which is in no window."""
        weight = next((p for p in module.parameters() if p.is_floating_point()), None)
        try:
            self.flops = model_flops(module, batch) or None
        except Exception as error:  # noqa: BLE001 - the model is a stranger's, and training goes on without the number
            _log.info("FLOP/s and MFU are left out: the model's work could not be counted (%s).", error)
        if self._given is None and self.flops and weight is not None:
            self.peak = peak_flops(weight.device, weight.dtype)
            if self.peak is None:
                _log.info("MFU is left out: the peak of %s in %s is not known.", weight.device, weight.dtype)
        self._samples, self._tokens = batch.size, _tokens_a_sample(batch)

    def _keep(self, run: Run, lap: Lap) -> None:
        record = {"step": float(run.step), "steps/s": lap.steps / lap.seconds, "samples/s": lap.samples_per_second}
        if self._looked and self._tokens:
            record["tokens/s"] = record["samples/s"] * self._tokens
        if self._looked and self.flops:
            record["FLOP/s"] = record["samples/s"] * self.flops / self._samples
            if self.peak:
                record["MFU"] = record["FLOP/s"] / self.peak.flops
        self.records.append(record)


def _tokens_a_sample(batch: Batch) -> int | None:
    first = batch.inputs[0] if batch.inputs else None
    if first is None or first.dim() != 2 or first.dtype not in (torch.int32, torch.int64):
        return None
    return first.shape[1]


def _median(records: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for record in records for name in record if name != "step")
    return {name: statistics.median(r[name] for r in records if name in r) for name in names}


def _line(values: Mapping[str, float]) -> str:
    shown = {name: f"{value:,.4g}" if value < 100 else f"{value:,.0f}" for name, value in values.items()}
    if "FLOP/s" in values:
        shown["FLOP/s"] = f"{values['FLOP/s'] / 1e9:,.4g} G"
    parts = [f"{number}{'' if number.endswith(' G') else ' '}{name}" for name, number in shown.items() if name != "MFU"]
    return "  ".join([*parts, *([f"{values['MFU']:.1%} MFU"] if "MFU" in values else [])])
