"""Message passing on graphs, routing to experts, scatter and gather: all of them right."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tessera import Tensor
from torch import nn


@dataclass
class Graph:
    nodes: Tensor["N", "D"]
    edges: Tensor[2, "E", torch.int64]

    @property
    def count(self) -> int:
        return self.nodes.shape[0]


def sum_neighbours_right(graph: Graph) -> Tensor["N", "D"]:
    source, target = graph.edges
    messages = graph.nodes[source]
    out = messages.new_zeros(graph.count, messages.shape[1])
    return out.index_add(0, target, messages)


def new_graph(graph: Graph, w: Tensor["D", "H"]) -> Graph:
    return Graph(nodes=graph.nodes @ w @ w.T, edges=graph.edges.flip(0))


def mean_neighbours_right(x: Tensor["N", "D"], edges: Tensor[2, "E", torch.int64]) -> Tensor["N", "D"]:
    source, target = edges
    total = torch.zeros_like(x).index_add_(0, target, x[source])
    degree = torch.zeros(len(x)).scatter_add_(0, target, torch.ones_like(target, dtype=torch.float))
    return total / degree.clamp(min=1)[:, None]


def scatter_messages_right(
    x: Tensor["N", "D"], source: Tensor["E", torch.int64], target: Tensor["E", torch.int64]
) -> Tensor["N", "D"]:
    messages = x.index_select(0, source)
    return torch.zeros_like(x).scatter_add_(0, target[:, None].expand_as(messages), messages)


class GCNRight(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 64), nn.Linear(64, 32)])
        self.out = nn.Linear(32 + 64 + 16, 4)

    def forward(self, x: Tensor["N", 16], adjacency: Tensor["N", "N"]) -> Tensor["N", 4]:
        seen = [x]
        for layer in self.layers:
            seen.append(F.relu(layer(adjacency @ seen[-1])))
        return self.out(torch.cat(seen[::-1], dim=-1))


def graph_attention_right(h: Tensor["N", "D"], edges: Tensor[2, "E", torch.int64], a: Tensor["2*D"]) -> Tensor["E"]:
    pairs = h[edges].transpose(0, 1).flatten(1)
    return F.leaky_relu(pairs @ a, 0.2)


def edge_softmax_right(scores: Tensor["E", "H"], target: Tensor["E", torch.int64], n: int) -> Tensor["E", "H"]:
    index = target.unsqueeze(-1).expand_as(scores)
    top = torch.full((n, scores.shape[1]), -torch.inf).scatter_reduce(0, index, scores, "amax")
    e = (scores - top[target]).exp()
    total = torch.zeros(n, scores.shape[1]).index_add(0, target, e)
    return e / total[target]


def self_loops(edges: Tensor[2, "E", torch.int64], x: Tensor["N", "D"]) -> Tensor[2, "E+N", torch.int64]:
    loops = torch.arange(x.shape[0]).expand(2, -1)
    return torch.cat([edges, loops], dim=1)


def both_directions(edges: Tensor[2, "E", torch.int64]) -> Tensor[2, "2*E", torch.int64]:
    return torch.cat([edges, edges.flip(0)], 1)


def normalised_adjacency(a: Tensor["B", "N", "N"]) -> Tensor["B", "N", "N"]:
    a = a.abs() + torch.eye(a.shape[-1])
    scale = a.sum(-1).rsqrt()
    return scale[..., None] * a * scale[..., None, :]


def readout_right(x: Tensor["N", "D"], graph_of: Tensor["N", torch.int64], graphs: int = 4) -> Tensor[4, "D"]:
    total = torch.zeros(graphs, x.shape[1]).index_add(0, graph_of, x)
    count = F.one_hot(graph_of, graphs).sum(0)
    return total / count.clamp(min=1).unsqueeze(1)


def pairwise_right(x: Tensor["B", "N", "D"], w: Tensor["2*D", "H"]) -> Tensor["B", "N", "N", "H"]:
    n = x.shape[1]
    left = x[:, :, None].expand(-1, -1, n, -1)
    right = x[:, None].expand(-1, n, -1, -1)
    return torch.cat([left, right], dim=-1) @ w


class RouterRight(nn.Module):
    def __init__(self, dim: int = 32, experts: int = 4, k: int = 2):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
        flat = x.view(-1, x.shape[-1])
        weights, chosen = self.gate(flat).softmax(-1).topk(self.k, dim=-1)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            weight = (weights * (chosen == i)).sum(-1, keepdim=True)
            out = out + weight * expert(flat)
        return out.view_as(x)


class SparseRouter(nn.Module):
    def __init__(self, dim: int = 24, experts: int = 3):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(dim, 48), nn.GELU(), nn.Linear(48, dim)) for _ in range(3))

    def forward(self, x: Tensor["N", 24]) -> Tensor["N", 24]:
        weight, chosen = self.gate(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            mine = chosen == i
            out[mine] = weight[mine].unsqueeze(-1) * expert(x[mine])
        return out


def dispatch_right(x: Tensor["N", "D"], gates: Tensor["N", "E"], experts: Tensor["E", "D", "H"]) -> Tensor["N", "H"]:
    return (gates.unsqueeze(1) @ torch.einsum("nd,edh->neh", x, experts)).squeeze(1)


def sorted_by_expert(x: Tensor["N", "D"], expert: Tensor["N", torch.int64]) -> Tensor["N", "D"]:
    order = expert.argsort(stable=True)
    back = torch.empty_like(order)
    back[order] = torch.arange(order.numel())
    return (x[order] * 2)[back]


def load_balance_right(probs: Tensor["N", "E"], chosen: Tensor["N", torch.int64]) -> Tensor[()]:
    experts = probs.shape[-1]
    fraction = F.one_hot(chosen, experts).float().mean(0)
    return fraction @ probs.mean(0) * experts


def knn_right(x: Tensor["B", "N", "D"], k: int = 3) -> Tensor["B", "N", 3, "D"]:
    b, n, d = x.shape
    nearest = torch.cdist(x, x).topk(k, dim=-1, largest=False).indices
    return x.gather(1, nearest.view(b, n * k, 1).expand(-1, -1, d)).view(b, n, k, d)


PROGRAMS = [
    sum_neighbours_right,
    new_graph,
    mean_neighbours_right,
    scatter_messages_right,
    GCNRight,
    graph_attention_right,
    edge_softmax_right,
    self_loops,
    both_directions,
    normalised_adjacency,
    readout_right,
    pairwise_right,
    RouterRight,
    SparseRouter,
    dispatch_right,
    sorted_by_expert,
    load_balance_right,
    knn_right,
]
SIZES = {"edge_softmax_right": {"n": 9}}
