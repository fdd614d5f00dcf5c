"""Signing keys: made once, private, whole or not there."""

import base64
import hashlib
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.errors import UsageError
from keelmark.passport.keys import (
    SigningKey,
    export_public,
    import_public,
    key_id,
    load_or_create,
    load_trusted,
)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_on_first_use_and_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = tmp_path / "data" / "keys" / "passport.key"
        key = load_or_create(path)
    finally:
        os.umask(old)
    assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert load_or_create(path).key_id == key.key_id
    key.public.verify(key.sign(b"data"), b"data")


def test_key_id_is_the_hash_of_the_public_key_info() -> None:
    # RFC 8410, section 10.1: the example public key; its DER is prefix 302a300506032b6570032100.
    pem = (
        b"-----BEGIN PUBLIC KEY-----\n"
        b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        b"-----END PUBLIC KEY-----\n"
    )

    der = base64.b64decode(pem.splitlines()[1])
    assert key_id(import_public(pem)) == hashlib.sha256(der).hexdigest()
    assert export_public(import_public(pem)).encode() == pem


def _key_id_at(path: Path) -> str:
    return load_or_create(path).key_id


def test_processes_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "passport.key"
    with multiprocessing.get_context("fork").Pool(6) as pool:
        ids = pool.map(_key_id_at, [path] * 24, chunksize=1)
    assert len(set(ids)) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "passport.key"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match=r"run chmod 600 "):
        load_or_create(path)


def test_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "passport.key"
    load_or_create(path)
    path.parent.chmod(0o777)
    with pytest.raises(UsageError, match=r"run chmod 700 "):
        load_or_create(path)


def _other_kind() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _encrypted() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )


@pytest.mark.parametrize("content", [b"", b"junk", _other_kind(), _encrypted()])
def test_file_that_is_no_key_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "passport.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="not an unencrypted Ed25519 key"):
        load_or_create(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["folder is a file", "key is a folder", "dangling link"])
def test_place_that_cannot_hold_a_key(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "passport.key"
    match kind:
        case "folder is a file":
            path.parent.touch()
        case "key is a folder":
            path.mkdir(parents=True)
        case "dangling link":
            path.parent.mkdir(mode=0o700)
            path.symlink_to("nowhere")
    with pytest.raises(UsageError, match="can be neither read nor made"):
        load_or_create(path)


def test_trusted_keys_are_our_own_and_those_of_the_folder(tmp_path: Path) -> None:
    own, other = SigningKey(Ed25519PrivateKey.generate()), SigningKey(Ed25519PrivateKey.generate())
    folder = tmp_path / "trust"
    assert set(load_trusted(folder, own)) == {own.key_id}
    folder.mkdir()
    (folder / "partner.pub").write_text(export_public(other.public))
    (folder / "README").write_text("not a key")
    assert set(load_trusted(folder, own)) == {own.key_id, other.key_id}
    (folder / "broken.pub").write_text("junk")
    with pytest.raises(UsageError, match=r"broken\.pub is not an Ed25519 public key"):
        load_trusted(folder, own)
    (folder / "broken.pub").unlink()
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="chmod 700"):
        load_trusted(folder, own)
