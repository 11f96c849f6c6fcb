from __future__ import annotations

import copy
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import BatchNorm1d, Embedding, Linear, Sequential

from tessera.errors import WeightsError
from tessera.nn.weights import load_weights, save_weights


class Tied(torch.nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.body, self.head = Embedding(5, 3), Linear(3, 3), Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("window", torch.randn(4)[:2])  # a view
        self.register_buffer("scratch", torch.randn(2), persistent=False)


def make(seed):
    torch.manual_seed(seed)
    return Sequential(Linear(3, 4), BatchNorm1d(4), torch.nn.LSTM(4, 2), Linear(2, 2).double())


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize("make", [make, Tied])
def test_what_is_saved_is_loaded(path, make):
    saved, loaded = make(1), make(2)
    parameters = list(loaded.parameters())
    save_weights(saved, path)
    names = load_weights(loaded, path)
    assert same(state(loaded), state(saved))
    assert set(names) == set(load_file(path)) <= set(saved.state_dict())
    assert all(a is b for a, b in zip(parameters, loaded.parameters(), strict=True))


def test_a_loaded_lstm_runs_on_its_own_parameters(path):
    saved, loaded = make(1), make(2)
    save_weights(saved, path)
    load_weights(loaded, path)
    x = torch.randn(3, 6, 4)
    assert torch.equal(loaded[2](x)[0], saved[2](x)[0])
    assert all(a is b for a, b in zip(loaded[2]._flat_weights, loaded[2].parameters(), strict=True))


def test_torch_loads_what_is_saved(path):
    saved, loaded = make(1), make(2)
    save_weights(saved, path)
    loaded.load_state_dict(load_file(path))
    assert same(state(loaded), state(saved))


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_torchs_checkpoints_load_as_they_are(tmp_path, wrapper):
    saved, loaded = make(1), make(2)
    torch.save({"state_dict": {wrapper + k: v for k, v in saved.state_dict().items()}}, tmp_path / "w.pt")
    load_weights(loaded, tmp_path / "w.pt")
    assert same(state(loaded), state(saved))


def test_a_model_whose_own_names_look_wrapped_loads(path):
    saved, loaded = (torch.nn.ModuleDict({"module": make(seed)}) for seed in (1, 2))
    save_weights(saved, path)
    load_weights(loaded, path)
    assert same(state(loaded), state(saved))


def test_tied_weights_are_saved_once_and_stay_tied(path):
    saved, loaded = Tied(1), Tied(2)
    save_weights(saved, path)
    assert set(load_file(path)) == {"embed.weight", "body.weight", "body.bias", "window"}
    load_weights(loaded, path)
    assert loaded.head.weight is loaded.embed.weight


def test_either_or_both_names_of_a_tied_weight_may_be_in_the_file(path):
    saved = Tied(1)
    for left_out in ("head.weight", "embed.weight", None):
        save_file({k: v.clone() for k, v in saved.state_dict().items() if k != left_out}, path)
        loaded = Tied(2)
        load_weights(loaded, path)
        assert same(state(loaded), state(saved))


def test_tied_weights_that_differ_in_the_file_are_refused(path):
    save_file({k: v.clone() + (k == "head.weight") for k, v in Tied(1).state_dict().items()}, path)
    loaded = Tied(2)
    before = state(loaded)
    with pytest.raises(WeightsError, match=r"head\.weight: tied to embed\.weight in the model, different in the file"):
        load_weights(loaded, path)
    assert same(state(loaded), before)


@pytest.mark.parametrize("kind", ["NaN", "float8"])
def test_weights_that_do_not_compare_are_loaded(path, kind):
    """NaN equals nothing, itself neither, and float8 has no comparison."""
    saved, loaded = Tied(1), Tied(2)
    for each in (saved, loaded):
        each.register_buffer("scale", torch.ones(2).to(torch.float8_e4m3fn if kind == "float8" else torch.float32))
    if kind == "NaN":
        saved.embed.weight.data[0, 0] = saved.body.bias.data[0] = torch.nan
    save_file({name: value.clone() for name, value in saved.state_dict().items()}, path)
    load_weights(loaded, path)
    for name, value in saved.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name].float(), value.float(), rtol=0, atol=0, equal_nan=True)


