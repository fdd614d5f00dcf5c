"""Values that look like the ones they stand for: digits for digits, letters for letters."""

from __future__ import annotations

import hmac

_PURPOSE = b"keelmark surrogate 1\n"
_HOST = "example.net"  # kept for examples by RFC 2606: nobody's mail goes there


def surrogate(label: str, value: str, key: bytes, attempt: int = 0) -> str:
    """Return a value of the same form that tells next to nothing of the one it stands for.

    Every digit becomes a digit and every letter a letter of the same case; all else stays. What a
    form would refuse otherwise stays, too: the first four digits of a card (its network) and the
    first three of a telephone number with a plus sign (its country), the country of an IBAN, and
    the check digits of cards (Luhn) and IBANs (ISO 7064 mod 97-10) are right. An address of mail
    goes to a host that nobody has. The same key, label and value give the same surrogate. By
    chance it may be somebody's.

    Args:
        label: What kind of value it is.
        value: The value.
        key: Secret.
        attempt: Another number gives another surrogate.
    """
    name, at, _ = value.rpartition("@")
    told = _PURPOSE + "\n".join((label, str(attempt), value)).encode("utf-8", "surrogatepass")
    if label == "EMAIL" and at:
        return f"{_drawn(name, told, key)}@{_HOST}"
    drawn = _drawn(value, told, key)
    if label == "CARD":
        return _with_luhn(_keeping(4, value, drawn))
    if label == "IBAN":
        return _with_mod97(value[:2].upper(), drawn)
    return _keeping(3, value, drawn) if label == "PHONE" and value.startswith("+") else drawn


def _drawn(text: str, told: bytes, key: bytes) -> str:
    """The text with its digits and letters drawn by a keyed hash."""
    blocks = range(len(text) // 16 + 1)
    dice = b"".join(hmac.digest(key, n.to_bytes(4, "big") + told, "sha256") for n in blocks)
    pairs = (int.from_bytes(dice[at : at + 2], "big") for at in range(0, 2 * len(text), 2))
    return "".join(map(_like, text, pairs))


def _like(char: str, dice: int) -> str:
    if char.isdecimal():
        return str(dice % 10)
    if not char.isalpha():
        return char
    return chr((65 if char.isupper() else 97) + dice % 26)


def _keeping(count: int, value: str, text: str) -> str:
    """The text with the first digits of the value."""
    out = list(text)
    for at in [at for at, char in enumerate(value) if char.isdecimal()][:count]:
        out[at] = value[at]
    return "".join(out)


def _with_luhn(text: str) -> str:
    """The text with a last digit that makes the sum right."""
    *places, last = [at for at, char in enumerate(text) if char.isdecimal()]
    digits = [int(text[at]) for at in places][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[::2]]
    return f"{text[:last]}{-(sum(doubled) + sum(digits[1::2])) % 10}{text[last + 1 :]}"


def _with_mod97(country: str, text: str) -> str:
    """The text with a country and the check digits that go with it."""
    places = [at for at, char in enumerate(text) if char.isalnum()]
    body = "".join(text[at] for at in places[4:])
    number = "".join(str(int(char, 36)) for char in body + country + "00")
    out = list(text)
    for at, char in zip(places, f"{country}{98 - int(number) % 97:02}", strict=False):
        out[at] = char
    return "".join(out)
