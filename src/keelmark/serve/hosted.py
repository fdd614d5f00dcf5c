"""Local models side by side: each an engine to the gateway, in memory only while it is needed.

To everybody here such an engine is at an address that begins with `local+`. The transport leases
the model when a request is sent there, and gives it back when its answer is closed: whatever way a
request takes through the gateway, its model stays in memory until it has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.ports import Transport, UpstreamResponse
from keelmark.serve.berths import Standing, WaitedError
from keelmark.serve.engine import Endpoint, Scoring
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions
from keelmark.serve.errors import ApiError
from keelmark.serve.loader import Loader

LetGo = Callable[[str], None]
"""Lets the bytes of a model go, for a reason."""

SCHEME = "local+"
_SCORED = "scores/"


class Nature(NamedTuple):
    """What is known of a model before it is in memory.

    Attributes:
        digest: `sha256:...` of its passport; what is loaded has this one or is not loaded.
        load_mode: How the policy wants the bytes to be bound.
        need: Memory that it takes, bytes.
        scoring: Memory that it takes besides once it scores prompts, bytes.
        reranks: Whether it ranks documents.
        known: Whether `need` was worked out, or only guessed from the size of the file.
    """

    digest: str
    load_mode: str
    need: int
    scoring: int = 0
    reranks: bool = False
    known: bool = True


class Running(Scoring, Protocol):
    """A model in memory: an engine that is started."""


class HostedEngine:
    """A local model as an engine. Implements `keelmark.serve.engine.Scoring`.

    Args:
        name: What clients call it.
        id: Name in traces and configuration; several local models need one each.
        nature: What is known of it already.
        options: How it is run.
        open_: Checks the bytes and makes the engine that runs them, not started yet.
        loader: Says when it is in memory; it is added there.

    Raises:
        UsageError: The loader has one of this name.
        LimitError: It does not fit into memory.
    """

    provider = LlamaEngine.provider
    quirks = LlamaEngine.quirks

    def __init__(
        self,
        name: str,
        *,
        id: str,  # noqa: A002 (the name in the Engine protocol)
        nature: Nature,
        options: LlamaOptions,
        open_: Callable[[], Awaitable[tuple[Running, LetGo]]],
        loader: Loader,
    ) -> None:
        self.id, self.name = id, name
        self.models: tuple[str, ...] = (name,)
        self.upstream_model = name
        self.digest, self.need = nature.digest, nature.need
        self.first_byte_seconds = options.first_byte_seconds
        self.context, self.chat_template = options.context, options.chat_template
        self.load_mode, self.reranks = nature.load_mode, nature.reranks
        self.slots = options.slots
        self.nature, self.base = nature, SCHEME + quote(name, safe="")
        self._open, self._loader = open_, loader
        self._inner: Running | None = None
        self._let_go: LetGo = _forget
        loader.add(self)

    @property
    def ready(self) -> bool:
        """Whether it can take a request, which may have to wait for the model."""
        if self._inner is not None:
            return self._inner.ready
        berth = self._loader.berths.get(self.name)
        return berth is not None and self._loader.rests(berth) == 0

    @property
    def state(self) -> str:
        """Where it stands: loaded, loading, unloading, unloaded or failed."""
        berth = self._loader.berths.get(self.name)
        return berth.standing.value if berth else Standing.UNLOADED.value

    async def start(self) -> None:
        """Bring it into memory. Raises KeelmarkError when that cannot be."""
        await self._loader.load(self.name)

    async def stop(self) -> None:
        """Take it out of the service once its requests have ended."""
        await self._loader.remove(self.name)

    def endpoint(self) -> Endpoint:
        """Return the address that `HostedTransport` knows."""
        return Endpoint(f"{self.base}/v1", {})

    async def scorer(self) -> Endpoint:
        """Return the address of its scorer that `HostedTransport` knows."""
        return Endpoint(f"{self.base}/{_SCORED}v1", {})

    async def place(self, *, scores: bool) -> Endpoint:
        """Return where it answers now that it is in memory.

        Raises:
            UnavailableError: It does not answer now, or its scorer has no room.
        """
        if self._inner is None:
            raise UnavailableError(f"The model {self.name} is not in memory; try again.")
        if scores and self.need == self.nature.need:
            if self._loader.taken + self.nature.scoring > self._loader.budget:
                raise UnavailableError(
                    f"There is no memory left to score prompts with {self.name}: raise --memory, "
                    "or unload other models."
                )
            self.need += self.nature.scoring
        return await self._inner.scorer() if scores else self._inner.endpoint()

    # --- for the loader ---

    async def load(self) -> None:
        """Check the bytes, start the engine, and wait until it answers. Raises KeelmarkError."""
        engine, let_go = await self._open()
        try:
            await engine.start()
        except BaseException:  # boundary: the bytes must not stay open behind a failed start
            let_go("It did not start.")
            raise
        self._inner, self._let_go = engine, let_go
        self.load_mode, self.reranks = engine.load_mode, engine.reranks

    async def unload(self, reason: str) -> None:
        """End the engine and let the bytes go."""
        engine, self._inner = self._inner, None
        let_go, self._let_go = self._let_go, _forget
        try:
            if engine is not None:
                await engine.stop()
        finally:
            self.need = self.nature.need
            let_go(reason)


class Leases(Protocol):
    """Who lends places at models, in this process or in another one."""

    async def take(self, base: str, *, scores: bool) -> Endpoint:
        """Return where the model behind an address answers, and keep it there.

        Raises:
            ApiError: 503, it is not in memory, and this request waits no longer.
            UnavailableError: Its engine does not answer now.
        """

    def give_back(self, base: str) -> None:
        """What was taken is needed no longer."""


class LocalLeases:
    """Leases of the models of this process.

    Args:
        loader: Says when they are in memory.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    async def take(self, base: str, *, scores: bool) -> Endpoint:
        """See `Leases`."""
        engine = self._find(base)
        name = engine.name
        try:
            await self._loader.lease(name)
        except WaitedError as error:
            raise ApiError(503, "model_loading", error.message, retry_after=error.seconds) from None
        except KeelmarkError as error:
            berth = self._loader.berths.get(name)
            if berth is None or berth.removed:
                raise
            raise ApiError(503, "engine_unavailable", _cannot(name), retry_after=30) from error
        try:
            return await engine.place(scores=scores)
        except BaseException:  # boundary: what is not used is given back
            self._loader.release(name)
            raise

    def give_back(self, base: str) -> None:
        """See `Leases`."""
        self._loader.release(self._find(base).name)

    def _find(self, base: str) -> HostedEngine:
        berth = self._loader.berths.get(unquote(base.removeprefix(SCHEME)))
        if berth is None or not isinstance(berth.model, HostedEngine):
            raise UnavailableError("This model was taken out of the service.", retryable=False)
        return berth.model


