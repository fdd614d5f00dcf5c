"""Samples of every kind of secret, made from the description of its format, in many places.

`secret_recipes.txt` says how each format of the table is made, independently of the patterns that
find it.
"""

import base64
import hashlib
import json
import random
import re
import string
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from keelmark.guard._credentials import LONGEST, WIDEST, formats
from keelmark.guard.detectors.secrets import Detector

RECIPES = Path(__file__).with_name("secret_recipes.txt")
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALPHABETS = {
    "h": DIGITS + "abcdef",
    "H": DIGITS + "ABCDEF",
    "d": DIGITS,
    "a": LOWER + UPPER + DIGITS,
    "l": LOWER + DIGITS,
    "U": UPPER + DIGITS,
    "u": LOWER + UPPER + DIGITS + "-_",
    "b": LOWER + UPPER + DIGITS + "+/",
    "w": LOWER,
    "x": LOWER + UPPER,
    "z": LOWER + "234567",
    "Z": UPPER + "234567",
}
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE62 = DIGITS + UPPER + LOWER


class Kind(NamedTuple):
    name: str
    called: str
    recipes: tuple[str, ...]


@cache
def kinds() -> tuple[Kind, ...]:
    lines = RECIPES.read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return tuple(Kind(name, called, tuple(how.split(" ~ "))) for name, called, how in rows)


def pick(chance: random.Random, alphabet: str, size: int) -> str:
    """Characters by chance; of mixed alphabets, each kind of character comes."""
    groups = (DIGITS, LOWER, UPPER)
    wanted = [group for group in groups if size >= 12 and set(group) <= set(alphabet)]
    while True:
        text = "".join(chance.choices(alphabet, k=size))
        if all(set(group) & set(text) for group in wanted):
            return text


def checked62(chance: random.Random, prefix: str) -> str:
    """30 characters and their CRC-32 as six digits of base 62."""
    body = pick(chance, ALPHABETS["a"], 30)
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return prefix + body + digits


def checked58(raw: bytes) -> str:
    """Base 58 of bytes and of the first four of their double SHA-256."""
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def checked32(chance: random.Random, prefix: str) -> str:
    """BIP 173: 52 digits for 256 bits, then six that make the remainder 1."""

    def remainder(values: list[int]) -> int:
        rest = 1
        for value in values:
            top, rest = rest >> 25, (rest & 0x1FFFFFF) << 5 ^ value
            steps = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
            for bit, step in enumerate(steps):
                rest ^= step if top >> bit & 1 else 0
        return rest

    low = prefix.lower()
    data = [chance.randrange(32) for _ in range(51)] + [chance.choice((0, 16))]
    head = [ord(c) >> 5 for c in low] + [0] + [ord(c) & 31 for c in low]
    rest = remainder(head + data + [0] * 6) ^ 1
    data += [rest >> 5 * (5 - i) & 31 for i in range(6)]
    text = low + "1" + "".join(BECH32[value] for value in data)
    return text.upper() if prefix.isupper() else text


def plain64(raw: bytes, *, url: bool = False) -> str:
    text = base64.b64encode(raw, b"-_" if url else b"+/").decode()
    return text.rstrip("=") if url else text


def made(chance: random.Random, name: str) -> str:
    """A sample of a format that is more than characters by chance."""
    name, _, rest = name.partition(":")
    if name == "crc":
        return checked62(chance, rest)
    if name == "bech32":
        return checked32(chance, rest)
    return SPECIAL[name](chance)


def _discord(chance: random.Random) -> str:
    number = plain64(str(chance.randrange(10**17, 10**18)).encode(), url=True)
    return f"{number}.{pick(chance, ALPHABETS['u'], 6)}.{pick(chance, ALPHABETS['u'], 38)}"


def _jwt(chance: random.Random) -> str:
    claims = json.dumps({"sub": str(chance.random())}).encode()
    parts = (b'{"alg":"RS256","typ":"JWT"}', claims, chance.randbytes(256))
    return ".".join(plain64(part, url=True) for part in parts)


def _pypi(chance: random.Random) -> str:
    head = b"\x02\x01\x08pypi.org\x02\x24" + chance.randbytes(18).hex().encode()
    caveat = b'\x00\x02\x1f{"permissions": "user", "v": 1}\x00\x00'
    return "pypi-" + plain64(head + caveat + b"\x06\x20" + chance.randbytes(32), url=True)


