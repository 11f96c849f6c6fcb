"""Broken programs: layers, positions and losses that are given something else than they take."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.explain.program import broken, grid

# -- positions ----------


@broken(
    "Index Error",
    "nn.Embedding(13, 4)",
    lambda: {"words": nn.Embedding(10, 4)},
    lambda: (torch.tensor([1, 12]),),
    "words",
)
def embedding_out_of_range(self, tokens):
    return self.words(tokens)  # here


@broken("Index Error", "tokens - 1", lambda: {"words": nn.Embedding(10, 4)}, lambda: (torch.tensor([1, 10]),), "words")
def embedding_counts_from_one(self, tokens):
    return self.words(tokens)  # here


@broken("Index Error", ">= 0", lambda: {"words": nn.Embedding(10, 4)}, lambda: (torch.tensor([-1, 3]),), "words")
def embedding_negative(self, tokens):
    return self.words(tokens)  # here


@broken("Dtype Error", "self.words(x.long())", lambda: {"words": nn.Embedding(10, 4)}, layer="words")
def embedding_of_floats(self, x):
    return self.words(x)  # here


@broken("Index Error", "x[:, -1]", inputs=lambda: (grid(2, 3),))
def index_out_of_range(self, x):
    return x[:, 3]  # here


@broken("Index Error", "x[0, 1]", inputs=lambda: (grid(2, 3),))
def too_many_indices(self, x):
    return x[0, 1, 2]  # here


@broken("Index Error", "x[:, mask]", inputs=lambda: (grid(2, 3), torch.tensor([True, False, True])))
def mask_shape(self, x, mask):
    return x[mask]  # here


@broken("Dtype Error", "x[order.long()]", inputs=lambda: (grid(4, 3), torch.tensor([0.0, 1.0])))
def index_of_floats(self, x, order):
    return x[order]  # here


@broken("Index Error", "clamp(0, 3)", inputs=lambda: (grid(4, 3), torch.tensor([0, 4])))
def index_tensor_out_of_range(self, x, order):
    return x[order]  # here


@broken(
    "Shape Error",
    "x[rows[:, None], columns]",
    inputs=lambda: (grid(4, 3), torch.tensor([0, 1, 2]), torch.tensor([0, 1])),
)
def index_tensors_side_by_side(self, x, rows, columns):
    return x[rows, columns]  # here


@broken("Shape Error", "label.unsqueeze(-1)", inputs=lambda: (grid(4, 3), torch.tensor([0, 1, 2, 0])))
def gather_dims(self, x, label):
    return x.gather(1, label)  # here


@broken("Index Error", "clamp", inputs=lambda: (grid(4, 3), torch.tensor([[0], [3], [1], [1]])))
def gather_out_of_range(self, x, label):
    return x.gather(1, label)  # here


@broken("Dtype Error", "label.long()", inputs=lambda: (grid(4, 3), torch.zeros(4, 1)))
def gather_floats(self, x, label):
    return torch.gather(x, 1, label)  # here


@broken("Index Error", "clamp(0, 3)", inputs=lambda: (grid(4, 3), torch.tensor([0, 7])))
def index_select_out_of_range(self, x, order):
    return x.index_select(0, order)  # here


@broken("Index Error", "select(0, -1)", inputs=lambda: (grid(4, 3),))
def select_out_of_range(self, x):
    return x.select(0, 4)  # here


# -- convolutions ----------


@broken("Shape Error", "nn.Conv2d(1, 8,", lambda: {"conv": nn.Conv2d(3, 8, 3)}, lambda: (grid(2, 1, 8, 8),), "conv")
def conv_channels(self, x):
    return self.conv(x)  # here


@broken(
    "Shape Error", "x.permute(0, 3, 1, 2)", lambda: {"conv": nn.Conv2d(3, 8, 3)}, lambda: (grid(2, 8, 8, 3),), "conv"
)
def conv_channels_last(self, x):
    return self.conv(x)  # here


@broken(
    "Shape Error", "flatten", lambda: {"conv": nn.Conv2d(3, 8, 3)}, lambda: (grid(2, 2, 3, 8, 8),), "conv", first=False
)
def conv_of_a_video(self, x):
    return self.conv(x)  # here


@broken("Shape Error", "padding=2", lambda: {"conv": nn.Conv1d(3, 8, 7)}, lambda: (grid(2, 3, 4),), "conv")
def conv_kernel_too_large(self, x):
    return self.conv(x)  # here


@broken("Shape Error", "x.transpose(-2, -1)", lambda: {"conv": nn.Conv1d(16, 8, 3)}, lambda: (grid(2, 10, 16),), "conv")
def conv_of_a_sequence(self, x):
    return self.conv(x)  # here


@broken(
    "Shape Error",
    "nn.ConvTranspose2d(4, 2,",
    lambda: {"up": nn.ConvTranspose2d(3, 2, 2)},
    lambda: (grid(1, 4, 4, 4),),
    "up",
)
def conv_transpose_channels(self, x):
    return self.up(x)  # here


@broken(
    "Shape Error",
    "AdaptiveAvgPool2d",
    lambda: {"pool": nn.MaxPool2d(4)},
    lambda: (grid(1, 2, 3, 3),),
    "pool",
    first=False,
)
def pool_too_often(self, x):
    return self.pool(x)  # here


# -- normalisation ----------


@broken("Shape Error", "nn.LayerNorm(4)", lambda: {"norm": nn.LayerNorm(8)}, layer="norm")
def layer_norm_width(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "x.transpose(-2, -1)", lambda: {"norm": nn.LayerNorm(8)}, lambda: (grid(2, 8, 5),), "norm")
def layer_norm_turned(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "nn.RMSNorm(4)", lambda: {"norm": nn.RMSNorm(8)}, layer="norm")
def rms_norm_width(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "nn.BatchNorm2d(3)", lambda: {"norm": nn.BatchNorm2d(8)}, lambda: (grid(2, 3, 4, 4),), "norm")
def batch_norm_channels(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "nn.BatchNorm1d(4)", lambda: {"norm": nn.BatchNorm2d(4)}, layer="norm")
def batch_norm_dims(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "drop_last=True", lambda: {"norm": nn.BatchNorm1d(4)}, lambda: (grid(1, 4),), "norm")
def batch_norm_of_one(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "nn.GroupNorm(4, 10)", lambda: {"norm": nn.GroupNorm(4, 8)}, lambda: (grid(2, 10, 3),), "norm")
def group_norm_channels(self, x):
    return self.norm(x)  # here


@broken("Shape Error", "nn.GroupNorm(2, 10)", inputs=lambda: (grid(2, 10, 3),), first=False)
def group_norm_groups(self, x):
    return F.group_norm(x, 4)  # here


# -- attention and recurrent layers ----------


@broken("Shape Error", "projection of k to 8", inputs=lambda: (grid(2, 4, 5, 8), grid(2, 4, 5, 6), grid(2, 4, 5, 6)))
def attention_head_dim(self, q, k, v):
    return F.scaled_dot_product_attention(q, k, v)  # here


@broken("Shape Error", "enable_gqa=True", inputs=lambda: (grid(2, 4, 5, 8), grid(2, 2, 5, 8), grid(2, 2, 5, 8)))
def attention_groups(self, q, k, v):
    return F.scaled_dot_product_attention(q, k, v)  # here


@broken("Shape Error", "mask[:, None, None, :]", inputs=lambda: (grid(2, 4, 5, 8), torch.ones(2, 5, dtype=torch.bool)))
def attention_padding_mask(self, q, mask):
    return F.scaled_dot_product_attention(q, q, q, attn_mask=mask)  # here


@broken("Shape Error", "mask.unsqueeze(1)", inputs=lambda: (grid(2, 4, 5, 8), torch.ones(2, 5, 5, dtype=torch.bool)))
def attention_mask_of_a_batch(self, q, mask):
    return F.scaled_dot_product_attention(q, q, q, mask)  # here


@broken("Dtype Error", "mask.bool()", inputs=lambda: (grid(2, 4, 5, 8), torch.ones(5, 5, dtype=torch.int64)))
def attention_mask_dtype(self, q, mask):
    return F.scaled_dot_product_attention(q, q, q, mask)  # here


@broken(
    "Shape Error",
    "nn.MultiheadAttention(12, 2)",
    lambda: {"attn": nn.MultiheadAttention(16, 2)},
    lambda: (grid(5, 2, 12),),
    "attn",
)
def multihead_width(self, x):
    return self.attn(x, x, x)[0]  # here


@broken("Shape Error", "batch_first=True", lambda: {"attn": nn.MultiheadAttention(8, 2)},
        lambda: (grid(2, 5, 8), torch.zeros(2, 5, dtype=torch.bool)), "attn", first=False)  # fmt: skip
def multihead_padding_mask(self, x, padding):
    return self.attn(x, x, x, key_padding_mask=padding)[0]  # here


@broken("Shape Error", "nn.LSTM(4, hidden_size=8)", lambda: {"rnn": nn.LSTM(6, 8)}, lambda: (grid(5, 2, 4),), "rnn")
def lstm_width(self, x):
    return self.rnn(x)[0]  # here


@broken("Shape Error", "torch.zeros(1, 2, 8)", lambda: {"rnn": nn.GRU(4, 8, batch_first=True)},
        lambda: (grid(2, 5, 4), torch.zeros(2, 1, 8)), "rnn")  # fmt: skip
def gru_state(self, x, state):
    return self.rnn(x, state)[0]  # here


@broken("Shape Error", "nn.GRUCell(4, hidden_size=8)", lambda: {"cell": nn.GRUCell(6, 8)}, layer="cell")
def gru_cell_width(self, x):
    return self.cell(x)  # here


@broken(
    "Argument Error", "out[0]", lambda: {"rnn": nn.GRU(4, 8), "head": nn.Linear(8, 2)}, lambda: (grid(5, 2, 4),), "head"
)
def tuple_of_a_gru(self, x):
    out = self.rnn(x)
    return self.head(out)  # here


# -- losses ----------


@broken("Index Error", "outputs", inputs=lambda: (grid(4, 3), torch.tensor([0, 1, 5, 2])))
def labels_out_of_range(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Index Error", "y - 1", inputs=lambda: (grid(4, 3), torch.tensor([3, 1, 1, 2])))
def labels_from_one(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Index Error", "ignore_index=-1", inputs=lambda: (grid(4, 3), torch.tensor([-1, 1, 0, 2])))
def labels_ignored(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Shape Error", "same samples", inputs=lambda: (grid(4, 3), torch.tensor([0, 1, 2])))
def labels_of_another_batch(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Shape Error", "y.squeeze(1)", inputs=lambda: (grid(4, 3), torch.tensor([[0], [1], [2], [0]])))
def labels_with_a_dim_more(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Dtype Error", "y.long()", inputs=lambda: (grid(4, 3), torch.zeros(4)))
def labels_of_floats(self, x, y):
    return F.cross_entropy(x, y)  # here


@broken("Shape Error", "logits.transpose(1, 2)", inputs=lambda: (grid(2, 5, 7), torch.zeros(2, 5, dtype=torch.int64)))
def labels_of_tokens(self, logits, y):
    return F.cross_entropy(logits, y)  # here


@broken("Shape Error", "y.unsqueeze(-1)", inputs=lambda: (grid(4, 1).sigmoid(), torch.ones(4)))
def bce_shapes(self, p, y):
    return F.binary_cross_entropy(p, y)  # here


@broken("Value Error", "binary_cross_entropy_with_logits(x, y)", inputs=lambda: (grid(4) * 3, torch.ones(4)))
def bce_of_scores(self, x, y):
    return F.binary_cross_entropy(x, y)  # here


@broken("Shape Error", "y.unsqueeze(-1)", inputs=lambda: (grid(4, 1), torch.ones(4)))
def bce_with_logits_shapes(self, x, y):
    return F.binary_cross_entropy_with_logits(x, y)  # here
