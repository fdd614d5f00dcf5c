"""Records, checkpoints, keys, passports, models, traces, and the exported bundle."""

import asyncio
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.canonical import canonical
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.findings import TextFinding
from keelmark.core.keys import ApiKey
from keelmark.core.outcome import Outcome
from keelmark.core.ports import LedgerPort, Recorder
from keelmark.core.trace import Trace
from keelmark.core.verdict import RuleResult, Verdict
from keelmark.store import Signer, Store, verify_bundle
from keelmark.store.merkle import leaf_hash, root_of

MakeTrace = Callable[..., Trace]
OpenStore = Callable[..., Store]
Tamper = Callable[..., list[tuple[Any, ...]]]


def test_it_is_what_the_ports_ask_for(store: Store) -> None:
    recorder: Recorder = store
    ledger: LedgerPort = store
    assert ledger.append("service.started", {"version": "1"}) == 0
    assert asyncio.run(recorder.record(Trace(trace_id="c" * 32, started=1.0), None)) is None


def test_a_record_is_hashed_as_rfc_6962_says(open_store: OpenStore) -> None:
    with open_store(clock=lambda: 1_700_000_000.0625) as store:
        store.append("service.started", {"version": "é", "bind": "127.0.0.1"})
        store.append("engine.started", {"engine": "e"})
        first, second = store.records()
        point = verify_bundle.parse_checkpoint(store.checkpoint() or "")
    raw = (
        '{"body":{"bind":"127.0.0.1","version":"é"},"kind":"service.started","seq":0,'
        '"time":"2023-11-14T22:13:20.062Z"}'
    ).encode()
    assert canonical(first) == raw
    assert leaf_hash(raw) == hashlib.sha256(b"\0" + raw).digest()
    assert point.root == root_of([leaf_hash(raw), leaf_hash(canonical(second))])


def test_the_checkpoint_is_a_c2sp_note(
    open_store: OpenStore, signing_key: Ed25519PrivateKey
) -> None:
    with open_store(name="example.org/log") as store:
        assert store.checkpoint() is None
        store.append("service.started", {})
        note = store.checkpoint() or ""
    public = signing_key.public_key().public_bytes_raw()
    lines = note.split("\n")
    assert lines[:2] == ["example.org/log", "1"]
    assert lines[3] == ""
    assert lines[4].startswith("— example.org/log ")
    point = verify_bundle.parse_checkpoint(note)
    ((_, identifier, signature),) = point.lines
    assert identifier == hashlib.sha256(b"example.org/log\n\x01" + public).digest()[:4]
    signing_key.public_key().verify(signature, "\n".join([*lines[:3], ""]).encode())


def test_a_published_verifier_key_is_read() -> None:
    """The key of the Go checksum database, known to every Go installation."""
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = verify_bundle.parse_key(text)
    assert (key.name, key.id.hex(), str(key)) == ("sum.golang.org", "033de0ae", text)
    for bad in ("", text[:-4], text.replace("033de0ae", "033de0af"), "a+b"):
        with pytest.raises(verify_bundle.MalformedError):
            verify_bundle.parse_key(bad)


