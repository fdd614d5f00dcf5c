"""Units, multiples and numbers in letters."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit.

    Attributes:
        kind: What it measures; units of one kind can be converted.
        factor: How many of the kind's own unit it is.
        zero: Where its scale begins, in the kind's own unit.
    """

    kind: str
    factor: Fraction
    zero: Fraction = Fraction(0)

    def base(self, value: Fraction) -> Fraction:
        """Return a value in the kind's own unit."""
        return value * self.factor + self.zero


_TABLE: Mapping[str, Mapping[str, str]] = {
    "length": {
        "1/1000": "mm millimeter millimetre",
        "1/100": "cm centimeter centimetre zentimeter centimètre centímetro",
        "1": "m meter metre mètre metro метр",
        "1000": "km kilometer kilometre kilomètre kilómetro chilometro километр км 公里 千米",
        "0.0254": "inch inches",
        "0.3048": "ft foot feet",
        "0.9144": "yd yard",
        "1609.344": "mi mile meile 英里",
    },
    "mass": {
        "1/1000": "mg milligram",
        "1": "g gram gramm gramme",
        "1000": "kg kilogram kilo kilogramm kilogramme 公斤 千克",
        "1000000": "t tonne tonnes",
        "453.59237": "lb lbs pound",
        "28.349523": "oz ounce",
    },
    "volume": {"1/1000": "ml milliliter millilitre", "1": "l liter litre", "3.785412": "gallon"},
    "speed": {"1": "km/h kmh kph", "1.609344": "mph"},
    "area": {"1": "m²", "1000000": "km²", "10000": "hectare ha", "4046.8564": "acre"},
    "heat": {"1": "°c celsius °celsius"},
    "seconds": {
        "1/1000": "ms millisecond",
        "1": "s sec second sekunde segundo seconde",
        "60": "min minute minuto",
        "3600": "h hr hour stunde hora heure stunden",
        "86400": "day tag tage tagen jour día",
        "604800": "week woche wochen semaine semana",
    },
    "months": {
        "1": "month monat monate monaten mois mes meses",
        "12": "year yr jahr jahre jahren ans année año",
        "120": "decade",
        "1200": "century centuries",
    },
    "bytes": {"1": "kb", "1000": "mb", "1000000": "gb", "1000000000": "tb"},
    "%": {"1": "% ％ percent percentage prozent pourcent"},
    "USD": {"1": "$ us$ usd dollar", "1/100": "cent"},
    "EUR": {"1": "€ eur euro"},
    "GBP": {"1": "£ gbp"},
    "JPY": {"1": "¥ jpy yen"},
    "INR": {"1": "₹ inr rupee"},
    "CHF": {"1": "chf franken"},
}
UNITS: Mapping[str, Unit] = {
    name: Unit(kind, Fraction(factor))
    for kind, scale in _TABLE.items()
    for factor, names in scale.items()
    for name in names.split()
} | {
    name: Unit("heat", Fraction(5, 9), Fraction(-160, 9))
    for name in ("°f", "fahrenheit", "°fahrenheit")
}
"""Name of a unit in small letters, in the singular, to the unit."""

_SCALES = {
    100: "hundred 百",
    1000: "thousand k tausend mille mil mila тысяч тысячи 千 हज़ार ألف آلاف",
    10_000: "万 萬",
    100_000: "lakh लाख",
    1_000_000: "million millions mn mln mio millionen millones milioni миллион миллиона миллионов "
    "مليون ملايين",
    10_000_000: "crore करोड़",
    100_000_000: "亿 億",
    1_000_000_000: "billion billions bn mrd milliarde milliarden milliard milliards miliardi "
    "миллиард миллиарда миллиардов مليار",
    1_000_000_000_000: "trillion trillions 兆",
    12: "dozen",
}
MULTIPLES: Mapping[str, Fraction] = {
    name: Fraction(value) for value, names in _SCALES.items() for name in names.split()
}
"""What may stand behind a number in digits and multiplies it."""

DECADE = Unit("decade", Fraction(1))
"""The unit of `1990s`."""
_PLACES = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
ORDINALS: Mapping[str, int] = {word: place for place, word in enumerate(_PLACES.split(), 1)}
"""Places in letters, English."""

_ONES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS: Mapping[str, Fraction] = {
    **{word: Fraction(number) for number, word in enumerate(_ONES.split(), 1)},
    **{word: Fraction(10 * number) for number, word in enumerate(_TENS.split(), 2)},
    **{word: MULTIPLES[word] for word in ("hundred", "thousand", "million", "billion", "trillion")},
    "dozen": Fraction(12),
}
"""Numbers in letters, English."""


class Quantity(NamedTuple):
    """A number in a text.

    Attributes:
        value: What is counted, in its own unit.
        unit: Its unit; None for a mere number.
        noun: How the word after it begins, "" for none.
        start: Where it begins.
        end: Where it ends, with its unit.
        about: Whether the text says that it is not exact.
        small: Whether it is a number up to ten in letters, without a unit.
    """

    value: Fraction
    unit: Unit | None
    noun: str
    start: int
    end: int
    about: bool
    small: bool
