"""Phone numbers, checked with the numbering plans of the `phonenumbers` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata

from keelmark.guard._patterns import OTHER, Speech, both_views, every, table
from keelmark.guard.contract import Hit

_INTERNATIONAL = re.compile(
    r"(?<![0-9A-Za-z+])\+[1-9](?:(?:[ .\-/]|[ ]?\((?=[0-9]{1,5}\))|\)[ -]?)?[0-9]){6,14}"
)
_NATIONAL = re.compile(
    r"[(0-9](?<![0-9A-Za-z+(].)(?<![0-9A-Za-z][/-].)(?<![0-9][.,].)"
    # Not in the middle of a row of small groups.
    r"(?:(?<![0-9] .)|(?!(?<=[0-9])[ .\-/]|(?<=[1-9])[0-9][ .\-/]))"
    r"(?:(?<=[(])[0-9]|(?<=[0-9]))(?:(?:[ .\-/]|[ ]\(|\)[ -]?|-\()?[0-9]){6,14}"
    r"(?![0-9A-WYZa-wyz]|[Xx](?![0-9]))(?![.-][0-9])"
)
_NO_DIGIT = re.compile("[^0-9]+")
_END = re.compile(r"(?<=[0-9])(?![0-9A-WYZa-wyz]|[Xx](?![0-9]))")
_WELL_GROUPED = re.compile(
    r"\+[1-9][0-9]{0,2}(?=[ .(/-])(?=(?:[^0-9]{0,2}[0-9]){8})(?:[ .\-/()]{1,2}[0-9]{2,7}){2,5}"
)
_GOES_ON = re.compile(r"[ ,(-]{0,3}[A-Za-z]")  # what an extension or a noun may be behind a number
_EXTENSION = re.compile(r"(?i)(?:,?[ ]?ext(?:ension)?\.?[ ]?|[ ]?x)[0-9]{1,6}(?![0-9A-Za-z])")
_NORTH_AMERICAN = re.compile(
    r"(?:(?:00)?1[-. ])?"
    r"(?:\([2-9][0-9]{2}\)[ ]?[2-9][0-9]{2}[-. ]|[2-9][0-9]{2}([-.])[2-9][0-9]{2}\1)[0-9]{4}"
)
# What people write after a number or right before one.
_NOUNS_AFTER = re.compile(
    r"(?i)[ ]?[-,(]?[ ]?(?:office|fax|mobile|home|cell|work|landline|handy|mobil|privat)(?![a-z])"
)
_BLANKS = frozenset({" ", ":"})
_LETTER_BEFORE = re.compile(r"[^\W\d_][.\"']{0,2}[ :]{1,4}\Z")
# For small letters, as _ASKED: that is three times as fast.
_RIGHT_BEFORE = re.compile(
    r"(?:(?<![a-z])(?:call|calling|dial|ring|phone|telephone|tel|fax|mobile|cell|whatsapp|sms"
    r"|handy|telefon|teléfono|téléphone|telefono|telefone)(?: number)?(?: is)?[.\"']{0,2}[ :]{1,4}"
    r"|(?<![a-z])(?:answer|answering|reach|reached|reachable|contact)"
    r"(?: (?:me|us|him|her|them|you))? (?:at|on|under)[ :]{1,2})\Z"
)
_LABEL = re.compile(r"(?<![A-Za-z0-9.])(?:[TMF]|Ph)[.:]?[ ]{1,2}\Z")
_SMALL = re.compile(
    rf"(?i) (?:{'|'.join(both_views(table('personal')['phone']['small']))})[ :]{{1,3}}\Z"
)
_ASKED = re.compile(
    rf"(?<![a-z-])(?:{'|'.join(both_views(table('personal')['phone']['verbs']))})"
    r"(?= )[^0-9\n]{0,44}\Z"
)
_NO_PHONE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:19|20)?[0-9]{2}(?:[ ].*)?"
    r"|(?:19|20)[0-9]{2}([./-])[0-9]{1,2}\2[0-9]{1,2}(?:[ ].*)?"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
)
_TYPES = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number",
    "voip", "pager", "uan",
)  # fmt: skip
_WORDS: tuple[str, ...] = both_views(table("personal")["phone"]["context"])
_FORMS = {
    region: re.compile("|".join(forms))
    for region, forms in table("personal")["phone"]["forms"].items()
}
_FORM = re.compile("|".join(form.pattern for form in _FORMS.values()))
_LONGEST_FORM = 18
DEFAULT_REGIONS: tuple[str, ...] = tuple(table("personal")["phone"]["regions"])


def is_region(code: str) -> bool:
    """Whether the numbering plan of the region is known (ISO 3166 code, capitals)."""
    return code in SUPPORTED_REGIONS


def find_international(text: str, start: int) -> Iterator[Hit]:
    """Yield numbers with a plus sign and a country code; the longest that the plan allows."""
    for match in every(_INTERNATIONAL, text, start):
        begin, last = match.span()
        longest = 0
        for end in range(last, begin + 6, -1):
            if not _END.match(text, end):
                continue
            longest = longest or end
            if region := _region_of(_NO_DIGIT.sub("", text[begin:end])):
                reason = f"international number, plan of {region}"
                yield Hit("PHONE", 0.9, begin, _with_extension(text, end), reason)
                break
        else:
            if longest and _well_grouped(text, begin, longest):
                end = _with_extension(text, longest)
                yield Hit("PHONE", 0.6, begin, end, "number with a plus, in groups")


def find_national(text: str, start: int, regions: tuple[str, ...]) -> Iterator[Hit]:
    """Yield national numbers that are spoken of, or written as telephone numbers are.

    Spoken of: after a context word, right after a verb such as "call", or before a word such as
    "office". Written so: in North American groups, or in groups that fit one of the regions.

    Args:
        text: The text.
        start: Hits start here or later.
        regions: Regions whose grouped numbers count without a context word.
    """
    named, other = Speech(_WORDS, text), Speech(OTHER, text)
    for match in every(_NATIONAL, text, start):
        found = match.group()
        at, end = match.span()
        near = named.spoken and named.before(at, 40)
        said: object = _called(text, at, found)
        if _GOES_ON.match(text, end):
            end = _with_extension(text, end)
            said = said or ((near or not found.isdigit()) and _NOUNS_AFTER.match(text, end))
        kind = _national(found, regions, near=near, said=bool(said))
        if not kind or _NO_PHONE.fullmatch(found) or other.between(max(0, at - 24), at):
            continue
        yield Hit("PHONE", kind[0], at, end, kind[1])


def _called(text: str, at: int, found: str) -> bool:
    """Whether a verb or a label stands right before a number, or asks to call somebody on it."""
    if text[at - 1 : at] not in _BLANKS or text[at - 2 : at - 1].isdecimal():
        return False
    if not _LETTER_BEFORE.search(text[max(0, at - 7) : at]):
        return False
    if _RIGHT_BEFORE.search(text[max(0, at - 40) : at].lower()):
        return True
    grouped = found[0] in "0(" or not found.isdigit()
    if not grouped:
        return False
    if found[0] in "0(" and _LABEL.search(text[max(0, at - 6) : at]):
        return True
    return bool(_SMALL.search(text[max(0, at - 14) : at])) and (
        _ASKED.search(text[max(0, at - 56) : at].lower()) is not None
    )


def _national(
    found: str, regions: tuple[str, ...], *, near: bool, said: bool
) -> tuple[float, str] | None:
    if near or said:
        grouped = found[0] in "0(" or not found.isdigit()
        digits = _NO_DIGIT.sub("", found)
        region = _plan(digits, regions + DEFAULT_REGIONS)
        if region:
            return 0.85, f"national number after its name, plan of {region}"
        if said and grouped and len(digits) <= 12:
            return 0.7, "number after its name"
    return _written(found, regions)


@lru_cache(maxsize=4096)
def _written(found: str, regions: tuple[str, ...]) -> tuple[float, str] | None:
    """What the groups of a number tell that nobody has called a telephone number."""
    if _NORTH_AMERICAN.fullmatch(found):
        return 0.65, "number in North American groups"
    if len(found) <= _LONGEST_FORM and _FORM.fullmatch(found) and not _counts_up(found):
        for region, form in _FORMS.items():
            if form.fullmatch(found) and _plan(_NO_DIGIT.sub("", found), (region,)):
                return 0.65, f"number in groups of {region}"
    if not regions or (found[0] not in "0(" and found.isdigit()):
        return None
    region = _plan(_NO_DIGIT.sub("", found), regions)
    return (0.7, f"national number in groups, plan of {region}") if region else None


def _counts_up(found: str) -> bool:
    """Whether a number is a row of small numbers, each greater than the last: 05 12 23 34 45."""
    parts = [int(part) for part in re.split("[ .]", found) if part.isdigit()]
    return len(parts) > 3 and max(parts) < 50 and all(low < high for low, high in pairwise(parts))


def _well_grouped(text: str, start: int, end: int) -> bool:
    """Whether a number has a plus, the code of a country and groups as people write them."""
    return bool(_WELL_GROUPED.fullmatch(text, start, end)) and any(
        int(text[start + 1 : start + 1 + size]) in COUNTRY_CODE_TO_REGION_CODE
        for size in (1, 2, 3)
        if text[start + 1 : start + 1 + size].isdigit()
    )


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


@lru_cache(maxsize=4096)
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