@pytest.mark.parametrize("name", ["two words", "a+b", "line\nbreak"])
def test_a_name_that_c2sp_forbids(signing_key: Ed25519PrivateKey, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a ledger"):
        Signer(signing_key, name)


def test_records_by_kind_and_place(store: Store) -> None:
    assert store.size() == 0
    for kind in ("service.started", "engine.started", "engine.stopped", "engine.started"):
        store.append(kind, {})
    assert store.size() == 4
    assert [r.seq for r in store.records(kinds=["engine.started", "engine.stopped"])] == [1, 2, 3]
    assert [r.seq for r in store.records(since=2)] == [2, 3]
    assert [r.seq for r in store.records(kinds=["engine.started"], since=2)] == [3]
    assert list(store.records(kinds=[])) == []


@pytest.mark.parametrize(
    ("kind", "body"), [("rumour", {}), ("engine.started", {"x": float("inf")})]
)
def test_what_is_no_record(store: Store, kind: str, body: dict) -> None:
    with pytest.raises(UsageError):
        store.append(kind, body)
    assert list(store.records()) == []


def test_the_request_record(store: Store, make_trace: MakeTrace) -> None:
    finding = TextFinding(
        rule="pii", detector="pii", label="EMAIL", score=1.0, start=0, end=3, reason="looks so"
    )
    slow = RuleResult(
        rule="inj", detector="d", version="1", outcome=Outcome.TIMEOUT, threshold=0.5, ms=1.0
    )
    verdict = Verdict(
        stage="input", outcome=Outcome.REDACT, findings=(finding,) * 2, rules=(slow,), coverage=0.5
    )
    trace = make_trace(
        1,
        operation="chat",
        status=200,
        input=verdict,
        timings={"total": 12.5},
        attributes={"gen_ai.usage.input_tokens": 7},
    )
    asyncio.run(store.record(trace, None))
    (record,) = store.records(kinds=["request"])
    body = record.body
    assert body["findings"] == {"EMAIL": 2}
    assert body["not_examined"] == ["inj"]
    assert body["outcome"] == {"input": "redact", "output": None}
    assert body["coverage"] == {"input": 0.5, "output": None}
    assert body["tokens"] == {"input": 7, "output": None}
    assert (body["status"], body["ms"], body["operation"]) == (200, 12.5, "chat")
    stored = store.trace(trace.trace_id)
    assert body["trace"] == "sha256:" + hashlib.sha256(msgspec.json.encode(stored)).hexdigest()


def test_traces_are_listed_and_found(store: Store, make_trace: MakeTrace) -> None:
    async def work() -> None:
        for number in range(6):
            model = "big" if number % 2 else "small"
            await store.record(make_trace(number + 256, model=model, key_id=f"key_{number}"), None)
        await store.record(make_trace(256, status=500), None)  # the same trace id once more

    asyncio.run(work())
    assert [int(t.trace_id, 16) for t in store.traces(limit=3)] == [261, 260, 259]
    assert [int(t.trace_id, 16) for t in store.traces(before=1258.0, limit=1)] == [257]
    assert len(store.traces(model="big")) == 3
    assert [t.key_id for t in store.traces(key_id="key_3")] == ["key_3"]
    assert store.trace(f"{256:032x}").status == 500
    assert store.trace(f"{261:032x}"[:32]).key_id == "key_5"
    with pytest.raises(UsageError, match="Several traces begin"):
        store.trace("0000")
    for nothing in ("f", "%", "zz"):
        with pytest.raises(UsageError, match="no trace"):
            store.trace(nothing)
    report = store.verify()
    assert (report.ok, report.traces) == (True, 7)


def test_a_trace_that_is_gone_is_counted_and_one_that_was_added_is_named(
    store: Store, make_trace: MakeTrace
) -> None:
    asyncio.run(store.record(make_trace(1), None))
    store.append("service.started", {})
    store.submit(lambda tx: tx.db.execute("UPDATE traces SET seq = 1").rowcount)
    report = store.verify()
    assert report.traces_gone == 1
    assert [(p.what, p.seq) for p in report.problems] == [("trace", 1)]
    store.submit(lambda tx: tx.db.execute("DELETE FROM traces").rowcount)
    assert store.verify().ok


def _key(number: int) -> ApiKey:
    return ApiKey(
        id=f"key_{number}",
        name=f"bot {number}",
        hash=bytes([number]) * 32,
        scopes=("models", "admin"),
        created=float(number),
        expires=99.5,
    )


def test_api_keys_and_their_records(store: Store) -> None:
    store.add_key(_key(2))
    store.add_key(_key(1))
    assert store.keys() == [_key(1), _key(2)]
    assert store.key("key_2") == _key(2)
    assert store.key("key_9") is None
    assert store.key_by_hash(bytes([2]) * 32) == _key(2)
    assert store.key_by_hash(bytes(32)) is None
    revoked = store.revoke_key("key_1")
    assert revoked.revoked is not None
    assert store.key("key_1") == revoked == store.revoke_key("key_1")
    with pytest.raises(UsageError, match="no key key_9"):
        store.revoke_key("key_9")
    with pytest.raises(UsageError, match="already a key key_2"):
        store.add_key(_key(2))
    kinds = [(r.kind, r.body["key_id"]) for r in store.records()]
    assert kinds == [("key.created", "key_2"), ("key.created", "key_1"), ("key.revoked", "key_1")]
    assert next(iter(store.records())).body == {
        "key_id": "key_2",
        "name": "bot 2",
        "scopes": ["models", "admin"],
        "expires": 99.5,
        "team": "",
    }


def test_passports_and_models(store: Store, tmp_path: Path) -> None:
    assert store.passport("sha256:aa") is None
    store.put_passport("sha256:aa", b"old")
    store.put_passport("sha256:bb", b"other")
    store.put_passport("sha256:aa", b"new", {"digest": "sha256:aa"})
    assert store.passport("sha256:aa") == b"new"
    assert store.passports() == [("sha256:bb", b"other"), ("sha256:aa", b"new")]
    assert [r.kind for r in store.records()] == ["passport.issued"]
    store.put_model("tiny", tmp_path / "a", "sha256:aa")
    store.put_model("tiny", tmp_path / "b", "sha256:bb")
    assert [(m.name, m.path, m.digest) for m in store.models()] == [
        ("tiny", str(tmp_path / "b"), "sha256:bb")
    ]
    assert store.model("tiny") == store.models()[0]
    assert store.model("none") is None


def test_a_rollback_is_found_by_a_checkpoint_saved_elsewhere(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    store.append("service.started", {})
    early = store.checkpoint() or ""
    for _ in range(3):
        store.append("engine.started", {})
    late = store.checkpoint() or ""
    assert store.verify(against=early).ok
    assert store.verify(against=late).ok
    store.export(tmp_path / "four.zip")

    def cut(tx: object) -> None:
        db = tx.db  # type: ignore[attr-defined]
        db.execute("DELETE FROM records WHERE seq > 0")
        db.execute("DELETE FROM checkpoints")
        db.execute("INSERT INTO checkpoints VALUES (1, (SELECT leaf FROM records), ?)", (early,))

    store.submit(cut)
    assert store.verify().ok  # nothing inside the folder can tell
    (problem,) = store.verify(against=late).problems
    assert problem.what == "rollback"
    assert "covers 4 records, this ledger 1" in problem.message
    store.append("engine.started", {"another": "history"})
    store.append("engine.started", {})
    store.append("engine.started", {})
    (problem,) = store.verify(against=late).problems
    assert (problem.what, problem.seq) == ("rewritten", 4)
    for bad in ("nonsense", late.replace("4", "5", 1)):
        with pytest.raises(UsageError, match="saved checkpoint"):
            store.verify(against=bad)


def test_a_forged_history_signed_with_another_key_is_found(
    store: Store, open_store: OpenStore, tamper: Tamper
) -> None:
    store.append("service.started", {})
    (signers,) = tamper("SELECT id, key FROM signers")
    tamper("DELETE FROM signers")
    with open_store(Ed25519PrivateKey.generate()) as forger:
        forger.append("service.started", {})
    tamper("UPDATE signers SET id = id + 10")
    tamper("INSERT INTO signers VALUES (?, ?)", signers)
    report = store.verify()
    assert [p.what for p in report.problems] == ["signature", "uncovered", "uncovered"]


def test_nothing_is_added_to_an_end_that_was_tampered_with(store: Store, tamper: Tamper) -> None:
    store.append("service.started", {})
    (before,) = tamper("SELECT size, frontier FROM checkpoints")
    for change, value in (("frontier", bytes(32)), ("frontier", b""), ("size", 2)):
        tamper(f"UPDATE checkpoints SET {change} = ?", (value,))
        with pytest.raises(IntegrityError, match="tampered"):
            store.append("service.started", {})
        assert not store.verify().ok
        tamper("UPDATE checkpoints SET size = ?, frontier = ?", before)
    assert store.append("service.started", {}) == 1
    assert store.verify().ok


def _run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-I", str(verify_bundle.__file__), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def bundle(store: Store, tmp_path: Path, make_trace: MakeTrace) -> Path:
    asyncio.run(store.record(make_trace(1), None))
    for _ in range(5):
        store.append("service.started", {"text": "two\nlines"})
    assert store.export(tmp_path / "audit.zip") == 6
    return tmp_path / "audit.zip"


def test_the_bundle_verifies_without_keelmark(
    bundle: Path, store: Store, tmp_path: Path, signing_key: Ed25519PrivateKey
) -> None:
    key, point = str(Signer(signing_key).key), tmp_path / "point"
    status, said = _run(str(bundle))
    assert status == 0
    assert "6 records" in said
    assert "compare it" in said
    point.write_text(store.checkpoint() or "", encoding="utf-8")
    assert _run(str(bundle), "--key", key, "--against", str(point))[0] == 0
    file = tmp_path / "key.txt"
    file.write_text(key + "\n", encoding="utf-8")
    assert _run(str(bundle), "--key", str(file))[0] == 0
    with zipfile.ZipFile(bundle) as inside:
        own = Path(verify_bundle.__file__).read_bytes()
        assert inside.read("verify_bundle.py") == own
        records = inside.read("records.jsonl").splitlines()
    assert records == [canonical(record) for record in store.records()]
    store.append("service.started", {})
    point.write_text(store.checkpoint() or "", encoding="utf-8")
    status, said = _run(str(bundle), "--against", str(point))
    assert (status, "rolled back" in said) == (1, True)


def test_what_was_done_to_a_bundle_is_named(bundle: Path, tmp_path: Path) -> None:
    def altered(name: str, change: Callable[[bytes], bytes]) -> str:
        path = tmp_path / "altered.zip"
        with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.namelist():
                data = old.read(entry)
                new.writestr(entry, change(data) if entry == name else data)
        return str(path)

    def edit(change: Callable[[list[bytes]], object]) -> Callable[[bytes], bytes]:
        def run(data: bytes) -> bytes:
            lines = data.splitlines(keepends=True)
            change(lines)
            return b"".join(lines)

        return run

    cases = (
        (
            edit(lambda x: x.__setitem__(2, x[2].replace(b"two", b"six"))),
            "Record 2 (service.started)",
        ),
        (edit(lambda x: x.pop(3)), "Record 3 is missing"),
        (edit(lambda x: x.pop(5)), "Record 5 is missing"),
        (
            edit(lambda x: x.insert(2, x[1].replace(b"two", b"six"))),
            "Record 1 (service.started) was",
        ),
        (edit(lambda x: x.insert(4, x.pop(3))), "Record 3 (service.started) was moved"),
        (edit(lambda x: x.append(x[0])), "Record 0 (request) was inserted"),
    )
    for change, words in cases:
        status, said = _run(altered("records.jsonl", change))
        assert (status, words in said) == (1, True), (words, said)
    status, said = _run(altered("checkpoint", lambda data: data.replace(b"\n6\n", b"\n7\n")))
    assert (status, "not signed by" in said) == (1, True)


def test_what_is_no_bundle_could_not_be_checked(bundle: Path, tmp_path: Path) -> None:
    text, empty, torn = tmp_path / "text", tmp_path / "empty.zip", tmp_path / "torn.zip"
    text.write_text("hello", encoding="utf-8")
    zipfile.ZipFile(empty, "w").close()
    torn.write_bytes(bundle.read_bytes()[:-200])
    for path in (tmp_path / "absent.zip", text, empty, torn, tmp_path):
        status, said = _run(str(path))
        assert status == 2, said
        assert said.startswith("Could not check")
        assert said.count("\n") == 1
    status, said = _run(str(bundle), "--key", "nonsense")
    assert (status, "not a C2SP verifier key" in said or "base64" in said) == (2, True)
    other = str(Signer(Ed25519PrivateKey.generate()).key)
    assert _run(str(bundle), "--key", other)[0] == 1


def test_export_writes_all_or_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        store.export(tmp_path / "out.zip")
    store.append("service.started", {})
    (tmp_path / "taken.zip").mkdir()
    for out in (tmp_path / "no" / "such" / "out.zip", tmp_path / "taken.zip"):
        with pytest.raises(UsageError, match="cannot be written"):
            store.export(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "taken.zip"]
