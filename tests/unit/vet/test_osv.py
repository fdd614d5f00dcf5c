"""Records, ranges, aliases, grades."""

import json

import pytest

from keelmark.vet.vulnerabilities import cvss, osv, versions
from keelmark.vet.vulnerabilities.osv import Affects
from keelmark.vet.vulnerabilities.versions import LLAMA_CPP, package

TORCH = package("PyPI", "torch")


def advisory(name="X-1", *, ranges=(), listed=(), where=("PyPI", "torch"), **more) -> osv.Advisory:
    part = {"ranges": list(ranges), "versions": list(listed)}
    if where:
        part["package"] = {"ecosystem": where[0], "name": where[1]}
    full = {"id": name, "modified": "2026-01-01T00:00:00Z", "affected": [part], **more}
    return osv.decode(json.dumps(full).encode())


def span(*events: tuple[str, str], kind: str = "ECOSYSTEM", **more: str) -> dict[str, object]:
    return {"type": kind, "events": [dict([event]) for event in events], **more}


BEFORE_2_6 = span(("introduced", "0"), ("fixed", "2.6.0"))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.5.1", Affects.YES),
        ("2.6.0rc1", Affects.YES),
        ("2.6.0", Affects.NO),
        ("2.6", Affects.NO),
        ("2.5.1+cu124", Affects.YES),
        ("2.6.0+cu124", Affects.NO),
        ("nightly", Affects.UNKNOWN),
    ],
)
def test_versions_of_the_python_index(version: str, expected: Affects) -> None:
    assert osv.affects(advisory(ranges=[BEFORE_2_6]), TORCH, version) is expected


def test_names_are_compared_normalised() -> None:
    one = advisory(where=("PyPI", "Zope.Interface"), ranges=[BEFORE_2_6])
    assert osv.affects(one, package("PyPI", "zope_interface"), "1.0") is Affects.YES
    assert osv.affects(one, package("npm", "zope.interface"), "1.0") is Affects.NO


def test_ranges_that_touch_make_one() -> None:
    both = span(("introduced", "1.0"), ("fixed", "2.0"), ("introduced", "2.0"), ("fixed", "3.0"))
    one = advisory(ranges=[both])
    assert osv.affects(one, TORCH, "2.5") is Affects.YES
    assert osv.affects(one, TORCH, "3.0") is Affects.NO


def test_a_withdrawn_record_concerns_nothing() -> None:
    one = advisory(ranges=[BEFORE_2_6], withdrawn="2026-01-01T00:00:00Z")
    assert osv.affects(one, TORCH, "1.0") is Affects.NO


def test_commits_cannot_be_compared_unless_versions_are_listed() -> None:
    commits = span(
        ("introduced", "0"), ("fixed", "a" * 40), kind="GIT", repo="https://github.com/o/llama"
    )
    where = package("GitHub", "O/llama")
    assert osv.affects(advisory(where=None, ranges=[commits]), where, "b5") is Affects.UNKNOWN
    listed = advisory(where=None, ranges=[commits], listed=["v1.0", "v1.1"])
    assert osv.affects(listed, where, "1.1") is Affects.YES
    assert osv.affects(listed, where, "1.2") is Affects.NO
    assert osv.affects(advisory(ranges=[commits, BEFORE_2_6]), TORCH, "2.6") is Affects.NO


def test_a_range_that_cannot_be_read_is_not_clean() -> None:
    for broken in (span(("fixed", "2.0")), span(("introduced", "0"), ("fixed", "two"))):
        assert osv.affects(advisory(ranges=[broken]), TORCH, "3.0") is Affects.UNKNOWN
    strange = advisory(where=("Debian:12", "torch"), ranges=[BEFORE_2_6])
    assert osv.affects(strange, package("Debian:12", "torch"), "1.0") is Affects.UNKNOWN


def test_nothing_said_about_versions_is_not_clean() -> None:
    assert osv.affects(advisory(), TORCH, "1.0") is Affects.UNKNOWN


def test_builds_of_llama_cpp_are_numbers() -> None:
    one = advisory(
        where=("GitHub", "ggml-org/llama.cpp"),
        ranges=[span(("introduced", "b999"), ("fixed", "b7824"))],
    )
    for version, expected in {
        "b998": Affects.NO,
        "b999": Affects.YES,
        "b7823": Affects.YES,
        "7824": Affects.NO,
        "b10000": Affects.NO,
        "unknown": Affects.UNKNOWN,
    }.items():
        assert osv.affects(one, LLAMA_CPP, version) is expected
    assert package("GitHub", "ggerganov/llama.cpp") == LLAMA_CPP


