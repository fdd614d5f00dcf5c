from datetime import datetime
from typing import Any

import pytest

from keelmark.core.canonical import digest
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.events import Record
from keelmark.prove.compile import compile_report
from keelmark.prove.framework import load_framework
from keelmark.prove.report import ControlResult, EvidenceResult, Report
from ledgers import MODEL, NOW, Book, ago, good_book

OWASP = load_framework("owasp-llm")


def report(book: Book, **state: Any) -> Report:
    return compile_report(OWASP, iter(book.records), now=NOW, ledger=book.state(**state))


def control(book: Book, name: str, **state: Any) -> ControlResult:
    return next(c for c in report(book, **state).controls if c.id == name)


def answer(book: Book, name: str, query: str) -> EvidenceResult:
    return next(e for e in control(book, name).evidence if e.id == query)


def statuses(book: Book, **state: Any) -> dict[str, str]:
    return {c.id[3:]: c.status for c in report(book, **state).controls}


def test_a_service_as_it_should_be() -> None:
    assert statuses(good_book()) == {
        "01": "partial",
        "02": "partial",
        "03": "satisfied",
        "04": "partial",
        "05": "partial",
        "06": "manual",
        "07": "missing",
        "08": "manual",
        "09": "missing",
        "10": "partial",
    }
    compiled = report(good_book())
    assert compiled.summary["satisfied"] == 1
    assert sum(compiled.summary.values()) == 10
    assert compiled.models == (MODEL,)
    assert compiled.notes == ()
    assert {g.kind for g in compiled.gaps if g.control in ("LLM01", "LLM02", "LLM10")} == {"limit"}


def test_nothing_recorded_is_missing_never_good() -> None:
    found = statuses(Book())
    assert set(found.values()) == {"missing", "manual"}
    assert "no records" in report(Book()).notes[0]


def test_a_detector_that_appears_later_changes_the_status_by_itself() -> None:
    tags = ("llm05@output", "llm06", "llm07", "llm08", "llm09")
    book = Book().policy(10, *tags).loaded(9).evaluated(8, "llm09")
    for _ in range(3):
        book.request(1)
    found = statuses(book)
    assert (found["05"], found["09"]) == ("satisfied", "satisfied")
    # Here a limit of Keelmark itself remains, whatever the rules find.
    assert (found["06"], found["07"], found["08"]) == ("partial", "partial", "partial")
    unused = statuses(Book().policy(10, *tags))
    assert (unused["05"], unused["09"]) == ("partial", "partial")


def test_llm01_states() -> None:
    def with_policy(*tags: str, **changes: Any) -> Book:
        return Book().policy(10, *tags, **changes)

    assert control(with_policy("llm02"), "LLM01").status == "missing"
    assert control(with_policy("llm02").request(1), "LLM01").status == "failing"
    assert control(with_policy("llm01"), "LLM01").status == "partial"  # in force, never used
    assert control(with_policy("llm01").request(40), "LLM01").status == "stale"
    missed = with_policy("llm01")
    for n in range(200):
        missed.request(1, not_examined=["r-llm01"] if n == 0 else [])
    assert control(missed, "LLM01").status == "partial"
    let_through = answer(missed, "LLM01", "none-let-through")
    assert (let_through.result, let_through.holding, let_through.asked) == ("unmet", 1, 200)
    assert let_through.records[0].seq == 1
    assert let_through.records[0].supports is False
    judged = answer(missed, "LLM01", "prompts-judged")
    assert (judged.result, judged.measure) == (
        "met",
        "199 of 200 requests (99.50%) in the last 30 days",
    )
    missed.request(1, not_examined=["r-llm01"]).request(1, not_examined=["a rule nobody knows"])
    assert control(missed, "LLM01").status == "failing"


def test_llm01_counts_what_was_blocked() -> None:
    found = answer(good_book(), "LLM01", "attempts-blocked")
    assert (found.result, found.holding, found.asked) == ("noted", 1, 1)
    assert found.records[0].shows["findings"] == {"LLM01": 1}


