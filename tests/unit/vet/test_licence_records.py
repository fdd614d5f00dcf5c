"""Records hold what they say: every quotation stands at its place, every name leads somewhere."""

import hashlib
import importlib.util
import os
import re
from pathlib import Path

import pytest
import yaml

from keelmark.core.errors import UsageError
from keelmark.vet.licence.expressions import named
from keelmark.vet.licence.records import Effect, Record, all_records, load_record, parse_record
from keelmark.vet.licence.words import marks, unpack, words, words_digest

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ROOT.parent / "shared" / "data" / "licences"
RECORDS = all_records()
WITH_TEXT = [record for record in RECORDS.values() if record.text != "none"]
_SOURCE = re.compile(r"ScanCode LicenseDB .*: ([\w.-]+)")
TERM = {"id": "a", "topic": "grant", "effect": "permits", "says": "x", "quote": "y"}
needs_texts = pytest.mark.skipif(
    not TEXTS.is_dir() and not os.environ.get("CI"),
    reason="the licence texts (shared/data/licences) are not on this machine",
)


def from_texts() -> list[Record]:
    return [record for record in WITH_TEXT if _SOURCE.fullmatch(record.body.source)]


def text_of(record: Record) -> str:
    match = _SOURCE.fullmatch(record.body.source)
    assert match
    path = TEXTS / f"{match[1]}.yml"
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["text"])


@needs_texts
@pytest.mark.parametrize("record", from_texts(), ids=lambda record: record.id)
def test_every_quotation_stands_at_its_place(record: Record) -> None:
    text = text_of(record)
    assert hashlib.sha256(text.encode()).hexdigest() == record.body.sha256
    found = words(text)
    assert marks(found) == unpack(record.body.marks)
    clauses = [(term.quote, term.offset, term.words) for term in record.terms]
    if record.heirs and record.heirs.quote:
        clauses.append((record.heirs.quote, record.heirs.offset, record.heirs.words))
    assert clauses
    for quote, offset, (first, count) in clauses:
        here = " ".join(text[offset : offset + 3 * len(quote)].split())
        assert here.startswith(" ".join(quote.split()))
        assert found[first].start >= offset
        assert count > 0


@needs_texts
@pytest.mark.parametrize("name", ["mit", "llama-3.1", "gemma-2024", "cc-by-nc-4.0"])
def test_filling_a_record_again_changes_nothing(name: str) -> None:
    tool = ROOT / "training" / "licences" / "fill.py"
    spec = importlib.util.spec_from_file_location("fill", tool)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "src/keelmark/vet/licences" / f"{name}.yaml").read_text(encoding="utf-8")
    bare = yaml.safe_load(written)
    for clause in [*bare["terms"], bare["heirs"]]:
        del clause["offset"], clause["words"]
    bare["text"] = {
        k: bare["text"][k] for k in ("source", "url", "optional", "open") if k in bare["text"]
    }
    assert module.dump(module.fill(bare, text_of(load_record(name)))) == written


@needs_texts
def test_every_text_at_hand_has_a_record() -> None:
    known = {record.body.source.rpartition(" ")[2] for record in from_texts()}
    texts = {path.stem for path in TEXTS.glob("*.yml")}
    assert texts - known == {"odc-1.0"}  # the same words as odc-by-1.0, without its title


def test_there_are_records_for_what_models_are_released_under() -> None:
    families = {record.family for record in RECORDS.values()}
    assert len(RECORDS) >= 80
    assert families >= {
        "llama", "gemma", "qwen", "rail", "mistral", "falcon", "stability", "nvidia", "cohere",
        "glm", "moonshot", "exaone", "openmdw", "permissive", "gpl", "creative-commons",
        "yi", "open-data", "grok", "minimax", "jamba",
    }  # fmt: skip


@pytest.mark.parametrize("record", RECORDS.values(), ids=list(RECORDS))
def test_record_is_whole(record: Record) -> None:
    for name in record.policies:
        assert RECORDS[name].kind == "policy"
    if record.heirs:
        assert set(record.heirs.accepts) <= set(RECORDS)
    for value in (record.id, record.name, *record.spdx, *record.tags, *record.names):
        assert record.id in named(value).records
    if record.text == "none":
        return
    assert words_digest(unpack(record.body.marks)) == record.body.words
    assert record.terms or record.kind == "policy"
    assert record.kind == "policy" or record.heirs
    assert record.kind == "policy" or any(t.effect is Effect.PERMITS for t in record.terms)
    for term in record.terms:
        assert term.offset >= 0
        assert term.words[1] > 0
        assert 3 <= len(term.quote) <= 420
        assert term.says.endswith(".")


def test_an_unknown_record_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"^There is no licence record 'nope'; see .*\.$"):
        load_record("nope")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, "there is no field `nmae` here; did you mean `name`?"),
        ({"kind": "contract"}, "`kind` cannot be 'contract'; choose from: licence, policy."),
        ({"id": "other"}, "its id must be 'x', as the file is called."),
        ({"terms": [{"id": "a"}]}, "the field `topic` is missing."),
        ({"terms": [TERM]}, "a record without a text has no terms."),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(change: dict[str, object], message: str) -> None:
    plain = {"id": "x", "name": "X", "family": "f", "publisher": "p", "about": "a", "text": "none"}
    with pytest.raises(UsageError) as caught:
        parse_record(yaml.safe_dump(plain | change), source="x.yaml", name="x")
    assert message in caught.value.message
    assert caught.value.message.startswith("x.yaml")


def test_marks_that_do_not_belong_to_the_terms_are_refused() -> None:
    plain = {
        "id": "x", "name": "X", "family": "f", "publisher": "p", "about": "a",
        "text": {"source": "s", "url": "u", "sha256": "0", "words": "0", "marks": "AAAA"},
        "terms": [TERM | {"words": [5, 2]}],
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"fill\.py"):
        parse_record(yaml.safe_dump(plain), source="x.yaml", name="x")
