"""Message passing on graphs, routing to experts, scatter and gather: each with one bug of shape."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


@dataclass
class Graph:
    nodes: Tensor["N", "D"]
    edges: Tensor[2, "E", torch.int64]


def sum_neighbours(graph: Graph) -> Tensor["N", "D"]:
    source, target = graph.edges
    messages = graph.nodes[source]
    out = torch.zeros(messages.shape[0], messages.shape[1])  # BUG
    return out.index_add(0, target, messages)


def mean_neighbours(x: Tensor["N", "D"], edges: Tensor[2, "E", torch.int64]) -> Tensor["N", "D"]:
    source, target = edges[0], edges[1]
    total = torch.zeros_like(x).index_add_(0, target, x[source])
    degree = torch.zeros(x.shape[0]).index_add_(0, target, torch.ones(target.shape[0]))
    return total / degree.clamp(min=1)  # BUG


def scatter_messages(
    x: Tensor["N", "D"], source: Tensor["E", torch.int64], target: Tensor["E", torch.int64]
) -> Tensor["N", "D"]:
    messages = x[source]
    index = target[None, :].expand_as(messages)  # BUG
    return torch.zeros_like(x).scatter_add_(0, index, messages)


class GCNLayer(nn.Module):
    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.linear = nn.Linear(inside, outside)

    def forward(self, x, adjacency):
        degree = adjacency.sum(-1, keepdim=True).clamp(min=1)
        return self.linear(adjacency @ x / degree)


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = GCNLayer(16, 64)
        self.two = GCNLayer(64, 32)
        self.out = nn.Linear(64, 4)  # BUG

    def forward(self, x: Tensor["N", 16], adjacency: Tensor["N", "N"]) -> Tensor["N", 4]:
        x = F.relu(self.one(x, adjacency))
        x = F.relu(self.two(x, adjacency))
        return self.out(x)  # HURTS


class Propagation(nn.Module):
    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.linear = nn.Linear(inside, outside)

    def forward(self, x, adjacency):
        return adjacency @ self.linear(x)  # HURTS


class SwappedGCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Propagation(16, 64)

    def forward(self, x: Tensor["N", 16], adjacency: Tensor["N", "N"]) -> Tensor["N", 64]:
        return self.layer(adjacency, x)  # BUG


def graph_attention(h: Tensor["N", "D"], edges: Tensor[2, "E", torch.int64], a: Tensor["2*D"]) -> Tensor["E"]:
    source, target = edges.unbind(0)
    pairs = torch.stack([h[source], h[target]], dim=-1)  # BUG
    return F.leaky_relu(pairs @ a, 0.2)  # HURTS


def edge_softmax(scores: Tensor["E"], target: Tensor["E", torch.int64], n: Tensor["N", 1]) -> Tensor["E"]:
    top = torch.full((n.shape[0],), -torch.inf).scatter_reduce(0, target, scores, "amax")
    e = (scores - top[target]).exp()
    total = torch.zeros(n.shape[0]).index_add(0, target, e)
    return e / total  # BUG


def batched_graphs(
    x: Tensor["B", "N", "D"], adjacency: Tensor["B", "N", "N"], w: Tensor["D", "H"]
) -> Tensor["B", "N", "H"]:
    eye = torch.eye(x.shape[-1])  # BUG
    adjacency = adjacency + eye  # HURTS
    return adjacency @ x @ w


def readout(x: Tensor["N", "D"], graph_of: Tensor["N", torch.int64], graphs: int = 3) -> Tensor[3, "D"]:
    total = torch.zeros(graphs, x.shape[1]).index_add(0, graph_of, x)
    count = torch.bincount(graph_of, minlength=graphs)
    return total / count.clamp(min=1)[None]  # BUG


def pairwise(x: Tensor["B", "N", "D"], w: Tensor["2*D", "H"]) -> Tensor["B", "N", "N", "H"]:
    b, n, d = x.shape
    left = x.unsqueeze(2).expand(b, n, n, d)
    right = x.unsqueeze(2).expand(b, n, d, n)  # BUG
    return torch.cat([left, right], dim=-1) @ w


class Router(nn.Module):
    def __init__(self, dim: int = 32, experts: int = 4, k: int = 2):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
        weights, chosen = self.gate(x).softmax(-1).topk(self.k, dim=-1)
        all_out = torch.stack([expert(x) for expert in self.experts], dim=2)
        index = chosen.unsqueeze(-1).expand(-1, -1, -1, x.shape[-1])
        out = all_out.gather(2, index)
        return (out * weights.unsqueeze(2)).sum(2)  # BUG


def dispatch(x: Tensor["N", "D"], gates: Tensor["N", "E"], experts: Tensor["E", "D", "H"]) -> Tensor["N", "H"]:
    out = torch.einsum("nd,edh->neh", x, experts)
    return torch.einsum("neh,en->nh", out, gates)  # BUG


def capacity(x: Tensor["N", "D"], mask: Tensor["N", "E", "C"], w: Tensor["E", "D", "H"]) -> Tensor["N", "H"]:
    inputs = torch.einsum("nec,nd->ecd", mask, x)
    hidden = torch.einsum("ecd,edh->ehc", inputs, w)  # BUG
    return torch.einsum("nec,ech->nh", mask, hidden)  # HURTS


def load_balance(probs: Tensor["N", "E"], chosen: Tensor["N", torch.int64]) -> Tensor[()]:
    fraction = F.one_hot(chosen, probs.shape[-1]).float().mean(0)
    return (fraction * probs.mean(1)).sum() * probs.shape[-1]  # BUG


def knn(x: Tensor["B", "N", "D"], k: int = 3) -> Tensor["B", "N", 3, "D"]:
    distance = torch.cdist(x, x)
    nearest = distance.topk(k, dim=-1, largest=False).indices
    return x[:, nearest]  # BUG


PROGRAMS = [
    sum_neighbours,
    mean_neighbours,
    scatter_messages,
    GCN,
    SwappedGCN,
    graph_attention,
    edge_softmax,
    batched_graphs,
    readout,
    pairwise,
    Router,
    dispatch,
    capacity,
    load_balance,
    knn,
]
