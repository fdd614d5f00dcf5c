"""The survey: the join of model and engine, and what may be called clean."""

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.passport.manifest import build_manifest
from keelmark.vet.machine import Machine
from keelmark.vet.registry import all_rules
from keelmark.vet.survey import Asked, Subject
from keelmark.vet.surveys.vulnerabilities import run
from keelmark.vet.vulnerabilities import triggers
from keelmark.vet.vulnerabilities.database import seed

TODAY = dt.date(2026, 11, 22)
TEMPLATE = {"gguf": {"metadata": {"tokenizer.chat_template": "{{ messages }}"}}}


def subject(
    folder: Path,
    facts: Mapping[str, Mapping[str, object]],
    *findings: ArtefactFinding,
    stack: str = "",
    dump: Mapping[str, object] | None = None,
    engines: tuple[tuple[str, str], ...] = (("xllamacpp", "2026.10.11549"),),
) -> Subject:
    model = folder / "model"
    model.mkdir()
    for path in facts or {"model.safetensors": {}}:
        (model / path).write_bytes(b"x")
    asked = {}
    if stack:
        (folder / "stack.txt").write_text(stack)
        asked["stack"] = folder / "stack.txt"
    if dump:
        (folder / "dump.json").write_text(json.dumps(dump))
        asked["advisories"] = folder / "dump.json"
    return Subject(
        build_manifest(model), facts, findings, Asked(**asked), Machine(engines=engines), TODAY
    )


def found(rule: str, path: str) -> ArtefactFinding:
    return ArtefactFinding(
        rule=rule, severity=Severity.CRITICAL, path=path, location="x", message="x"
    )


CASES = {
    "foreign_attention": (
        "config.json",
        {"json": {"text_config": {"_attn_implementation_internal": "who/ever"}}},
        {"json": {"_attn_implementation_internal": "sdpa"}},
    ),
    "trusting_lightglue": (
        "config.json",
        {"json": {"model_type": "lightglue", "keypoint": {"trust_remote_code": True}}},
        {"json": {"model_type": "lightglue", "trust_remote_code": False}},
    ),
    "auto_map": ("config.json", {"json": {"auto_map": {"AutoModel": "a.B"}}}, {"json": {}}),
    "nemotron_auto_map": (
        "config.json",
        {"json": {"model_type": "Nemotron_Nano_VL", "auto_map": {"AutoModel": "a.B"}}},
        {"json": {"model_type": "llama", "auto_map": {"AutoModel": "a.B"}}},
    ),
    "kimi_or_nemotron_auto_map": (
        "config.json",
        {"json": {"model_type": "kimi_k25", "auto_map": {"AutoModel": "a.B"}}},
        {"json": {"model_type": "kimi_k25"}},
    ),
    "lightning": ("epoch.ckpt", {}, "epoch.pt"),
    "pt2": ("program.pt2", {}, "program.pt"),
    "pickle": ("pytorch_model.bin", {}, "model.safetensors"),
    "rng_state": ("rng_state_0.pth", {}, "other.pth"),
    "gguf_template": ("model.gguf", TEMPLATE, {"gguf": {"metadata": {}}}),
    "template": ("tokenizer_config.json", {"json": {"chat_template": "x"}}, {"json": {}}),
    "keras_archive": ("model.keras", {}, "model.h5"),
    "hdf5": ("model.h5", {}, "model.keras"),
    "onnx": ("model.onnx", {}, "model.ort"),
    "skops": ("model.skops", {}, "model.json"),
    "nemo": ("model.nemo", {}, "model.tar"),
}


def test_every_sight_is_used_and_tested() -> None:
    assert set(CASES) == set(triggers.SIGHTS) == {row.sees for row in triggers.table()}


@pytest.mark.parametrize("name", CASES)
def test_a_sight_sees_its_property_and_no_other(name: str) -> None:
    path, facts, other = CASES[name]
    sight = triggers.SIGHTS[name]
    assert sight(path, facts)
    assert not (sight(other, facts) if isinstance(other, str) else sight(path, other))
    assert sight(path, {"json": [1], "gguf": "x", "template": ""}) == (name not in JSON)


JSON = {
    "foreign_attention",
    "trusting_lightglue",
    "auto_map",
    "nemotron_auto_map",
    "kimi_or_nemotron_auto_map",
    "gguf_template",
    "template",
}


