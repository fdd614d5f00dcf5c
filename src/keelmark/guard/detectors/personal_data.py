"""Personal data with a checkable form: addresses, numbers, dates of birth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from keelmark.core.errors import UsageError
from keelmark.guard._addresses import (
    AGE_BEGUN,
    DATE_BEGUN,
    LETTERS,
    ends_in_month,
    find_ages,
    find_dates,
    find_emails,
    find_ips,
    find_macs,
    find_urls,
    speaks_of_birth,
)
from keelmark.guard._identifiers import find_identifiers
from keelmark.guard._identifiers import labels as identifier_labels
from keelmark.guard._patterns import (
    AllowConfig,
    Allowed,
    chosen,
    compile_setting,
    every,
    open_run,
    settle,
)
from keelmark.guard._payments import find_cards, find_ibans, find_swift, speaks_of_banks
from keelmark.guard._phones import find_international, find_national, is_region
from keelmark.guard._wallets import find_wallets
from keelmark.guard.contract import BaseDetector, Example, Hit

_DIGITS = re.compile("[0-9]")
_FOUR_DIGITS = re.compile(r"[0-9](?:[^0-9A-Za-z\n]{0,2}[0-9]){3}")
_DOTTED = re.compile(r"[0-9]\.[0-9]|[0-9A-Fa-f]:")
_SEVEN_DIGITS = re.compile(
    r"[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){6}|[A-Z]{4}[0-9]{6}|[A-Z]{6}[0-9]{2}"
)
_WORD = re.compile(r"(?<![\w@#&+./:-])[\w@#&+./:-]{2,128}(?![\w@#&+./:-])")

_TOKEN = re.compile(rf"(?<![{LETTERS}\w._%+'&@:#/-])[{LETTERS}\w._%+'&@:#/-]+\Z")
_ADDRESS = re.compile(rf"(?<![{LETTERS}._%+'&@:/-])[{LETTERS}._%+'&@:/-]+\Z")
# A run of numbers and capitals, and what may make it a telephone number with an extension.
_GROUPS = re.compile(
    r"(?<![0-9A-Z ().+/年년月월日일-])[0-9A-Z ().+/年년月월日일-]+"
    r"(?:,?[ ]?(?:[Xx]|[Ee][Xx][Tt][a-z]{0,6}\.?)[ ]?[0-9]{1,6})?"
    r",?[ ]?[-,(]?[ ]?[A-Za-z]{0,9}\.?(?:[ ]?[0-9]{0,6})?\Z"
)
_GROUP = re.compile(r"(?<![0-9A-Za-z])[+(]*[0-9A-Z]*[0-9]")
_FIRST_GROUP = re.compile(  # a run of signs is tried once: where it begins
    r"(?<![0-9A-Za-z])(?:(?:[A-Z]{1,5}[ -]){1,2}|(?<![+(])|(?<=[0-9A-Za-z].))"
    r"[+(]*[0-9A-Z]*[0-9]"
    r"|(?<![0-9A-Za-z])(?:[+(]{1,2}|(?:[A-Z]{1,5}[ -]){0,2}[A-Z]{1,5}[ -]?)\Z"
)
_DATE = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{1,2}(?:s|st|n|nd|r|rd|t|th|\.)?[ -](?:(?:of|de|di)[ ])?)?"
    r"[^\W\d_]{0,10}\.?,?(?:[ -](?:d|de|de[ ])?[0-9]{0,4}(?:s|st|n|nd|r|rd|t|th)?,?)?"
    r"(?:[ ][0-9]{0,4})?\Z"
)
# What every hit has in it (one class of characters first: that is what makes the search fast) ...
_STIR = re.compile(
    r"[-0-9@:年月日년월일](?:(?<=[0-9@年月日년월일])|(?<=:)(?=\S)|(?<=[A-Fa-f]-)(?=[A-Fa-f]))"
)
# ... or what may stand before the first digit of one.
_LEAD = re.compile(r"(?<![0-9A-Za-z])(?:[+(]{1,2}|(?:[A-Z]{1,5}[ -]){1,2}[A-Z]{0,5})\Z")
_LONGEST = 340  # an address: 64 + 1 + 255, and what stands around it


_ON_REQUEST = ("AGE", "DATE", "URL")


class Settings(AllowConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the personal-data detector.

    Attributes:
        labels: Labels to look for; empty means all but AGE, DATE and URL.
        also: Labels to look for besides: AGE, DATE and URL, which are in every second text and say
            little about a person alone.
        regions: ISO 3166 codes (`DE`) whose phone numbers count in national form without a
            context word too, when written in groups.
        extra: Own labels: name to regular expression that a whole word (letters, digits and
            `@#&+./:-_`, 2 to 128 characters) must match, e.g. `{EMPLOYEE: "EMP-[0-9]{6}"}`.
    """

    labels: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Detector(BaseDetector):
    """E-mail, phone, payment, national and medical numbers, IP, MAC and dates of birth."""

    title = "Personal data: addresses, numbers, dates of birth"
    version = "3"
    labels: ClassVar[tuple[str, ...]] = (
        "EMAIL",
        "PHONE",
        "CARD",
        "IBAN",
        "IP_ADDRESS",
        "MAC_ADDRESS",
        "DATE_OF_BIRTH",
        "SWIFT",
        "CRYPTO",
        *identifier_labels(),
        *_ON_REQUEST,
    )
    tags = ("owasp:llm02",)
    Config = Settings
    config: Settings

    examples = (
        Example("Write to jane.doe@example.org today.", ("EMAIL",), "an address"),
        Example("Call +49 (0)151 23456789 or fax +44 20 7946 0018.", ("PHONE", "PHONE"), "two"),
        Example("My phone number is 030 901820.", ("PHONE",), "national form after a word"),
        Example("Card 4111 1111 1111 1111, thanks", ("CARD",), "printed groups"),
        Example("IBAN: DE89 3704 0044 0532 0130 00.", ("IBAN",), "printed groups"),
        Example("iban de89370400440532013000", ("IBAN",), "small letters"),
        Example("ssn 123-45-6789 and NINO QQ 12 34 56 C", ("US_SSN",), "QQ is never given out"),
        Example("CPF 529.982.247-25", ("BR_CPF",), "check digits"),
        Example("Meine Steuer-ID lautet 36 574 261 809", ("DE_TAX_ID",), "German context"),
        Example("login from 81.2.69.142 by 2a02:8108::7a3f:1", ("IP_ADDRESS", "IP_ADDRESS"), "IP"),
        Example("device 3c:22:fb:9a:10:7e", ("MAC_ADDRESS",), "hardware address"),
        Example("She was born on 12 March 1980.", ("DATE_OF_BIRTH",), "month in words"),
        Example("生年月日: 1985年3月2日", ("DATE_OF_BIRTH",), "Japanese"),
        Example("SSN: 536-22-8726, licence: WDL 0012345", ("US_SSN",), "a licence of what?"),
        Example("Driver's license number: D1234567", ("DRIVER_LICENSE",), "any country"),
        Example('{"passport_number": "C01X00T47"}', ("PASSPORT",), "a key of JSON"),
        Example("MRN 00482913, NPI 1234567893", ("MEDICAL_RECORD", "US_NPI"), "hospital"),
        Example("Her Medicare number is 1EG4-TE5-MK73.", ("US_MBI",), "groups with letters"),
        Example("Kennzeichen B-AB 1234, VIN 1M8GDM9AXKP042788", ("LICENSE_PLATE", "VIN"), "car"),
        Example("Call (202) 555-0143 ext. 12 or 404-555-0199", ("PHONE", "PHONE"), "America"),
        Example("020 7946 0018 (work)", ("PHONE",), "the word comes after"),
        Example("BTC 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ("CRYPTO",), "Base58Check"),
        Example("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", ("CRYPTO",), "Bech32"),
        Example("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ("CRYPTO",), "mixed case: ERC-55"),
        Example("SWIFT code: DEUTDEFF500", ("SWIFT",), "bank code"),
        Example("Account number 0012 3456 7890", ("ACCOUNT_NUMBER",), "in groups"),
        Example("PESEL 44051401359, NIP 526-000-12-46", ("PL_PESEL", "PL_NIP"), "Poland"),
        Example(
            "আধার 2341 2341 2346, 身份证 11010519491231002X",
            ("IN_AADHAAR", "CN_RESIDENT_ID"),
            "other scripts",
        ),
        Example("4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", ("CARD",), "evasion: digit by digit"),
        Example("My number: 0 1 5 1 2 3 4 5 6 7 8 9", ("PHONE",), "evasion: digit by digit"),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
        Example('{"product_id": 3074185296, "ts": 1755302400}', (), "look-alike: ids, time stamps"),
        Example("Upgrade to version 1.2.3.4 on S3, EKS and C4.", (), "look-alike: a version"),
        Example("git revert a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", (), "look-alike: a commit"),
        Example("id 123e4567-e89b-12d3-a456-426614174000", (), "look-alike: a UUID"),
        Example("ISBN 978-3-16-148410-0, order 1002003004", (), "look-alike: a book, an order"),
        Example("Meet at 52.520008, 13.404954 on 2024-05-06", (), "look-alike: a place, a date"),
        Example("Order PO1234567 for part X12345, item 4123456789012", (), "look-alike: products"),
        Example("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb 0xdeadbeef", (), "look-alike: no checksum"),
        Example("3.14159265358979 * 2 + 4111 = 4117.28", (), "look-alike: arithmetic"),
        Example("logo@2x.png and git@github.com:acme/tool.git", (), "look-alike: at signs"),
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        wrong = [r for r in self.config.regions if not is_region(r)]
        if wrong:
            raise UsageError(
                f"personal_data: {wrong[0]!r} is no region; use ISO 3166 codes such as DE."
            )
        self._allowed = Allowed(self.config)
        self._extra = {k: compile_setting(p, "extra") for k, p in self.config.extra.items()}
        if self._extra:  # a label of one's own is one that a rule may name
            vars(self)["labels"] = tuple(dict.fromkeys([*type(self).labels, *self._extra]))
        chosen((*self.config.labels, *self.config.also), self.labels)
        usual = frozenset(self.config.labels) or frozenset(self.labels).difference(_ON_REQUEST)
        self._wanted = usual.union(self.config.also)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        hits = [hit for hit in self._candidates(text, start) if hit.label in self._wanted]
        return self._allowed.drop(settle(hits, start), text)

    def _candidates(self, text: str, start: int) -> Iterator[Hit]:
        if "@" in text:
            yield from find_emails(text, start)
        if ":" in text or "-" in text:
            yield from find_macs(text, start)
        if _DIGITS.search(text, start):
            yield from self._numbers(text, start)
        if speaks_of_banks(text):
            yield from find_swift(text, start)
        if "URL" in self._wanted and "://" in text:
            yield from find_urls(text, start)
        if "AGE" in self._wanted:
            yield from find_ages(text, start)
        for label, pattern in self._extra.items():
            for match in every(_WORD, text, start):
                end = match.start() + len(match.group().rstrip(".:/-"))
                if pattern.fullmatch(text, match.start(), end):
                    yield Hit(label, 0.9, match.start(), end, "own pattern")

    def _numbers(self, text: str, start: int) -> Iterator[Hit]:
        yield from find_identifiers(text, start, self._wanted.__contains__)
        yield from find_wallets(text, start)
        if not _FOUR_DIGITS.search(text, start):
            return
        if _DOTTED.search(text, start):
            yield from find_ips(text, start)
        yield from find_dates(text, start, every_date="DATE" in self._wanted)
        if _SEVEN_DIGITS.search(text, start):
            yield from find_cards(text, start)
            yield from find_ibans(text, start)
            yield from find_international(text, start)
            yield from find_national(text, start, self.config.regions)

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no digit, no at sign, no month that a date may begin with."""
        if self._extra or _STIR.search(text, start):
            return False
        if not text[-1:].islower() and (
            _LEAD.search(text, max(start, len(text) - 20)) or ends_in_month(text)
        ):
            return False
        return not speaks_of_banks(text)

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where the last word or group of numbers begins."""
        token = _TOKEN if self._extra else _ADDRESS
        opened = open_run(token, text, start, 2 * _LONGEST)
        groups = open_run(_GROUPS, text, start, 128)
        first = _GROUP.match(text, groups) or _FIRST_GROUP.search(text, groups)
        if first:
            opened = min(opened, first.start())
        if "DATE" in self._wanted or speaks_of_birth(text[-160:]):
            opened = min(opened, open_run(_DATE, text, start, 64))
        if "DATE" in self._wanted:
            opened = min(opened, open_run(DATE_BEGUN, text, start, 64))
        if "AGE" in self._wanted:
            opened = min(opened, open_run(AGE_BEGUN, text, start, 64))
        return opened
