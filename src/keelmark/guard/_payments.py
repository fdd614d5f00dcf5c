"""Card numbers, IBANs and bank codes: shape, issuer or country, check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from keelmark.guard._checksums import luhn, mod97
from keelmark.guard._patterns import Speech, both_views, every, lower, table
from keelmark.guard.contract import Hit

# Contiguous, or in the groups that are printed on cards, or digit by digit.
_CARD = re.compile(
    r"[0-9](?<![0-9A-Za-z].)(?<![0-9][.,].)(?:"  # the digit first: it is what is looked for fast
    r"[0-9]{12,18}"
    r"|[0-9]{3}([ .-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3}(?![0-9]))?"
    r"|[0-9]{3}([ .-])[0-9]{6}\2[0-9]{4,5}"
    r"|(?<![0-9][ -].)(?:[ -][0-9]){12,18}"
    r")(?![0-9A-Za-z])(?!\.[0-9])"
)
# Any grouping; only after a context word.
_LOOSE_CARD = re.compile(
    r"[0-9](?<![0-9A-Za-z].)(?<![0-9][ .-].)(?:[ .-]?[0-9]){12,18}(?![0-9A-Za-z])(?![.-][0-9])"
)
_IBAN = re.compile(r"(?<![0-9A-Za-z])([A-Za-z]{2})[0-9]{2}(?=[ -]?[0-9A-Za-z])")
_SWIFT = re.compile(r"(?<![0-9A-Za-z])[A-Z]{6}[0-9A-Z]{2}(?:[0-9A-Z]{3})?(?![0-9A-Za-z])")
_SWIFT_NAME = re.compile(
    r"(?i)(?<![a-z])(?:swift|bic)(?:[ /-]{1,3}(?:swift|bic))?(?:[ _-]?(?:code|no|number|nr)\.?)?"
    r"(?:[ ](?:is|ist|est|es|è|é))?[\"']?[ :=()#\"']{1,4}\Z"
)
_COUNTRIES = frozenset(table("personal")["swift"]["countries"].split())
_SEPARATORS = str.maketrans("", "", " .-")
_CARD_WORDS = both_views(table("personal")["card"]["context"])
_LENGTHS: dict[str, int] = table("personal")["iban"]["lengths"]


def find_cards(text: str, start: int) -> Iterator[Hit]:
    """Yield payment card numbers (ISO/IEC 7812)."""
    speech = Speech(_CARD_WORDS, text)
    for match in every(_CARD, text, start):
        hit = _card(match, speech, weak=False)
        if hit:
            yield hit
    low = lower(text)
    if not any(word in low for word in _CARD_WORDS):
        return
    for match in every(_LOOSE_CARD, text, start):
        hit = _card(match, speech, weak=True)
        if hit:
            yield hit


def _card(match: re.Match[str], speech: Speech, *, weak: bool) -> Hit | None:
    issuer = _issuer(match.group(), weak=weak)
    if issuer is None:
        return None
    near = speech.before(match.start())
    if weak and not near:
        return None
    score = 0.99 if near else 0.9
    return Hit("CARD", score, match.start(), match.end(), f"{issuer} number, check digit holds")


@cache
def _ranges(first: str, size: int, *, weak: bool) -> tuple[tuple[str, str, str], ...]:
    """Prefixes of the numbers of a length that begin with a digit."""
    card = table("personal")["card"]
    rows = card["issuers"] + (card["weak_issuers"] if weak else [])
    return tuple(
        (low, high, name)
        for low, high, lengths, name in rows
        if size in lengths and low[0] <= first <= high[0]
    )


@lru_cache(maxsize=4096)
def _issuer(written: str, *, weak: bool) -> str | None:
    """Whose number it is, if its check digit holds."""
    number = written.translate(_SEPARATORS)
    if not luhn(number):
        return None
    for low, high, name in _ranges(number[0], len(number), weak=weak):
        if low <= number[: len(low)] <= high:
            return name
    return None


def find_ibans(text: str, start: int) -> Iterator[Hit]:
    """Yield IBANs (ISO 13616): the country's length and modulo 97; blanks only with capitals."""
    for match in every(_IBAN, text, start):
        length = _LENGTHS.get(match.group(1).upper())
        if length is None:
            continue
        capitals = match.group(1).isupper()
        whole = _iban_shape(length, capitals=capitals).match(text, match.start())
        if whole and _holds(re.sub("[ -]", "", whole.group()).upper()):
            reason = "IBAN, length and check digits hold"
            yield Hit("IBAN", 0.97, whole.start(), whole.end(), reason)


@cache
def _iban_shape(length: int, *, capitals: bool) -> re.Pattern[str]:
    unit = "[ -]?[0-9A-Z]" if capitals else "[0-9A-Za-z]"
    return re.compile(f"[A-Za-z]{{2}}[0-9]{{2}}(?:{unit}){{{length - 4}}}(?![0-9A-Za-z])")


def _holds(iban: str) -> bool:
    return mod97(iban[4:] + iban[:4])


def speaks_of_banks(text: str) -> bool:
    """Whether a bank code may follow in the text."""
    low = text.lower()
    return "swift" in low or "bic" in low


def find_swift(text: str, start: int) -> Iterator[Hit]:
    """Yield bank codes (ISO 9362) in capitals, right after their name."""
    for match in every(_SWIFT, text, start):
        if match.group()[4:6] in _COUNTRIES and _SWIFT_NAME.search(
            text[max(0, match.start() - 32) : match.start()]
        ):
            yield Hit("SWIFT", 0.8, match.start(), match.end(), "bank code after its name")
