"""Prices: the policy's first, then the shipped table; unknown is never free."""

import re
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.quota import Price, Quota
from keelmark.serve.prices import Cost, Prices, shipped_prices

OPENAI = SimpleNamespace(id="openai", provider="openai")
LLAMA = SimpleNamespace(id="llama", provider="llama_cpp")


def test_the_policy_comes_before_the_table():
    own = Price(model="gpt-4o*", engine="openai", input=Decimal(1), output=Decimal(2))
    prices = Prices(Quota(prices=(own,)))
    assert prices.find(OPENAI, "gpt-4o-mini") == Cost(10**9, 2 * 10**9, 10**9, 0)
    assert prices.find(OPENAI, "gpt-4.1").output == 8 * 10**9
    assert prices.find(LLAMA, "gpt-4o") is None, "somebody else's engine"


@pytest.mark.parametrize("quota", [Quota(currency="EUR"), Quota(shipped_prices=False)])
def test_a_table_of_another_currency_or_that_is_not_wanted_is_none(quota):
    assert Prices(quota).find(OPENAI, "gpt-4o-mini") is None


def test_an_unknown_model_has_no_price_and_no_version_takes_another_ones():
    prices = Prices(Quota())
    assert prices.find(OPENAI, "gpt-4o-2030-01-01") is None
    assert prices.find(LLAMA, "anything") is None


def test_the_table_is_dated_sourced_and_names_no_model_twice():
    table = shipped_prices()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", table.date)
    names = [(one.engine, model) for one in table.prices for model in one.models]
    assert len(names) == len(set(names))
    assert {engine for engine, _ in names} == table.sources.keys()
    for one in table.prices:
        assert 0 <= (one.cached or 0) <= one.input <= 100
        assert one.output >= one.input or one.output == 0


def test_time_is_billed_by_the_hour():
    cost = Cost(0, 0, 0, 3600 * 10**9)
    assert cost.of(5, 5, milliseconds=1500) == 1_500_000_000


PRICE = st.integers(0, 10**12)
COUNT = st.integers(0, 10**7)


@settings(max_examples=200, deadline=None)
@given(PRICE, PRICE, PRICE, PRICE, COUNT, COUNT, COUNT)
def test_a_part_of_a_billionth_counts_as_a_whole(i, o, c, hour, read, written, spent):
    cost = Cost(i, o, c, hour)
    cached = read // 2
    exact = Decimal((read - cached) * i + cached * c + written * o) / 10**6
    exact += Decimal(spent * hour) / 3_600_000
    assert 0 <= cost.of(read, written, cached, spent) - exact < 1 + Decimal("1e-9")