def _basic(chance: random.Random) -> str:
    return plain64(f"user:{pick(chance, ALPHABETS['a'], 14)}".encode())


def _xprv(chance: random.Random) -> str:
    return checked58(
        bytes.fromhex("0488ade4") + chance.randbytes(41) + b"\0" + chance.randbytes(32)
    )


def _aws_key(chance: random.Random) -> bytes:
    account = chance.randrange(10**12)
    return (1 << 79 | account << 39 | chance.getrandbits(39)).to_bytes(10, "big")


def pem(chance: random.Random, title: str, lines: int) -> str:
    body = "\n".join(pick(chance, ALPHABETS["b"], 64) for _ in range(lines))
    last = pick(chance, ALPHABETS["a"], 38) + "=="
    return f"-----BEGIN {title}-----\n{body}\n{last}\n-----END {title}-----"


SPECIAL: dict[str, Callable[[random.Random], str]] = {
    "aws": lambda chance: "AKIA" + base64.b32encode(_aws_key(chance)).decode(),
    "basic": _basic,
    "discord": _discord,
    "jwt": _jwt,
    "pypi": _pypi,
    "xprv": _xprv,
    "wif": lambda chance: checked58(b"\x80" + chance.randbytes(32) + b"\x01"),
    "pem64": lambda chance: plain64(pem(chance, "RSA PRIVATE KEY", 10).encode()),
}


def sample(chance: random.Random, recipe: str) -> tuple[str, str]:
    """Return a value and the secret in it."""

    def part(match: re.Match[str]) -> str:
        if match[3]:
            return made(chance, match[3])
        if match[1]:
            return pick(chance, ALPHABETS[match[1]], int(match[2]))
        sizes = (8, 4, 4, 4, 12)
        return "-".join(pick(chance, ALPHABETS["h"], size) for size in sizes)

    names = "aws|basic|discord|jwt|pypi|xprv|wif|pem64|crc:[a-z_]+|bech32:[A-Za-z-]+"
    value = re.sub(rf"<(?:([a-zA-Z])(\d+)|uuid)>|\{{({names})\}}", part, recipe)
    if (narrow := re.search(r"\[(.+)\]", value)) and "[" in recipe:
        return value.replace(narrow[0], narrow[1]), narrow[1]
    return value, value


SURROUNDINGS: dict[str, Callable[[str, str], str]] = {
    "sentence": lambda name, value: f"The {name} we use is {value} for now, keep it safe.",
    "json": lambda name, value: json.dumps({"id": 7, name: value, "on": True}),
    "json in json": lambda name, value: json.dumps({"body": json.dumps({name: value})}),
    "yaml": lambda name, value: f"service:\n  {name}: {value}\n  retries: 3\n",
    "yaml block": lambda name, value: f"{name}: |\n  {value}\nnext: 1\n",
    "shell": lambda name, value: f"export {name.upper()}='{value}' && ./run\n",
    "env file": lambda name, value: f"A=1\n{name.upper()}={value}\nB=2\n",
    "python": lambda name, value: f'{name} = "{value}"  # rotate\n',
    "javascript": lambda name, value: f"const c = {{ {name}: '{value}', retries: 3 }};",
    "option": lambda name, value: f"run --{name.replace('_', '-')} {value} --verbose",
    "markdown": lambda name, value: f"- {name}: `{value}`\n- next\n",
    "url": lambda name, value: f"https://api.shop.net/v1?{name}={value}&page=2",
}


def places(kind: Kind, value: str) -> Iterator[tuple[str, str]]:
    if kind.called == "-":
        yield "as it is", f"x\n{value}\ny\n"
        yield "in a sentence", f"Look: {value} is what it says."
        return
    for name, surround in SURROUNDINGS.items():
        if name != "url" or re.fullmatch(r"[A-Za-z0-9_.~-]+", value):
            yield name, surround(kind.called, value)


