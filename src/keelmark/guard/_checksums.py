"""Check digits: one line of a table says how a number is checked.

A rule is a row of steps, joined by `;`, that must all hold; ` | ` parts rules of which one must
hold. A step is the name of a function below or `[@PLACE] CHARS WEIGHT WEIGHT …`: the characters
of the number (0 to 9, A is 10 … Z is 35) times the weights, summed, modulo the length of CHARS,
is the index of the character of CHARS that stands at PLACE (where the weights end, if not said).
A `?` stands at a remainder that no number may have. `0123456789` is the remainder itself.
Without a place in the last step the number ends there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import cache

Check = Callable[[str], bool]
_NOISE = re.compile(r"[^0-9A-Z]")


@cache
def check(rule: str) -> Check:
    """Return the test that a rule of the table stands for; an empty rule lets all pass."""
    if not rule:
        return lambda _: True
    ways = [[_step(step, last=i == 0) for i, step in _numbered(way)] for way in rule.split(" | ")]
    return lambda number: any(all(step(number) for step in way) for way in ways)


def bare(written: str) -> str:
    """The number without its separators, in capitals."""
    return _NOISE.sub("", written.upper())


def dated(number: str, form: str, months: tuple[int, ...] = (), days: tuple[int, ...] = ()) -> bool:
    """Whether the number has a date where `form` has `mm` and `dd`.

    Args:
        number: Without separators.
        form: Such as `yymmdd`, from the number's beginning; other characters mean nothing.
        months: Reduce a greater month by these moduli first (some numbers add 20 or 50 to it).
        days: The same for days.
    """
    month, day = (number[form.index(part) : form.index(part) + 2] for part in ("mm", "dd"))
    if not (month.isdigit() and day.isdigit()):
        return False
    try:
        dt.date(2000, _reduced(int(month), months), _reduced(int(day), days))
    except ValueError:
        return False
    return True


def _reduced(value: int, moduli: tuple[int, ...]) -> int:
    for modulus in moduli:
        value = value % modulus if value > modulus else value
    return value


def _numbered(way: str) -> list[tuple[int, str]]:
    steps = [step.strip() for step in way.split(";")]
    return [(len(steps) - 1 - i, step) for i, step in enumerate(steps)]


def _step(step: str, *, last: bool) -> Check:
    if step in NAMED:
        return NAMED[step]
    parts = step.split()
    placed = parts[0].startswith("@")
    place = int(parts[0][1:]) if placed else len(parts) - 1
    chars, *weights = parts[placed:]
    numbers = tuple(map(int, weights))
    length = place + 1 if last and not placed else 0

    def holds(number: str) -> bool:
        if len(number) <= place or len(number) < len(numbers) or 0 < length != len(number):
            return False
        total = sum(w * int(c, 36) for w, c in zip(numbers, number, strict=False))
        return chars[total % len(chars)] == number[place]

    return holds


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B; a number of equal digits is no number."""
    digits = number.encode("ascii", "replace")
    total = sum(digits[::-2]) + sum(digits[-2::-2].translate(_DOUBLED))
    return (total - 48 * len(digits)) % 10 == 0 and number.isdigit() and len(set(number)) > 1


_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def _luhn_at_ten(number: str) -> bool:
    """Luhn over the last ten digits (Swedish numbers with or without the century)."""
    return luhn(number[-10:])


def _luhn_of_nine(number: str) -> bool:
    """Luhn over the first nine digits (Indonesian tax numbers)."""
    return luhn(number[:9])


def _luhn_of_ten(number: str) -> bool:
    """Luhn over the first ten digits (Ontario's health numbers, with a version behind)."""
    return luhn(number[:10])


def _npi(number: str) -> bool:
    return luhn("80840" + number)


def _luhn36(number: str) -> bool:
    """Luhn in base 36, with letters (Indian GSTIN)."""
    values = [int(c, 36) for c in reversed(number)]
    return (sum(values[::2]) + sum(sum(divmod(2 * v, 36)) for v in values[1::2])) % 36 == 0


def mod97(number: str) -> bool:
    """ISO 7064 MOD 97-10 over letters and digits, remainder 1."""
    return int(number.translate(_IN_TENS)) % 97 == 1


