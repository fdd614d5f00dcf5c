"""E-mail, network and birth-date patterns of the personal-data detector."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from keelmark.guard._patterns import Speech, any_word, both_views, every, follows, lower, table
from keelmark.guard.contract import Hit

LETTERS = "A-Za-z0-9\u00aa-\u024f\u0370-\u03ff\u0400-\u04ff"
"""Letters of names and addresses; not those of scripts that are written without blanks."""

_LOCAL = re.compile(rf"(?<![{LETTERS}._%+'&-])[{LETTERS}._%+'&-]+\Z")
_AT = re.compile(rf"@(?=[{LETTERS}])")
_DOMAIN = re.compile(
    rf"(?:[{LETTERS}](?:[{LETTERS}-]{{0,61}}[{LETTERS}])?\.){{1,8}}"
    r"(?:[A-Za-z\u00aa-\u024f\u0400-\u04ff]{2,24}|xn--[a-z0-9-]{2,40})(?![A-Za-z0-9])"
)
_NOT_DOMAINS = frozenset(table("personal")["email"]["not_domains"])
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(
    rf"(?<![0-9A-Za-z_])(?<![0-9A-Za-z]\.){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z_])(?!\.[0-9])"
)
_NOT_IP_WORDS: tuple[str, ...] = both_views(table("personal")["ip"]["not_after"])
_NOT_IP = re.compile(
    "(?i)(?:^|(?<![a-z]))(?:"
    + "|".join(re.escape(word) for word in table("personal")["ip"]["not_after"])
    + r")[ :=\"'.-]{0,4}\Z"
)
_IP_CONTEXT = both_views(table("personal")["ip"]["context"])
_IPV6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:])(?!\.[0-9])")
_MAC = re.compile(
    r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![0-9A-Za-z:-])"
)
_BIRTH_WORDS = both_views(table("personal")["birth"]["context"])
_BIRTH = any_word(_BIRTH_WORDS)
_MONTHS = frozenset(table("personal")["birth"]["months"])
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"
_YEAR = r"(?:1[89][0-9]{2}|20[0-9]{2})"
_DATE = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    rf"{_YEAR}([./-]){_DAY}\1{_DAY}|{_DAY}([./ -]){_DAY}\2(?:{_YEAR}|[0-9]{{2}})"
    rf"|{_YEAR} ?[年년] ?{_DAY} ?[月월] ?{_DAY}(?: ?[日일])?"
    rf"|{_DAY}(?:st|nd|rd|th|\.)?[ -](?:(?:of|de|di) )?"
    rf"(?P<m1>[^\W\d_]{{3,10}})\.?,?[ -](?:de )?{_YEAR}"
    rf"|(?P<m2>[^\W\d_]{{3,10}})\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}"
    r")(?![0-9A-SU-Za-z]|T(?![0-9])|[./-][0-9])"
)
_CLOCK = re.compile(r"(?:T|,?[ ])[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?![0-9A-Za-z])")
DATE_BEGUN = re.compile(
    r"(?<![0-9A-Za-z./-])[0-9][0-9./-]{4,9}(?:T|,?[ ]{0,1})(?:[0-9]{1,2}(?::[0-9]{0,2}){0,2})?\Z"
)
"""A date in figures that a time of day may follow."""

_AGE = re.compile(r"(?<![0-9A-Za-z])(?<![0-9][.,/:-])[1-9][0-9]{0,2}(?![0-9]|[.,/:][0-9])")
_AGE_AFTER = re.compile(
    r"(?i)(?:[ -]?(?:years?|yrs?|months?)[ -]old|[ ]?(?:yo|y/o|y\.o)(?![a-z])"
    r"|[ ]?-?j(?:ahre|ährige)[rnms]?(?:[ ]alt)?(?![a-z])|[ ](?:ans|anni|años|anos)(?![a-z])"
    r"|[ ]?(?:岁|歲|歳|才|살|세))"
)
_AGE_BEFORE = re.compile(
    r"(?i)(?<![a-z])(?:aged?|age is|alter|âge|edad|età|idade|wiek|возраст|年龄|年齢|나이)"
    r"[\"']?[ :=]{1,3}\Z"
)
_URL = re.compile(
    rf"(?<![{LETTERS}])(?i:https?|ftp)://(?P<host>[{LETTERS}.-]{{1,100}})"
    rf"(?::[0-9]{{1,5}})?(?:/[{LETTERS}._%+'&@:/-]{{0,150}})?"
)
AGE_BEGUN = re.compile(
    r"(?i)(?<![0-9A-Za-z])[0-9]{1,3}(?:[ -][a-zäñ/.]{0,8}(?:[ -][a-z]{0,4})?)?\Z"
)
"""A number that what follows may make an age."""


def find_emails(text: str, start: int) -> Iterator[Hit]:
    """Yield addresses (RFC 5321 lengths, letters of RFC 6531), found from the at sign outwards."""
    for sign in _AT.finditer(text, start):
        at = sign.start()
        domain = _DOMAIN.match(text, at + 1)
        local = domain and _LOCAL.search(text[max(0, at - 65) : at])
        if local and domain and _is_address(local.group().lstrip("."), domain.group(), text, at):
            begin = at - len(local.group().lstrip(".'&"))
            if start <= begin < at:
                yield Hit("EMAIL", 0.95, begin, domain.end(), "address with a domain")


def _is_address(local: str, domain: str, text: str, at: int) -> bool:
    if not local or len(local) > 64 or domain.rpartition(".")[2].lower() in _NOT_DOMAINS:
        return False
    remote = local == "git" and text[at + 1 + len(domain) : at + 2 + len(domain)] in (":", "/")
    return not remote


def find_ips(text: str, start: int) -> Iterator[Hit]:
    """Yield IP addresses; not versions, sections, loopback, unspecified, broadcast, masks.

    Private and link-local ones, and dotted numbers that might be anything, score 0.4.
    """
    speech, other = Speech(_IP_CONTEXT, text), Speech(_NOT_IP_WORDS, text)
    for match in every(_IPV4, text, start):
        if match.group().startswith(("0.", "127.", "255.")):
            continue
        at = match.start()
        if other.spoken and _NOT_IP.search(text[max(0, at - 24) : at]):
            continue
        reaches, small = _ipv4(match.group())
        score = 0.75 if reaches and (not small or speech.before(at, 40)) else 0.4
        reason = "IPv4 address" if reaches else "private IPv4 address"
        yield Hit("IP_ADDRESS", score, at, match.end(), reason)
    for match in every(_IPV6, text, start):
        if match.group().count(":") >= 3 and any(c.isdigit() for c in match.group()):
            score = _ipv6(match.group())
            if score:
                yield Hit("IP_ADDRESS", score, match.start(), match.end(), "IPv6 address")


@lru_cache(maxsize=4096)
def _ipv4(written: str) -> tuple[bool, bool]:
    """Whether an address is reached from everywhere, and whether all its numbers are small."""
    address = ipaddress.IPv4Address(written)
    return address.is_global, all(byte < 20 for byte in address.packed)


@lru_cache(maxsize=4096)
def _ipv6(written: str) -> float:
    """How sure it is that this is somebody's address; 0 where it is none."""
    try:
        address = ipaddress.IPv6Address(written)
    except ValueError:
        return 0.0
    if address.is_loopback or address.is_unspecified:
        return 0.0
    return 0.75 if address.is_global else 0.4


