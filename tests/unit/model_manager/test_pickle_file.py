from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from webui.errors import UnsupportedModel
from webui.families.base import TensorInfo
from webui.model_manager.tensor_file import open_tensor_file


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.target}'",)


def torch_zip(target: Path) -> bytes:
    return _saved({"state_dict": {"a": torch.zeros(2)}, "extra": Payload(target)})


def torch_legacy(target: Path) -> bytes:
    return _saved({"a": Payload(target)}, _use_new_zipfile_serialization=False)


def bare_pickle(target: Path) -> bytes:
    return pickle.dumps({"state_dict": Payload(target)}, protocol=2)


def new_pickle(target: Path) -> bytes:
    return pickle.dumps({"state_dict": Payload(target)}, protocol=5)


def old_pickle(target: Path) -> bytes:
    return pickle.dumps({"state_dict": Payload(target)}, protocol=0)


def legacy_tar(target: Path) -> bytes:
    return _tar({"pickle": bare_pickle(target), "storages": b"", "tensors": b""})


def zip_in_tar(target: Path) -> bytes:
    return _tar({"model.pt": torch_zip(target)})


def zip_in_zip(target: Path) -> bytes:
    return _zip({"model.pt": torch_zip(target)}, zipfile.ZIP_STORED)


def compressed_zip(target: Path) -> bytes:
    entries = {"archive/data.pkl": bare_pickle(target), "archive/version": b"3\n"}
    return _zip(entries, zipfile.ZIP_DEFLATED)


def two_pickles(target: Path) -> bytes:
    entries = {"a/data.pkl": pickle.dumps({}), "b/data.pkl": bare_pickle(target)}
    return _zip(entries, zipfile.ZIP_STORED)


def code_archive(target: Path) -> bytes:
    entries = {"a/data.pkl": bare_pickle(target), "a/constants.pkl": b"", "a/code/x.py": b"1"}
    return _zip(entries, zipfile.ZIP_STORED)


def _saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def _tar(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _zip(entries: dict[str, bytes], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


KINDS = (
    torch_zip,
    torch_legacy,
    bare_pickle,
    new_pickle,
    old_pickle,
    legacy_tar,
    zip_in_tar,
    zip_in_zip,
    compressed_zip,
    two_pickles,
    code_archive,
)
NAMES = ("model.ckpt", "model.pt", "model.safetensors", "model.SafeTensors", "model.vae.pt", "m")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_code_is_refused_and_never_runs(
    kind: Callable[[Path], bytes], name: str, tmp_path: Path
) -> None:
    target = tmp_path / "executed"
    path = tmp_path / name
    path.write_bytes(kind(target))
    with pytest.raises(UnsupportedModel) as caught, open_tensor_file(path):
        pass
    assert str(caught.value).startswith(name)
    assert not target.exists()


def test_the_payload_would_have_run(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    pickle.loads(bare_pickle(target))
    assert target.exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_content_decides_not_the_suffix(name: str, legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    values = torch.arange(6, dtype=torch.float16).view(2, 3)
    torch.save(
        {"state_dict": {"a": values, "steps": 5}, "epoch": 1},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    with open_tensor_file(path) as file:
        assert file.header == {"a": TensorInfo((2, 3), "F16")}
        target = torch.zeros(2, 3)
        file.read_into("a", target)
    assert target.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_state_dict_may_be_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"b": torch.ones(4), 7: torch.ones(1), "note": "text"}, path)
    with open_tensor_file(path) as file:
        assert list(file.header) == ["b"]


def test_files_of_pytorch_lightning_load_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})  # type: ignore[attr-defined]
    for part in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, part, module)
    path = tmp_path / "model.ckpt"
    torch.save(
        {"callbacks": {module.ModelCheckpoint: {}}, "state_dict": {"a": torch.ones(1)}}, path
    )
    monkeypatch.undo()
    with open_tensor_file(path) as file:
        assert list(file.header) == ["a"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.999])
def test_a_truncated_file_is_a_sentence(share: float, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    content = _saved({"state_dict": {f"{i}": torch.zeros(100) for i in range(20)}})
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnsupportedModel, match="Download it again"), open_tensor_file(path):
        pass


@pytest.mark.parametrize("value", [[1, 2], {}, {"state_dict": {"a": 1}}, "text"])
def test_a_pickle_without_tensors_is_a_sentence(value: object, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(value, path)
    with pytest.raises(UnsupportedModel, match="holds no"), open_tensor_file(path):
        pass


def test_a_web_page_in_place_of_a_model_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("<!doctype html><html>Log in to download</html>")
    with pytest.raises(UnsupportedModel, match="web page"), open_tensor_file(path):
        pass


def test_a_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="is a folder"), open_tensor_file(tmp_path):
        pass
