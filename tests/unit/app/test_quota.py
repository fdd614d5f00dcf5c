"""What is done beside a service: lost holds are charged, budgets are measured."""

import asyncio

from keelmark import app
from keelmark.app.quota import StoreMeter, look_after
from keelmark.core.accounts import Account
from keelmark.core.metering import Ceiling
from keelmark.core.quota import Budget, Quota
from keelmark.observe.metrics import Metrics
from keelmark.store.reconcile import open_meter
from racing import EACH, hold_of, record

QUOTA = Quota(budgets=(Budget(id="all", window="total", tokens=500),))
ACCOUNT = str(Account("all", 0, {}))


def test_what_a_dead_process_held_is_charged_and_budgets_are_measured():
    async def scene(store):
        before = open_meter(store)  # closed with a hold, as a process that ended
        assert await before.reserve(hold_of("lost", Ceiling(), account=ACCOUNT)) is None
        before.close()
        kept, metrics = StoreMeter(store), Metrics()
        await record(store, hold_of("done", Ceiling(), account=ACCOUNT))
        assert await kept.reserve(hold_of("held", Ceiling(), account=ACCOUNT)) is None
        for _ in range(2):
            await look_after(store, kept, metrics, QUOTA)
        text = metrics.render()
        kept.close()
        return text

    with app.Home.open() as home:
        text = asyncio.run(scene(home.store))
    tokens = EACH.input + EACH.output
    assert f'keelmark_budget_used{{budget="all",unit="tokens"}} {2 * tokens}\n' in text
    assert f'keelmark_budget_held{{budget="all",unit="tokens"}} {tokens}\n' in text
    assert "keelmark_holds_lost_total 1\n" in text


def test_nothing_is_opened_where_nothing_was_ever_held(tmp_path):
    async def scene(store):
        kept = StoreMeter(store)
        await look_after(store, kept, Metrics(), Quota())
        kept.close()

    with app.Home.open() as home:
        asyncio.run(scene(home.store))
        assert not (home.store.folder / "meter.db").exists()
