"""Local files and Hugging Face references."""

import os
import sys
from pathlib import Path

import pytest

from keelmark.core.errors import UsageError
from keelmark.serve.models import HubReference, fetch_hub, find_model, parse_hub

HEADER = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


def find(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        find_model(str(path), path.parent, print)
    message = caught.value.message
    assert str(path) in message
    assert "\n" not in message
    return message


def test_local_file(tmp_path: Path) -> None:
    path = tmp_path / "Some Model.Q8.gguf"
    path.write_bytes(HEADER)
    model = find_model(str(path), tmp_path, print)
    assert (model.name, model.path, model.chat_template) == ("Some Model.Q8", path, "")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"PK\x03\x04" * 9, "not a GGUF file"), (HEADER[:9], "is cut off")],
)
def test_wrong_content(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert says in find(path)


def test_missing_folder_and_special_files(tmp_path: Path) -> None:
    assert "does not exist" in find(tmp_path / "nothing.gguf")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert find(folder).endswith("is a folder; give the path of the .gguf file.")
    (folder / "a.gguf").write_bytes(HEADER)
    assert "such as a.gguf" in find(folder)
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    assert "not a regular file" in find(pipe)
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    assert "cannot be read" in find(loop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(HEADER)
    path.chmod(0)
    assert "cannot be read: Permission denied" in find(path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf:org/name", ("org/name", "", "")),
        ("hf:org/name:m.gguf", ("org/name", "m.gguf", "")),
        ("hf:org/name:q4/m.gguf@v1.0", ("org/name", "q4/m.gguf", "v1.0")),
        ("hf:org/name@refs/pr/1", ("org/name", "", "refs/pr/1")),
    ],
)
def test_hub_reference(text: str, parts: tuple[str, str, str]) -> None:
    repo, file, revision = parts
    assert parse_hub(text) == HubReference(repo=repo, file=file, revision=revision)


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:name", "hf:a/b/c", "hf:org/name:", "hf:org/name@", "hf:org/name:../x.gguf",
     "hf:org/name:/etc/x.gguf", "hf:org/na me", "hf:org/name:a\\b.gguf", "hf:örg/name"],
)  # fmt: skip
def test_wrong_hub_reference(text: str) -> None:
    with pytest.raises(UsageError, match="write hf:org/name"):
        parse_hub(text)


def test_missing_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r'pip install "keelmark\[hub\]"'):
        fetch_hub("hf:org/name", tmp_path, print)
    assert not list(tmp_path.iterdir())
