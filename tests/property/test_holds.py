"""Holds against a simple model: reserve, record, let go, crash, reconcile, clocks that jump."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keelmark.core.accounts import Account
from keelmark.core.metering import NOTHING, Amounts, Ceiling
from keelmark.core.windows import window_at
from keelmark.store import Store
from keelmark.store.meter import SharedMeter
from keelmark.store.reconcile import open_meter, reconcile
from keelmark.store.usage import list_spent, sum_usage
from racing import hold_of, record

MOST = Ceiling(money=3000, tokens=30)
SOME = st.builds(Amounts, st.integers(0, 900), st.integers(0, 8), st.integers(0, 8))


class Holding(RuleBasedStateMachine):
    """Two meters on one store, as two processes would be; a crash is one that is never closed."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.open(self.folder, Ed25519PrivateKey.generate())
        self.meters: list[SharedMeter] = [open_meter(self.store), open_meter(self.store)]
        self.now = 1_795_000_000.0
        self.count = 0
        self.held: dict[str, tuple[int, object]] = {}
        self.spent: dict[str, Amounts] = {}
        self.calls = 0

    def teardown(self) -> None:
        for meter in self.meters:
            meter.close()
        self.store.close()
        shutil.rmtree(self.folder)

    def account(self) -> str:
        begin, _ = window_at("day", "Europe/Berlin", self.now)
        return str(Account("b", begin, {}))

    @rule(by=st.integers(0, 1), amounts=SOME)
    def reserve(self, by: int, amounts: Amounts) -> None:
        self.count += 1
        hold = hold_of(f"h{self.count}", MOST, account=self.account(), amounts=amounts)
        short = asyncio.run(self.meters[by].reserve(hold))
        used = self.spent.get(self.account(), NOTHING)
        others = NOTHING
        for _, one in self.held.values():
            if one.accounts[0][0] == self.account():
                others = others.plus(one.amounts)
        alone = MOST.left(used.plus(amounts)).passed
        together = MOST.left(used.plus(amounts).plus(others)).passed
        if short is None:
            assert not together
            self.held[hold.id] = (by, hold)
        else:
            assert (short.what, short.waits) == (alone or together, not alone)
            assert (short.used, short.held) == (used, others)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.integers(0, 100))
    def record(self, data: st.DataObject, share: int) -> None:
        by, hold = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        amounts = Amounts(*(value * share // 100 for value in hold.amounts))
        asyncio.run(record(self.store, hold, amounts))
        self.meters[by].end(hold, amounts)
        self.charge(hold, amounts)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        by, hold = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        self.meters[by].end(hold, None)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        by, hold = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        self.meters[by].abandon(hold)
        asyncio.run(reconcile(self.store, self.meters[1 - by]))
        # it may not have heard of it yet: whoever asks the same meter next is behind it
        asyncio.run(self.meters[by].held())
        asyncio.run(reconcile(self.store, self.meters[1 - by]))
        self.charge(hold, hold.amounts)

    @rule(which=st.integers(0, 1), recorded=st.booleans())
    def crash(self, which: int, recorded: bool) -> None:
        """A process ends with holds; of some the usage was recorded just before."""
        mine = [(name, hold) for name, (by, hold) in self.held.items() if by == which]
        for number, (name, hold) in enumerate(mine):
            del self.held[name]
            if recorded and number % 2:
                asyncio.run(record(self.store, hold, NOTHING))
                self.charge(hold, NOTHING)
            else:
                self.charge(hold, hold.amounts)
        self.meters[which].close()  # as at a crash what is held is left behind
        self.meters[which] = open_meter(self.store)
        asyncio.run(reconcile(self.store, self.meters[which]))

    @rule(seconds=st.sampled_from([60, 86_400, -86_400, 40 * 86_400]))
    def clock(self, seconds: int) -> None:
        self.now += seconds

    def charge(self, hold: object, amounts: Amounts) -> None:
        account = hold.accounts[0][0]
        self.spent[account] = self.spent.get(account, NOTHING).plus(amounts)
        self.calls += 1

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        spent = {a: one.amounts for a, one in self.store.read(list_spent).items()}
        assert spent == self.spent
        held: dict[str, Amounts] = {}
        for _, hold in self.held.values():
            account = hold.accounts[0][0]
            held[account] = held.get(account, NOTHING).plus(hold.amounts)
        for meter in self.meters:  # each has done what it was told by now
            told = asyncio.run(meter.held())
        assert told == held
        for account in {*spent, *held}:
            both = spent.get(account, NOTHING).plus(held.get(account, NOTHING))
            assert not MOST.left(both).passed, "a budget is exceeded"
        rows = self.store.read(lambda db: sum_usage(db, (), 0, 1e12, {}))
        ledger = [r.body["usage"] for r in self.store.records(["request", "usage.lost"])]
        assert sum(one["money"] for one in ledger) == sum(row.money for row in rows)
        assert len(ledger) == self.calls == sum(row.calls for row in rows)


Holding.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHolds = pytest.mark.timeout(180)(Holding.TestCase)