def find_macs(text: str, start: int) -> Iterator[Hit]:
    """Yield hardware addresses (EUI-48) with colons or dashes; not all zeros or all ones."""
    for match in every(_MAC, text, start):
        digits = match.group().upper().replace(match.group(1), "")
        dashes_only_digits = match.group(1) == "-" and digits.isdigit()
        if len(set(digits)) > 1 and not dashes_only_digits:
            yield Hit("MAC_ADDRESS", 0.8, match.start(), match.end(), "hardware address")


def ends_in_month(text: str) -> bool:
    """Whether a date could go on behind the text that begins with its last word."""
    if not text.endswith(" "):
        return False
    word = text[-12:-1].removesuffix(".")
    begin = len(word)
    while begin and word[begin - 1].isalpha():
        begin -= 1
    return word[begin : begin + 3].lower() in _MONTHS


def speaks_of_birth(text: str) -> bool:
    """Whether a date of birth may follow in the text."""
    low = lower(text)
    return any(word in low for word in _BIRTH_WORDS) and _BIRTH.search(text) is not None


def find_dates(text: str, start: int, *, every_date: bool = False) -> Iterator[Hit]:
    """Yield dates after a word for birth, at most 40 characters on; any others if asked."""
    if not (every_date or speaks_of_birth(text)):
        return
    for match in every(_DATE, text, start):
        month = match.group("m1") or match.group("m2")
        if month and month[:3].lower() not in _MONTHS:
            continue
        if follows(_BIRTH, text, match.start(), 40):
            reason = "date after a word for birth"
            yield Hit("DATE_OF_BIRTH", 0.85, match.start(), match.end(), reason)
        elif every_date:
            clock = _CLOCK.match(text, match.end())
            end = clock.end() if clock else match.end()
            yield Hit("DATE", 0.6, match.start(), end, "day, month and year")


def find_ages(text: str, start: int) -> Iterator[Hit]:
    """Yield ages in years, 1 to 120: the number only."""
    for match in every(_AGE, text, start):
        said = _AGE_AFTER.match(text, match.end()) or _AGE_BEFORE.search(
            text[max(0, match.start() - 24) : match.start()]
        )
        if said and 0 < int(match.group()) <= 120:
            yield Hit("AGE", 0.6, match.start(), match.end(), "age in years")


def find_urls(text: str, start: int) -> Iterator[Hit]:
    """Yield web addresses: scheme, host and path, without what follows `?` or `#`."""
    for match in every(_URL, text, start):
        host = match.group("host").lower()
        if host != "localhost" and ("." in host or ":" in host):
            end = match.start() + len(match.group().rstrip(".,'-&"))
            yield Hit("URL", 0.6, match.start(), end, "web address")
