"""OSV's algorithm against a plain model of it: a set of intervals over whole numbers."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.vet.vulnerabilities import osv
from keelmark.vet.vulnerabilities.osv import Affects
from keelmark.vet.vulnerabilities.versions import LLAMA_CPP, Package, package, semver

PLACES = (Package("PyPI", "x"), Package("npm", "x"), LLAMA_CPP)
SPELL = {
    "PyPI": lambda n: f"1.{n}",
    "npm": lambda n: f"1.{n}.0",
    "GitHub": lambda n: f"b{n + 1000}",
}
KIND = {"PyPI": "ECOSYSTEM", "npm": "SEMVER", "GitHub": "ECOSYSTEM"}


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """Draw intervals that do not overlap: begin, kind of end, end; -1 begins at the beginning."""
    points = sorted(draw(st.sets(st.integers(0, 40), min_size=2, max_size=8)))
    found = []
    for begin, end in zip(points[::2], points[1::2], strict=False):
        how = draw(st.sampled_from(["fixed", "last_affected"]))
        found.append((begin if found or draw(st.booleans()) else -1, how, end))
    if draw(st.booleans()):
        found[-1] = (found[-1][0], "open", 0)
    return found


def inside(spans: list[tuple[int, str, int]], at: int) -> bool:
    ends = {"fixed": lambda end: at < end, "last_affected": lambda end: at <= end}
    return any(at >= begin and ends.get(how, lambda _: True)(end) for begin, how, end in spans)


def record(where: Package, events: list[dict[str, str]], **more: object) -> osv.Advisory:
    part = {
        "package": {"ecosystem": where.ecosystem, "name": where.name},
        "ranges": [{"type": KIND[where.ecosystem], "events": events}],
        **more,
    }
    return osv.decode(
        json.dumps({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [part]}).encode()
    )


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), intervals(), st.integers(0, 45), st.randoms())
def test_a_range_is_its_intervals(where, spans, at, shuffle) -> None:
    spell = SPELL[where.ecosystem]
    events = []
    for begin, how, end in spans:
        events.append({"introduced": "0" if begin < 0 else spell(begin)})
        if how != "open":
            events.append({how: spell(end)})
    shuffle.shuffle(events)  # the points differ, so their order in the record means nothing
    expected = Affects.YES if inside(spans, at) else Affects.NO
    assert osv.affects(record(where, events), where, spell(at)) is expected


@settings(max_examples=200, deadline=None)
@given(intervals(), st.sets(st.integers(0, 45), min_size=1, max_size=3), st.integers(0, 45))
def test_limits_cut_a_range_off(spans, limits, at) -> None:
    where = PLACES[0]
    spell = SPELL["PyPI"]
    events = [{"limit": spell(limit)} for limit in sorted(limits)]
    for begin, how, end in spans:
        events.append({"introduced": "0" if begin < 0 else spell(begin)})
        if how != "open":
            events.append({how: spell(end)})
    expected = inside(spans, at) and at < max(limits)
    found = osv.affects(record(where, events), where, spell(at))
    assert found is (Affects.YES if expected else Affects.NO)


@settings(max_examples=200, deadline=None)
@given(intervals(), st.sets(st.integers(0, 45), max_size=4), st.integers(0, 45))
def test_listed_versions_add_to_ranges(spans, listed, at) -> None:
    where = PLACES[0]
    spell = SPELL["PyPI"]
    events = []
    for begin, how, end in spans:
        events.append({"introduced": "0" if begin < 0 else spell(begin)})
        if how != "open":
            events.append({how: spell(end)})
    versions = [f"{spell(one)}.0" for one in sorted(listed)]  # another spelling of the same
    found = osv.affects(record(where, events, versions=versions), where, spell(at))
    assert found is (Affects.YES if inside(spans, at) or at in listed else Affects.NO)


IDENTIFIER = st.one_of(
    st.integers(0, 10**6).map(str), st.from_regex(r"[A-Za-z-][0-9A-Za-z-]{0,5}", fullmatch=True)
)
SEMVERS = st.builds(
    lambda core, pre: ".".join(map(str, core)) + ("-" + ".".join(pre) if pre else ""),
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)),
    st.lists(IDENTIFIER, max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(SEMVERS, SEMVERS, SEMVERS)
def test_semantic_versions_are_in_one_order(one, two, three) -> None:
    a, b, c = semver(one), semver(two), semver(three)
    assert (a < b) + (a == b) + (a > b) == 1
    if a <= b <= c:
        assert a <= c
    if "-" in one:
        assert a < semver(one.partition("-")[0])


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "modified", "affected", "ranges", "events", "package", "versions"]
                )
                | st.text(max_size=5),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_record_is_read_or_refused(data) -> None:
    try:
        found = osv.decode(data)
    except ValueError:
        return
    for version in ("1.0", "", "not a version", "b7824"):
        assert osv.affects(found, package("PyPI", "x"), version) in Affects