def test_floating_weights_take_the_models_dtype(path):
    saved, loaded = make(1), make(2)
    save_weights(copy.deepcopy(saved).bfloat16(), path)
    load_weights(loaded, path)
    assert loaded[0].weight.dtype == torch.float32
    assert torch.equal(loaded[0].weight, saved[0].weight.bfloat16().float())


def test_memory_layout_and_gradients_do_not_matter(path):
    saved = torch.nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
    saved.weight.grad = torch.ones_like(saved.weight)
    loaded = torch.nn.Conv2d(3, 4, 2)
    save_weights(saved, path)
    load_weights(loaded, path)
    assert torch.equal(loaded.weight, saved.weight)
    assert loaded.weight.requires_grad


def test_old_checkpoints_of_batch_norm_load(path):
    saved, loaded = make(1), make(2)
    save_file({k: v for k, v in saved.state_dict().items() if "num_batches_tracked" not in k}, path)
    load_weights(loaded, path)
    assert same(state(loaded), state(saved))


def test_names_that_the_model_renames_itself_are_found(path):
    class Renamed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.new = Linear(2, 2)
            self.register_load_state_dict_pre_hook(self.rename)

        @staticmethod
        def rename(module, state_dict, prefix, *rest):
            for name in [name for name in state_dict if name.startswith(prefix + "old.")]:
                state_dict[name.replace("old.", "new.")] = state_dict.pop(name)

    saved, loaded = Linear(2, 2), Renamed()
    save_file({"old." + k: v for k, v in saved.state_dict().items()}, path)
    load_weights(loaded, path)
    assert same(state(loaded.new), state(saved))


# Of the 13 names one is never missing: BatchNorm fills in its count of batches itself.
HOSTILE = {
    "missing": (
        lambda w: {k: v for k, v in w.items() if not k.startswith("3.")},
        "2 missing (3.weight, 3.bias)",
    ),
    "unexpected": (lambda w: w | {"4.weight": torch.ones(1)}, "1 unexpected (4.weight)"),
    "another shape": (
        lambda w: w | {"0.weight": torch.ones(4, 4)},
        "1 of another kind (0.weight: [4, 4] in the file, [4, 3] in the model)",
    ),
    "another dtype": (
        lambda w: w | {"0.weight": torch.ones(4, 3, dtype=torch.int64)},
        "1 of another kind (0.weight: torch.int64 in the file, torch.float32 in the model)",
    ),
    "a float where a count should be": (
        lambda w: w | {"1.num_batches_tracked": torch.tensor(1.5)},
        "1 of another kind (1.num_batches_tracked: torch.float32 in the file, torch.int64 in the model)",
    ),
    "another model's": (
        lambda w: {f"layer{i}.weight": torch.ones(2) for i in range(12)},
        (
            "12 missing (0.weight, 0.bias, 1.weight, 1.bias, 1.running_mean, ...); "
            "12 unexpected (layer0.weight, layer1.weight, layer10.weight, layer11.weight, layer2.weight, ...)"
        ),
    ),
    "all at once": (
        lambda w: (
            {k: v for k, v in w.items() if k != "0.bias"} | {"x": torch.ones(1), "3.bias": torch.ones(3).double()}
        ),
        "1 missing (0.bias); 1 unexpected (x); 1 of another kind (3.bias: [3] in the file, [2] in the model)",
    ),
    "empty": (lambda w: {}, "12 missing (0.weight, 0.bias, 1.weight, 1.bias, 1.running_mean, ...)"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_that_does_not_fit_changes_nothing(tmp_path, case, suffix):
    change, said = HOSTILE[case]
    module, path = make(2), tmp_path / f"w{suffix}"
    before, parameters = state(module), list(module.parameters())
    weights = change({k: v.clone() for k, v in make(1).state_dict().items()})
    weights = dict(sorted(weights.items()))
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(module, path)
    assert str(caught.value) == (
        f"w{suffix} does not fit Sequential: {said}. "
        "Every parameter and buffer needs a tensor of its name and shape, and none may be left over; "
        "the model is as it was. "
        "Load it into the model it was saved from, or write load(path, strict=False) to take what fits."
    )
    assert same(state(module), before)
    assert all(a is b for a, b in zip(parameters, module.parameters(), strict=True))


def test_a_truncated_file_changes_nothing(path):
    save_weights(make(1), path)
    path.write_bytes(path.read_bytes()[:-100])
    module = make(2)
    before = state(module)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(module, path)
    assert same(state(module), before)


def test_what_is_no_tensor_does_not_fit(tmp_path):
    torch.save(make(1).state_dict() | {"0.bias": 3}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"1 of another kind \(0\.bias: a int, not a tensor\)"):
        load_weights(make(2), tmp_path / "w.pt")


UNCOPYABLE = {
    "without values": (lambda: torch.empty(3, device="meta"), "torch.strided of torch.float32 on meta: Cannot copy"),
    "sparse": (lambda: torch.ones(3).to_sparse(), "torch.sparse_coo of torch.float32 on cpu: "),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(1)]),
        "a nested tensor, which has no one shape",
    ),
    "packed": (
        lambda: torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "torch.strided of torch.float4_e2m1fn_x2 on cpu: ",
    ),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", UNCOPYABLE)
