"""Links that lead elsewhere than they seem to, or where a policy does not want them to lead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import msgspec

from keelmark.guard._links import (
    BEGINNINGS,
    LONGEST,
    OPEN,
    START,
    Judgement,
    belongs,
    judge_host,
    judge_target,
    judge_text,
    link_at,
    parts,
)
from keelmark.guard._patterns import lower, settle
from keelmark.guard.contract import BaseDetector, Example, Hit

_LABELS = (
    "LOOKALIKE_DOMAIN",
    "MIXED_SCRIPT",
    "PUNYCODE",
    "IP_URL",
    "USERINFO_URL",
    "MISLEADING_LINK",
    "OPEN_REDIRECT",
    "RISKY_FILE",
    "BLOCKED_DOMAIN",
    "UNLISTED_DOMAIN",
)
_STIR = re.compile(r"://|[wW]{3}\.")
_BEGUN = max(map(len, BEGINNINGS))


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for dangerous links.

    Attributes:
        labels: Labels to look for; empty means all.
        allow_domains: Domains that are trusted with all that lies below them. When given, every
            other one is an UNLISTED_DOMAIN, unless `others` says otherwise.
        others: Whether domains that are not listed may stand (`judge`) or not (`refuse`).
        block_domains: Domains that must not stand, with all that lies below them.
    """

    labels: tuple[
        Literal[
            "LOOKALIKE_DOMAIN",
            "MIXED_SCRIPT",
            "PUNYCODE",
            "IP_URL",
            "USERINFO_URL",
            "MISLEADING_LINK",
            "OPEN_REDIRECT",
            "RISKY_FILE",
            "BLOCKED_DOMAIN",
            "UNLISTED_DOMAIN",
        ],
        ...,
    ] = ()
    allow_domains: tuple[str, ...] = ()
    others: Literal["judge", "refuse"] = "refuse"
    block_domains: tuple[str, ...] = ()


class Detector(BaseDetector):
    """Look-alike names, addresses, names before an at sign, texts that name another site, files.

    A hit is the link; of several reasons the gravest counts. Scores: 0.9 for what has no honest
    use, 0.5 to 0.8 for what is odd, under 0.5 for what is common (a program to download, encoded
    letters, addresses within a network).
    """

    title = "Dangerous and misleading links"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = _LABELS
    tags = ("owasp:llm05", "owasp:llm09")
    raw = True
    Config = Settings
    config: Settings

    examples = (
        Example("Log in at https://paypa1.com/now", ("LOOKALIKE_DOMAIN",), "a digit for a letter"),
        Example("see http://rnicrosoft.com.", ("LOOKALIKE_DOMAIN",), "r and n for an m"),
        Example("https://www.paypal.com.session.example/", ("LOOKALIKE_DOMAIN",), "name in front"),
        Example("https://secure-paypal-login.example", ("LOOKALIKE_DOMAIN",), "words that lure"),
        Example("https://goolge.com", ("LOOKALIKE_DOMAIN",), "letters swapped"),
        Example("http://p\u0430ypal.com/", ("LOOKALIKE_DOMAIN",), "evasion: a Cyrillic letter"),
        Example("http://xn--pypal-4ve.com/", ("LOOKALIKE_DOMAIN",), "evasion: the same, encoded"),
        Example("http://b\u0430kery.example/", ("MIXED_SCRIPT",), "evasion: any other name"),
        Example("http://\u0441\u0441\u043e\u0441.com/x", ("LOOKALIKE_DOMAIN",), "one script"),
        Example("curl http://203.0.114.9/x", ("IP_URL",), "an address"),
        Example("http://0x7f000001/ and http://2130706433/", ("IP_URL", "IP_URL"), "evasion"),
        Example("http://169.254.169.254/latest", ("IP_URL",), "a cloud's metadata"),
        Example("https://paypal.com@evil.example/", ("USERINFO_URL",), "a name before the at"),
        Example("[paypal.com](https://evil.example/p)", ("MISLEADING_LINK",), "other target"),
        Example("https://a.example/?next=https%3A%2F%2Fb.test%2F", ("OPEN_REDIRECT",), "sent on"),
        Example("https://files.example/invoice.pdf.exe", ("RISKY_FILE",), "dressed as a document"),
        Example("https://files.example/tool.dmg?x=1", ("RISKY_FILE",), "a program, at 0.4"),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
        Example(
            "https://www.paypal.com/signin, https://google.de", (), "look-alike: the real ones"
        ),
        Example("https://apple.stackexchange.com/q/1", (), "look-alike: a name in front"),
        Example("https://пример.рф/ https://bücher.example", (), "look-alike: other scripts"),
        Example("[the docs](https://docs.python.org/3/)", (), "look-alike: no site named"),
        Example("[python.org](https://docs.python.org/3/)", (), "look-alike: same site"),
        Example(
            "https://a.example/?next=/home&url=https://a.example/b", (), "look-alike: own site"
        ),
        Example("www.example.org/install.html; ftp://ftp.example.org/pub", (), "look-alike: plain"),
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self._allowed = frozenset(map(_domain, self.config.allow_domains))
        self._blocked = frozenset(map(_domain, self.config.block_domains))
        self._wanted = frozenset(self.config.labels or _LABELS)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        if _is_plain(text, start):
            return []
        return settle(self._candidates(text, start), start)

    def _candidates(self, text: str, start: int) -> Iterator[Hit]:
        for match in START.finditer(text, start):
            url = link_at(text, match)
            best = max(self._judged(url, text, match.start()), key=_gravity, default=None)
            if best:
                end = match.start() + len(url)
                yield Hit(best.label, best.score, match.start(), end, best.reason)

    def _judged(self, url: str, text: str, at: int) -> Iterator[Judgement]:
        link = parts(url)
        if not link:
            return
        found = []
        if belongs(link.host, self._blocked):
            found.append(Judgement("BLOCKED_DOMAIN", 1.0, "a domain that the policy forbids"))
        elif belongs(link.host, self._allowed):
            found += judge_text(text[max(0, at - 88) : at], link)
        else:
            if self._allowed and self.config.others == "refuse":
                reason = "a domain that the policy does not list"
                found.append(Judgement("UNLISTED_DOMAIN", 0.9, reason))
            found += judge_host(link.host, link.user)
            found += judge_target(link)
            found += judge_text(text[max(0, at - 88) : at], link)
        yield from (one for one in found if one.label in self._wanted)

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no link has begun."""
        return _is_plain(text, start)

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where the link at the end begins, or what may become one."""
        match = OPEN.search(text, max(start, len(text) - LONGEST - 64))
        opened = match.start() if match else len(text)
        low = lower(text[max(start, len(text) - _BEGUN) :])
        for at in range(len(low)):
            if any(begin.startswith(low[at:]) for begin in BEGINNINGS):
                return min(opened, len(text) - len(low) + at)
        return opened


def _gravity(one: Judgement) -> tuple[float, int]:
    return one.score, -_LABELS.index(one.label)


def _is_plain(text: str, start: int) -> bool:
    """Whether nothing begins a link, but for the last token."""
    return _STIR.search(text, start) is None


def _domain(written: str) -> str:
    return written.lower().strip().removeprefix("*.").strip(".")
