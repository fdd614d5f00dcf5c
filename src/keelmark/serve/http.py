"""One HTTP request and its answer, over ASGI and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from keelmark.core.policy import Limits
from keelmark.serve.errors import ApiError, ClientGoneError, bad_request

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_decode = msgspec.json.Decoder().decode
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
CONNECTION = "keelmark.connection"
"""Name of the ASGI extension under which our server shows the connection."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-type",
        b"host",
        b"transfer-encoding",
        b"x-api-key",
        b"x-keelmark-subject",
    }
)
"""Headers of which two would mean one thing here and another to a proxy before us."""


class Connection(Protocol):
    """The connection that a request came in on, where the server has one to show."""

    def on_leave(self, then: Callable[[], None] | None) -> None:
        """Call `then` when the client leaves, at once if it has left; None: call nothing."""


class Request(NamedTuple):
    """What came in, headers in lower case; `repeated` are names of those that came twice."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    header_bytes: int
    peer: str
    receive: Receive
    send: Send
    connection: Connection | None = None
    repeated: frozenset[bytes] = frozenset()


def request_of(scope: Scope, receive: Receive, send: Send) -> Request:
    """Return the request of an ASGI scope."""
    client, given = scope.get("client"), scope["headers"]
    headers = dict(given)
    twice = len(headers) != len(given)
    return Request(
        scope["method"],
        scope["path"],
        headers,
        sum(len(name) + len(value) + 4 for name, value in given),
        client[0] if client else "",
        receive,
        send,
        scope.get("extensions", _NOTHING).get(CONNECTION),
        _repeated(name for name, _ in given) if twice else frozenset(),
    )


def _repeated(names: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(name for name, times in Counter(names).items() if times > 1)


def check_headers(request: Request, limits: Limits) -> None:
    """Refuse a header block that is too long, or that says two things.

    Raises:
        ApiError: 431, or 400.
    """
    if request.repeated and (twice := sorted(request.repeated & _ONCE)):
        raise ApiError(
            400, "invalid_http", f"The header `{twice[0].decode()}` comes twice: send it once."
        )
    if request.header_bytes > limits.header_bytes:
        raise ApiError(
            431, "headers_too_large", f"The headers are longer than {limits.header_bytes} bytes."
        )


def check_json(request: Request) -> None:
    """Refuse a body that is not plain JSON.

    Raises:
        ApiError: 415.
    """
    coding = request.headers.get(b"content-encoding", b"identity").strip().lower()
    transfer = request.headers.get(b"transfer-encoding", b"chunked").strip().lower()
    if coding not in (b"", b"identity") or transfer != b"chunked":
        raise ApiError(
            415, "unsupported_encoding", "Compressed bodies are not read: send plain JSON."
        )
    kind = request.headers.get(b"content-type", JSON[1]).lower()
    media, _, rest = kind.partition(b";")
    charset = rest.partition(b"charset=")[2].strip(b' "')
    if media.strip() != JSON[1] or charset not in (b"", b"utf-8", b"utf8"):
        raise ApiError(
            415, "unsupported_content_type", "Send the body as `content-type: application/json`."
        )


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read the whole body, or refuse it as early as possible.

    Raises:
        ApiError: 413 when it is too long, 408 when it takes too long.
        ClientGoneError: The client left.
    """
    declared = request.headers.get(b"content-length", b"0").strip()
    if not declared.isdigit() or int(declared[:20]) > limits.request_bytes:
        raise _too_large(limits)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                part = message.get("body", b"")
                size += len(part)
                if size > limits.request_bytes:
                    raise _too_large(limits)
                parts.append(part)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise ApiError(
            408, "body_timeout", f"The body did not arrive within {limits.body_seconds:g} seconds."
        ) from None


def decode_body(raw: bytes) -> Any:
    """Decode a JSON body.

    Raises:
        ApiError: 400, saying what is wrong with it.
    """
    if not raw:
        raise bad_request("The body is empty: send a JSON object.")
    try:
        return _decode(raw)
    except UnicodeDecodeError as error:
        reason = f"it is not valid UTF-8 at byte {error.start} of a string"
    except msgspec.ValidationError:
        reason = "it holds a number that is out of range"
    except msgspec.DecodeError as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        reason = detail if detail != str(error) else "it is cut short, or a \\u escape is broken"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        reason = "it holds a number with too many digits"
    raise bad_request(f"The body is not valid JSON: {reason}.", code="invalid_json")


def _too_large(limits: Limits) -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        f"The body is longer than {limits.request_bytes} bytes: send less.",
    )


async def send_whole(request: Request, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    headers.append((b"content-length", str(len(body)).encode()))
    await request.send({"type": "http.response.start", "status": status, "headers": headers})
    await request.send({"type": "http.response.body", "body": body})
