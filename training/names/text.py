"""Makes training text of our own: templates, names, addresses of several countries, all seeded."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from random import Random
from typing import NamedTuple

from keelmark.guard._patterns import table

HERE = Path(__file__).parent
LABEL = {
    "person": "PERSON",
    "given": "PERSON",
    "family": "PERSON",
    "place": "LOCATION",
    "org": "ORGANISATION",
    "address": "ADDRESS",
}
_SLOT = re.compile(r"\{([a-z_]+)\}")
_SMALL_WORDS = {"of", "the", "and", "de", "la", "el", "&"}
_DAYS = (
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "tomorrow"),
    *("today",),
)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November"),
)
# Of which words of programs are made.
_PARTS = (
    *("get", "set", "load", "base", "node", "sub", "net", "str", "buf", "arg", "init", "ctx", "db"),
    *("tmp", "dir", "path", "fetch", "parse", "proc", "sys", "log", "cfg", "env", "req", "resp"),
    *("tk", "kube", "cloud", "stream", "batch", "queue", "hash", "enc", "dec", "coder", "loader"),
    *("py", "js", "sql", "http", "ssl", "vm", "gpu", "idx", "ptr", "map", "dict", "iter", "func"),
)
_UNITS = ("Hz", "kHz", "MHz", "GB", "MB", "kB", "Pa", "hPa", "kWh", "dB", "Mbit", "ms", "vol", "Nm")
_SYLLABLES = (
    *("ka", "lo", "mi", "ra", "ven", "dor", "til", "ber", "sha", "nor", "win", "mar", "del"),
    *("fo", "gri", "ta", "pel", "ux", "ny", "zan", "hol", "wick", "ster", "mon", "bel", "ha"),
    *("ro", "ke", "li", "sten", "brook", "ford", "field", "ton", "burg", "heim", "ville"),
    *("dale", "wood", "gar", "vik", "sund", "by", "stad"),
)


class Marked(NamedTuple):
    """A text and what is marked in it.

    Attributes:
        text: The text.
        spans: Begin, end and label of each name.
        source: Where it comes from; validation is split by it.
    """

    text: str
    spans: tuple[tuple[int, int, str], ...]
    source: str


def lexicon() -> dict[str, list[str]]:
    """Read the word lists; an underscore is a space."""
    return {
        kind: [word.replace("_", " ") for word in dict.fromkeys(words.split())]
        for kind, words in table("names")["kinds"].items()
    }


def titled(words: str) -> str:
    """Write a name with capitals."""
    return " ".join(
        w if w in _SMALL_WORDS else "-".join(p[:1].upper() + p[1:] for p in w.split("-"))
        for w in words.split()
    )


class Writer:
    """Fills templates.

    Args:
        random: The source of all choices.
        names: Further names by kind, from marked text (`person`, `place`, `org`).
    """

    def __init__(self, random: Random, names: dict[str, list[str]] | None = None) -> None:
        self.random = random
        self.words = lexicon()
        self.names = names or {}
        written = tomllib.loads((HERE / "templates.toml").read_text(encoding="utf-8"))
        self.roles = written.pop("role").split("|")
        self.templates = [
            (f"own-{language}-{number}", template)
            for language, templates in written.items()
            for number, template in enumerate(templates)
        ]

    def pick(self, *kinds: str) -> str:
        """One word of one of the kinds, with capitals."""
        return titled(self.random.choice(self.words[self.random.choice(kinds)]))

    def made_up(self) -> str:
        """A name that nobody has seen."""
        return titled("".join(self.random.choices(_SYLLABLES, k=self.random.choice((2, 2, 3)))))

    def _known(self, kind: str, chance: float) -> str | None:
        known = self.names.get(kind)
        return self.random.choice(known) if known and self.random.random() < chance else None

    def given(self) -> str:
        """A given name."""
        return self.made_up() if self.random.random() < 0.1 else self.pick("given")

    def family(self) -> str:
        """A family name."""
        chance = self.random.random()
        if chance < 0.2:
            return self.made_up()
        name = self.pick("family")
        if chance < 0.24:
            return f"{name}-{self.pick('family')}"
        if chance < 0.32:
            before = ("van der ", "de ", "von ", "van ", "O'", "Mc", "de la ", "van den ", "di ")
            return self.random.choice(before) + name
        return name

    def person(self) -> str:
        """A full name in one of several forms."""
        known = self._known("person", 0.25)
        if known:
            return known
        given, family = self.given(), self.family()
        initial = f"{self.random.choice('ABCDEFGHJKLMNPRST')}."
        forms = (
            (f"{given} {family}", 60),
            (given, 8),
            (f"{given} {initial} {family}", 8),
            (f"{given} {self.given()} {family}", 5),
            (f"{initial} {family}", 5),
            (f"{family}, {given}", 4),
            (f"{self.pick('title')}. {family}", 4),
            (f"{family.upper()} {given}", 2),
            (f"{given}-{self.given()} {family}", 3),
        )
        return self.random.choices([f for f, _ in forms], [w for _, w in forms])[0]

    def place(self) -> str:
        """A town, region or country."""
        known = self._known("place", 0.3)
        if known:
            return known
        town, chance = self.pick("city", "region"), self.random.random()
        if chance < 0.15:
            return self.made_up()
        if chance < 0.2:
            return town.upper()
        if chance < 0.25:
            return f"{self.random.choice(('Saint', 'San', 'Bad', 'North', 'Upper', 'Los'))} {town}"
        return town

    def org(self) -> str:
        """A company, school, authority or club."""
        known = self._known("org", 0.35)
        if known:
            return known
        word, chance = titled(self.pick("org_word")), self.random.random()
        if chance < 0.35:
            return self.pick("organisation")
        legal = ("Ltd", "Inc.", "GmbH", "AG", "LLC", "PLC", "S.A.", "SARL", "BV", "S.p.A.", "Group")
        first = self.random.choice((self.made_up, self.family, lambda: self.pick("city")))()
        if chance < 0.55:
            return f"{first} {self.random.choice(legal)}"
        if chance < 0.65:
            return f"{first} {word} {self.random.choice(legal)}"
        if chance < 0.72:
            return f"{self.family()} & {self.family()}"
        if chance < 0.82:
            kind = ("University", "Bank", "Ministry", "Institute", "College", "Department")
            return f"{self.random.choice(kind)} of {self.pick('city', 'region')}"
        return f"{first} {word}"

    def digits(self, low: int, high: int) -> str:
        """A number of so many digits."""
        return "".join(self.random.choices("0123456789", k=self.random.randint(low, high)))

    def house(self) -> str:
        """A house number."""
        letter = self.random.choice("abcd") if self.random.random() < 0.1 else ""
        return f"{self.random.randint(1, 399)}{letter}"

    def address(self, country: str = "") -> str:
        """An address as it is written in one of several countries, on one line or several."""
        country = country or self.random.choice(
            ("us", "us", "us", "gb", "gb", "de", "fr", "es", "it", "nl", "mixed", "mixed", "box")
        )
        town, house = self.place(), self.house()
        name = self.random.choice((self.family, self.made_up, self.given))()
        comma = self.random.choice((", ", ", ", "\n", " "))
        text: str = getattr(self, f"_{country}")(name, house, town, comma)
        return text

    def _us(self, name: str, house: str, town: str, comma: str) -> str:
        road = ("Street", "St", "St.", "Road", "Rd", "Avenue", "Ave", "Ave.", "Lane", "Drive", "Dr")
        more = ("Boulevard", "Blvd", "Court", "Place", "Way", "Square", "Highway", "Parkway")
        text = f"{house} {name} {self.random.choice(road + more)}"
        if self.random.random() < 0.15:
            text = f"{house} {self.random.randint(2, 99)}th {self.random.choice(road)}"
        if self.random.random() < 0.4:
            unit = self.random.choice(("Apt", "Apt.", "Suite", "Unit", "Ste", "#", "Flat", "Floor"))
            text += f"{comma}{unit} {self.digits(1, 3)}"
        if self.random.random() < 0.75:
            state = self.random.choice(("CA", "NY", "TX", "IL", "WA", "OH", "ON", "FL", "MA", "GA"))
            tail = self.random.choice((f", {state} {self.digits(5, 5)}", f" {state}", ""))
            text += comma + town + tail
        return text

    def _gb(self, name: str, house: str, town: str, comma: str) -> str:
        road = self.random.choice(("Street", "Road", "Lane", "Close", "Hill", "Gardens", "Terrace"))
        area = self.random.choice(("SW", "NW", "M", "EH", "LS", "B", "CF", "OX", "BS"))
        middle = self.random.choice(("", "", self.digits(1, 1), "A"))
        ends = "".join(self.random.choices("ABDEFGHJLNPQRSTUWXYZ", k=2))
        code = f"{area}{self.digits(1, 1)}{middle} {self.digits(1, 1)}{ends}"
        flat = f"Flat {self.digits(1, 2)}{comma}" if self.random.random() < 0.2 else ""
        return f"{flat}{house} {name} {road}{comma}{town}" + (
            f"{comma}{code}" if self.random.random() < 0.7 else ""
        )

    def _de(self, name: str, house: str, town: str, comma: str) -> str:
        ends = ("straße", "strasse", "str.", "weg", "gasse", "platz", "allee", "ring", "damm")
        street = f"{name}{self.random.choice(ends)}"
        if self.random.random() < 0.3:
            street = f"{name}-Straße"
        elif self.random.random() < 0.2:
            street = f"{self.random.choice(('Am', 'An der', 'Im', 'Zum'))} {name}"
        code = self.random.choice(("", "D-", "A-")) + self.digits(4, 5)
        return f"{street} {house}" + (f"{comma}{code} {town}" if self.random.random() < 0.7 else "")

    def _fr(self, name: str, house: str, town: str, comma: str) -> str:
        kind = ("rue", "avenue", "boulevard", "place", "chemin", "impasse", "quai", "allée", "Rue")
        link = self.random.choice((" ", " de ", " du ", " de la ", " des "))
        extra = self.random.choice(("", "", "", " bis"))
        join = self.random.choice((" ", " ", ", "))
        street = f"{house}{extra}{join}{self.random.choice(kind)}{link}{name}"
        return street + (f"{comma}{self.digits(5, 5)} {town}" if self.random.random() < 0.7 else "")

    def _es(self, name: str, house: str, town: str, comma: str) -> str:
        kind = ("Calle", "calle", "C/", "Avenida", "Avda.", "Plaza", "Paseo", "Camino", "Carrer")
        link = self.random.choice((" ", " ", " de ", " de la ", " del "))
        number = self.random.choice((f", {house}", f" {house}", f" nº {house}"))
        flat = self.random.choice(("", "", f", {self.digits(1, 1)}º {self.random.choice('ABCD')}"))
        return f"{self.random.choice(kind)}{link}{name}{number}{flat}" + (
            f"{comma}{self.digits(5, 5)} {town}" if self.random.random() < 0.7 else ""
        )

    def _it(self, name: str, house: str, town: str, comma: str) -> str:
        kind = ("via", "Via", "Via", "Viale", "Piazza", "piazza", "Corso", "Largo", "Vicolo")
        number = self.random.choice((f", {house}", f" {house}", f" n. {house}"))
        given = f"{self.given()} " if self.random.random() < 0.4 else ""
        return f"{self.random.choice(kind)} {given}{name}{number}" + (
            f"{comma}{self.digits(5, 5)} {town}" if self.random.random() < 0.7 else ""
        )

    def _nl(self, name: str, house: str, town: str, comma: str) -> str:
        ends = ("straat", "laan", "weg", "gracht", "kade", "plein", "steenweg", "dreef")
        letters = "".join(self.random.choices("ABCDEGHJKLX", k=2))
        return f"{name}{self.random.choice(ends)} {house}" + (
            f"{comma}{self.digits(4, 4)} {letters} {town}" if self.random.random() < 0.7 else ""
        )

    def _mixed(self, name: str, house: str, town: str, comma: str) -> str:
        """Forms of many countries: kind of street before or after, number first or last."""
        before = ("ul.", "Rua", "R", "Av.", "Via", "Calle", "Rue", "Trg", "Jalan", "Carrera", "C/")
        after = ("gata", "gatan", "vägen", "vej", "veien", "gade", "katu", "tie", "utca", "tee")
        street = self.random.choice(
            (f"{self.random.choice(before)} {name}", f"{name}{self.random.choice(after)}", name)
        )
        unit = f"{self.random.choice(('Apt.', 'Suite', 'Unit'))} {self.digits(2, 3)}"
        parts = [f"{self.random.choice(('', f'{house} '))}{street} {self.house()}"]
        if self.random.random() < 0.5:
            parts.append(unit)
        parts.append(town)
        tail = f" {self.digits(4, 5)}" if self.random.random() < 0.5 else ""
        return comma.join(parts) + tail

    def _box(self, _name: str, _house: str, town: str, comma: str) -> str:
        box = self.random.choice(("PO Box", "P.O. Box", "Postfach", "Box", "Apartado", "BP"))
        return f"{box} {self.digits(2, 5)}{comma}{town}" + (
            f" {self.digits(5, 5)}" if self.random.random() < 0.5 else ""
        )

    def date(self) -> str:
        """A date in one of several forms."""
        day, month = self.random.randint(1, 28), self.random.randint(1, 11)
        year = self.random.randint(1930, 2030)
        name = _MONTHS[month - 1]
        return self.random.choice(
            (f"{day}/{month}/{year}", f"{day} {name} {year}", f"{day}.{month}.{year}")
        )

    def tool(self) -> str:
        """A word that names no person in small letters: of programs, or made up."""
        chance = self.random.random()
        if chance < 0.25:
            return self.made_up().lower()
        if chance < 0.4:
            return "".join(self.random.choices("bcdfghklmnprstvwx", k=self.random.randint(2, 4)))
        return "".join(self.random.choices(_PARTS, k=self.random.choice((1, 2, 2))))

    def camel(self) -> str:
        """A name of a class or a service."""
        parts = self.random.choices(_PARTS, k=self.random.choice((1, 2, 2, 3)))
        return "".join(p.capitalize() for p in parts)

    def ident(self) -> str:
        """A name of a function or a variable."""
        camel = self.camel()
        joined = "_".join(self.random.choices(_PARTS, k=2))
        return self.random.choice((joined, camel[0].lower() + camel[1:]))

    def acronym(self) -> str:
        """Two to five capitals."""
        letters = "ABCDEFGHIJKLMNOPRSTUVWX"
        return "".join(self.random.choices(letters, k=self.random.choice((2, 3, 3, 4, 5))))

    def value(self, slot: str) -> str:
        """What stands for a slot."""
        random = self.random
        if slot.startswith("address"):
            return self.address(slot[8:])
        if slot in LABEL:
            text: str = getattr(self, slot)()
            return text
        fillers = {
            "title": lambda: self.pick("title"),
            "role": lambda: random.choice(self.roles),
            "initial": lambda: random.choice("ABCDEFGHJKLM"),
            "number": lambda: self.digits(3, 10),
            "small": lambda: str(random.randint(2, 60)),
            "year": lambda: str(random.randint(1900, 2030)),
            "time": lambda: f"{random.randint(0, 23)}:{random.randint(10, 59)}",
            "day": lambda: random.choice(_DAYS),
            "date": self.date,
            "unit": lambda: random.choice(_UNITS),
            "tool": self.tool,
            "camel": self.camel,
            "ident": self.ident,
            "acronym": self.acronym,
        }
        return fillers[slot]()

    def fill(self, source: str, template: str) -> Marked:
        """Fill one template."""
        out: list[str] = []
        spans: list[tuple[int, int, str]] = []
        size = done = 0
        for slot in _SLOT.finditer(template.replace("{{", "\x01").replace("}}", "\x02")):
            before = slot.string[done : slot.start()]
            value = self.value(slot[1])
            size += len(before)
            label = LABEL.get(slot[1].partition("_")[0])
            if label:
                spans.append((size, size + len(value), label))
            out += (before, value)
            size += len(value)
            done = slot.end()
        out.append(template.replace("{{", "\x01").replace("}}", "\x02")[done:])
        text = "".join(out).replace("\x01", "{").replace("\x02", "}")
        return Marked(text, tuple(spans), source)