def test_what_has_no_values_to_copy_changes_nothing(tmp_path, kind):
    module, (odd, said) = torch.nn.Linear(2, 3), UNCOPYABLE[kind]
    before = state(module)
    torch.save({"weight": torch.ones(3, 2), "bias": odd()}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=re.escape(f"1 of another kind (bias: {said}")):
        load_weights(module, tmp_path / "w.pt")
    assert same(state(module), before)


def test_not_strict_loads_what_fits_and_says_what(path):
    saved, loaded = make(1), make(2)
    before = state(loaded)
    save_file(
        {"0.weight": saved[0].weight.detach(), "0.bias": torch.ones(9), "other": torch.ones(2)},
        path,
    )
    assert load_weights(loaded, path, strict=False) == ["0.weight"]
    assert torch.equal(loaded[0].weight, saved[0].weight)
    after = state(loaded)
    assert all(torch.equal(after[k], before[k]) for k in before if k != "0.weight")


class Counting(torch.nn.Module):
    """Keeps something besides tensors."""

    def __init__(self, count):
        super().__init__()
        self.layer, self.count = Linear(2, 2), count

    def get_extra_state(self):
        return self.count

    def set_extra_state(self, state):
        self.count = state


def test_extra_state_is_loaded_with_the_rest_or_not_at_all(tmp_path):
    saved, loaded = Counting(7), Counting(1)
    torch.save(saved.state_dict(), tmp_path / "w.pt")
    load_weights(loaded, tmp_path / "w.pt")
    assert loaded.count == 7
    torch.save({**Counting(9).state_dict(), "layer.bias": torch.ones(5)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"layer\.bias: \[5\] in the file"):
        load_weights(loaded, tmp_path / "w.pt")
    assert loaded.count == 7


def test_extra_state_that_is_no_tensor_is_not_saved(path):
    with pytest.raises(WeightsError) as caught:
        save_weights(Counting(1), path)
    assert str(caught.value) == (
        "_extra_state of Counting is a int. A safetensors file holds tensors and nothing else. "
        "Return a tensor from the module's get_extra_state."
    )
    assert not path.exists()


@pytest.mark.parametrize("module", [Linear(2, 2, device="meta"), torch.nn.LazyLinear(2)], ids=["meta", "lazy"])
def test_tensors_without_memory_are_refused(path, module):
    for use in (save_weights, load_weights):
        with pytest.raises(WeightsError) as caught:
            use(module, path)
        assert str(caught.value) == (
            f"weight of {type(module).__name__} has no memory yet. "
            "Weights are saved from and loaded into tensors that exist. "
            'Call the model on a batch first, or model.to_empty(device="cpu") for one on the meta device.'
        )


def test_what_the_modules_own_loading_refuses_changes_nothing(path):
    class Refuses(Linear):
        def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
            super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)
            errors.append("too old")

    module = Sequential(Linear(2, 2), Refuses(2, 2))
    before = state(module)
    save_weights(Sequential(Linear(2, 2), Linear(2, 2)), path)
    with pytest.raises(WeightsError, match="does not fit Sequential: .*too old"):
        load_weights(module, path)
    assert same(state(module), before)