@pytest.mark.parametrize(
    ("book", "result"),
    [
        (Book().loaded(9), "unmet"),
        (Book().loaded(9).evaluated(8, "llm01"), "met"),
        (Book().evaluated(10, "llm01").loaded(9), "met"),
        (Book().evaluated(200, "llm01").loaded(9), "stale"),
        (Book().evaluated(200, "llm01").evaluated(3, "llm01").loaded(9), "met"),
        (Book().loaded(9).evaluated(8, "llm02"), "unmet"),
        (Book().loaded(9).evaluated(8, "llm01", state="incomplete"), "unmet"),
        (Book().loaded(9).evaluated(8, "llm01", model_digest="sha256:other"), "unmet"),
        (Book().loaded(9).evaluated(8, "llm01", model_digest=""), "unmet"),
    ],
)
def test_only_complete_runs_of_the_weights_in_use_count(book: Book, result: str) -> None:
    assert answer(book, "LLM01", "attacked").result == result


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"metrics": {"acc": {"n": 99}}}, "99 of 100 samples that it takes"),
        ({"state": "incomplete"}, "incomplete"),
        ({"needed": None}, "does not say how many"),
        ({"metrics": None}, "does not say how many"),
    ],
)
def test_a_run_that_does_not_count_is_told_with_its_reason(
    changes: dict[str, Any], why: str
) -> None:
    book = Book().loaded(9).evaluated(8, "llm01", run="tiny-1", **changes)
    found = answer(book, "LLM01", "attacked")
    assert found.result == "unmet"
    told = found.records[0].shows["set_aside.owasp:llm01"]
    assert told.startswith(f"tiny-1, {ago(8)[:10]}: ")
    assert why in told
    found = answer(book.evaluated(7, "llm01", run="whole-1"), "LLM01", "attacked")
    assert found.result == "met"
    assert found.records[0].shows["evaluated.owasp:llm01.run"] == "whole-1"
    assert found.records[0].shows["set_aside.owasp:llm01"] is None


@pytest.mark.parametrize(
    ("change", "query"),
    [
        ({"action": "flag"}, "rules-stop"),
        ({"stage": "output"}, "rules-stop"),
        ({"fail": "open"}, "rules-fail-closed"),
    ],
)
def test_a_rule_that_only_flags_or_fails_open_is_told_apart(
    change: dict[str, str], query: str
) -> None:
    book = Book().policy(10, "llm01")
    body = book.records[0].body
    body["rules"] = [{**body["rules"][0], **change}]
    assert answer(book, "LLM01", query).result == "unmet"


def test_requests_under_an_unknown_policy_were_not_judged() -> None:
    book = Book().policy(10, "llm01").request(1, policy_digest="sha256:other")
    judged = answer(book, "LLM01", "prompts-judged")
    assert (judged.holding, judged.unknown, judged.result) == (0, 1, "unmet")
    assert "1 cannot tell" in judged.measure
    assert answer(book, "LLM01", "none-let-through").result == "unmet"


def test_only_the_newest_policy_is_in_force() -> None:
    book = Book().policy(10, "llm01").policy(5, "llm02", policy_digest="sha256:new")
    assert control(book, "LLM01").status == "missing"
    assert report(book).policy_digest == "sha256:new"


def test_llm02_states() -> None:
    unmasked = Book().policy(10, "llm02@input").request(1)
    assert control(unmasked, "LLM02").status == "failing"
    plain = Book().policy(10, "llm02", retention={"content": "plain"}).request(1)
    assert control(plain, "LLM02").status == "failing"
    open_retention = Book().policy(10, "llm02", retention={}).request(1)
    assert answer(open_retention, "LLM02", "content-protected").result == "unmet"
    erased = good_book().add("subject.erased", 1, subject="s")
    assert answer(erased, "LLM02", "erasures").measure == "1 erasure in the last 365 days"


