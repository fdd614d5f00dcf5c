"""Marked texts to measure personal data with: our own templates, filled, and held-out sentences.

The templates are in personal_texts.toml. Numbers are made here, by the published rules of their
check digits, so that what a detector accepts is not decided by the code that is measured.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import random
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SEED = 20261122
FILLS = 4
SLOT = re.compile(r"\{([a-z_0-9]+)\}")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GOLD = {  # kinds of the held-out sentences; what is missing here counts neither way
    "PERSON": "PERSON",
    "ADDRESS": "PLACE",
    "LOCATION": "PLACE",
    "ORGANIZATION": "ORGANISATION",
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "NUMBER",
    "US_DRIVER_LICENSE": "NUMBER",
    "IP_ADDRESS": "NETWORK",
    "DATE_TIME": "DATE",
}


class Text(NamedTuple):
    """A text and what is personal in it, as (start, end, kind); the kind "" counts neither way.

    Texts of one template are of one group: they are drawn together.
    """

    text: str
    spans: tuple[tuple[int, int, str], ...]
    group: str = ""


def digits(chance: random.Random, count: int, first: str = "0123456789") -> list[int]:
    return [int(chance.choice(first)), *(chance.randrange(10) for _ in range(count - 1))]


def joined(numbers: list[int]) -> str:
    return "".join(map(str, numbers))


def luhn(numbers: list[int]) -> int:
    doubled = [2 * n if i % 2 == 0 else n for i, n in enumerate(reversed(numbers))]
    return -sum(n - 9 if n > 9 else n for n in doubled) % 10


def weighted(numbers: list[int], weights: list[int], modulus: int) -> int:
    return sum(n * w for n, w in zip(numbers, weights, strict=True)) % modulus


def until(chance: random.Random, make, accept):
    """Make numbers until one has a check digit that is a digit."""
    while not accept(made := make(chance)):
        pass
    return made


def grouped(text: str, *sizes: int, by: str = " ") -> str:
    parts, rest = [], text
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    return by.join([*parts, rest]) if rest else by.join(parts)


def card(chance):
    body = [*map(int, chance.choice(["4539", "5412", "4716", "5290", "4024"])), *digits(chance, 11)]
    number = joined([*body, luhn(body)])
    return chance.choice([number, grouped(number, 4, 4, 4, 4), grouped(number, 4, 4, 4, 4, by="-")])


def iban(chance):
    country, form = chance.choice(
        [("DE", "d18"), ("FR", "d23"), ("NL", "ABNAd10"), ("GB", "NWBKd14"), ("ES", "d20")]
    )
    name, count = form.split("d")
    body = name + joined(digits(chance, int(count)))
    value = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    text = f"{country}{98 - int(value) % 97:02d}{body}"
    return chance.choice([text, " ".join(re.findall(".{1,4}", text))])


def ssn(chance):
    area, group = chance.randint(100, 665), chance.randint(10, 99)
    return f"{area}-{group}-{chance.randint(1000, 9999)}"


def nhs(chance):
    def make(chance):
        body = digits(chance, 9, "46789")
        return [*body, (11 - weighted(body, list(range(10, 1, -1)), 11)) % 11]

    return grouped(joined(until(chance, make, lambda n: n[-1] < 10)), 3, 3, 4)


def de_tax(chance):
    ten = chance.sample("123456789", 9)
    body = [int(n) for n in [*ten, ten[chance.randrange(9)]]]
    rest = 10
    for number in body:
        rest = 2 * ((number + rest) % 10 or 10) % 11
    return grouped(joined([*body, (11 - rest) % 10]), 2, 3, 3, 3)


def nir(chance):
    year, month = chance.randint(10, 99), chance.randint(1, 12)
    body = f"{chance.choice('12')}{year:02d}{month:02d}66{chance.randint(100, 600)}"
    body += f"{chance.randint(1, 400):03d}"
    return grouped(f"{body}{97 - int(body) % 97:02d}", 1, 2, 2, 2, 3, 3, 2)


def dni(chance):
    number = chance.randint(10_000_000, 79_999_999)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def bsn(chance):
    def make(chance):
        body = digits(chance, 8, "1234")
        return [*body, weighted(body, list(range(9, 1, -1)), 11)]

    return joined(until(chance, make, lambda n: n[-1] < 10))


def pesel(chance):
    body = [
        int(c)
        for c in f"{chance.randint(45, 99)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    ]
    body += digits(chance, 4)
    return joined([*body, -weighted(body, [1, 3, 7, 9] * 2 + [1, 3], 10) % 10])


def cpf(chance):
    body = digits(chance, 9, "123456789")
    for size in (10, 11):
        rest = weighted(body, list(range(size, 1, -1)), 11)
        body.append(0 if rest < 2 else 11 - rest)
    text = joined(body)
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def aadhaar(chance):
    """Verhoeff's digit: the multiplication of the dihedral group, and powers of one permutation."""
    body, check = digits(chance, 11, "2345678"), 0

    def times(a, b):
        turned = (a + b if a < 5 else a - b) % 5
        return turned + 5 * ((a < 5) != (b < 5))

    order = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    for place, number in enumerate(reversed(body), 1):
        turned = number
        for _ in range(place % 8):
            turned = order[turned]
        check = times(check, turned)
    last = next(n for n in range(10) if times(check, n) == 0)
    return grouped(joined([*body, last]), 4, 4, 4)


