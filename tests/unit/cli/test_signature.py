"""`keelmark signature` as a person uses it."""

import datetime as dt
import json
from pathlib import Path

import pytest

from keelmark.cli.main import run
from signers import Authority, make_model, new_key, pem


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def _code(capfd, *arguments: str | Path) -> tuple[int, str, str]:
    code = run([str(a) for a in ("signature", *arguments)])
    out, err = capfd.readouterr()
    return code, out, err


def test_made_here_and_verified_here_and_elsewhere(model, tmp_path, capfd):
    code, public, said = _code(capfd, "make", model, "--public-key")
    assert code == 0
    assert public.startswith("-----BEGIN PUBLIC KEY")
    assert "not covered: .git/" in said
    assert (tmp_path / "model.sig").is_file()
    assert _code(capfd, "verify", model)[:2] == (0, "valid\n")
    theirs = tmp_path / "theirs.pub"
    theirs.write_text(public)
    elsewhere = ("--data", tmp_path / "elsewhere")
    assert _code(capfd, "verify", model, "--key", theirs, *elsewhere)[0] == 0
    code, out, said = _code(capfd, "verify", model, *elsewhere)
    assert (code, out) == (2, "could not check\n")
    assert "public key" in said
    (model / "weights.bin").write_bytes(b"other")
    code, out, said = _code(capfd, "verify", model)
    assert (code, out) == (1, "invalid\n")
    assert "weights.bin has other content" in said


def test_a_signature_inside_the_folder_does_not_sign_itself(model, capfd):
    assert _code(capfd, "make", model, "--out", model / "model.sig")[0] == 0
    code, out, _ = _code(capfd, "verify", model, "--json")
    status = json.loads(out)
    assert (code, status["outcome"]) == (0, "valid")
    assert status["uncovered"] == [".git/", "model.sig"]
    (model / "model.sig").rename(model / "elsewhere.sig")
    assert _code(capfd, "verify", model, "--signature", model / "elsewhere.sig")[0] == 0


def test_what_is_ignored(model, capfd):
    for way in ("sub", "./sub/", model / "sub"):
        assert _code(capfd, "make", model, "--ignore", way)[0] == 0
        code, _, said = _code(capfd, "verify", model)
        assert (code, "not covered: sub/" in said) == (0, True)
    for way in ("../x", ".", "/elsewhere", model):
        code, _, said = _code(capfd, "make", model, "--ignore", way)
        assert (code, "not a path within" in said) == (2, True)


def test_links_of_a_download_cache(model, tmp_path, capfd):
    assert _code(capfd, "make", model)[0] == 0
    (model / "sub-notes").rename(tmp_path / "blob")
    (model / "sub-notes").symlink_to(tmp_path / "blob")
    assert _code(capfd, "verify", model)[0] == 1
    code, _, said = _code(capfd, "verify", model, "--follow-links")
    assert (code, "reached through a link: sub-notes" in said) == (0, True)


def test_certificates(model, tmp_path, capfd):
    firm = Authority(dt.datetime.now(dt.UTC))
    files = {}
    for name, thing in (("key", firm.key), ("leaf", firm.leaf), ("middle", firm.middle)):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_bytes(pem(thing))
    root = tmp_path / "root.pem"
    root.write_bytes(pem(firm.root))
    chain = ("--certificate", files["leaf"], "--certificate", files["middle"])
    assert _code(capfd, "make", model, "--key", files["key"], *chain)[0] == 0
    code, _, said = _code(capfd, "verify", model, "--authority", root)
    assert (code, "CN=signer" in said) == (0, True)
    code, _, said = _code(capfd, "verify", model)
    assert (code, "authority" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--signature", "nowhere.sig"], "does not exist"),
        ([], "There is no signature"),
        (["--key", "{model}/sub-notes"], "not a public key"),
        (["--authority", "{model}/sub-notes"], "no certificate"),
        (["--identity", "jo@example.com"], "together"),
        (["--identity", "a", "--issuer", "b", "--trust-root", "{model}/empty"], "trust root"),
    ],
)
def test_wrong_input_is_one_sentence(model, capfd, arguments, says):
    if arguments and "--signature" not in arguments:
        (model / "model.sig").write_text("{}")
    code, out, said = _code(capfd, "verify", model, *(a.format(model=model) for a in arguments))
    assert (code, out) == (2, "")
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_a_damaged_signature_is_invalid(model, capfd, content):
    (model / "model.sig").write_bytes(content)
    assert _code(capfd, "verify", model)[:2] == (1, "invalid\n")


def test_keys_that_cannot_sign(model, tmp_path, capfd):
    other = tmp_path / "public.pem"
    other.write_bytes(pem(new_key().public_key()))
    code, _, said = _code(capfd, "make", model, "--key", other)
    assert (code, "private key" in said) == (2, True)


def test_own_key_is_private(model, tmp_path, capfd):
    data = tmp_path / "data"
    assert _code(capfd, "make", model, "--data", data)[0] == 0
    assert (data / "keys" / "model-signing.key").stat().st_mode & 0o077 == 0
