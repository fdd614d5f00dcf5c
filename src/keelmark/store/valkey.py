"""Limits in Valkey (or Redis), for services on several machines.

Each question is one Lua script, which nothing comes between, and the only clock is the server's.
A limit on a rate is one number: when it would be due (see `core.gcra`). A limit on calls at work
is a set of leases; whoever holds them renews them, so those of a process that died run out.

Nothing here is the only copy of anything: after a restart of the server without its data, limits
begin anew (who used up a rate may use it once more), and leases are there again at the next
renewal. Budgets, which must not be forgotten, stay in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.metering import Level, Rate

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("keelmark.store")

_LEASE_SECONDS = 30.0
_RENEW_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
_CONNECTIONS = 32
_FIRST_REST, _LONGEST_REST = 0.1, 5.0
_MOST_OWED = 10_000
_RENEWED_AT_ONCE = 500

_ENTER = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local call, lease = ARGV[1], tonumber(ARGV[2])
local told, due, passes = {}, {}, true
for i, key in ipairs(KEYS) do
  local at = 4 * i - 1
  local cost, most = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local seconds, burst = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local wait, left, reset = 0, 0, 0
  if seconds == 0 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    local busy = redis.call('ZCARD', key)
    if not redis.call('ZSCORE', key, call) then busy = busy + 1 end
    if busy > most then wait = 1 end
    left = math.max(most - busy, 0)
  else
    local each = seconds / most
    local full = burst * each
    local ahead = math.max(tonumber(redis.call('GET', key) or '0') - now, 0)
    local price = cost * each
    wait = ahead + math.min(price, full) - full
    if wait > 0.000001 then
      left, reset = math.floor(math.max(full - ahead, 0) / each + 0.000001), ahead
    else
      wait, reset, due[i] = 0, ahead + price, ahead + price
      left = math.floor(math.max(full - reset, 0) / each + 0.000001)
    end
  end
  if wait > 0 then passes = false end
  told[i] = string.format('%.6f %d %.6f', wait, left, reset)
end
if passes then
  for i, key in ipairs(KEYS) do
    if due[i] then
      redis.call('SET', key, string.format('%.6f', now + due[i]),
        'PX', math.ceil(due[i] * 1000) + 1000)
    else
      redis.call('ZADD', key, string.format('%.6f', now + lease), call)
      redis.call('PEXPIRE', key, math.ceil(lease * 2000))
    end
  end
end
return told
"""
_LEAVE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for i, key in ipairs(KEYS) do
  if ARGV[i + 1] == '' then
    redis.call('ZREM', key, ARGV[1])
  else
    local ahead = math.max(tonumber(redis.call('GET', key) or '0') - now, 0) + ARGV[i + 1]
    if ahead > 0 then
      redis.call('SET', key, string.format('%.6f', now + ahead),
        'PX', math.ceil(ahead * 1000) + 1000)
    else
      redis.call('DEL', key)
    end
  end
end
"""
_RENEW = """
local clock = redis.call('TIME')
local ends = string.format('%.6f', clock[1] + clock[2] / 1000000 + ARGV[1])
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, ends, ARGV[i + 1])
  redis.call('PEXPIRE', key, math.ceil(ARGV[1] * 2000))
