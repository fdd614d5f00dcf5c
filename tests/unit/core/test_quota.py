"""The `quota` section: what is read, what is refused, and which limits are for whom."""

from decimal import Decimal

import pytest

from keelmark.core.accounts import Account, Covers, ceiling_of
from keelmark.core.errors import UsageError
from keelmark.core.metering import Ceiling
from keelmark.core.policy import parse_policy, policy_schema
from keelmark.core.quota import Budget, Quota, RateLimit
from keelmark.core.scope import Origin, Scope

WHOLE = """
quota:
  currency: EUR
  limits:
    - {id: fast, per: [key, model], requests: 60/minute, burst: 10, tokens: 1000/hour}
    - {id: busy, concurrent: 3}
  budgets:
    - {id: month, per: [team], window: month, zone: Europe/Berlin, money: 12.34, tokens: 5}
  prices:
    - {model: "gpt-*", input: 0.15, output: "0.60"}
"""


def read(text):
    return parse_policy("guard: {rules: []}\n" + text).quota


def test_a_section_is_read_with_money_as_it_is_written():
    quota = read(WHOLE)
    assert quota.counts
    assert quota.prices[0].input == Decimal("0.15")
    assert ceiling_of(quota.budgets[0]) == Ceiling(money=12_340_000_000, tokens=5)
    assert not read("").counts


def test_a_section_is_inherited_as_all_others():
    base = "guard: {rules: []}\n" + WHOLE
    changed = parse_policy(
        "extends: base\nquota: {limits: []}", fetch=lambda name, _: (name, base)
    ).quota
    assert changed.limits == ()
    assert changed.budgets == read(WHOLE).budgets
    assert changed.prices == read(WHOLE).prices


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("limits: [{id: a}]", "limits nothing"),
        ("limits: [{id: a, requests: 5/fortnight}]", "`quota.limits\\[0\\].requests`"),
        ("limits: [{id: a, requests: 0/minute}]", "`quota.limits\\[0\\].requests`"),
        ("limits: [{id: a, tokens: 5/minute, burst: 3}]", "burst of what it does not limit"),
        ("limits: [{id: a, concurrent: 1}, {id: a, concurrent: 2}]", "two limits 'a'"),
        ("limits: [{id: a, concurrent: 1, per: [key, key]}]", "names something twice"),
        ("limits: [{id: a, concurrent: 1, scope: {engines: [x]}}]", "which engine answers"),
        ("limits: [{id: a, concurrent: 1, scope: {languages: [en]}}]", "language"),
        ("budgets: [{id: a, window: day}]", "limits nothing"),
        ("budgets: [{id: a, tokens: 5}]", "`window` is missing"),
        ("budgets: [{id: a, window: day, tokens: 5, zone: Mars/Olympus}]", "no time zone"),
        ("budgets: [{id: a, window: day, tokens: 5, zone: ../etc/passwd}]", "no time zone"),
        ("budgets: [{id: a, window: day, money: -1}]", "between 0 and"),
        ("budgets: [{id: a, window: day, money: .nan}]", "between 0 and"),
        ("budgets: [{id: a, window: day, money: 0.0000000001}]", "9 decimal places"),
        ("prices: [{input: -0.1}]", "between 0 and"),
        ("currency: euros", "currency"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(entry, message):
    with pytest.raises(UsageError, match=message) as refused:
        read(f"quota:\n  {entry}")
    assert "line 3" in refused.value.message


ADA = Origin(key="key_1", key_name="ada", model="gpt", operation="chat", team="blue")


def test_limits_and_budgets_are_for_those_they_name():
    quota = Quota(
        limits=(
            RateLimit(id="all", concurrent=1),
            RateLimit(id="mine", per=("key", "model"), requests="2/second", tokens="9/day"),
            RateLimit(id="other", concurrent=1, scope=Scope(teams=("red",))),
        ),
        budgets=(
            Budget(id="team", per=("team",), window="day", tokens=1),
            Budget(id="user", per=("user",), window="total", tokens=1),
        ),
    )
    covers = Covers(quota, lambda subject: subject.upper())
    rates = covers.rates(ADA, "x", 7)
    assert [(r.key.split("\x1f"), r.cost, r.most, r.seconds, r.burst) for r in rates] == [
        (["all/concurrent", ""], 1, 1, 0.0, 1),
        (["mine/requests", "key_1", "gpt"], 1, 2, 1.0, 2),
        (["mine/tokens", "key_1", "gpt"], 7, 9, 86400.0, 9),
    ]
    drawn = covers.drawn(ADA, "x", 90_000.0)
    accounts = [Account.read(one.account) for one in drawn]
    assert accounts == [Account("team", 86400, {"team": "blue"}), Account("user", 0, {"user": "X"})]
    assert [one.end for one in drawn][:1] == [172800]


def test_a_key_of_no_team_is_in_no_team():
    quota = Quota(budgets=(Budget(id="team", per=("team",), window="day", tokens=1),))
    covers = Covers(quota, str)
    assert covers.drawn(ADA._replace(team=""), "x", 1.0) == []


def test_the_schema_takes_money_as_people_write_it():
    price = policy_schema()["$defs"]["Price"]["properties"]
    assert price["input"]["type"] == ["number", "string"]
