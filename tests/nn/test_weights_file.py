from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from tessera.errors import WeightsError
from tessera.nn.weights_file import read_weights, write_weights

TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "b": torch.tensor([1, 2]),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "scalar": torch.tensor(3.5),
    "empty": torch.zeros(0, 4),
}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[k], theirs[k]) and ours[k].dtype == theirs[k].dtype for k in ours
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


def test_what_is_written_is_read(path):
    write_weights(path, TENSORS)
    assert same(read_weights(path), TENSORS)
    assert same(read_weights(str(path)), TENSORS)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_torchs_files_are_read_as_they_are(tmp_path, suffix, key):
    path = tmp_path / f"w{suffix}"
    torch.save(TENSORS if key is None else {"epoch": 3, key: TENSORS, "optimizer": {"lr": 0.1}}, path)
    assert same(read_weights(path), TENSORS)


def test_torchs_old_format_is_read(tmp_path):
    torch.save(TENSORS, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert same(read_weights(tmp_path / "w.pth"), TENSORS)


def shards(folder, suffix, save):
    save({k: TENSORS[k] for k in ("a", "b")}, folder / f"one{suffix}")
    save({k: TENSORS[k] for k in ("half", "scalar", "empty")}, folder / f"two{suffix}")
    return {k: f"one{suffix}" if k in {"a", "b"} else f"two{suffix}" for k in TENSORS}


@pytest.mark.parametrize(
    ("index", "suffix", "save"),
    [
        ("model.safetensors.index.json", ".safetensors", save_file),
        ("pytorch_model.bin.index.json", ".bin", torch.save),
    ],
)
def test_a_folder_of_shards_is_read(tmp_path, index, suffix, save):
    weight_map = shards(tmp_path, suffix, save)
    (tmp_path / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    assert same(read_weights(tmp_path), TENSORS)
    assert same(read_weights(tmp_path / index), TENSORS)


@pytest.mark.parametrize(("name", "save"), [("model.safetensors", save_file), ("pytorch_model.bin", torch.save)])
def test_a_folder_with_one_file_is_read(tmp_path, name, save):
    save(TENSORS, tmp_path / name)
    assert same(read_weights(tmp_path), TENSORS)


def test_a_file_truncated_anywhere_is_refused(path):
    write_weights(path, TENSORS)
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 40, len(whole) // 2, len(whole) - 8, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError) as caught:
            read_weights(path)
        assert str(caught.value).startswith("w.safetensors cannot be read (SafetensorError: ")
        assert str(caught.value).endswith(
            "). Nothing was loaded. It is truncated or no safetensors file: copy it again from where it was saved."
        )
    path.write_bytes(whole + b"more")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_truncated_anywhere_is_refused(tmp_path, zipped):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.randn(2000)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in {0, 1, 4, 10, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError) as caught:
            read_weights(path)
        assert "w.pt cannot be read (" in str(caught.value)
        assert str(caught.value).endswith(
            "Nothing was loaded. It is truncated, or holds Python objects: save tensors with "
            "torch.save(model.state_dict(), path)."
        )


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ["EVIL"],)


def test_a_weight_that_changed_in_a_torch_file_is_seen(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.full((50,), 3.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor(3.0).numpy().tobytes() * 50) + 9] ^= 64
    path.write_bytes(content)
    assert not torch.equal(torch.load(path)["a"], torch.full((50,), 3.0))  # torch's reader does not see it
    with pytest.raises(WeightsError, match="has changed since it was written"):
        read_weights(path)


def test_a_torch_file_without_checksums_is_read(tmp_path):
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(TENSORS, tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_weights(tmp_path / "w.pt"), TENSORS)


def test_no_code_in_a_file_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    torch.save({"a": Evil()}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="w.pt cannot be read"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have


@pytest.mark.parametrize("held", [[torch.ones(2)], {3: torch.ones(2)}, torch.ones(2)], ids=["list", "dict", "Tensor"])
def test_a_torch_file_without_names_is_refused(tmp_path, held):
    torch.save(held, tmp_path / "w.pt")
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w.pt")
    assert str(caught.value) == (
        f"w.pt holds a {type(held).__name__}. "
        "It should hold tensors by name, at the top or under state_dict or model_state_dict or model. "
        "Save it with torch.save(model.state_dict(), path)."
    )


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError"),
        ('{"weight_map": 3}', "TypeError"),
        ('{"weight_map": {"a": "../one.safetensors"}}', r"it names '\.\./one\.safetensors'\)\. .* beside its index"),
        ('{"weight_map": {"a": "' + "x" * 300 + '"}}', "A shard is a file that lies beside its index"),
        ('{"weight_map": {"a": "model.safetensors.index.json"}}', "A shard is a file that lies beside its index"),
        ('{"weight_map": {"a": ""}}', "A shard is a file that lies beside its index"),
        ('{"weight_map": {"a": "folder"}}', "A shard is a file that lies beside its index"),
        ('{"weight_map": ' + "[" * 100_000, "It should be JSON with a weight_map"),
        ('{"weight_map": {"z": "one.safetensors"}}', r"KeyError: 'z'\)\. .* 1 tensors are not in their shards"),
        ('{"weight_map": {"a": 3}}', "There is no file .*3"),
    ],
)
def test_a_broken_index_is_refused(tmp_path, index, reason):
    folder = tmp_path / "model"
    (folder / "folder").mkdir(parents=True)
    shards(folder, ".safetensors", save_file)
    save_file(TENSORS, tmp_path / "one.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(WeightsError, match=reason):
        read_weights(folder)


def test_a_shard_that_is_not_there_is_named(tmp_path):
    weight_map = shards(tmp_path, ".safetensors", save_file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"^There is no file '.*two\.safetensors'\. "):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["gone.safetensors", ""])
def test_a_path_without_weights_is_refused(tmp_path, name):
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / name)
    assert str(caught.value) == (
        f"There is no file {str(tmp_path / (name or 'model.safetensors'))!r}. "
        "Weights are in a file, or in a folder with one of model.safetensors.index.json, model.safetensors, "
        "pytorch_model.bin.index.json, pytorch_model.bin. "
        "Write the path that the weights were saved to."
    )


def test_an_unknown_ending_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w.h5")
    assert str(caught.value) == (
        "w.h5 has the ending '.h5'. The ending tells the format: .safetensors, .pt, .pth, .bin, or a folder of them. "
        "Rename the file to what it is."
    )
    with pytest.raises(WeightsError) as caught:
        write_weights(tmp_path / "w.pt", TENSORS)
    assert str(caught.value) == (
        "The file to save weights to is 'w.pt'. "
        "Weights are saved as safetensors, which every framework reads and no code can hide in. "
        "Write 'w.safetensors'."
    )


def test_a_failed_save_leaves_the_file_that_was_there(path):
    write_weights(path, TENSORS)
    with pytest.raises(WeightsError, match=r"could not be written: .* dense tensors\. Write a path in a folder"):
        write_weights(path, {"a": torch.ones(3).to_sparse()})
    assert same(read_weights(path), TENSORS)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(WeightsError, match="could not be written"):
        write_weights(path.parent / "gone" / "w.safetensors", TENSORS)