end
"""


class _Left(NamedTuple):
    """A call that has ended: its keys, and what is to be added to each, or "" for a lease."""

    call: str
    keys: list[str]
    changes: list[str]


class ValkeyRates:
    """Limits that all processes share which use one server. Implements `core.ports.Rates`.

    While the server does not answer, every question is refused at once, and it is tried again in
    the background; nobody waits for a time-out but the first.

    Args:
        address: `redis://[user:password@]host[:port][/number]`, or `rediss://` for TLS.
        space: Name before all keys, so that several installations may share a server.
        lease: How long a call at work counts that nobody renews, seconds.

    Raises:
        UsageError: The address is none, or the package for it is missing.
    """

    def __init__(self, address: str, space: str, lease: float = _LEASE_SECONDS) -> None:
        self._lease = lease
        self._client, self._errors = _client(address)
        self._space = f"{{keelmark:{space}}}:"
        self._enter = self._client.register_script(_ENTER)
        self._leave = self._client.register_script(_LEAVE)
        self._renew = self._client.register_script(_RENEW)
        self._place = shown(address)
        self._inside: dict[str, list[str]] = {}
        self._owed: list[_Left] = []
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._work, self._paying = asyncio.Event(), asyncio.Lock()
        self._away = False
        self._tending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See whether the server answers, and begin to look after the leases.

        Raises:
            UsageError: It does not, or not to us.
        """
        try:
            await self._client.ping()
        except self._errors as error:
            await self._client.aclose()
            raise UsageError(
                f"The Valkey server at {self._place} cannot be used ({type(error).__name__}): "
                "check that it runs, and its address and password."
            ) from None
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """Give up the leases, and hang up."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        with contextlib.suppress(*self._errors):
            if not self._away:
                await self._pay()
        await self._client.aclose()

    async def enter(self, call: str, rates: Sequence[Rate]) -> list[Level]:
        """See `keelmark.core.ports.Rates`.

        Raises:
            UnavailableError: The server does not answer.
        """
        if self._away:
            raise self._gone()
        numbers = [str(n) for one in rates for n in (one.cost, one.most, one.seconds, one.burst)]
        arguments = [call, str(self._lease), *numbers]
        try:
            async with self._room:
                told = await self._enter(keys=self._keys(rates), args=arguments)
        except self._errors as error:
            self._lose(error)
            self.leave(call, rates, None)  # it may have been counted all the same
            raise self._gone() from None
        except asyncio.CancelledError:
            self.leave(call, rates, 0)
            raise
        levels = [_level(one) for one in told]
        leases = [key for key, one in zip(self._keys(rates), rates, strict=True) if not one.seconds]
        if leases and not any(one.wait for one in levels):
            self._inside[call] = leases
        return levels

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:
        """See `keelmark.core.ports.Rates`."""
        self._inside.pop(call, None)
        left = _Left(call, [], [])
        for key, rate in zip(self._keys(rates), rates, strict=True):
            if not rate.seconds:
                change = ""
            elif rate.unit == "tokens" and tokens is not None and tokens != rate.cost:
                change = f"{(tokens - rate.cost) * rate.seconds / rate.most:.6f}"
            else:
                continue
            left.keys.append(key)
            left.changes.append(change)
        if left.keys and len(self._owed) < _MOST_OWED:
            self._owed.append(left)
            self._work.set()

    # --- in the background ---

    async def _tend(self) -> None:
        rest, renewed = _FIRST_REST, time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest if self._away else _RENEW_SECONDS):
                    await (asyncio.Event() if self._away else self._work).wait()
            try:
                if self._away:
                    await self._client.ping()
                    await self._renew_leases()
                    self._away, rest = False, _FIRST_REST
                    log.warning("The Valkey server at %s answers again.", self._place)
                await self._pay()
                if time.monotonic() - renewed >= _RENEW_SECONDS:
                    await self._renew_leases()
                    renewed = time.monotonic()
            except self._errors as error:
                rest = min(2 * rest, _LONGEST_REST) if self._away else _FIRST_REST
                self._lose(error)

    async def _pay(self) -> None:
        """Do what is owed; what fails stays owed."""
        async with self._paying:
            self._work.clear()
            while self._owed:
                call, keys, changes = self._owed[0]
                await self._leave(keys=keys, args=[call, *changes])
                del self._owed[0]

    async def _renew_leases(self) -> None:
        held = [(key, call) for call, keys in self._inside.items() for key in keys]
        for at in range(0, len(held), _RENEWED_AT_ONCE):
            part = [one for one in held[at : at + _RENEWED_AT_ONCE] if one[1] in self._inside]
            keys, calls = [key for key, _ in part], [call for _, call in part]
            await self._renew(keys=keys, args=[self._lease, *calls])

    def _lose(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            kind = type(error).__name__
            log.warning("The Valkey server at %s does not answer (%s).", self._place, kind)
            self._work.set()

    def _gone(self) -> UnavailableError:
        return UnavailableError(f"The Valkey server at {self._place} does not answer now.")

    def _keys(self, rates: Sequence[Rate]) -> list[str]:
        return [self._space + one.key for one in rates]


def shown(address: str) -> str:
    """Return an address without its secrets, for messages."""
    try:
        parts = urlsplit(address)
        return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    except ValueError:
        return "the address given"


def _client(address: str) -> tuple[Redis, tuple[type[Exception], ...]]:
    try:
        from redis.asyncio import ConnectionPool, Redis  # noqa: PLC0415 (an extra)
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise UsageError('Valkey needs a package: run `pip install "keelmark[valkey]"`.') from None
    if not address.startswith(("redis://", "rediss://", "unix://")):
        raise UsageError("The address of a Valkey server begins with redis:// or rediss://.")
    try:
        pool = ConnectionPool.from_url(
            address,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),  # a question that was counted must not be asked twice
            decode_responses=True,
        )
    except ValueError:
        raise UsageError(
            "The address of the Valkey server is wrong: redis://[user:password@]host[:port][/n]."
        ) from None
    return Redis.from_pool(pool), (RedisError, OSError)


def _level(told: Any) -> Level:
    wait, left, reset = told.split()
    return Level(float(wait), int(left), float(reset))
