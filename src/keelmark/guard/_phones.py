"""Phone numbers, checked with the numbering plans of the `phonenumbers` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

from keelmark.guard._patterns import any_word, both_views, every, follows, lower, table
from keelmark.guard.contract import Hit

_INTERNATIONAL = re.compile(
    r"(?<![0-9A-Za-z+])\+[1-9](?:(?:[ .\-/]|[ ]?\((?=[0-9]{1,5}\))|\)[ -]?)?[0-9]){6,14}"
)
_NATIONAL = re.compile(
    r"(?<![0-9A-Za-z+(])(?<![0-9][.,])\(?[0-9](?:(?:[ .\-/]|[ ]\(|\)[ -]?|-\()?[0-9]){6,14}"
    r"(?![0-9A-Za-z])(?![.-][0-9])"
)
_END = re.compile(r"(?<=[0-9])(?![0-9A-Za-z])")
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
                yield Hit("PHONE", 0.9, match.start(), end, reason)
                break


def find_national(text: str, start: int, regions: tuple[str, ...]) -> Iterator[Hit]:
    """Yield national numbers: after a context word, or written in groups in one of the regions.

    Args:
        text: The text.
        start: Hits start here or later.
        regions: Regions whose grouped numbers count without a context word.
    """
    low = lower(text)
    spoken_of = any(word in low for word in _WORDS)
    if not (spoken_of or regions):
        return
    for match in every(_NATIONAL, text, start):
        found = match.group()
        near = spoken_of and follows(_CONTEXT, text, match.start(), 40)
        grouped = bool(regions) and (found[0] in "0(" or not found.isdigit())
        if not (near or grouped) or _NO_PHONE.fullmatch(found):
            continue
        digits = re.sub("[^0-9]", "", found)
        region = _plan(digits, regions + DEFAULT_REGIONS if near else regions)
        if region:
            how = "after its name" if near else "in groups"
            reason = f"national number {how}, plan of {region}"
            yield Hit("PHONE", 0.85 if near else 0.7, match.start(), match.end(), reason)


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