def test_aliases_make_one_vulnerability() -> None:
    records = [
        advisory("GHSA-a", aliases=["CVE-2026-1"]),
        advisory("PYSEC-1", aliases=["CVE-2026-1"]),
        advisory("CVE-2026-2"),
        advisory("GHSA-b", aliases=["GHSA-a"]),
    ]
    groups = osv.merge(records)
    assert [group.ids for group in groups] == [
        ("CVE-2026-1", "GHSA-a", "GHSA-b", "PYSEC-1"),
        ("CVE-2026-2",),
    ]


def test_the_newer_record_of_one_id_counts() -> None:
    old = advisory(summary="old", modified="2025-01-01T00:00:00Z")
    new = advisory(summary="new", withdrawn="2026-01-01T00:00:00Z")
    for order in ([old, new], [new, old]):
        (group,) = osv.merge(order)
        assert [record.summary for record in group.records] == ["new"]


def test_fixes_above_the_version() -> None:
    both = span(("introduced", "0"), ("fixed", "2.3.4"), ("introduced", "2.4"), ("fixed", "2.10"))
    assert osv.fixes(advisory(ranges=[both]), TORCH, "2.1") == ["2.3.4", "2.10"]
    assert osv.fixes(advisory(ranges=[both]), TORCH, "2.4") == ["2.10"]


@pytest.mark.parametrize(
    ("vector", "score", "word"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "critical"),
        ("CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 7.8, "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H", 6.5, "medium"),
        ("CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:C/C:N/I:N/A:L", 3.4, "low"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, "low"),
    ],
)
def test_base_scores(vector: str, score: float, word: str) -> None:
    assert cvss.base_score(vector) == score
    assert cvss.grade(score) == word


def test_a_grade_by_word_by_score_or_not_at_all() -> None:
    assert cvss.severity_of([], {"severity": "MODERATE"}) == "medium"
    assert cvss.severity_of([{"score": "CVSS:3.1/AV:X"}], {}) == ""
    assert cvss.severity_of([{"score": "CVSS:4.0/AV:N"}], {"severity": "HIGH"}) == "high"
    assert advisory("MAL-2026-1").grade(TORCH) == "critical"


def test_package_urls() -> None:
    assert versions.of_purl("pkg:pypi/Foo.Bar@1.0?x=y#z") == (package("PyPI", "foo-bar"), "1.0")
    assert versions.of_purl("pkg:npm/%40scope/x@2.0") == (package("npm", "@scope/x"), "2.0")
    assert versions.of_purl("pkg:maven/org.a/b@1") == (package("Maven", "org.a:b"), "1")
    assert versions.of_purl("pkg:github/ggml-org/llama.cpp@b1") == (LLAMA_CPP, "b1")
    assert versions.of_purl("pkg:huggingface/a/b@1") is None
    assert versions.of_purl("no purl") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"id": "X", "modified": "never"}', b"[" * 100_000, b"\xff" * 10],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        osv.decode(data)


def test_what_comes_after_the_last_affected() -> None:
    last = advisory(ranges=[span(("introduced", "1.0"), ("last_affected", "1.5"))])
    assert osv.fixes(last, TORCH, "1.5") == ["what comes after 1.5"]
    assert osv.fixes(last, TORCH, "1.6") == []


def test_a_record_that_names_no_versions_leaves_it_to_the_others() -> None:
    silent, telling = advisory("PYSEC-1"), advisory("GHSA-a", ranges=[BEFORE_2_6])
    commits = advisory("CVE-1", ranges=[span(("introduced", "0"), kind="GIT", repo="x")])
    broken = advisory("X-2", ranges=[span(("introduced", "0"), ("fixed", "two"))])
    for version, expected in {"2.5": Affects.YES, "2.6": Affects.NO}.items():
        assert osv.affects_by([silent, telling, commits], TORCH, version) is expected
    assert osv.affects_by([silent, commits], TORCH, "2.6") is Affects.UNKNOWN
    assert osv.affects_by([broken, telling], TORCH, "2.6") is Affects.UNKNOWN