def sin(chance):
    body = digits(chance, 8, "1234567")
    return grouped(joined([*body, luhn(body)]), 3, 3, 3)


def tfn(chance):
    def accept(numbers):
        return weighted(numbers, [1, 4, 3, 7, 5, 8, 6, 9, 10], 11) == 0

    return grouped(joined(until(chance, lambda c: digits(c, 9, "12345678"), accept)), 3, 3, 3)


def personnummer(chance):
    day = f"{chance.randint(45, 99)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    serial = f"{chance.randint(10, 980):03d}"
    return f"{day}-{serial}{luhn([int(c) for c in day + serial])}"


def hetu(chance):
    day = f"{chance.randint(1, 28):02d}{chance.randint(1, 12):02d}{chance.randint(45, 99)}"
    serial = f"{chance.randint(2, 899):03d}"
    return f"{day}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day + serial) % 31]}"


def ahv(chance):
    body = [7, 5, 6, *digits(chance, 9)]
    text = joined([*body, -weighted(body, [1, 3] * 6, 10) % 10])
    return f"{text[:3]}.{text[3:7]}.{text[7:11]}.{text[11:]}"


def rrn(chance):
    day = f"{chance.randint(50, 99)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    body = [*map(int, day), chance.choice([1, 2]), *digits(chance, 5)]
    last = (11 - weighted(body, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5], 11)) % 10
    return f"{day}-{joined(body[6:])}{last}"


def za_id(chance):
    day = f"{chance.randint(45, 99)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    body = [*map(int, day), *digits(chance, 4), 0, 8]
    return joined([*body, luhn(body)])


def npi(chance):
    body = digits(chance, 9, "1")
    return joined([*body, luhn([8, 0, 8, 4, 0, *body])])


def nino(chance):
    middle = joined(digits(chance, 6))
    head = chance.choice(["AB", "CE", "JG", "PX", "SW"])
    return f"{head} {grouped(middle, 2, 2, 2)} {chance.choice('ABCD')}"


def itin(chance):
    return f"9{joined(digits(chance, 2))}-{chance.randint(70, 88)}-{joined(digits(chance, 4))}"