_IN_TENS = {ord(c): str(int(c, 36)) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _mod11_10(number: str) -> bool:
    """ISO 7064 MOD 11,10."""
    rest = 5
    for char in number:
        rest = (((rest or 10) * 2) % 11 + int(char)) % 10
    return rest == 1


def _one_twice(number: str) -> bool:
    """Of the first ten digits one stands there twice or three times, no other more than once."""
    counts = sorted(map(number[:10].count, set(number[:10])))
    return counts[-1] in {2, 3} and counts[-2] == 1


_DIHEDRAL = tuple(
    tuple(
        (a + b) % 5 + (0 if b < 5 else 5) if a < 5 else (a - b) % 5 + (5 if b < 5 else 0)
        for b in range(10)
    )
    for a in range(10)
)
_PERMUTED: list[tuple[int, ...]] = [(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)]
while len(_PERMUTED) < 8:
    _PERMUTED.append(tuple(_PERMUTED[1][i] for i in _PERMUTED[-1]))


def _verhoeff(number: str) -> bool:
    rest = 0
    for i, char in enumerate(reversed(number)):
        rest = _DIHEDRAL[rest][_PERMUTED[i % 8][int(char)]]
    return rest == 0 and len(set(number)) > 1


def _luxembourg(number: str) -> bool:
    return luhn(number[:12]) and _verhoeff(number[:11] + number[12])


def _rest97(number: str) -> bool:
    """Last two digits: 97 less the rest of the others (France, with Corsica's letters)."""
    plain = number.replace("2A", "19", 1) if number[5:7] == "2A" else number
    plain = plain.replace("2B", "18", 1) if number[5:7] == "2B" else plain
    return plain.isdigit() and 97 - int(plain[:-2]) % 97 == int(plain[-2:])


def _belgium(number: str) -> bool:
    """As `rest97`; a 2 goes before it for those born since 2000."""
    return _rest97(number) or _rest97("2" + number)


def _mod511(number: str) -> bool:
    return int(number[:-3]) % 511 == int(number[-3:])


def _spanish_insurance(number: str) -> bool:
    """Province and number modulo 97; small numbers count without leading zeros."""
    province, own = int(number[:2]), int(number[2:-2])
    whole = own + province * 10**7 if own < 10**7 else int(number[:-2])
    return whole % 97 == int(number[-2:])


def _by_letter(letters: str, size: int) -> Check:
    def holds(number: str) -> bool:
        plain = number[:size].translate(str.maketrans("XYZ", "012"))
        return plain.isdigit() and letters[int(plain) % len(letters)] == number[size]

    return holds


def _finland(number: str) -> bool:
    digits = number[:6] + number[-4:-1]
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == number[-1]


_CODICE_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22,
               25, 24, 23)  # fmt: skip


def _codice(number: str) -> bool:
    """Italian and Cypriot codes: odd places by a table of their own, modulo 26."""
    values = [int(c) if c.isdigit() else ord(c) - 65 for c in number[:-1]]
    total = sum(_CODICE_ODD[v] for v in values[::2]) + sum(values[1::2])
    return chr(65 + total % 26) == number[-1]


def _ireland(number: str) -> bool:
    letters = "WABCDEFGHIJKLMNOPQRSTUV"
    second = letters.index(number[8]) if number[8:] else 0
    total = sum(w * int(d) for w, d in zip(range(8, 1, -1), number[:7], strict=True))
    return letters[(total + 9 * second) % 23] == number[7]


def _twice(first: tuple[int, ...], second: tuple[int, ...], last: int | None) -> Check:
    """Modulo 11 with a second row of weights when the first leaves 10."""

    def holds(number: str) -> bool:
        for weights in (first, second):
            rest = sum(w * int(d) for w, d in zip(weights, number, strict=False)) % 11
            if rest < 10:
                return str(rest) == number[-1]
        return last is not None and str(last) == number[-1]

    return holds


def _new_zealand(number: str) -> bool:
    """Tax number, eight or nine digits."""
    digits = number.zfill(9)
    for weights in ((3, 2, 7, 6, 5, 4, 3, 2), (7, 4, 3, 2, 5, 2, 7, 6)):
        rest = -sum(w * int(d) for w, d in zip(weights, digits, strict=False)) % 11
        if rest < 10:
            return str(rest) == digits[-1]
    return False


