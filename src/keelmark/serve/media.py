"""Images and sound in chat: set aside before a request is checked and judged, put back behind.

So everything between sees text only, as ever, and only what was checked here reaches an engine.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from keelmark.core.media import Media
from keelmark.core.ports import Segment
from keelmark.serve.engine import Engine
from keelmark.serve.errors import ApiError, bad_request

_DATA = re.compile(r"data:image/(png|jpeg|gif|webp);base64,")
_MAGIC = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "webp": (b"RIFF",),
    "wav": (b"RIFF",),
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
}
_DETAILS = ("auto", "low", "high")
_LONGEST_ADDRESS = 2048


class Part(NamedTuple):
    """A part of a message that is not text.

    Attributes:
        message: Number of the message.
        place: Number of the part.
        kind: `image_url` or `input_audio`.
        held: What it holds, as it was checked.
    """

    message: int
    place: int
    kind: str
    held: dict[str, Any]

    @property
    def path(self) -> str:
        """Where it stands in the request."""
        return f"messages[{self.message}].content[{self.place}]"

    @property
    def address(self) -> str:
        """The address of an image that is fetched by the engine, or ""."""
        url = str(self.held.get("url", ""))
        return "" if url.startswith("data:") else url


def set_aside(body: Any, media: Media) -> tuple[Part, ...]:
    """Take out of a chat request what is not text and may pass; the rest is refused by its check.

    Raises:
        ApiError: 400, it is no image or sound, too large, too many, or at a forbidden address.
    """
    found: list[Part] = []
    messages = body.get("messages") if isinstance(body, dict) else None
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            continue
        parts = [_part(one, number, place, message, media) for place, one in enumerate(content)]
        message["content"] = [c for c, p in zip(content, parts, strict=True) if p is None]
        found += (part for part in parts if part is not None)
    if len(found) > media.most:
        raise bad_request(
            f"A request holds at most {media.most} images and sounds here: send fewer.",
            "messages",
            "unsupported_content",
        )
    return tuple(found)


def addresses(parts: Sequence[Part]) -> list[Segment]:
    """Return the addresses of images as texts for the guard."""
    return [
        Segment(role="user", path=f"{part.path}.image_url.url", text=part.address)
        for part in parts
        if part.address
    ]


def put_back(body: dict[str, Any], parts: Sequence[Part], judged: Sequence[str]) -> None:
    """Put what was set aside where it stood, with addresses as the guard lets them pass."""
    left = iter(judged)
    for part in parts:
        held = {**part.held, "url": next(left)} if part.address else part.held
        content = body["messages"][part.message]["content"]
        content.insert(part.place, {"type": part.kind, part.kind: held})


def check_media(parts: Sequence[Part], engine: Engine) -> None:
    """Refuse what an engine does not take.

    Raises:
        ApiError: 400, naming the part.
    """
    takes = {"image_url": engine.quirks.images, "input_audio": engine.quirks.audio}
    part = next((one for one in parts if not takes[one.kind]), None)
    if part is not None:
        what = "images" if part.kind == "image_url" else "sound"
        raise ApiError(
            400,
            "engine_takes_text",
            f"The engine `{engine.id}` takes no {what} (`{part.path}`): send text, or ask for "
            "another model.",
            param=part.path,
        )


def _part(
    given: Any, message: int, place: int, holder: dict[str, Any], media: Media
) -> Part | None:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "image_url" and media.images == "pass":
        check = _image
    elif kind == "input_audio" and media.audio == "pass":
        check = _sound
    else:
        return None
    at = f"messages[{message}].content[{place}]"
    if not given.keys() <= {"type", kind, "cache_control"} or holder.get("role") != "user":
        raise bad_request(f"`{at}` must hold `{kind}` alone, in a message of the user.", at)
    return Part(message, place, kind, check(given.get(kind), f"{at}.{kind}", media))


def _image(given: Any, at: str, media: Media) -> dict[str, Any]:
    url = given.get("url") if isinstance(given, dict) else given
    detail = given.get("detail") if isinstance(given, dict) else None
    if not isinstance(url, str) or (detail is not None and detail not in _DETAILS):
        raise bad_request(f"`{at}` must be an object with a `url`, and a `detail` if need be.", at)
    if isinstance(given, dict) and not given.keys() <= {"url", "detail"}:
        raise bad_request(f"`{at}` holds more than `url` and `detail`: leave the rest out.", at)
    if found := _DATA.match(url):
        _check_bytes(url[found.end() :], found[1], at, media)
    else:
        _check_address(url, at, media)
    return {"url": url} if detail is None else {"url": url, "detail": detail}


def _sound(given: Any, at: str, media: Media) -> dict[str, Any]:
    fields = given if isinstance(given, dict) else {}
    data, form = fields.get("data"), fields.get("format")
    if not isinstance(data, str) or form not in ("wav", "mp3") or len(fields) != 2:
        raise bad_request(f"`{at}` must hold `data` and a `format`, wav or mp3, alone.", at)
    _check_bytes(data, form, at, media)
    return {"data": data, "format": form}


def _check_bytes(data: str, form: str, at: str, media: Media) -> None:
    """What says that it is an image must be one: text in its place would pass unread."""
    if len(data) > media.bytes * 4 // 3 + 4:
        raise bad_request(f"`{at}` is larger than {media.bytes} bytes: send less.", at)
    try:
        head = b64decode(data, validate=True)[:16]
    except (binascii.Error, ValueError):
        raise bad_request(f"`{at}` is not valid base64.", at) from None
    container = head[8:12] in (b"WEBP", b"WAVE")
    if not head.startswith(_MAGIC[form]) or (form in ("webp", "wav") and not container):
        raise bad_request(f"`{at}` is no {form}: say what it is.", at)


def _check_address(url: str, at: str, media: Media) -> None:
    if not media.addresses:
        raise bad_request(
            f"`{at}` is no image in the request (`data:image/png;base64,...`), and addresses are "
            "not let through here.",
            at,
            "unsupported_content",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        allowed = (
            parts.scheme in ("http", "https")
            and parts.username is None
            and len(url) <= _LONGEST_ADDRESS
            and url.isascii()
            and url.isprintable()
            and not {"\\", " "} & set(url)
            and _public(host)
        )
    except ValueError:
        allowed = False
    if not allowed:
        raise bad_request(f"`{at}` is no address that an image may be fetched from.", at)


def _public(host: str) -> bool:
    """Whether a host is not plainly one that only the engine's own network can reach."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        # 127.1 and 0x7f000001 are addresses to some programs: a name ends with a letter.
        name = host.rstrip(".")
        local = name.endswith((".local", ".internal", ".localhost", ".home.arpa"))
        return "." in name and name[-1:].isalpha() and not local and "0x" not in name
