"""Links: where they lead, and whether they pretend to lead somewhere else."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from keelmark.guard._patterns import CONTEXT, table
from keelmark.guard.normalise import fold

LONGEST = 600
"""Characters of a link that are read."""

_INNER = r"[^\s<>\"'`\\^{}|()\[\]\u3000-\u303f\uff00-\uff65]"
_SCHEME = r"(?i:(?<![a-z0-9])(?:https?|hxxps?|ftp)://|(?<![\w@./-])www\.)"
START = re.compile(_SCHEME)
BODY = re.compile(rf"(?i:\[[0-9a-f:.%]{{2,60}}\])?{_INNER}{{0,{LONGEST}}}")
OPEN = re.compile(rf"(?i:{_SCHEME})(?i:\[[0-9a-f:.%]{{0,60}}\]?)?{_INNER}{{0,{LONGEST}}}\Z")
_SITE = re.compile(r"(?i)(?:[^\s/?#]{0,80}@)?(?:\[|[^\s/?#.]{1,63}\.[^\s/?#]|[0-9]{8}|0x)")
BEGINNINGS = ("https://", "http://", "hxxps://", "hxxp://", "ftp://", "www.")

_PARTS = re.compile(r"(?i)(?:[a-z]+://)?([^/?#]*)([^?#]*)(\?[^#]*)?")
_SHOWN = re.compile(r"\[([^\[\]\n]{3,80})\]\(\s?<?\Z")
_DOMAIN = re.compile(
    r"(?i)(?<![\w@.-])(?:https?://)?((?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24})(?![\w.@-])"
)
_NUMERIC = re.compile(
    r"(?i)(?:0x[0-9a-f]{1,8}|[0-9]{1,12})(?:\.(?:0x[0-9a-f]{1,8}|[0-9]{1,12})){0,3}"
)
_PLAIN_IP = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_DOUBLE = re.compile(
    r"(?i)\.(?:pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|mp[34]|zip|csv)\.[a-z0-9]{2,4}$"
)
_TRAILING = ".,;:!?*_~"
_METADATA = ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")
_COMMON = frozenset(table("links")["common"])
_LEET = str.maketrans("01345789|", "olea" + "st" + "bgl")


class Judgement(NamedTuple):
    """What is wrong with a link."""

    label: str
    score: float
    reason: str


class Link(NamedTuple):
    """The parts of a link, in small letters but for the query."""

    user: str
    host: str
    path: str
    query: str


def parts(url: str) -> Link | None:
    """Take a link apart; None when it names no host."""
    match = _PARTS.match(url)
    if not match:
        return None
    user, _, host = match[1].rpartition("@")
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    else:
        host = host.partition(":")[0].rstrip(".")
    return Link(user, host.lower(), match[2].lower(), match[3] or "") if host else None


@cache
def _rows() -> dict[str, frozenset[str]]:
    return {name: frozenset(row) for name, row in table("links").items() if isinstance(row, list)}


def registrable(host: str) -> str:
    """Return the part of a host that somebody registered: `example.co.uk` of `a.example.co.uk`."""
    labels = host.split(".")
    deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _rows()["second_level"]
    return ".".join(labels[-3 if deep else -2 :])


def belongs(host: str, domains: frozenset[str]) -> bool:
    """Whether a host is one of the domains or lies below one."""
    if not domains:
        return False
    labels = host.split(".")
    return any(".".join(labels[at:]) in domains for at in range(len(labels)))


def link_at(text: str, start: re.Match[str]) -> str:
    """Return the link that begins with a match of START; "" when it names no site."""
    if start[0][0] not in "wW" and not _SITE.match(text, start.end()):
        return ""
    body = BODY.match(text, start.end())
    return start[0] + body[0].rstrip(_TRAILING) if body else ""


def judge_host(host: str, user: str) -> list[Judgement]:
    """Judge where a link leads, and the name before an at sign."""
    found = list(_judged(host))
    if user:
        lures = "." in user.partition(":")[0]
        what = "a site's name" if lures else "a user's name"
        found.append(
            Judgement("USERINFO_URL", 0.9 if lures else 0.5, f"{what} stands before the real host")
        )
    return found


@lru_cache(maxsize=4096)
def _judged(host: str) -> tuple[Judgement, ...]:
    return tuple(_numeric(host) or _names(host))


def _numeric(host: str) -> list[Judgement]:
    """Judge a host that is an address; empty for a name."""
    odd = False
    try:
        if ":" in host:
            address = ipaddress.ip_address(host.partition("%")[0])
        elif _NUMERIC.fullmatch(host):
            odd = not _PLAIN_IP.fullmatch(host)
            address = ipaddress.IPv4Address(_inet(host))
        else:
            return []
    except ValueError:
        return []
    if str(address) in _METADATA:
        return [Judgement("IP_URL", 0.95, "the address where clouds keep a machine's keys")]
    if odd:
        return [Judgement("IP_URL", 0.9, "an address in a spelling that hides it")]
    if address.is_global:
        return [Judgement("IP_URL", 0.6, "an address instead of a name")]
    return [Judgement("IP_URL", 0.2, "an address within a network")]


def _inet(host: str) -> int:
    """The number behind an address as browsers read it: parts in three bases, the last fills up."""
    values = []
    for part in host.lower().split("."):
        octal = part.startswith("0") and part.isdigit() and len(part) > 1
        values.append(int(part, 16 if part.startswith("0x") else 8 if octal else 10))
    *first, last = values
    if any(value > 255 for value in first) or last >= 256 ** (4 - len(first)):
        raise ValueError(host)
    return sum(value << 8 * (3 - at) for at, value in enumerate(first)) + last


def _names(host: str) -> list[Judgement]:
    """Judge a host by its labels."""
    found: list[Judgement] = []
    labels = host.split(".")
    shown = [_shown(label) for label in labels]
    for label, text in zip(labels, shown, strict=True):
        if label.startswith("xn--"):
            odd = text == label
            found.append(
                Judgement("PUNYCODE", 0.6, "encoded letters that cannot be read")
                if odd
                else Judgement("PUNYCODE", 0.3, "letters beyond ASCII, encoded")
            )
        if len(_scripts(text)) > 1:
            found.append(Judgement("MIXED_SCRIPT", 0.9, "letters of several scripts in one name"))
    name = registrable(".".join(shown)).partition(".")[0]
    if imitated := _imitated(name):
        found.append(imitated)
    elif (
        not name.isascii() and labels[-1].isascii() and fold(name).isascii() and _all_foreign(name)
    ):
        found.append(Judgement("LOOKALIKE_DOMAIN", 0.7, "another script that reads like ASCII"))
    below = shown[: len(shown) - registrable(".".join(shown)).count(".") - 1]
    for at, label in enumerate(below):
        after = below[at + 1] if at + 1 < len(below) else ""
        if label in _rows()["brands"] and after in {"com", "net", "org", "co"}:
            reason = "a known name in front of another domain"
            found.append(Judgement("LOOKALIKE_DOMAIN", 0.85, reason))
    return found


def _shown(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").lower()
    except (UnicodeError, ValueError, OverflowError):
        return label


def _scripts(text: str) -> set[str]:
    """The alphabets of a name among those whose letters are taken for one another."""
    if text.isascii():
        return set()
    names = {unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha()}
    return names & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "LISU"}


def _all_foreign(text: str) -> bool:
    return "LATIN" not in _scripts(text) and bool(_scripts(text))


def _skeleton(label: str) -> str:
    """How a label looks at a glance."""
    plain = fold(label).lower().translate(_LEET)
    return plain.replace("rn", "m").replace("vv", "w").replace("i", "l")


@cache
def _brands() -> dict[str, str]:
    return {_skeleton(brand): brand for brand in _rows()["brands"]}


def _imitated(name: str) -> Judgement | None:
    """Judge a name by what it resembles."""
    brands = _rows()["brands"]
    if name in brands:
        return None
    if _skeleton(name) in _brands():
        return Judgement("LOOKALIKE_DOMAIN", 0.9, "looks like a known name and is not")
    words = name.split("-")
    if len(words) > 1:
        known = any(word in brands or _skeleton(word) in _brands() for word in words)
        if known and not _rows()["lures"].isdisjoint(words):
            return Judgement("LOOKALIKE_DOMAIN", 0.7, "a known name with words that lure")
    elif len(name) >= 6 and any(_slipped(name, brand) for brand in brands):
        return Judgement("LOOKALIKE_DOMAIN", 0.6, "a known name with a slip of the finger")
    return None


def _slipped(name: str, brand: str) -> bool:
    """Whether a name is a long brand with two letters swapped, or one doubled or left out."""
    if len(brand) < 6 or abs(len(name) - len(brand)) > 1 or name[0] != brand[0]:
        return False
    at = next((i for i, (a, b) in enumerate(zip(name, brand, strict=False)) if a != b), len(brand))
    rest, whole = name[at:], brand[at:]
    if len(name) == len(brand):
        return rest[1:2] + rest[:1] + rest[2:] == whole
    if len(name) > len(brand):
        return rest[1:] == whole and rest[:1] == name[at - 1]
    return rest == whole[1:] and len(brand) >= 7


def judge_target(link: Link) -> list[Judgement]:
    """Judge what a link opens: a file that runs, or another site."""
    found: list[Judgement] = []
    ending = link.path.rpartition(".")[2] if "." in link.path.rpartition("/")[2] else ""
    score = table("links")["files"].get(ending)
    if score:
        twice = _DOUBLE.search(link.path) is not None
        reason = "a file that runs, dressed as a document" if twice else "a file that may run"
        found.append(Judgement("RISKY_FILE", 0.9 if twice else score, reason))
    for pair in link.query[1:].split("&"):
        name, _, value = pair.partition("=")
        if name.lower() in _rows()["redirects"]:
            inner = unquote(unquote(value))
            target = parts(inner) if re.match(r"(?i)https?://|//", inner) else None
            if inner.startswith("//"):
                target = parts("http:" + inner)
            if target and registrable(target.host) != registrable(link.host):
                found.append(Judgement("OPEN_REDIRECT", 0.5, "sends visitors on to another site"))
    return found


def judge_text(before: str, link: Link) -> list[Judgement]:
    """Judge a link by the words that are shown for it."""
    shown = _SHOWN.search(before[-CONTEXT:])
    named = _DOMAIN.search(shown[1]) if shown else None
    if not named:
        return []
    domain = named[1].lower()
    if registrable(domain) == registrable(link.host):
        return []
    known = domain.rpartition(".")[2] in _COMMON
    score = 0.8 if known else 0.4
    return [Judgement("MISLEADING_LINK", score, "the text names another site than the target")]