def us_phone(chance):
    area = chance.choice(["207", "208", "404", "502", "602", "617", "865", "928"])
    middle, last = chance.randint(220, 989), joined(digits(chance, 4))
    form = chance.choice(["({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "+1 {} {} {}"])
    return form.format(area, middle, last)


def uk_phone(chance):
    last = joined(digits(chance, 6, "23456789"))
    return chance.choice([f"07{joined(digits(chance, 3, '789'))} {last}", f"01947 {last}",
                          f"+44 7700 {last}"])  # fmt: skip


def de_phone(chance):
    last = joined(digits(chance, 8, "23456789"))
    forms = [f"0521 {last[:6]}", f"+49 151 {last}", f"0176/{last}", f"(0421) {last[:7]}"]
    return chance.choice(forms)


def fr_phone(chance):
    rest = " ".join(joined(digits(chance, 2)) for _ in range(4))
    return chance.choice([f"06 {rest}", f"+33 4 {rest}"])


def in_phone(chance):
    last = joined(digits(chance, 9))
    return f"+91 9{last[:4]} {last[4:]}"


def world_phone(chance):
    return chance.choice([us_phone, uk_phone, de_phone, fr_phone, in_phone, lambda c: "+55 11 9"
                          + grouped(joined(digits(c, 8)), 4, 4, by="-")])(chance)  # fmt: skip


def born(chance):
    months = ["January", "February", "April", "June", "August", "October", "November"]
    day, month, year = chance.randint(1, 28), chance.choice(months), chance.randint(1938, 2012)
    return chance.choice([f"{day} {month} {year}", f"{month} {day}, {year}"])


def born_us(chance):
    return f"{chance.randint(1, 12):02d}/{chance.randint(1, 28):02d}/{chance.randint(1938, 2012)}"


def born_iso(chance):
    return f"{chance.randint(1938, 2012)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"


def day(chance):
    return born(chance)[:-4] + "2025"


def ip(chance):
    first = chance.choice([5, 31, 81, 93, 146, 203])
    return f"{first}.{chance.randint(1, 250)}.{chance.randint(1, 250)}.{chance.randint(2, 250)}"


def ip6(chance):
    return f"2a0{chance.randint(1, 9)}:{chance.randrange(4096, 65535):x}::{chance.randint(2, 999)}"


def mac(chance):
    return ":".join(f"{chance.randrange(256):02x}" for _ in range(6))


def number(chance):
    return joined(digits(chance, chance.choice([5, 7, 8]), "123456789"))


def person(chance):
    values = source()["values"]
    return f"{chance.choice(values['given'])} {chance.choice(values['family'])}"


def email(chance):
    values = source()["values"]
    return f"{chance.choice(values['mail_name'])}@{chance.choice(values['mail_host'])}"


@functools.cache
def source() -> dict:
    return tomllib.loads((HERE / "personal_texts.toml").read_text(encoding="utf-8"))


MAKERS = (
    aadhaar, ahv, born, born_iso, born_us, bsn, card, cpf, day, de_phone, de_tax, dni, email,
    fr_phone, hetu, iban, in_phone, ip, ip6, itin, mac, nhs, nino, nir, npi, number, person,
    personnummer, pesel, rrn, sin, ssn, tfn, uk_phone, us_phone, world_phone, za_id,
)  # fmt: skip


def fill(template: str, chance: random.Random, group: str = "") -> Text:
    """Put values into the slots, and mark where they stand."""
    made = {maker.__name__: maker for maker in MAKERS}
    kinds = {slot: kind for kind, slots in source()["marked"].items() for slot in slots}
    out, spans, last = "", [], 0
    for slot in SLOT.finditer(template):
        name = slot[1]
        out += template[last : slot.start()]
        values = source()["values"].get(name)
        value = chance.choice(values) if values else made[name](chance)
        if name in kinds:
            spans.append((len(out), len(out) + len(value), kinds[name]))
        out, last = out + value, slot.end()
    return Text(out + template[last:], tuple(spans), group)


def own(language: str) -> list[Text]:
    """Return the templates of a language (`en`, `other`), each filled several times."""
    chance = random.Random(f"{SEED} {language}")
    templates = enumerate(source()[language]["texts"])
    return [fill(text, chance, str(n)) for n, text in templates for _ in range(FILLS)]


def held_out(data: Path) -> list[Text]:
    """Return the sentences of presidio-research's generator whose templates no model has seen.

    A fifth of the templates, the one that the names model is measured on and did not learn from.
    """
    found = []
    with gzip.open(data / "train/pii/presidio_generated_large.train.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            if row["template"] % 5 == 2:
                spans = [(a, b, GOLD.get(kind, "")) for a, b, kind in row["entities"]]
                found.append(Text(row["text"], tuple(spans), str(row["template"])))
    return found


def look_alikes() -> list[str]:
    """Return the texts with codes and numbers that are nobody's personal data."""
    path = HERE.parent / "tests/unit/guard/detectors/look_alikes.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("#")]


def digest(texts: list[Text]) -> str:
    """Return a short digest of marked texts, so that two runs can be compared."""
    shown = [text[:2] for text in texts]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:12]
