"""Phone numbers, checked with the numbering plans of the `phonenumbers` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

from keelmark.guard._patterns import OTHER, any_word, both_views, every, follows, lower, table
from keelmark.guard.contract import Hit

_INTERNATIONAL = re.compile(
    r"(?<![0-9A-Za-z+])\+[1-9](?:(?:[ .\-/]|[ ]?\((?=[0-9]{1,5}\))|\)[ -]?)?[0-9]){6,14}"
)
_NATIONAL = re.compile(
    r"(?<![0-9A-Za-z+(])(?<![0-9][.,])\(?[0-9](?:(?:[ .\-/]|[ ]\(|\)[ -]?|-\()?[0-9]){6,14}"
    r"(?![0-9A-WYZa-wyz]|[Xx](?![0-9]))(?![.-][0-9])"
)
_END = re.compile(r"(?<=[0-9])(?![0-9A-WYZa-wyz]|[Xx](?![0-9]))")
_EXTENSION = re.compile(r"(?i)(?:,?[ ]?ext(?:ension)?\.?[ ]?|[ ]?x)[0-9]{1,6}(?![0-9A-Za-z])")
_NORTH_AMERICAN = re.compile(
    r"(?:1[-. ])?"
    r"(?:\([2-9][0-9]{2}\)[ ]?[2-9][0-9]{2}[-. ]|[2-9][0-9]{2}([-.])[2-9][0-9]{2}\1)[0-9]{4}"
)
# What people write after a number or right before one.
_NOUNS_AFTER = re.compile(
    r"(?i)[ ]?[-,(]?[ ]?(?:office|fax|mobile|home|cell|work|landline|handy|mobil|privat)(?![a-z])"
)
_RIGHT_BEFORE = re.compile(
    r"(?i)(?:(?<![a-z])(?:call|calling|dial|ring|phone|telephone|tel|fax|mobile|cell|whatsapp|sms"
    r"|handy|telefon|teléfono|téléphone|telefono|telefone)(?: number)?(?: is)?[.\"']{0,2}[ :]{1,4}"
    r"|(?<![a-z])(?:answer|answering|reach|reached|reachable|contact)"
    r"(?: (?:me|us|him|her|them|you))? (?:at|on|under)[ :]{1,2})[+(]?\Z"
)
_NO_PHONE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:19|20)?[0-9]{2}(?:\b.*)?"
    r"|(?:19|20)[0-9]{2}([./-])[0-9]{1,2}\2[0-9]{1,2}(?:\b.*)?"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
)
_TYPES = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number",
    "voip", "pager", "uan",
)  # fmt: skip
_WORDS: tuple[str, ...] = both_views(table("personal")["phone"]["context"])
_CONTEXT = any_word(_WORDS)
DEFAULT_REGIONS: tuple[str, ...] = tuple(table("personal")["phone"]["regions"])


def is_region(code: str) -> bool:
    """Whether the numbering plan of the region is known (ISO 3166 code, capitals)."""
    return code in SUPPORTED_REGIONS


def find_international(text: str, start: int) -> Iterator[Hit]:
    """Yield numbers with a plus sign and a country code; the longest that the plan allows."""
    for match in every(_INTERNATIONAL, text, start):
        ends = [m.start() for m in _END.finditer(text, match.start() + 7, match.end() + 1)]
        for end in reversed([e for e in ends if e <= match.end()]):
            digits = re.sub("[^0-9]", "", text[match.start() : end])
            region = _region_of(digits)
            if region:
                reason = f"international number, plan of {region}"
                yield Hit("PHONE", 0.9, match.start(), _with_extension(text, end), reason)
                break


def find_national(text: str, start: int, regions: tuple[str, ...]) -> Iterator[Hit]:
    """Yield national numbers that are spoken of, or written as telephone numbers are.

    Spoken of: after a context word, right after a verb such as "call", or before a word such as
    "office". Written so: in North American groups, or in groups that fit one of the regions.

    Args:
        text: The text.
        start: Hits start here or later.
        regions: Regions whose grouped numbers count without a context word.
    """
    low = lower(text)
    spoken_of = any(word in low for word in _WORDS)
    for match in every(_NATIONAL, text, start):
        found = match.group()
        if _NO_PHONE.fullmatch(found) or OTHER.search(
            text, max(0, match.start() - 24), match.start()
        ):
            continue
        near = spoken_of and follows(_CONTEXT, text, match.start(), 40)
        kind = _national(text, match, regions, near=near)
        if kind:
            score, reason = kind
            end = _with_extension(text, match.end())
            yield Hit("PHONE", score, match.start(), end, reason)


def _national(
    text: str, match: re.Match[str], regions: tuple[str, ...], *, near: bool
) -> tuple[float, str] | None:
    found = match.group()
    digits = re.sub("[^0-9]", "", found)
    close = bool(
        _RIGHT_BEFORE.search(text[max(0, match.start() - 32) : match.start()])
        or _NOUNS_AFTER.match(text, match.end())
    )
    grouped = found[0] in "0(" or not found.isdigit()
    if near or close:
        region = _plan(digits, regions + DEFAULT_REGIONS)
        if region:
            return 0.85, f"national number after its name, plan of {region}"
        if close and grouped and len(digits) <= 12:
            return 0.6, "number after its name"
    if _NORTH_AMERICAN.fullmatch(found):
        return 0.65, "number in North American groups"
    region = _plan(digits, regions) if regions and grouped else None
    return (0.7, f"national number in groups, plan of {region}") if region else None


def _with_extension(text: str, end: int) -> int:
    extension = _EXTENSION.match(text, end)
    return extension.end() if extension else end


def _region_of(digits: str) -> str | None:
    for length in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length]))
        if regions:
            national = digits[length:]
            for region in regions:
                if _fits(region, national) or (
                    national.startswith("0") and _fits(region, national[1:])
                ):
                    return str(region)
            return None
    return None


def _plan(digits: str, regions: tuple[str, ...]) -> str | None:
    if digits.startswith("00"):
        return _region_of(digits[2:]) if len(digits) > 9 else None
    for region in regions:
        prefix = _national_prefix(region)
        if prefix and digits.startswith(prefix) and _fits(region, digits[len(prefix) :]):
            return region
        if _fits(region, digits):
            return region
    return None


@cache
def _national_prefix(region: str) -> str:
    metadata = PhoneMetadata.metadata_for_region(region, None)
    return (metadata.national_prefix or "") if metadata else ""


@cache
def _shape(region: str) -> re.Pattern[str] | None:
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        return None
    parts = (getattr(metadata, name) for name in _TYPES)
    patterns = [p.national_number_pattern for p in parts if p and p.national_number_pattern]
    return re.compile("|".join(f"(?:{p})" for p in patterns))


def _fits(region: str, national: str) -> bool:
    shape = _shape(region)
    return shape is not None and shape.fullmatch(national) is not None
