"""Keys: made, kept as hashes, recognised."""

import asyncio
import hashlib
from types import SimpleNamespace

import pytest

from gateway_parts import MemoryKeys
from keelmark.core.errors import UsageError
from keelmark.core.scope import Origin
from keelmark.core.trace import Trace
from keelmark.serve.calls import CHAT, Call, Desk, authenticate
from keelmark.serve.errors import ApiError
from keelmark.serve.keys import KeyRing, hash_key, new_key, require


def test_a_key_is_shown_once_and_kept_as_a_hash():
    secret, key = new_key("ci", ("models", "models"), now=lambda: 5.0)
    assert secret.startswith("sk-km-")
    assert len(secret) == len("sk-km-") + 43
    assert key.hash == hashlib.sha256(secret.encode()).digest() == hash_key(secret)
    assert (len(key.id), key.id[:4], key.scopes, key.created) == (16, "key_", ("models",), 5.0)
    assert secret not in repr(key)
    assert new_key("ci")[0] != secret


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": ()}, {"scopes": ("root",)}, {"expires": 1.0}, {"secret": "short"}],
)
def test_keys_that_cannot_be_made(wrong):
    with pytest.raises(UsageError):
        new_key("x", **wrong)


def test_given_keys_may_hold_any_character():
    async def scene():
        keys = MemoryKeys()
        secret, key = keys.add("own", ("admin",), secret="größte Sicherheit überhaupt")
        ring = KeyRing(keys)
        assert await ring.recognise(f"Bearer {secret}".encode()) == key
        with pytest.raises(ApiError, match="scope `models`"):
            require(key, "models")
        with pytest.raises(ApiError, match="not valid"):
            await ring.recognise(b"Bearer \xff\xfe\x00")

    asyncio.run(scene())


def test_the_cache_holds_for_its_time_and_no_longer():
    async def scene():
        keys, clock = MemoryKeys(), [0.0]
        secret, key = keys.add("x")
        header = f"Bearer {secret}".encode()
        ring = KeyRing(keys, ttl=1.0, capacity=2, clock=lambda: clock[0])
        for at, asked in ((0.0, 1), (0.9, 1), (1.0, 2), (1.5, 2)):
            clock[0] = at
            await ring.recognise(header)
            assert keys.asked == asked
        ring.forget()
        await ring.recognise(header)
        assert keys.asked == 3
        keys.keys.clear()
        clock[0] = 9.0
        for _ in range(2):
            with pytest.raises(ApiError, match="not valid"):
                await ring.recognise(header)
        assert key.revoked is None

    asyncio.run(scene())


def test_the_guard_is_told_whose_key_it_is():
    async def scene():
        keys = MemoryKeys()
        secret, key = keys.add("bot", team="support")
        headers = {b"authorization": f"Bearer {secret}".encode()}
        call = Call(
            request=SimpleNamespace(headers=headers),
            kind=CHAT,
            trace=Trace(trace_id="0" * 32, started=0.0, model="tiny", operation="chat"),
        )
        known = await authenticate(Desk(None, KeyRing(keys)), call)
        assert known.origin == Origin(
            key=key.id, key_name="bot", model="tiny", operation="chat", team="support"
        )
        assert known.trace.team == "support"

    asyncio.run(scene())


@pytest.mark.parametrize("team", ["x" * 65, " a", "a\n", "\x1b[31m"])
def test_a_team_whose_name_cannot_be_shown_is_refused(team):
    with pytest.raises(UsageError, match="A team's name has at most 64 characters"):
        new_key("x", team=team)
