"""What a call with a route is billed: once, whoever else was asked."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.app.quota import StoreMeter, meter_for
from keelmark.serve.fake import Script
from keelmark.store import Store
from keelmark.store.usage import sum_usage
from routing_parts import RULES, routed, said

SAID = Script(pieces=("from ", "here"))  # the fake engine reads 7 tokens, writes one per piece
ROUTES = "routes: {models: {assistant: {fallback: [hosted, local]}}, retry: {attempts: 0}%s}\n"
QUOTA = "quota: {budgets: [{id: all, window: total, tokens: 100000}], wait_seconds: 0.1}\n"


@asynccontextmanager
async def billed(tmp_path, policy, scripts):
    with Store.open(tmp_path / "data", Ed25519PrivateKey.generate()) as store:
        kept = StoreMeter(store)
        try:
            parts = {"recorder": store, "meter": lambda one: meter_for(store, one, kept)}
            async with routed(policy, scripts, rules=RULES, **parts) as room:
                room.store, room.kept = store, kept
                yield room
                async with asyncio.timeout(10):
                    while await kept.held():  # noqa: ASYNC110 (there is no event)
                        await asyncio.sleep(0.01)
        finally:
            kept.close()


def used(room, by=()):
    return room.store.read(lambda db: sum_usage(db, by, 0, 1e12, {}))


def ask(room):
    body = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
    return room.post("/v1/chat/completions", body)


@pytest.mark.parametrize(
    ("hosted", "more"),
    [
        (Script(fault="error", status=503), ""),
        (None, ""),
        (Script(fault="slow", delay=30), ", hedge: {after_ms: 20}"),
        (Script(fault="hang", after=0), ", hedge: {after_ms: 20}"),
    ],
)
def test_only_who_answers_is_billed(tmp_path, hosted, more):
    async def scene():
        policy = ROUTES % more + QUOTA
        async with billed(tmp_path, policy, {"hosted": hosted, "local": SAID}) as room:
            status, body, _ = await ask(room)
            assert (status, said(body)) == (200, "from here")
            spent = {row.group: (row.input, row.output) for row in used(room, ("engine",))}
            assert spent.pop(("local",)) == (7, 2)
            assert spent in ({}, {("hosted",): (0, 0)})  # a cancelled one is in the record

    asyncio.run(scene())


def test_who_has_used_up_the_hosted_budget_is_answered_here(tmp_path):
    quota = (
        "quota: {wait_seconds: 0.1, budgets: "
        "[{id: outside, window: total, tokens: 10, scope: {engines: [hosted]}}]}\n"
    )
    on = ", next_on: [over_budget]"

    async def scene():
        async with billed(tmp_path, ROUTES % on + quota, {"hosted": SAID, "local": SAID}) as room:
            status, _, _ = await ask(room)
            assert status == 200
            assert not room.fakes["hosted"].received
            trace = room.store.traces()[0]
            assert trace.engine == "local"
            [tried] = trace.attributes["keelmark.route.tried"]
            assert tried.startswith("hosted: over_budget")

    asyncio.run(scene())


def test_the_ledger_says_what_was_found_before_an_engine_was_chosen(tmp_path):
    private = (
        "routes: {models: {assistant: {when: [{finds: [EMAIL], to: local}], otherwise: hosted}}}\n"
    )

    async def scene():
        async with billed(tmp_path, private + QUOTA, {"hosted": SAID, "local": SAID}) as room:
            for text in ("Hi", "I am ada@example.org"):
                body = {"model": "assistant", "messages": [{"role": "user", "content": text}]}
                assert (await room.post("/v1/chat/completions", body))[0] == 200
            bodies = [record.body for record in room.store.records(["request"])]
            assert [(body["engine"], body["route"]["found"]) for body in bodies] == [
                ("hosted", []),
                ("local", ["EMAIL"]),
            ]

    asyncio.run(scene())
