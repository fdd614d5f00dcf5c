"""Engines that already run somewhere: one TOML file each in `serve/engines/`, or a bare URL.

Their weights cannot be seen, so they have no digest and are served as unattested.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import msgspec

from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.ports import Transport, UpstreamResponse
from keelmark.serve.engine import Endpoint, Quirks
from keelmark.serve.transport.messages import SCHEME, MessagesTransport

GENERIC = "openai-compatible"
_FOREIGN = ("anthropic", "anthropic-compatible")
_FOLDER = Path(__file__).parent / "engines"
_DISCOVERY_SECONDS = 10.0
_ANSWER_BYTES = 8 * 1024 * 1024
_NO_LIST = (404, 405, 501)
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}\Z")


class UpstreamSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file in `serve/engines/`.

    Attributes:
        id: The file's name without `.toml`.
        title: For people.
        provider: OpenTelemetry `gen_ai.provider.name`.
        base_url: Where it usually is, up to and including its version path; "" if there is no
            usual place.
        api_key_env: Environment variable with the key for it.
        api_key_required: Whether it answers nobody without a key.
        models: Names it serves, instead of asking it; empty asks it.
        first_byte_seconds: Longest wait for the first byte of an answer, seconds.
        quirks: In what it differs.
    """

    id: str
    title: str
    provider: str
    base_url: str
    api_key_env: Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9_]*$")]
    api_key_required: bool = False
    models: tuple[str, ...] = ()
    first_byte_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    quirks: Quirks = Quirks()


class _Model(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_Model]