def covered(text: str, secret: str) -> str | None:
    """The label of the hit that covers the secret; None if a part of it would be left."""
    at = text.find(secret)
    for form in (json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1]):
        at = text.find(form) if at < 0 else at
        secret = form if at == text.find(form) else secret
    assert at >= 0
    for hit in Detector().find(text):
        if hit.start <= at and hit.end >= at + len(secret):
            return hit.label
    return None


def test_every_format_has_a_recipe() -> None:
    assert {kind.name for kind in kinds()} == {row.name for row in formats()}
    assert len(kinds()) >= 200


def test_recall_on_every_kind_in_every_place() -> None:
    chance = random.Random(5)
    labels: dict[str, set[str]] = {}
    for row in formats():
        labels.setdefault(row.name, set()).add(row.label)
    missed, called_else, total = [], [], 0
    for kind in kinds():
        for recipe in kind.recipes:
            for place, text in places(kind, (drawn := sample(chance, recipe))[0]):
                label = covered(text, drawn[1])
                total += 1
                if label is None:
                    missed.append((kind.name, place, text))
                elif label not in labels[kind.name]:
                    called_else.append((kind.name, place, label))
    assert total > 3000
    assert len(missed) <= 0.01 * total, missed
    assert len(called_else) <= 0.03 * total, called_else


@pytest.mark.parametrize("seed", range(2))
def test_a_second_secret_is_found_too(seed: int) -> None:
    chance = random.Random(seed)
    left = []
    for kind in (kind for kind in kinds() if kind.called != "-"):
        (one, first), (two, second) = (sample(chance, kind.recipes[0]) for _ in range(2))
        text = f"{kind.called}={one} {kind.called}={two}"
        if covered(text, first) is None or covered(text, second) is None:
            left.append((kind.name, text))
    assert len(left) <= 0.01 * len(kinds()), left


TITLES = (
    *("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"),
    *("ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
)


@pytest.mark.parametrize("title", TITLES)
def test_private_key_blocks(title: str) -> None:
    block = pem(random.Random(title), title, 12)
    account = {"type": "service_account", "private_key": block + "\n", "client_id": "1"}
    indented = re.sub("^", "  ", block, flags=re.MULTILINE)
    for text in (
        f"see\n{block}\nend",
        json.dumps(account),
        f'k = """{block}"""',
        f"key: |\n{indented}\n",
        f"export K='{block}'\n",
        f"> {block}".replace("\n", "\r\n"),
    ):
        (hit,) = (hit for hit in Detector().find(text) if hit.label == "PRIVATE_KEY")
        assert text[hit.start :].startswith("-----BEGIN")
        assert text[: hit.end].endswith("-----")


def test_putty_and_ssh2_blocks() -> None:
    chance = random.Random(3)
    lines = "\n".join(pick(chance, ALPHABETS["b"], 64) for _ in range(8))
    mac = pick(chance, ALPHABETS["h"], 64)
    putty = f"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 8\n{lines}\nPrivate-MAC: {mac}"
    (hit,) = Detector().find(putty + "\nend")
    assert (hit.label, putty[hit.start :][:13], hit.end) == (
        "PRIVATE_KEY", "Private-Lines", len(putty))  # fmt: skip
    mark = "SSH2 ENCRYPTED PRIVATE KEY ----"
    (hit,) = Detector().find(text := f"---- BEGIN {mark}\n{lines}\n---- END {mark}")
    assert (hit.label, hit.start, hit.end) == ("PRIVATE_KEY", 0, len(text))


def test_the_table_keeps_its_bounds() -> None:
    """What is not announced by its own beginning is short; all are long enough to be looked for."""
    parser = re._parser  # type: ignore[attr-defined]
    for row in formats():
        least, most = parser.parse(row.pattern).getwidth()
        assert most <= (WIDEST if row.after else LONGEST), row.name
        assert all(len(word) <= 24 for word in row.after), row.name
        assert row.has or row.after, row.name
        if row.label not in {"CREDENTIAL_URL", "BASIC_AUTH", "PASSWORD"}:
            assert least >= 16, row.name


@pytest.mark.parametrize("row", formats(), ids=lambda row: row.name)
def test_a_pattern_can_be_tried_together_with_others(row):
    assert not re.search(r"\\[1-9]|\(\?P=|\(\?\(|\(\?[aiLmsux]+\)", row.pattern)