def _health_index(number: str) -> bool:
    """New Zealand: letters without I and O as 1 to 24, weights 7 to 2, modulo 11."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    values = [letters.index(c) + 1 if c.isalpha() else int(c) for c in number[:6]]
    rest = sum(w * v for w, v in zip(range(7, 1, -1), values, strict=True)) % 11
    return rest > 0 and str((11 - rest) % 10) == number[6]


def _cross_sums(weights: tuple[int, ...], letter: int, place: int) -> Check:
    """German insurance numbers: the letter as two digits, sums of the digits of the products."""

    def holds(number: str) -> bool:
        two = f"{ord(number[letter]) - 64:02}"
        digits = number[:letter] + two + number[letter + 1 : place]
        total = sum(sum(divmod(w * int(d), 10)) for w, d in zip(weights, digits, strict=True))
        return total % 10 == int(number[place])

    return holds


def _portuguese_card(number: str) -> bool:
    values = [int(c, 36) for c in reversed(number)]
    return sum(values[::2] + [v * 2 - 9 if v > 4 else v * 2 for v in values[1::2]]) % 10 == 0


def _snils(number: str) -> bool:
    """Last two digits: weights 9 to 1, modulo 101, 100 counts as 0."""
    total = sum(w * int(d) for w, d in zip(range(9, 0, -1), number, strict=False))
    return total % 101 % 100 == int(number[9:11])


def _taiwan(number: str) -> bool:
    """Letter as 10 to 35 in its own order, weights 1 9 8 … 1 1, modulo 10."""
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    digits = [letter // 10, letter % 10, *map(int, number[1:])]
    return sum(map(int.__mul__, digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def _hong_kong(number: str) -> bool:
    """Weights 9 to 2 over letters (A is 10, a missing one 36) and digits, modulo 11."""
    values = [int(c, 36) for c in number[:-1]]
    if len(values) == 7:
        values.insert(0, 36)
    total = sum(w * v for w, v in zip(range(9, 1, -1), values, strict=True))
    return (total + int(number[-1], 36)) % 11 == 0


def _singapore(number: str) -> bool:
    """Weights 2 7 6 5 4 3 2, modulo 11, then a letter by series."""
    total = sum(w * int(d) for w, d in zip((2, 7, 6, 5, 4, 3, 2), number[1:8], strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "KLJNPQRTUWX"}
    return letters.get(number[0], "XWUTRQPNMLK")[total % 11] == number[-1]


def _curp(number: str) -> bool:
    """Weights 18 to 2 in an alphabet with Ñ after N, modulo 10."""
    values = [int(c, 36) + (c > "N") for c in number[:-1]]
    return (
        str(-sum(w * v for w, v in zip(range(18, 1, -1), values, strict=True)) % 10) == number[17]
    )


def _venezuela(number: str) -> bool:
    total = {"V": 4, "E": 8, "J": 12, "P": 16, "G": 20}[number[0]]
    total += sum(w * int(d) for w, d in zip((3, 2, 7, 6, 5, 4, 3, 2), number[1:], strict=False))
    return "00987654321"[total % 11] == number[-1]


def _vin(number: str) -> bool:
    """ISO 3779 as in North America: the ninth character, modulo 11."""
    values = [
        int(c) if c.isdigit() else (ord(c) - (65 if c < "J" else 74 if c < "S" else 82)) % 9 + 1
        for c in number
    ]
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(w * v for w, v in zip(weights, values, strict=True))
    return "0123456789X"[total % 11] == number[8]


NAMED: dict[str, Check] = {
    "belgium": _belgium,
    "codice": _codice,
    "curp": _curp,
    "dni": _by_letter("TRWAGMYFPDXBNJZSQVHLCKE", 8),
    "estonia": _twice((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3), 0),
    "finland": _finland,
    "health_index": _health_index,
    "hong_kong": _hong_kong,
    "ireland": _ireland,
    "kazakhstan": _twice(tuple(range(1, 12)), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2), None),
    "kvnr": _cross_sums((1, 2, 1, 2, 1, 2, 1, 2, 1, 2), 0, 9),
    "luhn": luhn,
    "luhn10": _luhn_at_ten,
    "luhn_of_ten": _luhn_of_ten,
    "luhn9": _luhn_of_nine,
    "luhn36": _luhn36,
    "luxembourg": _luxembourg,
    "mod11_10": _mod11_10,
    "mod511": _mod511,
    "mod97": mod97,
    "new_zealand": _new_zealand,
    "npi": _npi,
    "one_twice": _one_twice,
    "portuguese_card": _portuguese_card,
    "rest97": _rest97,
    "rvnr": _cross_sums((2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), 8, 11),
    "singapore": _singapore,
    "snils": _snils,
    "spanish_insurance": _spanish_insurance,
    "taiwan": _taiwan,
    "venezuela": _venezuela,
    "verhoeff": _verhoeff,
    "vin": _vin,
}
"""Checks that need more than weights, by the name that tables use."""
