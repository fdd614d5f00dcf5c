from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keelmark.core.canonical import digest
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.policy import Admission
from keelmark.core.vetting import Coverage, VetReport, VetVerdict
from keelmark.passport.keys import SigningKey, load_or_create
from keelmark.passport.manifest import Manifest, build_manifest
from keelmark.passport.passport import Passport

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DEFAULT = Admission()
Issue = Callable[..., Passport]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * 5000)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "tokenizer").mkdir(parents=True)
    (root / "config.json").write_text('{"a": 1}')
    (root / "tokenizer" / "vocab.txt").write_text("one\ntwo\n")
    (root / "tokenizer-notes.txt").write_text("notes")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref")
    return root


@pytest.fixture
def signer(tmp_path: Path) -> SigningKey:
    return load_or_create(tmp_path / "data" / "keys" / "passport.key")


def report_for(manifest: Manifest, admission: Admission, verdict: VetVerdict) -> VetReport:
    return VetReport(
        digest=manifest.digest,
        name=manifest.name,
        verdict=verdict,
        findings=(
            ArtefactFinding(
                rule="gguf.note",
                severity=Severity.LOW,
                path=".",
                location="offset 12",
                message="A note with \x1b[31m colour.",
            ),
        ),
        coverage=Coverage(files=len(manifest.entries), checked=len(manifest.entries)),
        checks={"gguf": "1 (c4nary 0.3.1)"},
        policy_digest=digest(admission),
        reason="No finding reaches high.",
    )


@pytest.fixture
def issue(signer: SigningKey) -> Issue:
    def issue(
        path: Path,
        admission: Admission = DEFAULT,
        verdict: VetVerdict = VetVerdict.PASS,
        now: datetime = NOW,
        key: SigningKey = signer,
    ) -> Passport:
        manifest = build_manifest(path)
        report = report_for(manifest, admission, verdict)
        return Passport.issue(report, manifest, signer=key, admission=admission, now=now)

    return issue


@pytest.fixture
def now() -> datetime:
    return NOW
