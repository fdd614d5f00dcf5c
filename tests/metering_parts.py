"""A gateway that counts: a real store and real holds behind it.

Every scene ends with the same question: is the sum of the ledger the sum of the usage?
"""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway_parts import GUARDED, stack
from keelmark.app.quota import StoreMeter, meter_for
from keelmark.core.policy import Policy
from keelmark.core.quota import Budget, Price, Quota
from keelmark.serve.fake import Script
from keelmark.store import Store
from keelmark.store.usage import sum_usage

PRICES = (Price(input=Decimal("1.5"), output=Decimal(6)),)
SAID = Script(pieces=("Hello", " you"))  # the fake engine reads 7 tokens, writes one per piece


def quota(*budgets, limits=(), prices=PRICES, **more):
    more = {"wait_seconds": 0.1, **more}
    return Quota(budgets=budgets, limits=limits, prices=prices, **more)


def tokens(most, name="all", **more):
    return Budget(id=name, window="total", tokens=most, **more)


@asynccontextmanager
async def metered(tmp_path, section, script=SAID, **parts):
    policy = Policy(guard=GUARDED.guard, quota=section)
    with Store.open(tmp_path / "data", Ed25519PrivateKey.generate()) as store:
        kept = StoreMeter(store)
        try:
            meter = meter_for(store, policy, kept)
            parts = {"policy": policy, "recorder": store, "meter": meter, **parts}
            async with stack(script, **parts) as room:
                room.store, room.kept = store, kept
                yield room
                agree(store)
        finally:
            kept.close()


def agree(store):
    ledger = [
        r.body["usage"] for r in store.records(["request", "usage.lost"]) if "usage" in r.body
    ]
    (row,) = store.read(lambda db: sum_usage(db, (), 0, 1e12, {})) or [None]
    for unit in ("money", "input", "output", "cached"):
        assert sum(one[unit] for one in ledger) == (getattr(row, unit) if row else 0)


def used(room, by=()):
    return room.store.read(lambda db: sum_usage(db, by, 0, 1e12, {}))


async def none_held(room):
    assert await room.kept.held() == {}


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.005)


def scene(function):
    """Run an async test on a loop of its own."""

    def test(tmp_path):
        asyncio.run(function(tmp_path))

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    return test