class UpstreamEngine:
    """Somebody else's server. Implements `keelmark.serve.engine.Engine`.

    Args:
        spec: What it is and where.
        transport: The way requests go; discovery takes the same one.
        environ: Where its key is looked up.
        id: Name in traces, when several engines share one spec.

    Attributes:
        quirks: In what it differs from OpenAI's server.
        title: For people.
    """

    digest = ""
    load_mode = ""
    upstream_model = ""

    def __init__(
        self,
        spec: UpstreamSpec,
        transport: Transport,
        *,
        environ: Mapping[str, str] = os.environ,
        id: str = "",  # noqa: A002 (the name in the Engine protocol)
    ) -> None:
        self.id, self.provider, self.title = id or spec.id, spec.provider, spec.title
        self.models: tuple[str, ...] = spec.models
        self.first_byte_seconds = spec.first_byte_seconds
        self.quirks = spec.quirks
        self._spec, self._transport = spec, transport
        self._key = environ.get(spec.api_key_env, "").strip()
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether it answered when it was asked at the start."""
        return self._ready

    async def start(self) -> None:
        """Ask it which models it serves.

        Raises:
            UsageError: It wants a key, or another one.
            UnavailableError: It does not answer, or not as an OpenAI-compatible server does.
        """
        if self._spec.api_key_required and not self._key:
            raise UsageError(f"{self.title} needs a key: set {self._spec.api_key_env}.")
        if not self._spec.models and self.quirks.lists_models:
            self.models = await self._discover()
        self._ready = True

    async def stop(self) -> None:
        """Send it nothing more. It is not ours to stop."""
        self._ready = False

    def endpoint(self) -> Endpoint:
        """Return where to send a request now. Raises UnavailableError when it was not started."""
        if not self._ready:
            raise UnavailableError(f"{self.title} was not reached yet; start it first.")
        return self._address()

    def _address(self) -> Endpoint:
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        return Endpoint(self._spec.base_url, headers)

    async def _discover(self) -> tuple[str, ...]:
        base, headers = self._address()
        url = f"{base}/models"
        try:
            response = await self._transport.send(
                "GET", url, headers=headers, body=b"", timeout=_DISCOVERY_SECONDS
            )
        except UnavailableError:
            raise UnavailableError(
                f"Nothing answers at {base}: start the server there, or give another address."
            ) from None
        try:
            return await self._names(response, url)
        finally:
            await response.close()

    async def _names(self, response: UpstreamResponse, url: str) -> tuple[str, ...]:
        """Names in the answer; none, which stands for any, when the server keeps no list."""
        if response.status in (401, 403):
            how = "refused the key in" if self._key else "wants a key: set"
            raise UsageError(f"{self.title} at {url} {how} {self._spec.api_key_env}.")
        if response.status in _NO_LIST:
            return ()
        if response.status != 200:
            raise UnavailableError(f"{self.title} answered {response.status} at {url}; look there.")
        body = bytearray()
        async for chunk in response.chunks():
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise UnavailableError(f"The list of models at {url} is too long to be one.")
        try:
            listed = msgspec.json.decode(body, type=_ModelList)
        except msgspec.MsgspecError:
            raise UnavailableError(
                f"What {url} answers is no list of models: is it an OpenAI-compatible server?"
            ) from None
        return tuple(dict.fromkeys(model.id for model in listed.data))


def catalogue() -> dict[str, UpstreamSpec]:
    """Read every engine file; id to spec, sorted.

    Raises:
        UsageError: A file is wrong; the message names it.
    """
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def upstream_spec(reference: str) -> UpstreamSpec:
    """Turn the value of `--upstream` into a spec.

    Args:
        reference: An id from the catalogue (`ollama`), a URL, or both (`vllm=http://gpu:8000`).
            A URL without a path gets `/v1`. One that begins with `anthropic+` is of a server
            that speaks Anthropic's Messages. Another name before all that (`big=openai`) is what
            routes and traces call it.

    Raises:
        UsageError: No such id, or no usable URL.
    """
    known = catalogue()
    name, equals, url = reference.partition("=")
    if equals and name not in known and _NAME.match(name):
        return msgspec.structs.replace(upstream_spec(url), id=name)
    if equals and name in known:
        foreign = name in _FOREIGN and not url.startswith(SCHEME)
        return msgspec.structs.replace(
            known[name], base_url=normal_url(SCHEME + url if foreign else url)
        )
    if reference in known and known[reference].base_url:
        return known[reference]
    if "://" not in reference:
        ids = ", ".join(key for key, spec in known.items() if spec.base_url)
        raise UsageError(f"{reference!r} is no upstream: give a URL or one of {ids}.")
    kind = _FOREIGN[1] if reference.startswith(SCHEME) else GENERIC
    return msgspec.structs.replace(known[kind], base_url=normal_url(reference))


def way_to(references: Sequence[str], transport: Transport) -> Transport:
    """Return the transport that reaches all upstreams, whatever they speak.

    Raises:
        UsageError: A reference is wrong.
    """
    addresses = [upstream_spec(reference).base_url for reference in references]
    foreign = any(address.startswith(SCHEME) for address in addresses)
    return MessagesTransport(transport) if foreign else transport


def normal_url(url: str) -> str:
    """Return the base URL without trailing slash, with `/v1` when it had no path.

    Raises:
        UsageError: It is not http or https, or carries what does not belong into it.
    """
    problem = (
        ""
        if url.isascii() and not re.search(r"[\x00-\x20\x7f\\]", url)
        else ("holds characters that do not belong into a URL")
    )
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number, or too large
    except ValueError as error:
        raise UsageError(f"The upstream URL is wrong: {error}.") from None
    if parts.scheme.removeprefix(SCHEME) not in ("http", "https"):
        problem = problem or "does not begin with http:// or https://"
    if parts.username is not None or parts.password is not None:
        raise UsageError(  # the URL is not quoted: it holds a secret
            "The upstream URL holds a user name or password: put the key into the environment "
            "variable of the engine instead."
        )
    if not parts.hostname:
        problem = problem or "names no host"
    if parts.query or parts.fragment:
        problem = problem or "has a query or a fragment; give the base address only"
    if problem:
        raise UsageError(f"The upstream URL {url!r} {problem}.")
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _read(path: Path) -> UpstreamSpec:
    try:
        spec = msgspec.toml.decode(path.read_bytes(), type=UpstreamSpec)
    except msgspec.MsgspecError as error:
        raise UsageError(f"The engine file {path.name} is wrong: {error}.") from None
    if spec.id != path.stem or (spec.base_url and normal_url(spec.base_url) != spec.base_url):
        raise UsageError(f"The engine file {path.name} is wrong: its id or its base_url.")
    return spec
