"""Hugging Face architectures, tiny and random: three steps each, as eager does, to 1e-9 in fp64."""

from __future__ import annotations

import functools

import pytest
import torch

from tests.contracts.against_eager import WHOLE, Job, assert_trains_like_eager

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

TEXT = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = TEXT | {"intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 32, "head_dim": 8}
BERT = TEXT | {"intermediate_size": 32, "max_position_embeddings": 32}
T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
BART = {
    "vocab_size": 50,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
}
IMAGE = {
    "image_size": 16,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_labels": 4,
}


def tokens(draw):
    ids = torch.randint(3, 50, (2, 9), generator=draw)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def masked(draw):
    batch = tokens(draw)
    batch["attention_mask"][0, 6:] = 0
    batch["labels"] = batch["labels"].masked_fill(batch["attention_mask"] == 0, -100)
    return batch


def classes(draw):
    return {"input_ids": torch.randint(3, 50, (2, 9), generator=draw), "labels": torch.tensor([0, 1])}


def images(draw):
    return {"pixel_values": torch.randn(2, 3, 16, 16, generator=draw).double(), "labels": torch.tensor([0, 3])}


def speech(draw):
    return {
        "input_features": torch.randn(2, 8, 20, generator=draw).double(),
        "labels": torch.randint(3, 50, (2, 5), generator=draw),
    }


def waves(draw):
    return {"input_values": torch.randn(2, 400, generator=draw).double(), "labels": torch.tensor([0, 1])}


# model class, configuration class, its options, the maker of a batch, the rung
MODELS = [
    ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}, tokens, WHOLE),
    ("LlamaForCausalLM", "LlamaConfig", LLAMA, masked, WHOLE),
    ("MistralForCausalLM", "MistralConfig", LLAMA | {"sliding_window": 4}, tokens, WHOLE),
    ("Qwen2ForCausalLM", "Qwen2Config", LLAMA, tokens, WHOLE),
    ("Qwen3ForCausalLM", "Qwen3Config", LLAMA, masked, WHOLE),
    ("GemmaForCausalLM", "GemmaConfig", LLAMA, tokens, WHOLE),
    ("Gemma2ForCausalLM", "Gemma2Config", LLAMA | {"sliding_window": 4}, tokens, WHOLE),
    ("PhiForCausalLM", "PhiConfig", LLAMA, tokens, WHOLE),
    ("GPTNeoXForCausalLM", "GPTNeoXConfig", BERT, tokens, WHOLE),
    ("FalconForCausalLM", "FalconConfig", TEXT, tokens, WHOLE),
    ("OPTForCausalLM", "OPTConfig", TEXT | {"ffn_dim": 32, "word_embed_proj_dim": 16}, tokens, WHOLE),
    (
        "BloomForCausalLM",
        "BloomConfig",
        {"vocab_size": 50, "hidden_size": 16, "n_layer": 2, "n_head": 2},
        tokens,
        WHOLE,
    ),
    (
        "MixtralForCausalLM",
        "MixtralConfig",
        LLAMA | {"num_local_experts": 2, "num_experts_per_tok": 1},
        tokens,
        "",
    ),
    ("BertForMaskedLM", "BertConfig", BERT, masked, WHOLE),
    ("BertForSequenceClassification", "BertConfig", BERT, classes, WHOLE),
    ("RobertaForSequenceClassification", "RobertaConfig", BERT | {"pad_token_id": 1}, classes, WHOLE),
    ("ElectraForMaskedLM", "ElectraConfig", BERT | {"embedding_size": 16}, tokens, WHOLE),
    (
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32},
        tokens,
        WHOLE,
    ),
    ("AlbertForMaskedLM", "AlbertConfig", BERT | {"embedding_size": 8}, tokens, WHOLE),
    (
        "DebertaV2ForMaskedLM",
        "DebertaV2Config",
        BERT | {"pos_att_type": ["p2c", "c2p"], "relative_attention": True},
        tokens,
        "",
    ),
    ("T5ForConditionalGeneration", "T5Config", T5, tokens, WHOLE),
    ("BartForConditionalGeneration", "BartConfig", BART, tokens, WHOLE),
    ("ViTForImageClassification", "ViTConfig", IMAGE, images, WHOLE),
    ("DeiTForImageClassification", "DeiTConfig", IMAGE, images, WHOLE),
    (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "image_size": 16, "num_labels": 4},
        images,
        WHOLE,
    ),
    (
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic", "num_labels": 4},
        images,
        WHOLE,
    ),
    (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        BART | {"num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 16, "pad_token_id": 0},
        speech,
        WHOLE,
    ),
    (
        "Wav2Vec2ForSequenceClassification",
        "Wav2Vec2Config",
        BERT
        | {
            "conv_dim": [8, 8],
            "conv_stride": [5, 2],
            "conv_kernel": [10, 3],
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
            "num_feat_extract_layers": 2,
        },
        waves,
        "",
    ),
    (
        "MambaForCausalLM",
        "MambaConfig",
        {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4},
        tokens,
        "",
    ),
]


class _Keywords(torch.nn.Module):
    """A model whose whole batch goes to it by name."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model(**batch)


def _batches(make):
    draw = torch.Generator().manual_seed(7)
    return [(make(draw),) for _ in range(3)]


@pytest.mark.parametrize(("model", "config", "options", "batch", "rung"), MODELS, ids=[m[0] for m in MODELS])
def test_an_architecture_trains_as_eager_does(model, config, options, batch, rung):
    transformers = pytest.importorskip("transformers")
    special = {"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}

    def make():
        return _Keywords(getattr(transformers, model)(getattr(transformers, config)(**special | options)))

    # Many compute norms, softmax and loss in float32, whatever their weights are.
    assert_trains_like_eager(
        Job(name=model, module=make, batches=functools.partial(_batches, batch), loss=None, rung=rung, tolerance=1e-5)
    )


def test_keyword_batches_go_to_the_model_itself():
    """``step(**batch)``, as Hugging Face loops call their models."""
    import tessera

    transformers = pytest.importorskip("transformers")
    losses = []
    for own in (True, False):
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
        ).double()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        step = tessera.train_step(model, None, optimizer)
        torch.manual_seed(1)
        for (batch,) in _batches(tokens):
            if own:
                losses.append(float(step(**batch)))
            else:
                optimizer.zero_grad()
                loss = model(**batch).loss
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()))
    assert losses[:3] == pytest.approx(losses[3:], abs=1e-6)