def _version_at_risk(name: str) -> str:
    (record,) = [one for one in seed().records if one.id == name]
    (part,) = record.affected
    for event in part.ranges[0].events if part.ranges else ():
        if event.fixed or event.last_affected:
            first = part.ranges[0].events[0].introduced
            return first if first and first != "0" else "0.0.1"
    return part.versions[0]


@pytest.mark.parametrize("row", triggers.table(), ids=lambda row: f"{row.advisory}-{row.sees}")
def test_every_row_joins_a_model_and_an_engine(row: triggers.Trigger, tmp_path: Path) -> None:
    (record,) = [one for one in seed().records if one.id == row.advisory]
    package = record.affected[0].package
    assert package
    assert package.ecosystem == "PyPI"
    path, facts, _ = CASES[row.sees]
    stack = f"{package.name}=={_version_at_risk(row.advisory)}\n"
    section, findings, _ = run(subject(tmp_path, {path: facts}, stack=stack))
    rule = "vulnerabilities.triggered" if row.certain else "vulnerabilities.exposed"
    hits = [one for one in findings if one.rule == rule and one.location.startswith(row.advisory)]
    assert [one.path for one in hits] == [path]
    assert row.says in hits[0].message
    assert section.answer in {"triggered", "affected"}


TAGGED = [
    (rule.id, tag.removeprefix("cve:"))
    for rule in all_rules().values()
    for tag in rule.tags
    if tag.startswith("cve:") and any(one.id == tag.removeprefix("cve:") for one in seed().records)
]


@pytest.mark.parametrize(("rule", "name"), TAGGED)
def test_every_rule_that_names_an_advisory_of_the_seed_meets_it(
    rule: str, name: str, tmp_path: Path
) -> None:
    (record,) = [one for one in seed().records if one.id == name]
    where = record.affected[0].package
    assert where
    kinds = {"PyPI": "pypi", "Go": "golang", "GitHub": "github"}
    version = _version_at_risk(name)
    version = version if where.name != "ggml-org/llama.cpp" else "b1"
    stack = f"pkg:{kinds[where.ecosystem]}/{where.name}@{version}\n"
    section, findings, _ = run(subject(tmp_path, {"f": {}}, found(rule, "f"), stack=stack))
    hits = {one.location for one in findings if one.rule == "vulnerabilities.triggered"}
    assert any(hit.startswith(name) for hit in hits)
    assert section.answer == "triggered"


@pytest.mark.parametrize(
    ("rule", "engine", "fixed"),
    [
        ("gguf.size_overflow", "pkg:github/ggml-org/llama.cpp@b7823", "@b7824"),
        ("gguf.out_of_file", "pkg:golang/github.com/ollama/ollama@0.17.0", "@0.17.1"),
        ("gguf.template_code", "llama-cpp-python==0.2.71", "==0.2.72"),
        ("chat_template.template_code", "sglang==0.5.9", "==0.6.0"),
        ("numpy.object_array", "numpy==1.16.2", "==1.16.3"),
        ("pickle.dangerous_call", "torch==2.5.1", "==2.10.0"),
    ],
)
def test_a_finding_of_a_check_meets_its_advisory(
    rule: str, engine: str, fixed: str, tmp_path: Path
) -> None:
    assert rule in all_rules()
    for place, (stack, expected) in enumerate(
        [(engine, True), (engine.rpartition("=" * 2 if "==" in engine else "@")[0] + fixed, False)]
    ):
        (tmp_path / str(place)).mkdir()
        one = subject(tmp_path / str(place), {"f": {}}, found(rule, "f"), stack=stack)
        section, findings, _ = run(one)
        hits = [one for one in findings if one.rule == "vulnerabilities.triggered"]
        assert bool(hits) == expected, findings
        assert (section.answer == "triggered") == expected


def test_our_own_engine_is_joined_without_being_declared(tmp_path: Path) -> None:
    old = (("xllamacpp", "2025.12.7000"),)
    one = subject(tmp_path, {"m.gguf": {}}, found("gguf.size_overflow", "m.gguf"), engines=old)
    section, findings, _ = run(one)
    assert {finding.rule for finding in findings} == {"vulnerabilities.triggered"}
    assert section.answer == "triggered"
    assert not section.required


