"""Secrets: keys and tokens of known formats, private keys, passwords that are called so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import ClassVar

from msgspec.structs import replace

from keelmark.guard._credentials import LONGEST, Candidate, find_formats, formats
from keelmark.guard._key_blocks import find_private_keys, open_block
from keelmark.guard._named_values import find_named, open_quote
from keelmark.guard._patterns import CONTEXT, AllowConfig, Allowed, chosen, lower, open_run
from keelmark.guard.contract import BaseDetector, Example, Hit, last_token

_LONG = re.compile(r"[!-~]{16}|://|(?i:asic) [!-~]{8}")
_TOKEN = re.compile(r"(?<![!-~])[!-~]+\Z")
# A hit has a digit in it, or a mark that does not just end a clause, or is long, or belongs to
# a block or an option. (One class of characters first: that is what makes the search fast.)
_STIR = re.compile(
    r"[^A-Za-z_. /\n](?:(?<=[^A-Za-z_.,;:!?\\ /\s-])|(?<=[,;:!?\\])(?=\S)|(?<=\s-)|(?<=----)"
    r"|(?<=Private-)(?=Lines))"
)
_RUN = re.compile(r"[!-~]{16}")


class Settings(AllowConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the secrets detector.

    Attributes:
        labels: Labels to look for; empty means all.
        generic: Whether values count that are only called a password or a key.
    """

    labels: tuple[str, ...] = ()
    generic: bool = True


class Detector(BaseDetector):
    """Keys, tokens, private keys and passwords."""

    title = "Secrets: keys, tokens, private keys, passwords"
    version = "2"
    labels: ClassVar[tuple[str, ...]] = tuple(
        dict.fromkeys(["PRIVATE_KEY", "PASSWORD", "API_KEY", *(row.label for row in formats())])
    )
    tags = ("owasp:llm02", "owasp:llm07")
    Config = Settings
    config: Settings

    examples = (
        Example("key AKIAIOSFODNN7EXAMPLE", ("AWS_ACCESS_KEY",), "prefix and length"),
        Example(
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ("AWS_SECRET_KEY",),
            "after its name",
        ),
        Example(
            "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", ("GITHUB_TOKEN",), "checksum of the format"
        ),
        Example(
            "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLWhlcmU",
            ("JWT",),
            "the header decodes",
        ),
        Example(
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8f"
            "dp+K06/nwoy/HU++CXqI9EdVhC"
            "\n-----END PRIVATE KEY-----\ndone",
            ("PRIVATE_KEY",),
            "a block over lines",
        ),
        Example(
            r'"k": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06"',
            ("PRIVATE_KEY",),
            "evasion: in JSON, cut short",
        ),
        Example("postgres://app:s3cr3tpw@db:5432/x", ("CREDENTIAL_URL",), "password in a URL"),
        Example('{"password": "hunter2!"}', ("PASSWORD",), "called a password"),
        Example(
            "DB_PASSWORD=Tr0ub4dor&3 and api_key: 9f8a7b6c5d4e3f2a1b0c",
            ("PASSWORD", "API_KEY"),
            "two",
        ),
        Example("my password is Tr0ub4dor3", ("PASSWORD",), "evasion: in a sentence"),
        Example("Mein Passwort lautet Sommer2024!", ("PASSWORD",), "German"),
        Example("sk-proj-abcDEF123456ghiJKL789012mnoPQR345678", ("OPENAI_KEY",), "prefix"),
        Example("Your password must be changed. The secret is patience.", (), "clean"),
        Example("api_key = <your-api-key>, token=${TOKEN}, pwd: ********", (), "placeholders"),
        Example("password = getpass.getpass() # or os.environ['PASSWORD']", (), "code"),
        Example("max_tokens: 4096, token: required, password: string", (), "look-alike: settings"),
        Example("commit a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", (), "look-alike: a commit"),
        Example("id 123e4567-e89b-12d3-a456-426614174000", (), "look-alike: a UUID"),
        Example("A PEM file starts with -----BEGIN PRIVATE KEY-----.", (), "look-alike: a header"),
        Example("see https://example.org:8080/a@b and task-sk-learn", (), "look-alike: a URL"),
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self._allowed = Allowed(self.config)
        self._wanted = chosen(self.config.labels, self.labels)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        return self._allowed.drop(_settled(self._candidates(text, start)), text)

    def _candidates(self, text: str, start: int) -> Iterator[Candidate]:
        low = lower(text)
        if _LONG.search(text, max(0, start - CONTEXT)):
            yield from find_formats(text, low, start, self._wanted)
        if "PRIVATE_KEY" in self._wanted:
            for hit in find_private_keys(text, start):
                yield Candidate(hit.start, hit.score, -1, partial(_same, hit))
        if self.config.generic:
            yield from find_named(text, low, start, self._wanted)

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: plain words only."""
        if _STIR.search(text, start):
            return False
        longest = max(map(len, text[start:].split()), default=0)
        return longest < 16 or _RUN.search(text, start) is None

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where the last word, an unfinished key block or an unfinished quotation begins."""
        opened = min(open_block(text, start), open_quote(text, start))
        if opened < len(text):
            # A hit that holds this place, but no white space, may be cut short by what begins here.
            opened = last_token(text[:opened], max(start, opened - LONGEST))
        return min(opened, open_run(_TOKEN, text, start, 2 * LONGEST))


def _same(hit: Hit) -> Hit:
    return hit


def _settled(candidates: Iterable[Candidate]) -> list[Hit]:
    """Decide candidates from left to right, only where no hit as good covers them.

    The earlier hit stays; a later one with a higher score cuts it short.
    """
    hits: list[Hit] = []
    for one in sorted(candidates, key=lambda one: (one.start, -one.score, one.order)):
        last = hits[-1] if hits else None
        covered = last is not None and one.start < last.end
        if last and covered and (one.score <= last.score or one.start == last.start):
            continue
        hit = one.decide()
        if hit is None or (last and covered and hit.score <= last.score):
            continue
        if last and covered:
            hits[-1] = replace(last, end=hit.start)
        hits.append(hit)
    return hits
