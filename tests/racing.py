"""A process that takes part in a race for a budget: reserves, records and ends as told.

Run as `python racing.py FOLDER DATABASE SEED NAME CEILING CALLS MODE`: tries so many calls of 10
tokens at once; prints the number that were let through. In mode `die` it holds what it gets, says
so and is killed.
"""

import asyncio
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.metering import Amounts, Ceiling, Hold, Usage
from keelmark.core.trace import Trace
from keelmark.store import Store
from keelmark.store.reconcile import open_meter

EACH = Amounts(1000, 6, 4)
ABOUT = {
    "key_id": "key_1",
    "subject": "s",
    "team": "",
    "model": "tiny",
    "engine": "e",
    "currency": "USD",
    "priced": True,
}


def hold_of(name: str, ceiling: Ceiling, *, account: str = "a", amounts: Amounts = EACH) -> Hold:
    return Hold(
        id=name,
        admitted=1000.0,
        amounts=amounts,
        accounts=((account, ceiling),),
        about={**ABOUT, "trace_id": name},
    )


def usage_of(hold: Hold, amounts: Amounts | None = None) -> Usage:
    return Usage(
        id=hold.id,
        admitted=hold.admitted,
        amounts=hold.amounts if amounts is None else amounts,
        accounts=tuple(account for account, _ in hold.accounts),
        **{**ABOUT, "trace_id": hold.id},
    )


async def record(store: Store, hold: Hold, amounts: Amounts | None = None) -> None:
    trace = Trace(trace_id=hold.id, started=1.0, key_id="key_1", subject="s", model="tiny")
    await store.record(trace, None, [usage_of(hold, amounts)])


async def race(store: Store, name: str, tokens: int, calls: int) -> int:
    meter = open_meter(store)

    async def one(number: int) -> bool:
        hold = hold_of(f"{name}-{number}", Ceiling(tokens=tokens))
        while (short := await meter.reserve(hold)) is not None:
            if not short.waits:
                return False
            await meter.freed(0.05)
        await record(store, hold)
        meter.end(hold, hold.amounts)
        return True

    passed = sum(await asyncio.gather(*map(one, range(calls))))
    meter.close()
    return passed


async def die(store: Store, name: str, calls: int) -> None:
    meter = open_meter(store)
    for number in range(calls):
        hold = hold_of(f"{name}-{number}", Ceiling())
        assert await meter.reserve(hold) is None
        if number % 2:
            await record(store, hold)  # its hold is still there when the process dies
    tell("held")
    await asyncio.sleep(60)


def tell(said: str) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


def main(folder: str, database: str, seed: str, name: str, *rest: str) -> None:
    ceiling, calls, mode = int(rest[0]), int(rest[1]), rest[2]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    with Store.open(Path(folder), key, database=database) as store:
        if mode == "die":
            asyncio.run(die(store, name, calls))
        else:
            tell(str(asyncio.run(race(store, name, ceiling, calls))))


if __name__ == "__main__":
    main(*sys.argv[1:])