def test_llm03_states() -> None:
    def service(**changes: Any) -> Book:
        return Book().vetted(10).passport(10).loaded(9, **changes).request(1)

    assert control(service(), "LLM03").status == "satisfied"
    assert control(Book().loaded(9).request(1), "LLM03").status == "failing"
    assert control(service(passport="sha256:none"), "LLM03").status == "failing"
    assert control(service(load_mode="mtime"), "LLM03").status == "partial"
    foreign = Book().vetted(10).passport(10, digest="sha256:other").loaded(9).request(1)
    assert answer(foreign, "LLM03", "passports-valid").records[0].shows["passport_state"] == (
        "foreign"
    )
    assert control(foreign, "LLM03").status == "failing"
    worse = service().vetted(0.5, verdict="fail")  # newer checks find something in what is in use
    assert control(worse, "LLM03").status == "failing"
    unattested = service().request(1, model_digest="", engine="upstream")
    assert control(unattested, "LLM03").status == "partial"
    for answers in ({}, {"licence": "not allowed"}, {"licence": "could not tell"}):
        undeclared = service().vetted(0.5, answers=answers)
        assert answer(undeclared, "LLM03", "licences-allow").result == "unmet"
        assert control(undeclared, "LLM03").status == "partial"
    only_foreign_weights = Book().loaded(9, digest="", engine="u").request(1, model_digest="")
    assert control(only_foreign_weights, "LLM03").status == "missing"


@pytest.mark.parametrize(
    ("not_before", "not_after", "state"),
    [(10, -80, "valid"), (10, 9.5, "expired"), (8, -80, "not yet valid"), (10, 8, "valid")],
)
def test_a_passport_is_judged_at_the_moment_of_loading(
    not_before: float, not_after: float, state: str
) -> None:
    book = Book().vetted(10)
    book.passport(10, not_before=ago(not_before), not_after=ago(not_after)).loaded(9)
    assert answer(book, "LLM03", "passports-valid").records[0].shows["passport_state"] == state


def test_old_vetting_is_stale_and_vetting_again_mends_it() -> None:
    book = Book().policy(200, "llm01").vetted(200).passport(200).loaded(150).request(1)
    assert control(book, "LLM03").status == "stale"
    assert control(book, "LLM04").status == "stale"
    found = answer(book, "LLM03", "models-vetted")
    assert (found.result, found.age_days, found.fresh_days) == ("stale", 200.0, 90)
    book.vetted(1)
    assert control(book, "LLM03").status == "satisfied"


def test_llm04_parts_that_could_not_be_checked() -> None:
    coverage = {"files": 2, "checked": 1, "not_checked": 1}
    book = Book().vetted(10, coverage=coverage).passport(10).loaded(9)
    assert answer(book, "LLM04", "files-read").result == "unmet"
    assert control(book, "LLM04").status == "partial"


def test_engines_given_up_no_longer_count_but_running_ones_do() -> None:
    book = Book().loaded(100, engine="old")  # never vetted
    assert control(book, "LLM04").status == "failing"
    book.add("engine.stopped", 90, engine="old", digest=MODEL, reason="")
    assert control(book, "LLM04").status == "failing"  # the service is merely down
    book.add("service.started", 80, version="1", bind="", policy_digest="")
    book.vetted(10).passport(10).loaded(9)
    assert control(book, "LLM03").status == "partial"  # nothing answered yet
    assert report(book).models == (MODEL,)
    book.add("service.started", 5, version="1", bind="", policy_digest="")  # after a crash
    assert report(book).models == (MODEL,)


def test_llm10_states() -> None:
    assert control(good_book(), "LLM10").status == "partial"  # no budgets: a limit of Keelmark
    assert control(good_book().request(1, key_id=""), "LLM10").status == "failing"
    assert control(good_book().policy(1, limits={}), "LLM10").status == "failing"
    assert answer(good_book(), "LLM10", "turned-away").measure == "1 request in the last 30 days"


def test_a_broken_ledger_proves_nothing() -> None:
    found = statuses(good_book(), verdict="broken", problems=("Record 3 was changed.",))
    assert set(found.values()) == {"failing", "missing", "manual"}
    assert "does not verify" in control(good_book(), "LLM03", verdict="broken").reason


def test_an_unverified_ledger_satisfies_nothing() -> None:
    found = statuses(good_book(), verdict="not checked")
    assert "satisfied" not in found.values()
    assert found["03"] == "partial"


