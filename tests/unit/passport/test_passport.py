"""The passport: exactly these bytes, this policy, a trusted key, now."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import jsonschema
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.canonical import canonical
from keelmark.core.canonical import digest as digest_of
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.findings import Severity
from keelmark.core.policy import Admission, Policy, Waiver
from keelmark.core.vetting import Coverage, VetReport, VetVerdict
from keelmark.passport import dsse
from keelmark.passport.keys import SigningKey
from keelmark.passport.manifest import Manifest, build_manifest
from keelmark.passport.passport import Passport, PassportStatus
from keelmark.passport.statement import Statement

DEFAULT = Admission()
Issue = Callable[..., Passport]


@pytest.fixture
def check(signer: SigningKey, now: object) -> Callable[..., PassportStatus]:
    def check(
        passport: Passport,
        model: Manifest | str | Path,
        admission: Admission = DEFAULT,
        now: object = now,
    ) -> PassportStatus:
        if isinstance(model, Path):
            model = build_manifest(model)
        status = passport.verify(
            model=model, admission=admission, trusted={signer.key_id: signer.public}, now=now
        )
        assert status.valid == (status.code == "ok")
        assert status.reason.endswith(".")
        return status

    return check


def test_valid_for_exactly_these_bytes(model: Path, issue: Issue, check) -> None:
    passport = issue(model)
    assert check(passport, model).code == "ok"
    assert check(passport, build_manifest(model).digest).code == "ok"
    assert passport.digest == build_manifest(model).digest


def test_policy_digest_is_the_policys_own(model: Path, issue: Issue) -> None:
    policy = Policy(admission=Admission(passport_days=3))
    passport = issue(model, admission=policy.admission)
    assert passport.statement.predicate.policy_digest == policy.admission_digest


def test_flipped_byte(model: Path, issue: Issue, check) -> None:
    passport = issue(model)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    status = check(passport, model)
    assert status.code == "flipped"
    assert "model.gguf has other content" in status.reason
    assert "keelmark admit PATH" in status.reason
    assert check(passport, build_manifest(model).digest).code == "flipped"


def test_renamed_file_in_a_folder(folder: Path, issue: Issue, check) -> None:
    passport = issue(folder)
    assert check(passport, folder).code == "ok"
    (folder / "config.json").rename(folder / "config.py")
    assert build_manifest(folder).digest == passport.digest
    status = check(passport, folder)
    assert status.code == "flipped"
    assert "config.json is missing" in status.reason
    with pytest.raises(UsageError, match="build_manifest"):
        check(passport, passport.digest)


def test_time(model: Path, issue: Issue, check, now) -> None:
    passport = issue(model, admission=Admission(passport_days=30))
    for moment, code in [
        (now - timedelta(seconds=1), "not_yet_valid"),
        (now, "ok"),
        (now + timedelta(days=30, seconds=-1), "ok"),
        (now + timedelta(days=30), "expired"),
    ]:
        status = check(passport, model, Admission(passport_days=30), moment)
        assert status.code == code
    assert "expired on 2026-12-22 12:00:00 UTC: run `keelmark admit PATH` again" in status.reason


def test_foreign_key(model: Path, issue: Issue, check) -> None:
    other = SigningKey(Ed25519PrivateKey.generate())
    status = check(issue(model, key=other), model)
    assert status.code == "foreign"
    assert other.key_id[:16] in status.reason


def test_other_policy(model: Path, issue: Issue, check) -> None:
    stricter = Admission(fail_on=Severity.LOW)
    status = check(issue(model), model, stricter)
    assert status.code == "stricter_policy"
    for digest in (digest_of(Admission()), digest_of(stricter)):
        assert digest in status.reason


def test_expired_waiver_counts_as_another_policy(model: Path, issue: Issue, check, now) -> None:
    waiver = Waiver(rule="gguf.note", reason="known", expires="2026-11-25")
    policy = Admission(waivers=(waiver,))
    passport = issue(model, admission=policy)
    assert check(passport, model, policy, now + timedelta(days=3)).code == "ok"
    status = check(passport, model, policy, now + timedelta(days=4))
    assert status.code == "stricter_policy"
    assert "waiver for gguf.note" in status.reason
    # Admitted again after that day: the waiver played no part, so nothing is lost with it.
    later = issue(model, admission=policy, now=now + timedelta(days=4))
    assert check(later, model, policy, now + timedelta(days=5)).code == "ok"


@pytest.mark.parametrize(
    ("verdict", "incomplete", "code"),
    [
        (VetVerdict.FAIL, False, "failed_vetting"),
        (VetVerdict.FAIL, True, "failed_vetting"),
        (VetVerdict.INCOMPLETE, False, "failed_vetting"),
        (VetVerdict.INCOMPLETE, True, "ok"),
    ],
)
def test_vetting_that_did_not_pass(
    verdict: VetVerdict, incomplete: bool, code: str, model: Path, issue: Issue, check
) -> None:
    policy = Admission(allow_incomplete=incomplete)
    assert check(issue(model, admission=policy, verdict=verdict), model, policy).code == code


def test_any_altered_byte_breaks_it(model: Path, issue: Issue, check) -> None:
    data = issue(model).to_bytes()
    manifest = build_manifest(model)
    hint = data.index(b'"keyid"')
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 0x01
        try:
            passport = Passport.from_bytes(bytes(altered))
        except IntegrityError:
            continue
        code = check(passport, manifest).code
        # The key id is a hint outside the signature: altered, it names nobody we know, or there
        # is none and every known key is tried.
        no_hint = hint < place < hint + len('"keyid"')
        assert code in ("broken", "foreign") or (code == "ok" and no_hint), place


def _resign(passport: Passport, signer: SigningKey, edit: Callable[[dict], object]) -> bytes:
    plain = json.loads(base64.b64decode(json.loads(passport.to_bytes())["payload"]))
    edit(plain)
    return dsse.sign(canonical(plain), signer)


@pytest.mark.parametrize(
    "edit",
    [
        lambda p: p.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda p: p.update(predicateType="https://model_signing/signature/v1.0"),
        lambda p: p["subject"].append(p["subject"][0]),
        lambda p: p["subject"][0]["digest"].update(sha256="0" * 64),
        lambda p: p["predicate"]["resources"][0].update(digest="0" * 63),
        lambda p: p["predicate"]["resources"].clear(),
        lambda p: p["predicate"].update(not_after="2027-01-01T00:00:00"),
        lambda p: p["predicate"].pop("verdict"),
    ],
)
def test_signed_nonsense_is_broken(edit, model: Path, issue: Issue, signer: SigningKey) -> None:
    with pytest.raises(IntegrityError, match="keelmark admit PATH"):
        Passport.from_bytes(_resign(issue(model), signer, edit))


def test_unknown_fields_of_a_later_version_are_let_be(
    model: Path, issue: Issue, signer: SigningKey, check
) -> None:
    data = _resign(issue(model), signer, lambda p: p["predicate"].update(licence="MIT"))
    assert check(Passport.from_bytes(data), model).code == "ok"


def test_statement_shape(folder: Path, issue: Issue) -> None:
    passport = issue(folder)
    payload = json.loads(base64.b64decode(json.loads(passport.to_bytes())["payload"]))
    assert payload["_type"] == "https://in-toto.io/Statement/v1"
    assert payload["predicateType"] == "urn:keelmark:passport:v1"
    assert payload["subject"] == [
        {"name": "model", "digest": {"sha256": passport.digest.removeprefix("sha256:")}}
    ]
    predicate = payload["predicate"]
    assert predicate["resources"][1]["name"] == "config.json"
    assert predicate["serialization"]["method"] == "files"
    assert predicate["serialization"]["ignore_paths"] == []
    assert predicate["not_before"] == "2026-11-22T12:00:00Z"
    assert predicate["not_after"] == "2027-02-20T12:00:00Z"
    jsonschema.validate(payload, msgspec.json.schema(Statement))


def test_report_about_other_bytes_is_not_signed(model: Path, signer: SigningKey) -> None:
    manifest = build_manifest(model)
    report = VetReport(
        digest=manifest.digest,
        name=manifest.name,
        verdict=VetVerdict.PASS,
        findings=(),
        coverage=Coverage(files=1, checked=1),
        checks={},
        policy_digest=digest_of(Admission()),
        reason="",
    )
    model.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="changed between vetting and signing"):
        Passport.issue(report, build_manifest(model), signer=signer, admission=Admission())
    with pytest.raises(UsageError, match="another admission policy"):
        Passport.issue(report, manifest, signer=signer, admission=Admission(passport_days=1))


def test_saved_and_loaded(model: Path, tmp_path: Path, issue: Issue) -> None:
    passport = issue(model)
    path = tmp_path / "model.passport.json"
    passport.save(path)
    assert Passport.load(path) == passport
    with pytest.raises(UsageError, match="cannot be written"):
        passport.save(tmp_path / "nowhere" / "p.json")
    with pytest.raises(UsageError, match="does not exist"):
        Passport.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is a folder"):
        Passport.load(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match=r"model\.passport\.json: This is not a signed"):
        Passport.load(path)


def test_shown_to_scripts_and_people(model: Path, issue: Issue) -> None:
    passport = issue(model)
    shown = passport.show()
    json.dumps(shown)
    assert shown["digest"] == passport.digest
    assert shown["verdict"] == "pass"
    assert shown["files"][0]["size"] == model.stat().st_size
    text = passport.text()
    assert "low gguf.note" in text
    assert passport.digest in text
    assert "\x1b" not in text