def test_our_own_packages_make_no_finding_about_the_model(tmp_path: Path) -> None:
    section, findings, _ = run(subject(tmp_path, {"m.gguf": TEMPLATE}))
    assert findings == ()
    assert section.answer in {"seed only", "affected if used"}
    assert "the seed of" in section.summary
    assert section.unanswered
    assert not section.required


FRESH = {
    "id": "X-1",
    "modified": "2026-11-21T00:00:00Z",
    "summary": "it breaks",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "thing"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
    ],
}


def test_a_fresh_dump_may_say_none_known(tmp_path: Path) -> None:
    section, findings, _ = run(subject(tmp_path, {}, stack="thing==2.0\n", dump=FRESH))
    assert section.answer == "none known"
    assert section.unanswered == ()
    assert findings == ()
    assert "1 days old" in section.summary
    assert section.required


@pytest.mark.parametrize(
    ("dump", "stack"),
    [
        (None, "thing==2.0\n"),
        ({**FRESH, "modified": "2026-10-01T00:00:00Z"}, "thing==2.0\n"),
        ({**FRESH, "modified": "2027-10-01T00:00:00Z"}, "thing==2.0\n"),
        (FRESH, "thing==2.0\nother>=1\n"),
        (FRESH, "thing==2.0\npkg:npm/other@1.0.0\n"),
        (FRESH, "thing===nightly\n"),
        ({"id": "X-1"}, "thing==2.0\n"),
    ],
    ids=["no dump", "stale", "future", "unpinned", "ecosystem", "version", "broken"],
)
def test_what_is_not_known_is_never_clean(
    dump: dict[str, object] | None, stack: str, tmp_path: Path
) -> None:
    section, *_ = run(subject(tmp_path, {}, stack=stack, dump=dump))
    assert section.answer in {"seed only", "could not tell"}
    assert section.unanswered
    assert section.required


def test_a_stale_dump_still_says_what_it_knows(tmp_path: Path) -> None:
    old = {**FRESH, "modified": "2020-01-01T00:00:00Z"}
    section, findings, _ = run(subject(tmp_path, {}, stack="thing==1.0\n", dump=old))
    assert section.answer == "affected"
    assert section.unanswered
    (finding,) = findings
    assert finding.rule == "vulnerabilities.affected_package"
    assert finding.severity is Severity.HIGH  # nobody says how grave it is
    assert "fixed in 2.0" in finding.message


def test_what_needs_something_else_to_be_in_use_is_low(tmp_path: Path) -> None:
    section, findings, _ = run(
        subject(tmp_path, {}, stack="pkg:github/ggml-org/llama.cpp@b11549\n")
    )
    assert section.answer == "affected if used"
    assert [finding.severity for finding in findings] == [Severity.LOW]
    assert "does not start" in section.lines[0].why


def test_the_same_input_gives_the_same_section(tmp_path: Path) -> None:
    one = subject(tmp_path, {"a.bin": {}, "m.gguf": TEMPLATE}, stack="torch==2.0\nvllm==0.6.0\n")
    assert run(one) == run(one)
    assert json.dumps(run(one).section.data) == json.dumps(run(one).section.data)


def test_a_dump_cannot_talk_a_vulnerability_down(tmp_path: Path) -> None:
    sly = {**FRESH, "database_specific": {"needs": "nothing that you have", "severity": "HIGH"}}
    section, findings, _ = run(subject(tmp_path, {}, stack="thing==1.0\n", dump=sly))
    assert section.answer == "affected"
    assert "1 known vulnerability (X-1), by an OSV dump" in section.summary
    assert [finding.severity for finding in findings] == [Severity.HIGH]


def test_text_of_a_dump_cannot_write_on_the_screen(tmp_path: Path) -> None:
    loud = {**FRESH, "id": "X" * 400, "summary": "\x1b[2J\u202emoc.elpmaxe" + "x" * 5000}
    section, findings, _ = run(subject(tmp_path, {}, stack="thing==1.0\n", dump=loud))
    for text in (section.summary, *(line.why for line in section.lines), findings[0].message):
        assert text.isprintable()
        assert len(text) <= 600
    assert "by an OSV dump" in section.summary