def test_missing_repeated_and_reordered_records_break_the_report() -> None:
    book = good_book()
    records = book.records
    for damaged in (
        records[:5] + records[6:],
        records[:5] + records[4:],
        [*records[:3], records[4], records[3], *records[5:]],
        records[:-1],
        records[1:],
        [],
    ):
        compiled = compile_report(OWASP, damaged, now=NOW, ledger=book.state())
        assert compiled.ledger.verdict == "broken"
        assert compiled.ledger.problems
        assert compiled.summary["satisfied"] == 0


def test_records_after_the_checkpoint_are_left_out_and_said() -> None:
    book = good_book()
    state = book.state()
    book.request(0.1, key_id="")
    compiled = compile_report(OWASP, book.records, now=NOW, ledger=state)
    assert compiled.kinds["request"] == 23
    assert "1 records written after" in compiled.notes[0]
    assert compiled.summary["failing"] == 0


def test_every_piece_of_evidence_names_its_records() -> None:
    book = good_book()
    for part in report(book).controls:
        for found in part.evidence:
            for citation in found.records:
                record = book.records[citation.seq]
                assert citation.digest == digest(record)
                assert (citation.time, citation.kind) == (record.time, record.kind)
            assert bool(found.records) == (found.result in ("met", "unmet", "stale", "noted"))


def test_every_gap_says_how_to_mend_it() -> None:
    for book in (Book(), good_book(), Book().loaded(9).request(1, key_id="")):
        compiled = report(book)
        assert all(gap.what and gap.how for gap in compiled.gaps)
        order = [
            ("failing", "stale", "missing", "partial", "manual", "limit").index(g.kind)
            for g in compiled.gaps
        ]
        assert order == sorted(order)


def test_it_is_a_pure_function() -> None:
    book = good_book()
    before = digest(book.records)
    assert report(book) == report(book)
    assert digest(book.records) == before


def test_it_reads_the_records_once_and_keeps_few() -> None:
    book = Book().policy(10, "llm01")
    for _ in range(5000):
        book.request(1, not_examined=["r-llm01"])
    found = answer(book, "LLM01", "prompts-judged")
    assert found.asked == 5000
    assert len(found.records) <= 10


def test_clocks_that_run_ahead_are_said() -> None:
    assert any("clock" in note for note in report(good_book().request(-1)).notes)


def test_unknown_kinds_are_said_not_used() -> None:
    assert any("x.y" in n for n in report(good_book().add("x.y", 1)).notes)


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(UsageError, match="zone"):
        compile_report(OWASP, [], now=datetime(2026, 1, 1), ledger=Book().state())  # noqa: DTZ001


@pytest.mark.parametrize("time", ["", "yesterday", "2026-01-01T00:00:00", None, 5])
def test_unreadable_times_are_integrity_errors(time: Any) -> None:
    book = Book()
    book.records.append(Record(seq=0, time=time, kind="request", body={}))
    with pytest.raises(IntegrityError, match="Record 0"):
        report(book)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rules": None, "detectors": None},
        {"rules": ["x"], "detectors": {"y": 5}, "policy_digest": "p", "not_examined": [5]},
        {"not_examined": None, "findings": None, "outcome": "x", "status": "200"},
        {"digest": 5, "engine": None, "passport": [1], "coverage": 3},
    ],
)
def test_bodies_of_another_shape_are_unknown_not_a_crash(body: dict[str, Any]) -> None:
    book = Book()
    for kind in ("policy.loaded", "model.vetted", "model.loaded", "request", "engine.stopped"):
        book.add(kind, 1, **body)
    assert report(book).summary["satisfied"] == 0


def test_what_cannot_be_told_is_said_not_left_out() -> None:
    book = Book().policy(10, "llm01").request(1).request(1, status=None)
    for detector in book.records[0].body["detectors"].values():
        del detector["labels"]
    found = answer(book, "LLM01", "attempts-blocked")
    assert found.measure == "0 of 2 requests in the last 30 days, 2 cannot tell"
    assert answer(book, "LLM01", "prompts-judged").result == "unmet"
    assert control(book, "LLM01").status == "failing"