class HostedTransport:
    """A transport that also reaches local models, whose addresses begin with `local+`.

    Args:
        transport: The way that everything goes.
        leases: Who lends places at models.
    """

    def __init__(self, transport: Transport, leases: Leases) -> None:
        self._transport, self._leases = transport, leases

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> UpstreamResponse:
        """See `Transport.send`; the time to load a model does not count.

        Raises:
            ApiError: 503, the model is not in memory, and this request waits no longer.
        """
        send = self._transport.send
        if not url.startswith(SCHEME):
            return await send(method, url, headers=headers, body=body, timeout=timeout)
        base, _, path = url.partition("/")
        scores = path.startswith(_SCORED)
        endpoint = await self._leases.take(base, scores=scores)
        try:
            place = endpoint.base_url.removesuffix("v1") + path.removeprefix(_SCORED)
            own = {**headers, **endpoint.headers}
            response = await send(method, place, headers=own, body=body, timeout=timeout)
        except BaseException:  # boundary: a request that was not sent holds nothing
            self._leases.give_back(base)
            raise
        return _Held(response, lambda: self._leases.give_back(base))

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()


class _Held:
    """An answer whose model stays in memory until it is closed."""

    def __init__(self, response: UpstreamResponse, give_back: Callable[[], None]) -> None:
        self.status, self.headers = response.status, response.headers
        self._response, self._give_back = response, give_back

    def chunks(self) -> AsyncIterator[bytes]:
        """See `UpstreamResponse`."""
        return self._response.chunks()

    async def read(self) -> bytes:
        """See `UpstreamResponse`."""
        return await self._response.read()

    async def close(self, *, over: bool = False) -> None:
        """See `UpstreamResponse`."""
        give_back, self._give_back = self._give_back, _nothing
        try:
            await self._response.close(over=over)
        finally:
            give_back()


def _nothing() -> None: ...


def _forget(_reason: str) -> None: ...


def _cannot(name: str) -> str:
    return f"The model {name} cannot be loaded now: `keelmark models list` says why."
