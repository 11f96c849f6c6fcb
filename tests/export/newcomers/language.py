"""Text: encoders and decoders with their own ways to know where a token stands."""

from __future__ import annotations

from typing import Any

import torch

from tests.export.architectures import SMALL, TEXT, Job, ids


def roberta() -> Job:
    """Positions counted from the tokens that are no padding."""
    from transformers import RobertaConfig, RobertaForQuestionAnswering

    return RobertaForQuestionAnswering(RobertaConfig(vocab_size=50, max_position_embeddings=64, **SMALL)), *_text()


def deberta() -> Job:
    """Attention parted into content and relative position (He et al., 2021)."""
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    config = DebertaV2Config(
        vocab_size=50,
        max_position_embeddings=64,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        **SMALL,
    )
    return DebertaV2ForSequenceClassification(config), *_text()


def gemma2() -> Job:
    """Capped scores, and every other layer in a window."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=50, num_key_value_heads=1, head_dim=8, max_position_embeddings=64, sliding_window=4, **SMALL
    )
    return Gemma2ForCausalLM(config), *_text(use_cache=False)


def xlnet() -> Job:
    """Transformer-XL's relative positions: sines from one end to the other, shifted against each other."""
    from transformers import XLNetConfig, XLNetForTokenClassification

    config = XLNetConfig(vocab_size=50, d_model=16, n_layer=2, n_head=2, d_inner=32)
    return XLNetForTokenClassification(config), *_text(use_mems=False)


def rwkv() -> Job:
    """A recurrence in time, written as a loop."""
    from transformers import RwkvConfig, RwkvForCausalLM

    config = RwkvConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, attention_hidden_size=16, context_length=64)
    return RwkvForCausalLM(config), {"input_ids": ids(2, 6), "use_cache": False}, {"input_ids": TEXT}


def _text(**more: Any) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    call = {"input_ids": ids(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long), **more}
    return call, {"input_ids": TEXT, "attention_mask": TEXT}
