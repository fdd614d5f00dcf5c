"""Only admitted bytes are served: whatever is wrong with model, passport or policy."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openai
import pytest

from corpus.make import CASES as CORPUS
from keelmark.core.events import FIELDS
from keelmark.core.semconv import LOAD_MODE
from keelmark.guard.guard import shipped_policy
from keelmark.passport.keys import LEDGER_KEY, PASSPORT_KEY, export_public, load_or_create
from keelmark.passport.manifest import build_manifest
from keelmark.passport.passport import Passport
from keelmark.serve.fake import FakeEngine
from keelmark.serve.models import LocalModel
from keelmark.store import Store
from keelmark.vet import vetted

from .conftest import MODEL, Service, called, free_port, keelmark, status_of, with_model
from .wire import check_sentence

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, bundled_model: LocalModel) -> Path:
    """A data folder in which a copy of the bundled model was admitted."""
    folder = tmp_path_factory.mktemp("admitted")
    shutil.copyfile(bundled_model.path, folder / "harbour.gguf")
    done = keelmark("admit", folder / "harbour.gguf", data=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def model(data: Path) -> Iterator[Path]:
    """The admitted model; whatever a test does to it and its passport is undone."""
    path, (digest, envelope) = data / "harbour.gguf", passport_of(data)
    kept = path.read_bytes()
    yield path
    if path.read_bytes() != kept:
        path.write_bytes(kept)
    put(data, digest, envelope)


def opened(data: Path) -> Store:
    return Store.open(data, signer=load_or_create(data / LEDGER_KEY).private)


def passport_of(data: Path) -> tuple[str, bytes]:
    with opened(data) as store:
        return store.passports()[0]


def put(data: Path, digest: str, envelope: bytes) -> None:
    fields = FIELDS["passport.issued"]
    with opened(data) as store:
        store.put_passport(digest, envelope, dict.fromkeys(fields, "") | {"digest": digest})


def refused(data: Path, model: Path, *words: object) -> str:
    """Start `keelmark up` where it must refuse; return its sentence, which the ledger has too."""
    done = called("up", "--port", free_port(), "--model", model, *words, data=data)
    *_, line = done.stderr.splitlines()
    said = line.removeprefix("keelmark: ")
    check_sentence(said)
    assert done.returncode == 1, done.stderr
    shown = called("ledger", "show", "--kind", "model.refused", "--json", data=data)
    reason = json.loads(shown.stdout)[-1]["body"]["reason"]
    assert reason in said
    return said


def verified(data: Path, ref: object, *words: object) -> str:
    """What `keelmark passport verify` says: its code."""
    shown = called("passport", "verify", ref, "--json", *words, data=data)
    status = json.loads(shown.stdout)
    assert shown.returncode == (0 if status["valid"] else 1)
    check_sentence(status["reason"])
    return status["code"]


def issue(data: Path, path: Path, key: Path, now: datetime) -> bytes:
    """A passport as `keelmark admit` signs it, with another key or at another time."""
    admission = shipped_policy("default").admission
    report, manifest, _ = vetted(path, admission=admission)
    signer = load_or_create(key)
    return Passport.issue(report, manifest, signer=signer, admission=admission, now=now).to_bytes()


def served(service: Service, model: str) -> dict[str, str]:
    """Ask for one token; return the headers of the answer."""
    with service.client() as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "hi"}], max_tokens=1
        )
    return dict(raw.headers)


def test_one_flipped_byte(data: Path, model: Path) -> None:
    before = build_manifest(model).digest
    with model.open("r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)
        file.seek(50_000_000)
        file.write(bytes([byte[0] ^ 1]))
    after = build_manifest(model).digest
    said = refused(data, model)
    assert before in said
    assert after in said
    assert f"restore the file, or run `keelmark admit {model}`" in said
    assert verified(data, model) == "flipped"
    assert json.loads(called("vet", model, "--json", data=data).stdout)["digest"] == after
    assert "NOT VALID" in called("models", "list", data=data).stdout


def test_an_expired_passport(data: Path, model: Path) -> None:
    digest, _ = passport_of(data)
    long_ago = datetime.now(UTC) - timedelta(days=91)
    put(data, digest, issue(data, model, data / PASSPORT_KEY, long_ago))
    assert "expired on" in refused(data, model)
    assert verified(data, model) == "expired"
    assert called("admit", model, data=data).returncode == 0
    assert verified(data, model) == "ok"


def test_a_foreign_passport(data: Path, model: Path, tmp_path: Path) -> None:
    digest, _ = passport_of(data)
    put(data, digest, issue(data, model, tmp_path / "other.key", datetime.now(UTC)))
    refused(data, model)
    assert verified(data, model) == "foreign"
    trust = data / "trust"
    trust.mkdir()
    public = export_public(load_or_create(tmp_path / "other.key").public)
    (trust / "other.pub").write_text(public)
    try:
        assert verified(data, model) == "ok"
        service = Service(data, "--model", model).wait()
        assert served(service, "harbour")["x-keelmark-model-digest"] == digest
        service.stop()
    finally:
        shutil.rmtree(trust)


def test_a_damaged_passport(data: Path, model: Path) -> None:
    digest, envelope = passport_of(data)
    at = envelope.index(b'"sig"') + 12
    put(data, digest, envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :])
    done = called("up", "--port", free_port(), "--model", model, data=data)
    assert done.returncode == 1
    assert verified(data, model) in ("broken", "foreign")


def test_a_stricter_policy(data: Path, model: Path, tmp_path: Path) -> None:
    policy = tmp_path / "strict.yaml"
    policy.write_text("version: 1\nadmission: {fail_on: medium}\n")
    said = refused(data, model, "--policy", policy)
    assert "under policy" in said
    assert "run `keelmark admit" in said
    assert verified(data, model, "--policy", policy) == "stricter_policy"
    assert verified(data, model) == "ok"
    assert called("admit", model, "--policy", policy, data=data).returncode == 0
    assert verified(data, model, "--policy", policy) == "ok"


def test_no_admit_at_first_sight(data: Path, tmp_path: Path, bundled_model: LocalModel) -> None:
    path = tmp_path / "new.gguf"
    path.symlink_to(bundled_model.path)
    assert f"run `keelmark admit {path}`" in refused(data, path, "--no-admit")
    assert called("passport", "show", path, data=data).returncode == 2


@pytest.mark.parametrize("case", ["gguf-ssti", "gguf-cve-2026-33298"])
def test_a_hostile_model(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(CORPUS[case].files["model.gguf"])
    said = refused(tmp_path / "data", path)
    assert "fails vetting" in said
    assert CORPUS[case].rules[0] in said
    assert f"keelmark vet {path}" in said
    assert json.loads(called("models", "list", "--json", data=tmp_path / "data").stdout) == []


def test_what_cannot_be_checked_is_not_clean(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(CORPUS["gguf-trailing"].files["model.gguf"])
    done = called("up", "--port", free_port(), "--model", path, data=tmp_path / "data")
    assert done.returncode == 2
    assert "could not be fully vetted" in done.stderr
    assert called("admit", path, data=tmp_path / "data").returncode == 2


@pytest.mark.parametrize(("mode", "used"), [("hash", ["hash"]), ("mtime", ["hash", "mtime"])])
def test_load_modes(data: Path, model: Path, tmp_path: Path, mode: str, used: list[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\nadmission: {{load: {mode}}}\n")
    assert called("admit", model, "--policy", policy, data=data).returncode == 0
    for expected in used:
        service = Service(data, "--model", model, "--policy", policy).wait()
        trace = served(service, "harbour")["x-keelmark-trace-id"]
        shown = json.loads(service.run("traces", trace, "--json").stdout)
        service.stop()
        assert shown["attributes"][LOAD_MODE] == expected


def test_first_sight_and_what_happens_to_the_file_later(
    tmp_path: Path, bundled_model: LocalModel
) -> None:
    path = with_model(tmp_path, bundled_model)
    service = Service(tmp_path).wait()
    try:
        before = served(service, MODEL)
        assert verified(tmp_path, MODEL) == "ok"
        with path.open("r+b") as file:
            file.write(b"GGUF" + bytes(4096))
        other = path.with_suffix(".other")
        other.write_bytes(CORPUS["gguf-twin"].files["model.gguf"])
        other.replace(path)
        os.kill(service.engine_pid(), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while status_of(f"{service.url}/readyz") == 200 and time.monotonic() < deadline:
            time.sleep(0.005)
        service.wait()
        after = served(service, MODEL)
    finally:
        service.stop()
    assert service.process.returncode == 0, "a service that was told to stop did not fail"
    shown = called("ledger", "show", "--kind", "engine.stopped", "--json", data=tmp_path)
    lost, stopped = (record["body"]["reason"] for record in json.loads(shown.stdout))
    assert "signal" in lost or "SIGKILL" in lost
    assert "asked to stop" in stopped
    same = "x-keelmark-model-digest"
    assert after[same] == before[same] == passport_of(tmp_path)[0]
    assert verified(tmp_path, MODEL) == "flipped"
    done = keelmark("up", "--port", free_port(), data=tmp_path)
    assert done.returncode == 1
    assert "was changed since it was fetched" in done.stderr
    assert called("ledger", "verify", data=tmp_path).returncode == 0


def test_an_engine_without_a_passport_under_a_policy_that_wants_one(
    tmp_path: Path, fake_engine: tuple[FakeEngine, str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nadmission: {unattested: refuse}\n")
    service = Service(tmp_path / "data", "--upstream", fake_engine[1], "--policy", policy).wait()
    fake_engine[0].received.clear()
    with service.client() as client, pytest.raises(openai.PermissionDeniedError) as refusal:
        client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "hi"}])
    service.stop()
    assert refusal.value.code == "unattested"
    check_sentence(refusal.value.body["message"])
    assert fake_engine[0].received == []
    assert "Traceback" not in service.said()
