"""Model signatures: what is signed verifies, and nothing else does."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.passport.dsse import IN_TOTO
from keelmark.passport.manifest import build_manifest
from keelmark.passport.oms import Allowed, Trust, verify_model
from keelmark.passport.oms_sign import sign_model
from signers import DAY, NOW, Authority, issue, make_model, new_key, remade

KEYS = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def key():
    return new_key()


def _verify(bundle: bytes, path: Path, *keys, **more):
    trust = Trust(keys=tuple(key.public_key() for key in keys))
    return verify_model(bundle, path, trust, now=NOW, **more)


def _code(bundle: bytes, path: Path, *keys, **more) -> str:
    status = _verify(bundle, path, *keys, **more)
    assert (status.outcome == "valid") == (status.code == "ok")
    assert (status.outcome == "could not check") == (status.code == "could_not_check")
    assert status.reason.endswith(".")
    return status.code


@pytest.mark.parametrize(
    "key",
    [*(new_key(curve) for curve in KEYS), Ed25519PrivateKey.generate()],
    ids=["P-256", "P-384", "P-521", "Ed25519"],
)
def test_what_is_signed_verifies(root, key):
    bundle, made = sign_model(root, key)
    status = _verify(bundle, root, key)
    assert status.outcome == "valid"
    assert status.signer == made.signer
    assert (status.files, status.uncovered) == (4, (".git/",))
    assert ".git" in status.ignored


def test_the_digest_is_that_of_the_manifest_when_nothing_is_left_out(root, key):
    (root / ".git" / "HEAD").unlink()
    (root / ".git").rmdir()
    _, status = sign_model(root, key)
    assert status.digest == build_manifest(root).digest


def test_one_file(root, key):
    file = root / "weights.bin"
    bundle, _ = sign_model(file, key)
    assert _code(bundle, file, key) == "ok"
    assert _code(bundle, root, key) == "different"


def test_one_file_by_its_name(root, key):
    """Some signers call the one file by its name and not `.`."""
    bundle, _ = sign_model(root / "weights.bin", key)
    digest = hashlib.sha256((root / "weights.bin").read_bytes()).hexdigest()
    named = [{"name": "weights.bin", "digest": digest, "algorithm": "sha256"}]
    bundle = remade(bundle, key, predicate__resources=named)
    assert _code(bundle, root / "weights.bin", key) == "ok"
    (root / "weights.bin").rename(root / "other.bin")
    assert _code(bundle, root / "other.bin", key) == "different"


def _alter(root: Path) -> None:
    (root / "weights.bin").write_bytes(b"\1" * 2560)


def _add(root: Path) -> None:
    (root / "sub" / "more.py").write_text("import os")


def _remove(root: Path) -> None:
    (root / "sub-notes").unlink()


def _rename(root: Path) -> None:
    (root / "sub-notes").rename(root / "sub-nodes")


def _swap(root: Path) -> None:
    a, b = root / "sub-notes", root / "empty"
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


def _link(root: Path) -> None:
    (root / "sub-notes").rename(root.parent / "aside")
    (root / "sub-notes").symlink_to(root.parent / "aside")


def _folder_link(root: Path) -> None:
    (root / "more").symlink_to(root / "sub", target_is_directory=True)


@pytest.mark.parametrize("change", [_alter, _add, _remove, _rename, _swap, _link, _folder_link])
def test_other_files_are_never_valid(root, key, change):
    bundle, _ = sign_model(root, key)
    change(root)
    assert _verify(bundle, root, key).outcome == "invalid"
    assert _verify(bundle, root).outcome == "invalid", "also when nobody is trusted"


@pytest.mark.parametrize("change", [_alter, _remove, _rename, _link])
def test_uncovered_files_may_be_allowed_but_nothing_else(root, key, change):
    bundle, _ = sign_model(root, key)
    _add(root)
    status = _verify(bundle, root, key, allowed=Allowed(uncovered=True))
    assert (status.outcome, status.uncovered) == ("valid", (".git/", "sub/more.py"))
    change(root)
    assert _verify(bundle, root, key, allowed=Allowed(uncovered=True)).outcome == "invalid"


def test_what_is_ignored_is_named(root, key):
    bundle, made = sign_model(root, key, ignored=("sub",))
    assert made.uncovered == (".git/", "sub/")
    (root / "sub" / "evil.py").write_text("x")
    status = _verify(bundle, root, key)
    assert (status.outcome, status.uncovered) == ("valid", (".git/", "sub/"))
    (root / "deep").mkdir()
    (root / "deep" / "sub").write_text("only the one at the top is left out")
    assert _code(bundle, root, key) == "different"


def test_a_listed_file_counts_although_it_is_ignored(root, key):
    bundle, _ = sign_model(root, key)
    (root / ".gitignore").write_text("*.log")
    plain = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    listed = plain["predicate"]["resources"]
    digest = hashlib.sha256(b"*.log").hexdigest()
    listed.insert(0, {"name": ".gitignore", "digest": digest, "algorithm": "sha256"})
    root_digest = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in listed)).hexdigest()
    bundle = remade(
        bundle,
        key,
        predicate__resources=listed,
        subject=[{"name": "m", "digest": {"sha256": root_digest}}],
    )
    assert _code(bundle, root, key) == "ok"
    (root / ".gitignore").write_text("*.exe")
    assert _code(bundle, root, key) == "different"


def test_links_are_followed_only_when_the_signature_says_so(root, key):
    _link(root)
    with pytest.raises(IntegrityError, match="symbolic link"):
        sign_model(root, key)
    bundle, made = sign_model(root, key, links=True)
    assert made.links == ("sub-notes",)
    assert _verify(bundle, root, key).links == ("sub-notes",)
    (root.parent / "aside").write_text("other")
    assert _code(bundle, root, key) == "different"
    _folder_link(root)
    assert _code(bundle, root, key) == "link"


def test_links_of_a_download_cache(root, key):
    """The publisher signed files; the cache has links in their place."""
    bundle, _ = sign_model(root, key)
    _link(root)
    assert _code(bundle, root, key) == "link"
    status = _verify(bundle, root, key, allowed=Allowed(links=True))
    assert (status.outcome, status.links) == ("valid", ("sub-notes",))


def test_the_wrong_key(root, key):
    bundle, _ = sign_model(root, key)
    assert _code(bundle, root, new_key()) == "wrong_key"
    nameless = json.loads(bundle)
    nameless["verificationMaterial"] = {"publicKey": {"rawBytes": "AAAA"}}
    assert _code(json.dumps(nameless).encode(), root, new_key()) == "bad_signature"
    assert _code(json.dumps(nameless).encode(), root, new_key(), key) == "ok"
    assert _code(bundle, root, Ed25519PrivateKey.generate()) == "wrong_key"


def test_nobody_trusted_is_could_not_check(root, key):
    bundle, _ = sign_model(root, key)
    assert _code(bundle, root) == "could_not_check"


BAD_STATEMENTS = {
    "another predicate": ({"predicateType": "https://example.com/v1"}, "wrong_predicate"),
    "another statement": ({"_type": "https://in-toto.io/Statement/v0.1"}, "malformed"),
    "no serialization": ({"predicate__serialization": None}, "malformed"),
    "no files": ({"predicate__resources": []}, "malformed"),
    "another method": ({"predicate__serialization__method": "tensors"}, "malformed"),
    "shards without a size": ({"predicate__serialization__method": "shards"}, "malformed"),
    "another hash": ({"predicate__serialization__hash_type": "sha1"}, "malformed"),
    "a hash unknown here": ({"predicate__serialization__hash_type": "blake3"}, "could_not_check"),
    "everything ignored": ({"predicate__serialization__ignore_paths": ["."]}, "malformed"),
    "another root": ({"subject": [{"name": "m", "digest": {"sha256": "0" * 64}}]}, "malformed"),
    "two subjects": ({"subject": [{"digest": {}}, {"digest": {}}]}, "malformed"),
}


@pytest.mark.parametrize("name", BAD_STATEMENTS)
def test_statements_that_do_not_hold(root, key, name):
    changes, code = BAD_STATEMENTS[name]
    bundle = remade(sign_model(root, key)[0], key, **changes)
    assert _code(bundle, root, key) == code


@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "./a", "a//b", "", "a/"])
def test_paths_that_leave_the_model(root, key, path):
    digest = hashlib.sha256(b"n").hexdigest()
    listed = [{"name": path, "digest": digest, "algorithm": "sha256"}]
    bundle = remade(sign_model(root, key)[0], key, predicate__resources=listed)
    assert _code(bundle, root, key) == "malformed"


def test_a_file_hashed_in_another_way(root, key):
    bundle, _ = sign_model(root / "sub-notes", key)
    for algorithm, digest in (("sha512", hashlib.sha512(b"n")), ("md5", hashlib.md5(b"n"))):
        listed = [{"name": ".", "digest": digest.hexdigest(), "algorithm": algorithm}]
        other = remade(bundle, key, predicate__resources=listed)
        assert _code(other, root / "sub-notes", key) == "malformed"


def _shards(content: bytes, size: int, name: str, hash_type: str) -> list[dict]:
    return [
        {
            "name": f"{name}:{start}:{min(start + size, len(content))}",
            "digest": hashlib.new(hash_type, content[start : start + size]).hexdigest(),
            "algorithm": f"{hash_type}-sharded-{size}",
        }
        for start in range(0, len(content), size)
    ]


def _sharded(root: Path, key, hash_type: str = "sha256") -> bytes:
    bundle, _ = sign_model(root, key)
    files = ["sub-notes", "sub/config.json", "weights.bin"]
    listed = [s for f in files for s in _shards((root / f).read_bytes(), 1000, f, hash_type)]
    digest = hashlib.sha256(b"".join(bytes.fromhex(s["digest"]) for s in listed)).hexdigest()
    return remade(
        bundle,
        key,
        predicate__resources=listed,
        predicate__serialization__method="shards",
        predicate__serialization__hash_type=hash_type,
        predicate__serialization__shard_size=1000.0,  # as protobuf writes numbers
        subject=[{"name": "m", "digest": {"sha256": digest}}],
    )


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b"])
def test_files_in_parts(root, key, hash_type):
    bundle = _sharded(root, key, hash_type)
    status = _verify(bundle, root, key)
    assert (status.outcome, status.uncovered) == ("valid", (".git/", "empty"))
    with (root / "weights.bin").open("ab") as file:
        file.write(b"x")
    assert _code(bundle, root, key) == "different"


def test_a_part_that_is_left_out(root, key):
    bundle = json.loads(_sharded(root, key))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    kept = [r for r in statement["predicate"]["resources"] if ":1000:" not in r["name"]]
    digest = hashlib.sha256(b"".join(bytes.fromhex(s["digest"]) for s in kept)).hexdigest()
    subject = [{"name": "m", "digest": {"sha256": digest}}]
    holed = remade(json.dumps(bundle).encode(), key, predicate__resources=kept, subject=subject)
    assert _code(holed, root, key) == "malformed"


def _old(root: Path, key, used) -> bytes:
    """As the signer of 2024 made it: digests are subjects, bytes signed as Python shows them."""
    files = ["empty", "sub-notes", "sub/config.json", "weights.bin"]
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}
    payload = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": f, "digest": {"sha256": d}} for f, d in digests.items()],
            "predicateType": "https://model_signing/Digests/v0.1",
            "predicate": {"unused": ""},
        }
    ).encode()
    message = f"DSSEV1 {len(IN_TOTO)} {IN_TOTO} {len(payload)} {payload!r}".encode()
    bundle = json.loads(sign_model(root, key)[0])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    made = key.sign(message, ec.ECDSA(used))
    bundle["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(made).decode(), "keyid": None}]
    return json.dumps(bundle).encode()


def test_the_form_of_2024(root):
    key = new_key(ec.SECP384R1())
    bundle = _old(root, key, SHA256())
    assert _code(bundle, root, key) == "ok"
    _alter(root)
    assert _code(bundle, root, key) == "different"


def _outer(bundle: bytes, *way: str, value=None) -> bytes:
    plain = json.loads(bundle)
    part = plain
    for name in way[:-1]:
        part = part[name]
    if value is None:
        del part[way[-1]]
    else:
        part[way[-1]] = value
    return json.dumps(plain).encode()


def test_bundles_that_are_none(root, key):
    bundle, _ = sign_model(root, key)
    none = [
        b"",
        b"{",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        bundle[:100],
        bundle[: len(bundle) // 2],
        _outer(bundle, "mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"),
        _outer(bundle, "dsseEnvelope"),
        _outer(bundle, "verificationMaterial"),
        _outer(bundle, "verificationMaterial", "publicKey"),
        _outer(bundle, "dsseEnvelope", "signatures", value=[]),
        _outer(bundle, "dsseEnvelope", "payloadType", value="application/json"),
        _outer(bundle, "verificationMaterial", "x509CertificateChain", value={"certificates": []}),
        _outer(bundle, "verificationMaterial", value={"certificate": {"rawBytes": "AAAA"}}),
        _outer(bundle, "dsseEnvelope", "payload", value="=*="),
    ]
    for data in none:
        assert _code(data, root, key) == "malformed"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_byte_of_the_signed_part_is_never_valid(root, data):
    key = new_key()
    bundle, _ = sign_model(root, key)
    plain = json.loads(bundle)
    payload = bytearray(base64.b64decode(plain["dsseEnvelope"]["payload"]))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    plain["dsseEnvelope"]["payload"] = base64.b64encode(bytes(payload)).decode()
    assert _verify(json.dumps(plain).encode(), root, key).outcome == "invalid"


def test_certificates(root):
    firm = Authority()
    chain = (firm.leaf, firm.middle)
    bundle, made = sign_model(root, firm.key, certificates=chain)
    assert made.method == "certificate"

    def code(*roots, now=NOW) -> str:
        return verify_model(bundle, root, Trust(roots=roots), now=now).code

    assert code(firm.root) == "ok"
    assert code(firm.middle) == "ok"
    assert code() == "could_not_check"
    assert code(Authority().root) == "untrusted"
    assert code(firm.root, now=NOW + 200 * DAY) == "expired"
    assert code(firm.root, now=NOW - 3 * DAY) == "not_yet_valid"
    assert _code(bundle, root, firm.key) == "could_not_check", "a key is not an authority"


FIRM = Authority()


def test_a_signature_with_unused_bits_is_another_spelling(root):
    while True:  # until a signature ends with a bit that is 0
        firm = Authority()
        if not firm.leaf.signature[-1] & 1:
            break
    der = bytearray(firm.leaf.public_bytes(Encoding.DER))
    der[-1 - len(firm.leaf.signature)] = 1
    leaf = x509.load_der_x509_certificate(bytes(der))
    bundle, _ = sign_model(root, firm.key, certificates=(leaf, firm.middle))
    trust = Trust(roots=(firm.root,))
    assert verify_model(bundle, root, trust, now=NOW).outcome == "invalid"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_byte_of_a_certificate_is_never_valid(root, data):
    bundle, _ = sign_model(root, FIRM.key, certificates=(FIRM.leaf, FIRM.middle))
    plain = json.loads(bundle)
    chain = plain["verificationMaterial"]["x509CertificateChain"]["certificates"]
    which = data.draw(st.integers(0, 1))
    der = bytearray(base64.b64decode(chain[which]["rawBytes"]))
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    chain[which]["rawBytes"] = base64.b64encode(bytes(der)).decode()
    trust = Trust(roots=(FIRM.root,))
    assert verify_model(json.dumps(plain).encode(), root, trust, now=NOW).outcome == "invalid"


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        ({"end": NOW - DAY / 2}, "expired"),
        ({"begin": NOW + DAY}, "not_yet_valid"),
        ({"purpose": ()}, "untrusted"),
        ({"purpose": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "untrusted"),
    ],
)
def test_certificates_that_may_not_sign(root, leaf, code):
    firm = Authority(**leaf)
    bundle, _ = sign_model(root, firm.key, certificates=(firm.leaf, firm.middle))
    assert verify_model(bundle, root, Trust(roots=(firm.root,)), now=NOW).code == code


@pytest.mark.parametrize("who", ["root", "middle"])
@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [(NOW - 3 * DAY, NOW - DAY, "expired"), (NOW + DAY, NOW + 3 * DAY, "not_yet_valid")],
)
def test_every_certificate_of_the_chain_must_be_valid(root, who, begin, end, code):
    firm = Authority()
    key = getattr(firm, f"{who}_key")
    other = issue(who, key, "root", firm.root_key, ca=True, begin=begin, end=end)
    chain = {"root": firm.root, "middle": firm.middle, who: other}
    bundle, _ = sign_model(root, firm.key, certificates=(firm.leaf, chain["middle"]))
    assert verify_model(bundle, root, Trust(roots=(chain["root"],)), now=NOW).code == code


def test_an_authority_that_renewed_its_certificate(root):
    """One of two ways to the root has expired; the other holds."""
    firm = Authority()
    late = issue("middle", firm.middle_key, "root", firm.root_key, ca=True, end=NOW - DAY / 2)
    bundle, _ = sign_model(root, firm.key, certificates=(firm.leaf, late, firm.middle))
    assert verify_model(bundle, root, Trust(roots=(firm.root,)), now=NOW).code == "ok"


def test_a_signer_is_no_authority(root):
    """A certificate for signing code must not issue another one."""
    firm = Authority()
    thief = new_key()
    forged = issue("thief", thief, "signer", firm.key)
    bundle, _ = sign_model(root, thief, certificates=(forged, firm.leaf, firm.middle))
    assert verify_model(bundle, root, Trust(roots=(firm.root,)), now=NOW).code == "untrusted"


def test_a_chain_longer_than_its_authority_allows(root):
    firm = Authority()
    short = issue("middle", firm.middle_key, "root", firm.root_key, ca=True, path_length=0)
    deep_key, key = new_key(), new_key()
    deep = issue("deep", deep_key, "middle", firm.middle_key, ca=True)
    leaf = issue("leaf", key, "deep", deep_key)
    bundle, _ = sign_model(root, key, certificates=(leaf, deep, short))
    assert verify_model(bundle, root, Trust(roots=(firm.root,)), now=NOW).code == "untrusted"


def test_a_certificate_that_is_its_own_authority(root):
    key = new_key()
    own = issue("me", key, "me", key)
    bundle, _ = sign_model(root, key, certificates=(own,))
    assert verify_model(bundle, root, Trust(roots=(own,)), now=NOW).code == "ok"
    assert verify_model(bundle, root, Trust(roots=(Authority().root,)), now=NOW).code == "untrusted"


def test_the_methods_do_not_stand_for_each_other(root, key):
    firm = Authority()
    by_key, _ = sign_model(root, firm.key)
    assert verify_model(by_key, root, Trust(roots=(firm.root,)), now=NOW).code == "could_not_check"
    chain, _ = sign_model(root, firm.key, certificates=(firm.leaf,))
    swapped = json.loads(chain)
    swapped["dsseEnvelope"] = json.loads(sign_model(root, key)[0])["dsseEnvelope"]
    trust = Trust(roots=(firm.root, firm.middle))
    assert verify_model(json.dumps(swapped).encode(), root, trust, now=NOW).code == "bad_signature"


def test_nothing_to_sign(tmp_path, key):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no files"):
        sign_model(tmp_path / "empty", key)
    with pytest.raises(UsageError, match="not that of the key"):
        sign_model(make_model(tmp_path / "m"), key, certificates=(Authority().leaf,))
